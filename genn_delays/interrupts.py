"""Ctrl-C before there is anything to lose: while modules are imported it would end in somebody else's traceback."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

INTERRUPTED = 130
"""The exit status of a shell's command that was interrupted."""


def leave_at_once() -> None:
    """Have an interruption end the process with one line, wherever it is. Not where interruptions are ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_again() -> None:
    """Have an interruption raise KeyboardInterrupt again: from now on there are files to be left whole."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_silently() -> None:
    """Have an interruption end the process without a word: all is done and said."""
    if signal.getsignal(signal.SIGINT) in (_leave, signal.default_int_handler):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> None:
    # not an exception: extension modules that are being imported turn it into an ImportError, or lose it
    with contextlib.suppress(OSError):  # nobody to be told
        os.write(2, b"\n" * os.isatty(2) + b"genn-delays: interrupted\n")
    os._exit(INTERRUPTED)
