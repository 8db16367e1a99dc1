"""The lock of a run folder: one process at a time writes it, and notices when the folder is removed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import RunFolderError

LOCK = ".lock"
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
"""Error numbers of a lock that another process holds; every other error means that locks are not available."""
_ATTEMPTS = 100


class Lock:
    """A lock on a folder that this process holds.

    Attributes:
        folder: whose it is.
    """

    def __init__(self, folder: Path, identity: tuple[int, int] | None) -> None:
        self.folder, self._identity = folder, identity

    def check(self) -> None:
        """Raise an error if the folder, or the lock in it, is no longer the one that was locked.

        Without this a folder that is deleted or moved while it is written would come back with half of its files.

        Raises:
            RunFolderError: it was removed, moved or replaced.
        """
        if self._identity is not None and _identity(self.folder / LOCK) != self._identity:
            raise RunFolderError(
                f"run folder {self.folder} was removed, moved or emptied while this run wrote it; nothing more is "
                "written there, and what was learned since its last checkpoint is lost"
            )


@contextlib.contextmanager
def locked(folder: Path, note: Callable[[str], None], what: str = "run folder") -> Iterator[Lock]:
    """While the body runs, no other process that asks may write the folder. The lock ends with the process.

    `what` names the folder in the error.

    On file systems without locks the body runs all the same, and `note` is called with a remark.

    Raises:
        RunFolderError: another process is writing the folder, or the lock's path is not a file.
    """
    try:
        import fcntl
    except ImportError:  # not POSIX
        yield Lock(folder, None)
        return
    path = folder / LOCK
    for _ in range(_ATTEMPTS):
        descriptor = _open(folder)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise RunFolderError(
                        f"another process is writing {what} {folder}: wait for it, or choose another --out"
                    ) from error
                note(
                    f"the file system of {folder} has no locks ({error.strerror or error}): see to it that no other "
                    "process writes this run"
                )
            held = os.fstat(descriptor)
            # Between opening and locking its holder may have ended and removed it: then this is a lock on nothing.
            if _identity(path) != (held.st_dev, held.st_ino):
                continue
            try:
                yield Lock(folder, (held.st_dev, held.st_ino))
            finally:
                if _identity(path) == (held.st_dev, held.st_ino):
                    with contextlib.suppress(OSError):
                        path.unlink()
            return
        finally:
            os.close(descriptor)
    raise RunFolderError(f"cannot lock run folder {folder}: {path} is removed and made again all the time")


def _open(folder: Path) -> int:
    """The lock's file, made where there is none, never truncated and never through a link: it may be anyone's file."""
    path = folder / LOCK
    # O_NONBLOCK: opening a pipe of that name would wait for its other end. O_RDWR: NFS locks only what may be written.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise RunFolderError(
                f"cannot lock run folder {folder}: {path} is a symbolic link, which is not followed; remove it"
            ) from error
        raise RunFolderError(f"cannot lock run folder {folder}: {path}: {error.strerror or error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RunFolderError(f"cannot lock run folder {folder}: {path} is not a file; remove it")
    return descriptor


def _identity(path: Path) -> tuple[int, int] | None:
    """The identity of the file at a path; None if there is none."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino
