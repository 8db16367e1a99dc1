"""Running a benchmark for the command line: a table or one JSON object, and a folder with results and pictures."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any, Protocol

from ..errors import GennDelaysError, InvalidValueError, unknown
from ..paths import atomic_path, atomic_write, expanded
from .options import Options
from .pictures import Pictures
from .records import Results


class Benchmark(Protocol):
    """The functions of a benchmark's module."""

    def measure(self, options: Options) -> Results:
        """Check the options, then measure."""

    def as_text(self, results: Results) -> str:
        """A table for people."""

    def draw(self, results: Results) -> Pictures:
        """Pictures by name; none if there is nothing to draw."""


BENCHMARKS = {
    "train-step": "train_step",
    "inference": "inference",
    "scaling": "scaling",
    "memory": "memory",
    "compile": "compiling",
    "kernels": "kernels",
    "simulation": "simulation",
}
"""Modules by the name of their benchmark."""


def benchmark(name: str) -> Benchmark:
    """A benchmark by its name."""
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    module: Any = importlib.import_module(f"{__package__}.{BENCHMARKS[name]}")
    return module  # type: ignore[no-any-return]


def run_and_print(name: str, options: Options, *, as_json: bool = False, out: str | None = None) -> int:
    """Measure, print, and write the results.

    Args:
        as_json: print one JSON object in place of a table.
        out: a folder for ``results.json`` and pictures; files of these names that are there are replaced.
    """
    found = benchmark(name)
    folder = None if out is None else writable(out)
    try:
        results = found.measure(options)
    except BaseException:
        if folder is not None:
            with contextlib.suppress(OSError):  # not empty: it was there before
                folder.rmdir()
        raise
    if folder is not None:
        keep(results, found.draw(results), folder)
    print(results.json() if as_json else found.as_text(results))
    return 0


def writable(out: str) -> Path:
    """A folder that files can be written into; made where it is not there.

    Raises:
        InvalidValueError: it is a file.
        GennDelaysError: it cannot be written.
    """
    folder = expanded(out, "--out")
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"--out {out}: that is not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GennDelaysError(f"--out {out}: cannot make this folder: {error.strerror or error}") from error
    trial = folder / ".trial"
    atomic_write(trial, b".")
    trial.unlink()
    return folder


def keep(results: Results, pictures: Pictures, folder: Path) -> None:
    """Write the results, and each picture as PNG and PDF; every file is written atomically."""
    atomic_write(folder / "results.json", (results.json(indent=1) + "\n").encode())
    for name, figure in pictures.items():
        for ending in ("png", "pdf"):
            metadata = {"Software": None} if ending == "png" else {"CreationDate": None, "Producer": None}
            with atomic_path(folder / f"{name}.{ending}") as part:
                figure.savefig(part, format=ending, dpi=150, metadata=metadata)
