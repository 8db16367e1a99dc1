"""Whether what a network carries from step to step still consists of numbers.

A weight that is no number sends nothing once its source is silent, and a membrane that is none never reaches its
threshold: losses may then look like those of guessing. So it is looked at what is learned, not at losses alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE = 1 << 20
"""Numbers looked at at once: memory beside an array stays small."""


def not_finite(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """In words the first of a state's arrays, by their names, that holds infinity or what is not a number; else None."""
    return next((_words(name) for name, array in arrays.items() if not _finite(array)), None)


def _finite(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind != "f":
        return True
    flat = array.reshape(-1)
    return all(bool(np.isfinite(flat[first : first + PIECE]).all()) for first in range(0, flat.size, PIECE))


_WORDS = {"weight": "a weight", "position": "a delay", "": "a weight", "delay": "a delay"}


def _words(name: str) -> str:
    """``weight`` is a weight, ``moment0`` an optimiser's moment of a weight, ``delay_moment1`` one of a delay."""
    owner, moment, _ = name.partition("moment")
    if moment:
        owner = owner.rstrip("_.")
        return f"an optimiser's moment of {_WORDS.get(owner, owner)}"
    return _WORDS.get(name, name)
