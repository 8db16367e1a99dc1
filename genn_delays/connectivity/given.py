"""Weights, delays and indices that are given one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..delays import MAX_DELAY
from ..errors import InvalidValueError
from ..initializers import as_array, real_array


def given_weights(what: str, value: Any) -> npt.NDArray[np.float32] | None:
    """Weights that are given one by one, or None where `value` is no array of them."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return None
    array = as_array(what, value)
    return real_array(what, array, array.shape, single=True).astype(np.float32)


def given_delays(what: str, value: Any) -> npt.NDArray[np.uint16] | None:
    """Delays that are given one by one, or None where `value` is no array of them."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return None
    array = as_array(what, value)
    if array.size == 0:
        raise InvalidValueError(f"{what} must hold a value, got an array of shape {array.shape}")
    return whole_array(what, array.ravel(), MAX_DELAY).astype(np.uint16).reshape(array.shape)


def whole_array(what: str, values: Any, high: int = (1 << 31) - 1) -> npt.NDArray[np.int64]:
    """A one-dimensional array of whole numbers in [0, high], or an error that names the first bad one."""
    array = as_array(what, values)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)  # an empty list is of no type
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidValueError(
            f"{what} must be a one-dimensional array of whole numbers, got shape {array.shape}, dtype {array.dtype}"
        )
    bad = (array < 0) | (array > high)
    if bad.any():
        raise InvalidValueError(f"{what} must lie in [0, {high}], got {array[bad][0]}")
    return array.astype(np.int64)
