"""A run that several ranks train: only the first writes its folder, and all must see it."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from ..communicators import Communicator
from ..errors import CommunicationError
from ..paths import atomic_write
from .folder import RunFolder

T = TypeVar("T")
_ATTEMPTS = 20


def is_first(communicator: Communicator | None) -> bool:
    """True for the rank that writes."""
    return communicator is None or communicator.rank == 0


def first_then_others(communicator: Communicator | None, make: Callable[[], T]) -> T:
    """The result of `make`, by the first rank before the others: what it downloads or caches is there for them."""
    if communicator is None:
        return make()
    found = make() if communicator.rank == 0 else None
    communicator.everyone("agreement", "ready")
    return make() if found is None else found


def share_folder(communicator: Communicator | None, folder: RunFolder | None) -> RunFolder:
    """The run folder of the first rank, on all of them.

    Args:
        folder: on the first rank the folder, which exists; on others it does not matter.

    Raises:
        CommunicationError: on every rank, if one does not see the first one's files.
    """
    if communicator is None:
        assert folder is not None
        return folder
    token = f".{os.getpid()}-{secrets.token_hex(4)}-ranks"  # a name that counts as temporary
    path = str(folder.path.absolute()) if folder is not None and communicator.rank == 0 else ""
    if path:
        atomic_write(RunFolder(path).path / token, b"")
    told = communicator.everyone("agreement", [path, token])[0]
    shared = RunFolder(told[0])
    seen = communicator.everyone("agreement", [_sees(shared, told[1]), communicator.place()])
    if path:
        with contextlib.suppress(OSError):
            (shared.path / token).unlink()
    for rank, (sees, place) in enumerate(seen):
        if not sees:
            raise CommunicationError(
                f"run folder {shared} is not shared: rank {rank} ({place}) does not see the files of rank 0 "
                f"({seen[0][1]}) there; choose an --out on a file system that all machines have mounted"
            )
    return shared


def _sees(folder: RunFolder, token: str) -> bool:
    for attempt in range(_ATTEMPTS):
        if (folder.path / token).exists():
            return True
        if attempt < _ATTEMPTS - 1:
            time.sleep(0.05)  # network file systems may be late
    return False


def check_shared(communicator: Communicator | None, folder: RunFolder) -> None:
    """Raise an error if ranks see different run folders, which is to be resumed.

    Raises:
        CommunicationError: on every rank.
    """
    if communicator is None:
        return
    try:
        content = folder.config.read_text() if folder.config.is_file() else None
    except OSError as error:
        content = str(error)
    own = [content, folder.last.is_file(), str(folder.path.absolute()), communicator.place()]
    told = communicator.everyone("agreement", own)
    for rank, other in enumerate(told):
        if other[:2] != told[0][:2]:
            raise CommunicationError(
                f"run folder {told[0][2]} of rank 0 ({told[0][3]}) is not shared: rank {rank} ({other[3]}) sees other "
                f"files in {other[2]}; --out must be the same folder on a file system that all machines have mounted"
            )
