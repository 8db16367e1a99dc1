"""Run folders: their files, how one is created, and how one is recognised.

===========================  =============================================================================
``config.toml``              the complete configuration, with versions; can be given back as a model
``metrics.jsonl``            one JSON object an epoch, counted from 1
``checkpoints/``             ``last.safetensors`` and ``best.safetensors``
``learning_curve.png``       accuracy, loss and rewirings over the epochs
``result.json``              the figures that the command line prints, once training has ended
===========================  =============================================================================

Every file is written beside its place and renamed, so a run that is killed at any moment leaves whole files. The
configuration comes first: a folder that holds anything else without it is no run folder.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..errors import GennDelaysError, RunFolderError
from ..paths import atomic_write, expanded
from ..version import __version__
from .config import Config, config_of, located_tables, read_toml, written_by
from .lock import LOCK, Lock, locked

_TEMPORARY = re.compile(r"\.\d+-[0-9a-f]{8}-.+")  # the names that paths.atomic_path gives
_MOST = 100_000
_EXPECTED = "a run folder is one that `genn-delays train` has written, with config.toml and checkpoints/"
_LISTED = 8
"""Run folders that an error names at most."""

RUNS = Path("runs")
"""The folder of runs without a folder of their own."""


class RunFolder:
    """The files of a run by name; creating this object reads and writes nothing.

    Attributes:
        path: the folder.
        config, metrics, checkpoints, last, best, curve, result: paths of its files.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = expanded(path, "run folder")
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.last, self.best = (self.checkpoints / f"{name}.safetensors" for name in ("last", "best"))
        self.curve = self.path / "learning_curve.png"
        self.result = self.path / "result.json"

    def __str__(self) -> str:
        return str(self.path)

    # --- looking -----------------------------------------------------------------------------------------------------

    def is_empty(self) -> bool:
        """True if it does not exist, or holds nothing but files that a run killed at its start can leave behind.

        Raises:
            RunFolderError: it is a file, or cannot be read.
        """
        if not self.path.exists():
            return True
        if not self.path.is_dir():
            raise RunFolderError(f"run folder {self} is a file")
        try:
            entries = list(self.path.iterdir())
        except OSError as error:
            raise RunFolderError(f"cannot read run folder {self}: {error.strerror or error}") from error
        return all(_TEMPORARY.fullmatch(entry.name) or entry.name == LOCK for entry in entries)

    def check_new(self) -> None:
        """Raise an error if a new run would overwrite something or could not be written."""
        if not self.is_empty():
            raise RunFolderError(
                f"run folder {self} is not empty, and nothing is overwritten: choose another --out, or go on with "
                "that run by --resume"
            )
        self.check_writable()

    def check_writable(self) -> None:
        """Raise an error if the folder cannot be written or created; nothing is created."""
        place = self.path.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise RunFolderError(f"cannot write run folder {self}: {place} is not a folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise RunFolderError(f"cannot write run folder {self}: no permission to write in {place}")
        if self.checkpoints.is_symlink():  # in a folder of another user it may be a link to another run's file
            raise RunFolderError(
                f"cannot write run folder {self}: {self.checkpoints} is a symbolic link, which is not followed; put "
                "the folder itself in its place"
            )

    def read_config(self) -> Config:
        """The run's configuration.

        Raises:
            RunFolderError: this is no run folder, or its configuration is damaged.
        """
        self._check_is_one()
        tables: Any = None
        try:
            tables = read_toml(self.config)
            if "simulation" in tables:
                raise RunFolderError(
                    f"{self} is not the folder of a training run but of a simulation; `genn-delays simulate "
                    f"{self.config}` runs it again"
                )
            return config_of(str(self.config), located_tables(tables, self.path))
        except RunFolderError:
            raise
        except GennDelaysError as error:
            if written_by(tables):
                raise RunFolderError(f"run folder {self}: {error}") from error
            raise RunFolderError(f"run folder {self} is damaged: {error}") from error

    def _check_is_one(self) -> None:
        """Raise an error if this is no run folder, with the one that was probably meant."""
        if self.path.is_dir() and self.config.is_file():
            return
        if self.path.is_dir():
            found = f"{self} is not a run folder: it has no config.toml"
        elif self.path.exists():
            found = f"{self} is a file, not a run folder"
        else:
            found = f"there is no run folder {self}"
        around = next((p for p in self.path.parents[:2] if p.name and (p / "config.toml").is_file()), None)
        if around is not None:
            raise RunFolderError(f"{found}; {around} is one")
        raise RunFolderError(f"{found}; {_EXPECTED}{_beside(self.path)}")

    def checkpoint(self, name: str) -> Path:
        """The path of a checkpoint.

        Args:
            name: ``"best"`` or ``"last"``.

        Raises:
            RunFolderError: the run has none of this name.
        """
        path, other = (self.best, self.last) if name == "best" else (self.last, self.best)
        if path.is_file():
            return path
        if other.is_file():
            hint = f"--checkpoint {other.stem} is there"
        elif self.metrics.is_file() and self.metrics.read_bytes().count(b"\n") > 1:  # one that was begun has one line
            hint = f"the run has figures of epochs in {self.metrics}, so it was removed: restore it, or train again"
        else:
            hint = f"no epoch of this run is done; `genn-delays train --resume --out {self}` goes on with it"
        raise RunFolderError(f"there is no checkpoint {path}: {hint}")

    def read_versions(self) -> dict[str, str]:
        """The versions that the run was begun with; none where they cannot be read."""
        try:
            versions = read_toml(self.config).get("versions", {})
        except GennDelaysError:
            return {}
        return {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}

    # --- writing -----------------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the folder.

        Raises:
            RunFolderError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make run folder {self}: {error.strerror or error}") from error

    def locked(self, note: Callable[[str], None]) -> AbstractContextManager[Lock]:
        """While the body runs, no other process may write this run; see :func:`.lock.locked`."""
        return locked(self.path, note)

    def check_kept(self, lock: Lock, *, begun: bool) -> None:
        """Raise an error if files that this run has written were removed.

        Args:
            lock: the one this process holds.
            begun: whether an epoch has been kept already.

        Raises:
            RunFolderError: the folder was removed, moved or replaced, or files are gone that are not written again.
        """
        lock.check()
        for path in (self.config, self.best) if begun else (self.config,):
            if not path.is_file():
                raise RunFolderError(f"{path} was removed while this run was written; nothing more is written there")

    def clear_temporaries(self) -> None:
        """Remove half-written files of a process that was killed."""
        for folder in (self.path, self.checkpoints):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if _TEMPORARY.fullmatch(entry.name):
                    with contextlib.suppress(OSError):
                        entry.unlink()

    def write_config(self, config: Config) -> None:
        """Write the configuration and the versions in use."""
        import tomli_w

        text = "# The complete configuration of this run; `genn-delays train` takes this file as MODEL.\n\n"
        tables = {**config.tables(), "versions": versions(config.compiler.backend)}
        atomic_write(self.config, (text + tomli_w.dumps(tables)).encode())


def _beside(path: Path) -> str:
    """The run folders in the folder of a path, as the end of an error's sentence."""
    try:
        found = sorted(config.parent.name for config in path.parent.glob("*/config.toml"))
    except OSError:  # a folder that cannot be read
        return ""
    if not found:
        return ""
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    where = "this folder" if path.parent == Path() else path.parent
    return f"; in {where} there are {', '.join(found[:_LISTED])}{more}"


def numbered_folder(name: str, root: Path = RUNS) -> RunFolder:
    """Make ``runs/<name>-NNN`` with the first number that is free, also among runs that begin at this moment."""
    for number in range(1, _MOST):
        folder = RunFolder(root / f"{name}-{number:03}")
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunFolderError(f"cannot make run folder {folder}: {error.strerror or error}") from error
        return folder
    raise RunFolderError(f"{root} has no free number below {_MOST} for {name}; give --out")


def versions(backend: str) -> dict[str, str]:
    """Versions that a run's bits can depend on."""
    import numpy

    from ..backends import as_backend

    found = {"genn_delays": __version__, "python": platform.python_version(), "numpy": numpy.__version__}
    return found | as_backend(backend).versions()
