"""Ctrl-C while modules are imported, where it would end in a traceback of another package."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

INTERRUPTED = 130
"""The exit status of a shell's command that was interrupted."""


def leave_at_once() -> None:
    """Let an interruption end the process at once with one line, unless interruptions are ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_again() -> None:
    """Let an interruption raise KeyboardInterrupt again: from now on files must be left whole."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_silently() -> None:
    """Let an interruption end the process silently: all work is done."""
    if signal.getsignal(signal.SIGINT) in (_leave, signal.default_int_handler):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> None:
    # not an exception: extension modules that are being imported turn it into an ImportError, or lose it
    with contextlib.suppress(OSError):  # standard error is closed
        os.write(2, b"\n" * os.isatty(2) + b"genn-delays: interrupted\n")
    os._exit(INTERRUPTED)
