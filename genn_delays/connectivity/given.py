"""Weights, delays and indices that are given one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..delays import MAX_DELAY
from ..errors import InvalidValueError, shown
from ..initializers import as_array, real_array


def given_weights(value: Any, axes: tuple[str, ...]) -> npt.NDArray[np.float32] | None:
    """Weights that are given one by one, in an array with these axes; None where `value` is none."""
    array = _array("weight", "a number", value, axes)
    return None if array is None else real_array("weight", array, array.shape, single=True).astype(np.float32)


def given_delays(value: Any, axes: tuple[str, ...]) -> npt.NDArray[np.uint16] | None:
    """Delays that are given one by one, in an array with these axes; None where `value` is none."""
    array = _array("delay", "a whole number of time steps", value, axes)
    if array is None:
        return None
    return whole_array("delay", array.ravel(), MAX_DELAY).astype(np.uint16).reshape(array.shape)


def _array(what: str, otherwise: str, value: Any, axes: tuple[str, ...]) -> npt.NDArray[Any] | None:
    if not isinstance(value, (list, tuple, np.ndarray)):
        return None
    array = as_array(what, value)
    if array.ndim != len(axes) or array.size == 0:
        raise InvalidValueError(
            f"{what} must be {otherwise}, an initialiser or an array [{', '.join(axes)}], got {shown(value)}"
        )
    return np.asarray(array)


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
