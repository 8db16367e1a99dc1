"""Standard output and error, which may be closed, full, gone or without some letters: none of that ends a training."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any


def open_streams() -> None:
    """Open missing standard streams of the process, and let them accept any text.

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
    """A descriptor of the null device: `number` itself if it is free."""
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
    """Discard a stream's buffer: Python would try to write it again at exit, and report an error."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream without a file
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, stream.fileno())
        os.close(opened)


def settle_errors() -> None:
    """At the end of a command: output that could not be written must not change the exit status."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        drop(sys.stderr)


def say(text: str) -> None:
    """Write a line on standard error, if that is possible."""
    Tolerant(sys.stderr).write(text + "\n")


class Tolerant:
    """A text stream whose failures are ignored: after the first one nothing more is written.

    Args:
        stream: the stream, or None where the process has none.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._failed = stream is None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """True if it is a terminal."""
        try:
            return not self._failed and bool(self._stream.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def write(self, text: str) -> int:
        """Write without buffering, if possible."""
        if not self._failed:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # full, a pipe whose reader is gone, closed
                self._failed = True
        return len(text)

    def flush(self) -> None:
        """Nothing to do: nothing is buffered."""
