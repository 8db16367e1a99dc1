"""The folder of a simulation while it runs: reserved for one process, and gone again if the simulation fails."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunFolderError
from .folder import RUNS, RunFolder, numbered_folder
from .lock import Lock

FOLDERS = ("spikes", "traces")
FILES = ("config.toml", "result.json", *(f"{name}.{kind}" for name in ("raster", "rates") for kind in ("png", "pdf")))


class Interrupted(KeyboardInterrupt):
    """A simulation was interrupted; `said` is what is left of it, in words."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said


@dataclass
class Place:
    """The folder of a simulation.

    Attributes:
        complete: whether all but pictures is in it; it is kept then, whatever happens.
    """

    folder: RunFolder
    lock: Lock
    complete: bool = False

    def check_kept(self) -> None:
        """Raise an error if the folder was removed or emptied meanwhile; it would come back with half of its files."""
        try:
            self.lock.check()
        except RunFolderError as error:
            raise RunFolderError(
                f"folder {self.folder} was removed, moved or emptied while the simulation ran, so nothing is kept"
            ) from error


def check_new(folder: RunFolder) -> None:
    """Raise an error if a simulation would overwrite something, or could not be written."""
    if not folder.is_empty():
        raise RunFolderError(
            f"folder {folder} is not empty, and nothing is overwritten: choose another --out, or remove it"
        )
    folder.check_writable()


@contextlib.contextmanager
def reserved(folder: RunFolder | None, name: str, note: Callable[[str], None]) -> Iterator[Place]:
    """While the body runs, a folder is made and locked; if it raises, what it wrote there and made is removed.

    Args:
        folder: new or empty; ``runs/<name>-NNN`` where not given.
        note: called with remarks for the user.

    Raises:
        RunFolderError: it is not empty, cannot be made, or another process writes it.
        Interrupted: the keyboard interrupted the body.
    """
    made = _missing(RUNS if folder is None else folder.path)
    if folder is None:
        folder = numbered_folder(name)
        made = [folder.path, *made]
    folder.create()
    place: Place | None = None
    try:
        with folder.locked(note) as lock:
            check_new(folder)  # again: another process may have been faster
            place = Place(folder, lock)
            try:
                yield place
            except BaseException:
                if not place.complete:
                    _remove(folder)
                raise
    except BaseException as error:
        kept = place is not None and place.complete
        for path in () if kept else made:
            with contextlib.suppress(OSError):  # it is not empty, so it is somebody's
                path.rmdir()
        if isinstance(error, KeyboardInterrupt):
            left = f"all but the pictures is in {folder}" if kept else "nothing of the simulation is kept"
            raise Interrupted(left) from None
        raise


def _missing(path: Path) -> list[Path]:
    """The folders that are made with a path, the innermost first."""
    found = []
    for place in (path, *path.parents):
        if place.exists():
            break
        found.append(place)
    return found


def _remove(folder: RunFolder) -> None:
    """Remove what a simulation writes; of other files none."""
    folder.clear_temporaries()
    for name in FOLDERS:
        shutil.rmtree(folder.path / name, ignore_errors=True)
    for name in FILES:
        with contextlib.suppress(OSError):
            (folder.path / name).unlink(missing_ok=True)
