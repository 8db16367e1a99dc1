"""Data at the door: checked, and brought into the form that engines load from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, unknown
from ..learning.losses import Loss, Truth
from ..network import Network, Population
from ..neurons import SpikeInput
from ..plan.protocol import DenseData, EventData, InputData
from .events import array_of, check_finite, chunks, event_lists, events_of_dense
from .events import steps_of as steps_of


class Data(NamedTuple):
    """Checked data: inputs and labels (or targets) by population, and which examples are meant."""

    inputs: dict[int, InputData]
    labels: dict[int, Truth]
    examples: npt.NDArray[np.int64]

    def classes(self) -> Truth:
        """A class of every example: the first output's that has them, one for all where none has."""
        found = (labels for labels in self.labels.values() if labels.ndim == 1)
        return next(found, np.zeros(self.examples.size, np.int32))


def find_population(network: Network, key: Population | str) -> Population:
    """A population of the network, given itself or by name."""
    if isinstance(key, Population):
        if key.network is not network:
            raise InvalidValueError(f"population {key.name!r} belongs to another network")
        return key
    if not isinstance(key, str):
        raise unknown("population", key, [p.name for p in network.populations])
    found: Population = network.find("population", key)
    return found


def by_population(
    network: Network, what: str, values: Mapping[Any, Any], wanted: Sequence[Population]
) -> dict[Population, Any]:
    """Values given for exactly the populations wanted, by the populations themselves or by their names."""
    if not isinstance(values, Mapping):
        raise InvalidValueError(f"{what} must be a dict by population, got {type(values).__name__}")
    found: dict[Population, Any] = {}
    for key, value in values.items():
        population = find_population(network, key)
        if population in found:
            raise InvalidValueError(f"{what} given twice for {population.name!r}, once by its name")
        found[population] = value
    names = ", ".join(repr(p.name) for p in wanted)
    for population in found:
        if population not in wanted:
            raise InvalidValueError(f"{what} given for {population.name!r}; they are needed for {names}")
    for population in wanted:
        if population not in found:
            raise InvalidValueError(f"{what} missing for {population.name!r}; they are needed for {names}")
    return found


def prepare_inputs(
    network: Network, x: Mapping[Any, Any], time_steps: int, dt: float
) -> tuple[dict[int, InputData], int]:
    """Inputs by population index, and the number of examples.

    Args:
        x: by input population (or its name): an array ``[example, time, neuron]`` or whatever has ``__array__``, or
            for spike inputs also a list of ``(times in ms, neurons)``, one an example. A list is never taken for
            dense spikes: where one of lists (not of tuples) could be both, it is refused.

    Raises:
        InvalidValueError: an input missing, too many, of the wrong shape or type, or not finite.
    """
    prepared: dict[int, InputData] = {}
    count: int | None = None
    for population, values in by_population(network, "inputs", x, network.inputs).items():
        spikes = isinstance(population.neuron, SpikeInput)
        data: InputData
        if spikes and not hasattr(values, "__array__") and not isinstance(values, memoryview):
            data = _event_lists(population, values, time_steps, dt)
        else:
            array = _shaped(population, values, time_steps)
            data = events_of_dense(population.name, array) if spikes else _real(population, array)
        if count is not None and len(data) != count:
            raise InvalidValueError(f"inputs differ in their number of examples: {count} and {len(data)}")
        count = len(data)
        prepared[population.index] = data
    if not count:
        raise InvalidValueError("inputs hold no example; at least 1 is needed")
    return prepared, count


def _shaped(population: Population, values: Any, time_steps: int) -> npt.NDArray[Any]:
    """Numbers ``[example, time, neuron]``, of any type."""
    what = f"input of {population.name!r}"
    array = array_of(what, values)
    if array.dtype == object or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise InvalidValueError(f"{what} must be numbers [example, time, neuron], got dtype {array.dtype}")
    if np.issubdtype(array.dtype, np.complexfloating):
        raise InvalidValueError(f"{what} must be real numbers, got dtype {array.dtype}")
    wanted = (time_steps, population.size)
    if array.ndim != 3 or array.shape[1:] != wanted:
        raise InvalidValueError(f"{what} must have shape (examples, {wanted[0]}, {wanted[1]}), got {array.shape}")
    return array


def _real(population: Population, array: npt.NDArray[Any]) -> DenseData:
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    for first, part in chunks(array):
        check_finite(f"input of {population.name!r}", part, first, None)
    return DenseData(array)


def _event_lists(population: Population, values: Any, time_steps: int, dt: float) -> EventData:
    what = f"spike input of {population.name!r}"
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InvalidValueError(
            f"{what} must be a list of (times, neurons), one an example, or an array [example, time, neuron], "
            f"got {type(values).__name__}"
        )
    return event_lists(what, values, population.size, time_steps, dt)


def prepare_labels(
    network: Network, y: Mapping[Any, Any], count: int, losses: Mapping[int, Loss], time_steps: int
) -> dict[int, Truth]:
    """What the losses compare with, by index of the output population; see :class:`~genn_delays.learning.losses.Loss`.

    Class labels are int32 ``[example]`` (or ``[example, time]`` for a loss of a time step), targets float32
    ``[example, neuron]`` or ``[example, time, neuron]``.

    Raises:
        InvalidValueError: labels missing, of the wrong shape, number or type, out of range or not finite.
    """
    prepared: dict[int, Truth] = {}
    for population, values in by_population(network, "labels", y, network.outputs).items():
        loss = losses[population.index]
        steps = time_steps if loss.stepwise else None
        array = array_of(f"{'labels' if loss.labelled else 'targets'} of {population.name!r}", values)
        prepared[population.index] = (_labels if loss.labelled else _targets)(population, array, count, steps)
    return prepared


def _labels(population: Population, labels: npt.NDArray[Any], count: int, steps: int | None) -> Truth:
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
            f"{what} must lie in [0, {population.size}), got {labels[bad][0]} "
            f"({where.format(*(int(i) for i in np.argwhere(bad)[0]))})"
        )
    return np.ascontiguousarray(labels, dtype=np.int32)


def _targets(population: Population, targets: npt.NDArray[Any], count: int, steps: int | None) -> Truth:
    what, axes = f"targets of {population.name!r}", "neuron" if steps is None else "time, neuron"
    shape = (count, population.size) if steps is None else (count, steps, population.size)
    if targets.dtype.kind not in "fiub":
        raise InvalidValueError(f"{what} must be real numbers [example, {axes}], got dtype {targets.dtype}")
    if targets.shape != shape:
        raise InvalidValueError(f"{what} must have shape {shape} [example, {axes}], got {targets.shape}")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(targets, dtype=np.float32)
    if not np.isfinite(found).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        names = ", ".join(f"{axis} {i}" for axis, i in zip(f"example, {axes}".split(", "), place, strict=True))
        raise InvalidValueError(f"{what} must be finite in single precision, got {targets[place]}: {names}")
    return found
