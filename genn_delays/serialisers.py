"""mlGeNN's serialisers: where checkpoints are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidValueError, check_path, shown
from .porting import missing_from

__all__ = ["Numpy"]


class Numpy:
    """A folder of checkpoints, under the name of mlGeNN's serialiser.

    Its keys are file names: ``compiled.save((9,), Numpy("checkpoints"))`` writes ``checkpoints/9.safetensors``, a
    checkpoint as :meth:`~genn_delays.CompiledNetwork.save` writes it. mlGeNN's own files, one array each, are read by
    mlGeNN: ``network.load(...)`` there, then :func:`genn_delays.from_ml_genn`.

    Args:
        path: the folder; made when something is written.
    """

    def __init__(self, path: str | Path = ".") -> None:
        self.path = check_path("Numpy path", path or ".")

    def __repr__(self) -> str:
        return f"Numpy({str(self.path)!r})"

    def file(self, keys: Any = ()) -> Path:
        """The file of a checkpoint.

        Args:
            keys: a tuple of texts and numbers, such as ``(epoch,)``; none for ``checkpoint.safetensors``.

        Raises:
            InvalidValueError: a key cannot be a part of a file's name.
        """
        if not isinstance(keys, (tuple, list)):
            raise InvalidValueError(f"keys of a checkpoint must be a tuple such as (epoch,), got {shown(keys)}")
        parts = [str(key) for key in keys]
        for part in parts:
            if not part or not part.isprintable() or any(sign in part for sign in "/\\:"):
                raise InvalidValueError(f"a key of a checkpoint must be a part of a file's name, got {part!r}")
        return self.path / f"{'-'.join(parts) or 'checkpoint'}.safetensors"


def checkpoint_file(path: Any, serialiser: Any = None) -> Path:
    """The file that ``save`` and ``load`` mean: a path, or keys and a serialiser.

    Raises:
        InvalidValueError: it is none of both.
    """
    if serialiser is None:
        if isinstance(path, (tuple, list)):
            raise InvalidValueError(
                f"path of a checkpoint must be a path, got {shown(path)}; mlGeNN's keys need a serialiser: "
                "save((epoch,), Numpy(folder))"
            )
        return check_path("path of a checkpoint", path)
    if not isinstance(serialiser, Numpy):
        raise InvalidValueError(f"serialiser must be a Numpy(folder), got {shown(serialiser)}")
    return serialiser.file(path)


if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
