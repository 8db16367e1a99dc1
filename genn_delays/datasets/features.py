"""Features that take seconds to compute are kept on disk, under a name that says what they were computed from."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import GennDelaysError
from ..paths import atomic_write, cache_dir


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
        float32 of ``shape``. An entry that is damaged, or of another shape, is computed again and replaced. A cache
        that cannot be written costs time, not the result: a warning says so.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_dir() / "features" / f"{name}-{digest}.npz"
    cached = _read(path, shape)
    if cached is not None:
        return cached
    features = compute()
    content = io.BytesIO()
    np.savez(content, features=features)  # not compressed, which would take seconds; zip checks a CRC on reading
    try:
        atomic_write(path, content.getvalue())
    except GennDelaysError as error:
        warnings.warn(f"features are computed anew each time: {error}", RuntimeWarning, stacklevel=3)
    return features


def _read(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            features = entry["features"]
    except Exception:
        # Damage can surface as any of a dozen errors of zipfile and NumPy, and the answer to all is to compute again.
        return None
    return features if features.shape == shape and features.dtype == np.float32 else None
