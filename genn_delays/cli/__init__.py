"""The command line. Everything heavy is imported by the command that needs it, so that ``--help`` answers at once."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import CompileError, GennDelaysError
from ..interrupts import INTERRUPTED
from ..memory import left
from ..streams import Tolerant, drop, open_streams, say, settle_errors
from .parsers import parse

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for an error, 130 where the keyboard interrupted it."""
    try:
        open_streams()
        try:
            parsed = parse(sys.argv[1:] if arguments is None else list(arguments))
        except SystemExit:  # --help
            sys.stdout.flush()
            raise
        status: int = parsed.command(parsed)
        sys.stdout.flush()
        return status
    except GennDelaysError as error:
        say(f"genn-delays: error: {one_line(error)}")
        return 2
    except KeyboardInterrupt as interrupt:
        folder = getattr(interrupt, "folder", None)
        hint = "" if folder is None else f"; go on with: genn-delays train --resume --out {folder}"
        hint = f"; {said}" if (said := getattr(interrupt, "said", None)) else hint
        if Tolerant(sys.stderr).isatty():
            say("")  # ends the line on which the terminal has shown ^C
        say(f"genn-delays: interrupted{hint}")
        return INTERRUPTED
    except MemoryError as error:
        say(f"genn-delays: error: {left(error)}")
        return 2
    except ImportError as error:  # a damaged package, or too little memory to map it
        say(f"genn-delays: error: a module cannot be loaded: {' '.join(str(error).split())}")
        return 2
    except OSError as error:
        if error.filename is None:
            drop(sys.stdout)
        if isinstance(error, BrokenPipeError):  # `genn-delays show-code digits | head`: the reader has what it wanted
            return 0
        say(f"genn-delays: error: {error.filename or 'the output'}: {error.strerror or error}")
        return 2
    finally:
        settle_errors()


def one_line(error: GennDelaysError) -> str:
    """The message of an error on one line; of a compiler's, its cause and where the whole output is kept."""
    if isinstance(error, CompileError):
        log = error.log.strip().splitlines() or ["no output"]
        full = os.strerror(errno.ENOSPC)
        cause = next((line for line in log if full in line), None)  # a linker does not call that an error
        cause = cause or next((line for line in log if "error" in line.lower()), log[-1])
        kept = _keep_log(error)
        return f"{error.stage} of generated code failed: {cause.strip()} (source: {error.source}{kept})"
    return " ".join(str(error).split())


def _keep_log(error: CompileError) -> str:
    """Write the compiler's whole output beside the source; returns a text with its path for the message."""
    from ..paths import atomic_write

    path = Path(error.source).with_suffix(".log")
    try:
        atomic_write(path, error.log.encode())
    except GennDelaysError:
        return ""
    return f", the compiler's output: {path}"
