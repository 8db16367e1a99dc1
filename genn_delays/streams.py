"""Standard output and error that may be closed, full, gone, or unable to say a letter: none of that ends a training."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any


def open_streams() -> None:
    """Give the process the standard streams it was started without, and let them say whatever they are given.

    Without it the next file that is opened would become standard error, and what a library writes there would be in a
    checkpoint. Letters that a stream's encoding lacks are written as escapes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(_nowhere(number), "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _nowhere(number: int) -> int:
    """A descriptor whose content goes nowhere: `number` itself where nothing has taken it."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened == number:
        return opened
    try:
        os.fstat(number)
    except OSError:  # still closed
        os.dup2(opened, number)
        os.close(opened)
        return number
    return opened


def drop(stream: Any) -> None:
    """What a stream still holds goes nowhere: Python would try to write it again at its end, and complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream without a file
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, stream.fileno())
        os.close(opened)


def settle_errors() -> None:
    """At the end of a command: what could not be said must not become its exit status."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        drop(sys.stderr)


def say(text: str) -> None:
    """A line on standard error, if somebody can be told."""
    Tolerant(sys.stderr).write(text + "\n")


class Tolerant:
    """A text stream whose failures are nobody's loss: after the first nothing more is written.

    Args:
        stream: the stream, or None where the process has none.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._failed = stream is None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether somebody watches."""
        try:
            return not self._failed and bool(self._stream.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def write(self, text: str) -> int:
        """Write at once, if it can be written."""
        if not self._failed:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # full, a pipe whose reader is gone, closed
                self._failed = True
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
