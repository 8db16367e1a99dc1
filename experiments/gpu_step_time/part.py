"""The parts of first light: functions that run in their own processes and keep their results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Where(NamedTuple):
    """The arguments of a part: the backend, a folder of its own, and a function that keeps a row of results."""

    backend: str
    folder: Path
    keep: Callable[..., None]


class PartError(Exception):
    """A part's claim does not hold."""


class SkippedError(Exception):
    """Something that a part needs is missing."""


SKIPPED = 77
"""Exit status of a part's process that skipped it."""


class Part(NamedTuple):
    """A part, how many seconds it may take, and whether it needs a GPU."""

    work: Callable[[Where], None]
    limit: float
    gpu: bool = False


def run(*words: str, ok: tuple[int, ...] = (0,), **environment: str) -> str:
    """Run a command and return its output, which goes to the log too. Raises an error if it fails."""
    print("$", " ".join(words), flush=True)
    lines = []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:  # as it comes: of a part that is stopped the log keeps what there was
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode not in ok:
        raise PartError(f"{' '.join(words[:6])} … ended with status {process.returncode}")
    return "".join(lines)


def command(*arguments: str) -> list[str]:
    """The words that run genn-delays with some arguments, by this very Python."""
    return [sys.executable, "-m", "genn_delays", *arguments]
