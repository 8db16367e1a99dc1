"""Features that take seconds to compute are kept on disk, under a name that says what they were computed from."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import GennDelaysError
from ..paths import atomic_path, cache_dir
from ..private import is_own, make_private
from .saying import say

Arrays = dict[str, npt.NDArray[Any]]


def cached_features(
    name: str, key: Mapping[str, object], shape: tuple[int, ...], compute: Callable[[], npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """The features from the cache, or computed and put there.

    Args:
        name: the data set, the first part of the file name.
        key: everything that the features depend on: content, parameters, version of the code. JSON values.
        shape: the shape that they must have.
        compute: makes them, float32 of that shape.

    Returns:
        float32 of ``shape``. An entry that is damaged, of another shape, or that somebody else may have written (see
        :mod:`genn_delays.private`), is computed again and replaced. A cache that cannot be written costs time, not the
        result: a warning says so.
    """

    def fits(arrays: Arrays) -> bool:
        return arrays["features"].shape == shape and arrays["features"].dtype == np.float32

    return cached_arrays(name, key, fits, lambda: {"features": compute()})["features"]


def cached_arrays(
    name: str, key: Mapping[str, object], fits: Callable[[Arrays], bool], compute: Callable[[], Arrays]
) -> Arrays:
    """Several arrays under one key: :func:`cached_features` where the labels are costly to find, too.

    Args:
        name: the data set, the first part of the file name.
        key: everything that the arrays depend on: content, parameters, version of the code. JSON values.
        fits: says of arrays from the cache whether they are what is expected. A KeyError means that they are not.
        compute: makes them.

    Returns:
        The arrays by name. Damage and a cache that cannot be written are treated as by :func:`cached_features`.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_dir() / "features" / f"{name}-{digest}.npz"
    cached = _read(path, fits)
    if cached is not None:
        return cached
    say(f"data set {name}: features are computed, once; they are kept in {path.parent}")
    arrays = compute()
    try:
        with atomic_path(path) as part, part.open("wb") as file:
            # not compressed, which would take seconds; zip checks a CRC on reading
            np.savez(file, **cast(Any, arrays))
            make_private(part)
    except (GennDelaysError, OSError) as error:
        warnings.warn(f"features are computed anew each time: {error}", RuntimeWarning, stacklevel=3)
    return arrays


def _read(path: Path, fits: Callable[[Arrays], bool]) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            if not is_own(os.fstat(file.fileno())):
                return None  # somebody else may have put other numbers there
            arrays = {name: entry[name] for name in entry.files}
            return arrays if fits(arrays) else None
    except Exception:
        # Damage can surface as any of a dozen errors of zipfile and NumPy, and the answer to all is to compute again.
        return None
