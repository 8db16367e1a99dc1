"""Runs in processes of their own, so that one that crashes takes no other with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import GennDelaysError

_POLL = 0.05  # seconds
_PATIENCE = 10.0
"""Seconds that an interrupted run has to end by itself."""


class Process:
    """A run being trained, or resumed, by a process of its own.

    Args:
        folder: the run's folder, with its ``config.toml``.
        threads: of the run.

    Raises:
        GennDelaysError: the process cannot be started.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-m", "genn_delays.sweeps.child", "train", "--resume", "--quiet", "--json"]
        try:
            self._process = subprocess.Popen(
                [*command, "--threads", str(threads), "--out", str(folder.absolute())],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which interrupts its runs once
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise GennDelaysError(f"a process for {folder} cannot be started: {error.strerror or error}") from error

    @property
    def ended(self) -> bool:
        """True once the process has ended."""
        return self._process.poll() is not None

    def error(self) -> str | None:
        """The error of a process that has ended, on one line; None where it finished its run."""
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        if status == 0:
            return None
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"its process was ended by signal {-status} ({signal.Signals(-status).name})"
        line = said[-1].strip() if said else f"its process ended with status {status}"
        return line.removeprefix("genn-delays: ").removeprefix("error: ")

    def interrupt(self) -> None:
        """Ask the process to end, as Ctrl-C does."""
        with contextlib.suppress(OSError, ValueError):
            self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End the process, if it has not ended, and free what it took; again it does nothing."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()  # it ends by itself
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def stop(processes: Sequence[Process]) -> None:
    """Interrupt runs, and end those that do not end by themselves."""
    for process in processes:
        process.interrupt()
    until = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < until and not all(process.ended for process in processes):
            time.sleep(_POLL)
    finally:  # a second Ctrl-C does not wait
        for process in processes:
            process.close()


def run_in_processes(
    waiting: Sequence[tuple[Any, Path, int]], processes: int, ended: Callable[[Any, str | None], None]
) -> None:
    """Train runs in local processes, some at a time.

    Args:
        waiting: of every run what `ended` is called with, its folder and its number of threads.
        processes: runs at a time.
        ended: called when a run has ended, with its error or None.

    Raises:
        KeyboardInterrupt: by the keyboard, after all runs were stopped.
    """
    queue, running = list(waiting), dict[Process, Any]()
    try:
        while queue or running:
            while queue and len(running) < processes:
                run, folder, threads = queue.pop(0)
                running[Process(folder, threads)] = run
            for process in [process for process in running if process.ended]:
                run = running.pop(process)
                ended(run, process.error())
            time.sleep(_POLL)
    finally:
        stop(list(running))
