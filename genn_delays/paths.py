"""Folders outside of runs, and atomic writing of files, so that no reader ever sees half a file."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from .errors import GennDelaysError, InvalidValueError

CACHE_VARIABLE = "GENN_DELAYS_CACHE"
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Error numbers of a write that finds no room."""


def cache_dir() -> Path:
    """The folder of everything that can be made again: compiled kernels, features, downloads.

    ``$GENN_DELAYS_CACHE`` where it is set and not empty, else the user's cache folder of the platform. The folder is
    not created here; :func:`atomic_write` and :func:`atomic_path` create what they need.

    Raises:
        GennDelaysError: it is not chosen, and there is no home folder.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return expanded(chosen, f"${CACHE_VARIABLE}").absolute()  # "-dash" would be read as an option by other programs
    import platformdirs  # only where the default is needed: importing the library stays cheap

    try:
        found = Path(platformdirs.user_cache_dir("genn-delays"))
    except (RuntimeError, KeyError) as error:
        raise _homeless() from error
    if found.parts[:1] == ("~",):  # unchanged, as there is no home folder
        raise _homeless()
    return found


def _homeless() -> GennDelaysError:
    return GennDelaysError(
        f"there is no cache folder: this user has no home folder ($HOME is not set); set {CACHE_VARIABLE} "
        "to a folder of your own"
    )


def expanded(path: str | os.PathLike[str], what: str = "the path") -> Path:
    """A path with ``~`` and ``~user`` expanded.

    Args:
        what: names the path in the error.

    Raises:
        InvalidValueError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        home = Path(path).parts[0]
        raise InvalidValueError(
            f"{what} {os.fspath(path)!r}: there is no home folder {home}; give a full path"
        ) from error


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to be written by the body; it replaces ``path`` if the body succeeds.

    For files that something else writes (a download, a compiler). The temporary name ends in the final one, so a
    tool that looks at the suffix accepts it. If the body raises, ``path`` is left as it was.
    Two processes that write the same path at once each use a name of their own, and the last one wins whole.

    Args:
        path: the file to write. Missing parent folders are created.

    Raises:
        GennDelaysError: the folder or the file cannot be written, no room is left for what the body writes, or it wrote
            nothing. Other errors of the body pass unchanged.
    """
    if not path.name or path.is_dir():  # "/", "." and the like
        raise GennDelaysError(f"cannot write {path}: it is a folder")
    # Not tempfile.mkstemp: it makes the file readable by its owner alone, and os.replace would keep that.
    part = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        try:
            yield part
        except OSError as error:
            if error.filename is None and error.errno in _FULL:  # of a write, which names no file
                raise _unwritable(path, error) from error
            raise
        try:
            with part.open("r+b") as file:
                os.fsync(file.fileno())  # the new name must not reach the disk before the content does
            part.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # already moved, never written, or in a folder that is gone
            part.unlink()


def check_writable(path: Path) -> None:
    """Raise an error if a file cannot be written there, before what it will hold is computed; nothing is created.

    Raises:
        GennDelaysError: it is a folder, lies in none, or this user may not write there.
    """
    if path.is_dir():
        raise GennDelaysError(f"cannot write {path}: it is a folder")
    place = path.absolute().parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise GennDelaysError(f"cannot write {path}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise GennDelaysError(f"cannot write {path}: no permission to write in {place}")


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: a reader, or a run after a crash, finds the old file or the new one, never a part.

    Args:
        path: the file to write. Missing parent folders are created.
        data: the whole content.

    Raises:
        GennDelaysError: the folder or the file cannot be written; the message names ``path``.
    """
    with atomic_path(path) as part:
        try:
            part.write_bytes(data)
        except OSError as error:
            raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> GennDelaysError:
    return GennDelaysError(f"cannot write {path}: {error.strerror or error}")
