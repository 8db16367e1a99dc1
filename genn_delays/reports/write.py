"""From run folders to a file with their report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..datasets.archives import existing_path
from ..errors import InvalidValueError, check_count
from ..paths import atomic_write, expanded
from ..paths import check_writable as check_place
from ..runs.folder import RunFolder
from .measures import Datasets, measure, read_run
from .page import render

ENDINGS = (".html", ".htm")


def write_report(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    threads: int | None = None,
    example: int = 0,
    quiet: bool = True,
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write one page about runs, side by side where there are several; returns its path.

    The page needs nothing else: pictures are in it, and it loads nothing. The same runs give the same page.

    Args:
        runs: their folders, which the page names as they are given here.
        out: the file, ending in ``.html``. An old one is replaced.
        data_dir: where the data sets' files are, if not where training had them.
        backend, threads: of the computations, if not the runs'.
        example: number of the test example that is shown, from 0.
        quiet: see :func:`~genn_delays.datasets.load_dataset`.
        note: called with what is left out and why, one line each.

    Raises:
        GennDelaysError: a folder is no run or has no checkpoint, a given data folder or backend is not there, or the
            file cannot be written; all that can be known before is, and nothing is written then.
    """
    target = expanded(out, "--out")
    check_writable(target)
    page = report(
        runs, data_dir=data_dir, backend=backend, threads=threads, example=example, quiet=quiet, note=note
    )  # fmt: skip
    atomic_write(target, page.encode())
    return target


def report(
    runs: Sequence[str | os.PathLike[str]],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    threads: int | None = None,
    example: int = 0,
    quiet: bool = True,
    note: Callable[[str], None] = lambda text: None,
) -> str:
    """The page of :func:`write_report` as text."""
    example = check_count("--example", example, 0)
    folders = [RunFolder(run) for run in runs]
    if not folders:
        raise InvalidValueError("a report needs one RUN at least, got none")
    real = [folder.path.resolve() for folder in folders]
    for number, path in enumerate(real):
        if path in real[:number]:
            raise InvalidValueError(f"run folder {folders[number]} is given twice; a report shows every run once")
    data = None if data_dir is None else str(existing_path("--data-dir", data_dir))
    found = [read_run(folder) for folder in folders]  # all of them before anything is computed
    datasets = Datasets(data, quiet)
    for run, folder in zip(found, folders, strict=True):
        measure(run, folder, datasets, backend=backend, threads=threads, example=example, note=note)
    return render(found)


def check_writable(path: Path) -> None:
    """Raise an error if a report cannot be written there; nothing is created.

    Raises:
        GennDelaysError: it is a folder, lies in none, or this user may not write there.
        InvalidValueError: its name has another ending.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InvalidValueError(f"--out must end in .html, got {str(path)!r}")
    check_place(path)
