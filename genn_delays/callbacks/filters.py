"""Choices of examples and neurons by which recorders keep less, in mlGeNN's forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, shown
from ..initializers import as_array

ExampleFilter = int | Sequence[int] | Sequence[bool] | npt.NDArray[Any] | None
NeuronFilter = int | slice | Sequence[Any] | npt.NDArray[Any] | None
MOST = (1 << 53) - 1
"""The largest number of an example."""


class Examples:
    """The chosen examples of an epoch, or of a call of ``evaluate``, by their place in the order of presentation.

    Args:
        what: the recorder, for messages.
        given: a number, numbers or truth values ``[example]``, of which those that are missing are False; all examples
            for None.
    """

    def __init__(self, what: str, given: ExampleFilter) -> None:
        self._what = f"{what} example_filter"
        self._chosen: npt.NDArray[np.int64] | None = None
        if given is not None:
            array = as_array(self._what, [given] if isinstance(given, (int, np.integer)) else given)
            if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iub":
                raise InvalidValueError(
                    f"{self._what} must be a whole number, a list of them or truth values, got {shown(given)}"
                )
            if array.dtype.kind != "b" and not 0 <= array.min() <= array.max() <= MOST:
                raise InvalidValueError(f"{self._what} must lie in [0, {MOST}], got {shown(given)}")
            self._chosen = np.flatnonzero(array) if array.dtype.kind == "b" else np.unique(array.astype(np.int64))

    def check(self, most: int) -> None:
        """Raise an error if an example can never come, of `most` at most."""
        if self._chosen is not None and self._chosen.size and self._chosen[-1] >= most:
            raise InvalidValueError(
                f"{self._what} must be below {most}, the examples there can be, got {self._chosen[-1]}"
            )

    def lanes(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """The chosen ones of a batch, counted within it.

        Args:
            first: number of the batch's first example.
            count: its size.
        """
        if self._chosen is None:
            return np.arange(count)
        return self._chosen[(self._chosen >= first) & (self._chosen < first + count)] - first


def chosen_neurons(what: str, given: NeuronFilter, shape: tuple[int, ...]) -> npt.NDArray[np.int64] | None:
    """The chosen neurons of a population, ascending; None for all.

    Args:
        what: the recorder, for messages.
        given: a number, numbers, a slice, or truth values of the population's shape; of a population of several
            dimensions a tuple with an index for each.
        shape: the population's.

    Raises:
        InvalidValueError: it is none of that, or names a neuron that does not exist.
    """
    if given is None:
        return None
    mask = np.zeros(shape, np.bool_)
    index: Any = given
    if isinstance(given, (list, tuple, np.ndarray)):
        parts = len(shape) > 1 and isinstance(given, (list, tuple)) and len(given) == len(shape)
        parts = parts and not any(isinstance(part, (bool, np.bool_)) for part in given)
        if not (parts and not _is_mask(given, shape)):
            index = as_array(f"{what} neuron_filter", given)
            if index.dtype.kind == "b" and index.shape != shape:
                raise InvalidValueError(
                    f"{what} neuron_filter of truth values must have the population's shape {shape}, got {index.shape}"
                )
            if index.dtype.kind not in "iub" or index.size == 0:
                raise InvalidValueError(
                    f"{what} neuron_filter must be whole numbers or truth values, got {shown(given)}"
                )
        else:
            index = tuple(part if isinstance(part, slice) else np.asarray(part) for part in given)
    elif isinstance(given, bool) or not isinstance(given, (int, np.integer, slice)):
        raise InvalidValueError(
            f"{what} neuron_filter must be a whole number, a list of them, a slice or truth values, got {shown(given)}"
        )
    try:
        mask[index] = True
    except (IndexError, TypeError, ValueError) as error:
        raise InvalidValueError(f"{what} neuron_filter must fit {shape} neurons, got {shown(given)}") from error
    if not mask.any():
        raise InvalidValueError(f"{what} neuron_filter must choose a neuron of {shape}, got {shown(given)}")
    return np.flatnonzero(mask.ravel())


def _is_mask(given: Any, shape: tuple[int, ...]) -> bool:
    """True if it is truth values of this shape."""
    try:
        array = np.asarray(given)
    except ValueError:
        return False
    return array.dtype.kind == "b" and array.shape == shape
