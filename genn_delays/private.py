"""Trusted files in the cache: those that are the user's own, and that nobody else could have written.

A cache may be shared by mistake, or be in a folder that others can write. Code, and data that becomes code, is read
from files of the user's own (or the administrator's) that no one else may write, in a folder of which the same holds.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from .errors import GennDelaysError
from .paths import CACHE_VARIABLE, atomic_path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def is_own(status: os.stat_result) -> bool:
    """True if a file is the user's or the administrator's, and nobody else may write it; always True on systems without
    such rights (Windows)."""
    return not hasattr(os, "getuid") or (status.st_uid in (os.getuid(), 0) and not status.st_mode & _OTHERS)


def private_folder(folder: Path, what: str, error: type[GennDelaysError] = GennDelaysError) -> Path:
    """A folder of the user's own that others cannot write to; made where it is not there.

    Args:
        what: content, for messages.
        error: the class of what is raised.

    Raises:
        GennDelaysError: the folder belongs to somebody else, or others can write to it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as caught:
        raise error(
            f"cannot use {folder}, the cache of {what}: {caught.strerror or caught}; set {CACHE_VARIABLE} to a folder "
            "of your own"
        ) from caught
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & _OTHERS):
        raise error(
            f"refusing to load {what} from {folder}: it belongs to another user or others can write to it; set "
            f"{CACHE_VARIABLE} to a folder of your own, or take the right to write from others (chmod go-w)"
        )
    return folder


def read_private(path: Path) -> bytes | None:
    """The content of a trusted file, else None. The check and the reading use the same open file."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:  # O_NONBLOCK: do not wait for a writer if it is a pipe
            status = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(status.st_mode) and is_own(status) else None
    except OSError:
        return None


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only the user may write, as :func:`~genn_delays.paths.atomic_write` does.

    Raises:
        GennDelaysError: the folder or the file cannot be written.
    """
    with atomic_path(path) as part:
        try:
            part.write_bytes(data)
        except OSError as error:
            raise GennDelaysError(f"cannot write {path}: {error.strerror or error}") from error
        make_private(part)


def make_private(path: Path) -> None:
    """Take the right to write from everybody else."""
    with contextlib.suppress(OSError):  # file systems without such rights: reading decides
        path.chmod(path.stat().st_mode & ~_OTHERS)
