"""Validation of arrays: real-valued inputs, class labels and targets, checked and converted to single precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError
from ..learning.losses import Truth
from ..network import Population
from ..plan.exchanged import DenseData
from .events import check_finite, chunks

Numbers = Sequence[int] | None
"""Numbers of examples in messages; None stands for their indices."""


def check_input(population: Population, dtype: Any, shape: tuple[int, ...], time_steps: int) -> None:
    """Raise an error if an array of this type and shape is not an input ``[example, time, neuron]``."""
    what = f"input of {population.name!r}"
    if not (np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.bool_)):
        raise InvalidValueError(f"{what} must be numbers [example, time, neuron], got dtype {dtype}")
    if np.issubdtype(dtype, np.complexfloating):
        raise InvalidValueError(f"{what} must be real numbers, got dtype {dtype}")
    wanted = (time_steps, population.size)
    if len(shape) != 3 or shape[1:] != wanted:
        raise InvalidValueError(f"{what} must have shape (examples, {wanted[0]}, {wanted[1]}), got {shape}")


def real_values(population: Population, array: npt.NDArray[Any], numbers: Numbers = None) -> DenseData:
    """Numbers ``[example, time, neuron]`` in single precision, all finite; the same memory where they are."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    for first, part in chunks(array):
        check_finite(f"input of {population.name!r}", part, first, numbers)
    return DenseData(array)


def labels_of(
    population: Population, labels: npt.NDArray[Any], count: int, steps: int | None, numbers: Numbers = None
) -> Truth:
    """Class labels int32 ``[example]``, or with `steps` also ``[example, time]``."""
    what = f"labels of {population.name!r}"
    shapes = [(count,)] if steps is None else [(count,), (count, steps)]
    if labels.ndim not in [len(shape) for shape in shapes] or not np.issubdtype(labels.dtype, np.integer):
        forms = "[example]" if steps is None else "[example] or [example, time]"
        raise InvalidValueError(f"{what} must be whole numbers {forms}, got shape {labels.shape}, dtype {labels.dtype}")
    if len(labels) != count:
        raise InvalidValueError(f"{what}: {len(labels)} for {count} examples; there must be one for each")
    if labels.shape not in shapes:
        raise InvalidValueError(f"{what}: {labels.shape[1]} steps an example; there must be {steps}, one for each step")
    bad = (labels < 0) | (labels >= population.size)
    if bad.any():
        where = "no. {}" if labels.ndim == 1 else "example {}, step {}"
        raise InvalidValueError(
            f"{what} must lie in [0, {population.size}), got {labels[bad][0]} ({where.format(*_place(bad, numbers))})"
        )
    return np.ascontiguousarray(labels, dtype=np.int32)


def targets_of(
    population: Population, targets: npt.NDArray[Any], count: int, steps: int | None, numbers: Numbers = None
) -> Truth:
    """Targets float32 ``[example, neuron]``, or with `steps` ``[example, time, neuron]``."""
    what, axes = f"targets of {population.name!r}", "neuron" if steps is None else "time, neuron"
    shape = (count, population.size) if steps is None else (count, steps, population.size)
    if targets.dtype.kind not in "fiub":
        raise InvalidValueError(f"{what} must be real numbers [example, {axes}], got dtype {targets.dtype}")
    if targets.shape != shape:
        raise InvalidValueError(f"{what} must have shape {shape} [example, {axes}], got {targets.shape}")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(targets, dtype=np.float32)
    if not np.isfinite(found).all():
        bad = ~np.isfinite(found)
        place = _place(bad, numbers)
        names = ", ".join(f"{axis} {i}" for axis, i in zip(f"example, {axes}".split(", "), place, strict=True))
        raise InvalidValueError(f"{what} must be finite in single precision, got {targets[bad][0]}: {names}")
    return found


def _place(bad: npt.NDArray[np.bool_], numbers: Numbers) -> tuple[int, ...]:
    """The place of the first bad value, in words, with the number of its example."""
    example, *rest = (int(i) for i in np.argwhere(bad)[0])
    return (example if numbers is None else int(numbers[example]), *rest)
