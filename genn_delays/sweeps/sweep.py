"""A sweep: its runs trained, resumed where they stopped, their results kept as data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backends.cpu.backend import available_processors
from ..errors import InvalidValueError, RunFolderError, check_count
from ..paths import atomic_write, expanded
from ..runs.folder import RunFolder
from ..runs.lock import LOCK, locked
from ..runs.resume import differences, recorded_tables
from ..streams import say
from .content import as_before, with_content
from .processes import run_in_processes
from .rows import CSV, JSON_LINES, read_result, row, write_results
from .spec import Sweep, SweepRun, read_sweep

SWEEPS = Path("sweeps")
"""The folder of sweeps without a folder of their own."""
COPY = "sweep.toml"
"""The sweep file as it was last read, in the folder of the sweep."""
FAILED = "failed.jsonl"


@dataclass
class Done:
    """The state of a sweep at its end.

    Attributes:
        name: of the sweep.
        out: its folder.
        runs: number of all runs.
        finished: number of those that are finished.
        kept: number of those that were finished before.
        failed: one-line errors of runs that failed, by the run's folder.
        seconds: that this call took.
    """

    name: str
    out: Path
    runs: int
    finished: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def tables(self) -> dict[str, Any]:
        """The same, for JSON."""
        failed = [{"run": run, "error": error} for run, error in self.failed.items()]
        return {
            "sweep": self.name, "out": str(self.out), "runs": self.runs, "finished": self.finished, "kept": self.kept,
            "failed": failed, "seconds": round(self.seconds, 3), "results": str(self.out / JSON_LINES),
        }  # fmt: skip

    def __str__(self) -> str:
        runs = "run" if self.runs == 1 else "runs"
        lines = [f"{self.name}: {self.finished} of {self.runs} {runs} finished, results in {self.out / CSV}"]
        if self.kept:
            lines[0] += f" ({self.kept} finished before)"
        lines += [f"  failed  {run}: {error}" for run, error in self.failed.items()]
        return "\n".join(lines)


def sweep(
    spec: str | Path,
    out: Path | None = None,
    *,
    processes: int | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    progress: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Done:
    """Train all runs of a sweep file that are not finished, and write their results.

    Args:
        spec: path of the sweep file, see :mod:`.spec`.
        out: folder of runs and results; ``sweeps/NAME`` where not given.
        processes: runs at a time; as many as processors, divided by the threads of a run, where not given.
        threads: of every run; those of the settings, else 1, where not given.
        scheduler: address of a Dask scheduler whose workers train the runs, in place of local processes.
        progress: say on standard error which run has ended, and how long the others will take.
        note: called with remarks for the user, one line each.

    Raises:
        GennDelaysError: the file or one of its runs is not valid, or the folder holds something else; nothing was
            computed.
        KeyboardInterrupt: by the keyboard; all runs were stopped and can be resumed.
    """
    path = expanded(spec, "sweep file")
    if threads is not None:
        check_count("--threads", threads, 1, 1024)
    if processes is not None:
        check_count("--processes", processes, 1, 4096)
        if scheduler is not None:
            raise InvalidValueError("--processes is of local runs; with --scheduler its workers say how many there are")
    start = time.monotonic()
    read = read_sweep(path, threads)
    folder = SWEEPS / read.name if out is None else out
    _check_folder(folder)
    RunFolder(folder).check_writable()
    RunFolder(folder).create()
    with locked(folder, note, "sweep folder"):
        read = with_content(read)
        rows = _finished(folder, read)
        atomic_write(folder / COPY, path.read_bytes())
        write_results(folder, read, rows)
        done = Done(read.name, folder, len(read.runs), len(rows), len(rows))
        waiting = [run for run in read.runs if run.folder not in rows]
        _prepare(folder, waiting)
        report = _Report(folder, read, rows, done, len(waiting), progress)
        jobs = [(run, folder / run.folder, run.config.compiler.threads or 1) for run in waiting]
        if jobs and scheduler is not None:
            from .cluster import run_on_cluster

            run_on_cluster(scheduler, folder, jobs, report.ended, note)
        elif jobs:
            run_in_processes(jobs, processes or _at_a_time(waiting), report.ended)
        report.write_failed()
    done.seconds = time.monotonic() - start
    return done


def _at_a_time(runs: list[SweepRun]) -> int:
    """Runs that fill the processors; on a GPU, which one run fills, one."""
    if any(run.config.compiler.backend not in ("cpu", "reference") for run in runs):
        return 1
    return max(1, available_processors() // max(run.config.compiler.threads or 1 for run in runs))


def _check_folder(folder: Path) -> None:
    """Raise an error if a folder holds something that is no sweep."""
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"sweep folder {folder} is a file")
    if folder.is_dir() and not (folder / COPY).is_file() and any(e.name != LOCK for e in folder.iterdir()):
        raise RunFolderError(
            f"{folder} is not empty and holds no sweep (it has no {COPY}), and nothing is overwritten: choose another "
            "--out"
        )


def _finished(folder: Path, read: Sweep) -> dict[str, dict[str, Any]]:
    """The lines of runs that are finished, by their folders.

    Raises:
        RunFolderError: a run was begun with another configuration than it has now.
    """
    found = {}
    for run in read.runs:
        kept = RunFolder(folder / run.folder)
        if kept.is_empty():
            continue
        before = kept.read_config()
        old, new = recorded_tables(before), recorded_tables(as_before(run.config, before))
        changed = differences(old, new)
        epochs = before.training.num_epochs, run.config.training.num_epochs
        if epochs[0] != epochs[1]:
            changed.append(("training.num_epochs", *epochs))
        for key, value, now in changed:
            raise RunFolderError(
                f"{key} of run {run.folder} in {folder} is {value!r} and would now be {now!r}; nothing is overwritten: "
                "set it back in the sweep file, choose another --out, or remove the folder of that run"
            )
        result = read_result(kept.result)
        if result is not None and result["epochs"] == epochs[1]:
            found[run.folder] = row(read, run, result)
    return found


def _prepare(folder: Path, waiting: list[SweepRun]) -> None:
    """Write the configuration of runs that have not begun: each is then a run to resume."""
    for run in waiting:
        kept = RunFolder(folder / run.folder)
        if kept.is_empty():
            kept.check_writable()
            kept.create()
            kept.write_config(run.config)


class _Report:
    """Keeps the results of runs as they end, and says how it goes on."""

    def __init__(
        self, folder: Path, read: Sweep, rows: dict[str, dict[str, Any]], done: Done, waiting: int, progress: bool
    ) -> None:
        self._folder, self._sweep, self._rows, self._done = folder, read, rows, done
        self._waiting, self._ended, self._progress = waiting, 0, progress
        self._start = time.monotonic()
        if progress:
            before = f", {done.kept} finished before" if done.kept else ""
            say(f"{read.name}: {done.runs} run{'s'[: done.runs != 1]}{before}; results in {folder}")

    def ended(self, run: SweepRun, error: str | None) -> None:
        """A run has ended."""
        result = None
        if error is None:
            try:
                result = read_result(self._folder / run.folder / "result.json")
                error = "it ended without a result"
            except RunFolderError as damaged:
                error = str(damaged)
        self._ended += 1
        if result is not None:
            self._rows[run.folder] = row(self._sweep, run, result)
            self._done.finished += 1
            write_results(self._folder, self._sweep, self._rows)
            text = f"{_figure(result)} in {result['seconds']:.1f} s"
        else:
            self._done.failed[run.folder] = str(error)
            self.write_failed()
            text = f"failed: {error}"
        if self._progress:
            say(f"[{self._done.kept + self._ended}/{self._done.runs}, {self._left()}] {run.folder}: {text}")

    def _left(self) -> str:
        """The time left, were the other runs as long as those so far."""
        seconds = (time.monotonic() - self._start) / self._ended * (self._waiting - self._ended)
        minutes = round(seconds / 60)
        return f"{seconds:.0f} s left" if seconds < 100 else f"{minutes // 60}:{minutes % 60:02} h left"

    def write_failed(self) -> None:
        """Write the list of runs that failed, in the order of the sweep file; no file where there are none."""
        path = self._folder / FAILED
        failed = [
            (run.folder, self._done.failed[run.folder]) for run in self._sweep.runs if run.folder in self._done.failed
        ]
        if failed:
            lines = [json.dumps({"run": run, "error": error}) + "\n" for run, error in failed]
            atomic_write(path, "".join(lines).encode())
        else:
            path.unlink(missing_ok=True)


def _figure(result: Mapping[str, Any]) -> str:
    """The figure of a run: its accuracy, or its loss where targets are real numbers."""
    accuracy = result["test_accuracy"]
    return f"test loss {result['test_loss']:.4g}" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"
