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
            array = _dense(population, values, time_steps)
            data = _events_of_dense(population, array) if spikes else DenseData(array)
        if count is not None and len(data) != count:
            raise InvalidValueError(f"inputs differ in their number of examples: {count} and {len(data)}")
        count = len(data)
        prepared[population.index] = data
    if not count:
        raise InvalidValueError("inputs hold no example; at least 1 is needed")
    return prepared, count


def _dense(population: Population, values: Any, time_steps: int) -> npt.NDArray[np.float32]:
    what = f"input of {population.name!r}"
    array = _array(what, values)
    if array.dtype == object or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise InvalidValueError(f"{what} must be numbers [example, time, neuron], got dtype {array.dtype}")
    if np.issubdtype(array.dtype, np.complexfloating):
        raise InvalidValueError(f"{what} must be real numbers, got dtype {array.dtype}")
    wanted = (time_steps, population.size)
    if array.ndim != 3 or array.shape[1:] != wanted:
        raise InvalidValueError(f"{what} must have shape (examples, {wanted[0]}, {wanted[1]}), got {array.shape}")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        example, step, neuron = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidValueError(
            f"{what} must be finite, got {array[example, step, neuron]}: example {example}, step {step}, no. {neuron}"
        )
    return array


def _events_of_dense(population: Population, array: npt.NDArray[np.float32]) -> EventData:
    bad = (array != 0) & (array != 1)
    if bad.any():
        raise InvalidValueError(f"spike input of {population.name!r} must be 0 or 1, got {array[bad][0]}")
    example, step, neuron = np.nonzero(array)
    start = np.searchsorted(example, np.arange(len(array) + 1)).astype(np.int64)
    return EventData(start, neuron.astype(np.int32), step.astype(np.int32))


def _event_lists(population: Population, values: Any, time_steps: int, dt: float) -> EventData:
    what = f"spike input of {population.name!r}"
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InvalidValueError(
            f"{what} must be a list of (times, neurons), one an example, or an array [example, time, neuron], "
            f"got {type(values).__name__}"
        )
    _check_one_meaning(what, values, population.size, time_steps)
    owners, times, neurons = [], [], []
    for number, one in enumerate(values):
        for time, neuron in _one_example(f"{what}, example {number}", one):
            owners.append(number)
            times.append(time)
            neurons.append(neuron)
    lengths = [len(time) for time in times]
    example = np.repeat(np.asarray(owners, np.int64), lengths)
    time = np.concatenate([np.empty(0), *(time.astype(np.float64) for time in times)])
    neuron = np.concatenate([np.empty(0, np.int64), *neurons])
    limit = time_steps * dt
    for name, array, bad, high in (
        ("times", time, ~((time >= 0) & (time < limit)), f"{limit:g}) ms, the length of an example"),
        ("neurons", neuron, ~((neuron >= 0) & (neuron < population.size)), f"{population.size})"),
    ):
        if bad.any():
            raise InvalidValueError(
                f"{what}, example {example[bad][0]}: {name} must lie in [0, {high}; got {array[bad][0]}"
            )
    step = np.empty(len(time), np.int64)
    for kind in {time.dtype for time in times}:  # how exact a time is depends on what it was given as
        mine = np.repeat([time.dtype == kind for time in times], lengths)
        given = np.concatenate([time for time in times if time.dtype == kind])
        step[mine], vague = steps_of(given, dt)
        if vague.any():
            raise InvalidValueError(
                f"{what}, example {example[mine][vague][0]}: times of dtype {kind} near {given[vague][0]} ms lie "
                f"{_spacing(given[vague])[0]:g} ms apart, too far to tell one time step of {dt:g} ms from the next; "
                "give them in a more precise dtype"
            )
    step = np.minimum(step, time_steps - 1)
    # not by np.unique, whose tables of hashes take many times as long for millions of events
    key = np.sort((example * population.size + neuron) * time_steps + step)
    key = key[np.diff(key, prepend=-1) > 0]  # events within one step are one spike
    example, rest = np.divmod(key, population.size * time_steps)
    start = np.searchsorted(example, np.arange(len(values) + 1)).astype(np.int64)
    return EventData(start, (rest // time_steps).astype(np.int32), (rest % time_steps).astype(np.int32))


def _one_example(what: str, example: Any) -> list[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
    """Times and neurons, apart for every type that times have: NumPy would widen those of a list to one of them."""
    if not isinstance(example, Sequence) or len(example) != 2:
        length = f" of length {len(example)}" if isinstance(example, Sequence) else ""
        raise InvalidValueError(
            f"{what}, must be (times, neurons), got {type(example).__name__}{length}; dense spikes are given as an "
            "array [example, time, neuron]"
        )
    time, neuron = (_array(what, part) for part in example)
    if time.dtype.kind not in "fiu":
        raise InvalidValueError(f"{what}: times must be real numbers, got dtype {time.dtype}")
    if time.ndim != 1 or time.shape != neuron.shape:
        raise InvalidValueError(f"{what}: times {time.shape} and neurons {neuron.shape} must match")
    if neuron.size and not np.issubdtype(neuron.dtype, np.integer):
        raise InvalidValueError(f"{what}: neurons must be whole numbers, got dtype {neuron.dtype}")
    neuron = neuron.astype(np.int64)
    given = example[0]
    kinds = [] if hasattr(given, "dtype") else [getattr(t, "dtype", time.dtype) for t in given]
    if all(kind == time.dtype for kind in kinds):
        return [(time, neuron)]
    groups = {kind: np.asarray([kind == other for other in kinds]) for kind in kinds}
    return [(time[of].astype(kind), neuron[of]) for kind, of in groups.items()]


def _check_one_meaning(what: str, values: Sequence[Any], size: int, time_steps: int) -> None:
    """Refuse lists that may be two rows of neurons (dense spikes of two time steps) or times and their neurons."""
    if time_steps != 2 or not values or any(isinstance(example, tuple) for example in values):
        return
    try:
        array = np.asarray(values)
    except Exception:  # whatever an element's own __array__ raises: this is no array, and a list can only be events
        return
    if array.shape[1:] == (2, size) and array.dtype.kind in "fiub" and np.isin(array, (0, 1)).all():
        raise InvalidValueError(
            f"{what}: lists of shape {array.shape} may be (times, neurons) of each example or dense spikes [example, "
            "time, neuron]; give the first as tuples, [(times, neurons), ...], the second as an array, numpy.array(...)"
        )


def steps_of(time: npt.NDArray[Any], dt: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The time steps that times fall into, and which times are too vague to say.

    Time t belongs to step floor(t / dt). But a time written as ``k * dt`` belongs to step k though it may have been
    rounded to just below: 43 * 0.1 / 0.1 is 42.99... So t counts as the start of the next step where rounding in its
    own type explains the difference: half the spacing of the numbers at t, and, where dt was rounded to this type
    before it was multiplied by k, k times what dt lost by that. Where these together may be a whole step, nobody can
    tell which of two steps is meant.

    Args:
        time: ``[spikes]`` in ms, integer or real of any size and byte order, finite and >= 0.
        dt: in ms.
    """
    t, spacing = time.astype(np.float64), _spacing(time)
    with np.errstate(over="ignore", under="ignore"):
        lost = dt - float(time.dtype.type(dt)) if time.dtype.kind == "f" else 0.0
    step = np.floor(t / dt)
    start = (step + 1) * dt  # of the next step
    arithmetic = 2 * np.finfo(np.float64).eps * start  # in double precision, here and where the times were made
    step += t >= start - spacing / 2 - max(lost, 0.0) * (step + 1) - arithmetic
    return step.astype(np.int64), spacing + abs(lost) * (step + 1) >= dt


def _spacing(time: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """How far from each time the next number of its type is, in ms; of whole numbers, which are exact, 0."""
    if time.dtype.kind != "f":
        return np.zeros(time.shape)
    native = time.astype(time.dtype.newbyteorder("="))
    with np.errstate(over="ignore", under="ignore"):  # beyond the largest number there is none
        # no finer than the double precision that is computed in
        return np.asarray(np.maximum(np.spacing(native), np.spacing(native.astype(np.float64))), dtype=np.float64)


def _array(what: str, values: Any) -> npt.NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InvalidValueError(f"{what} must have no masked values: fill them, x.filled(0), or leave them out")
    try:
        return np.asarray(values)
    except Exception as error:  # its own __array__ may raise anything; the ValueErrors of lists are NumPy's
        if isinstance(error, ValueError) and isinstance(values, Sequence):  # rows that differ in length
            raise InvalidValueError(f"{what} must be an array, got rows of different lengths") from error
        parts = [values, *values] if isinstance(values, Sequence) else [values]
        graph = any(getattr(part, "requires_grad", False) is True for part in parts)
        hint = "; it requires a gradient, detach it first: x.detach()" if graph else ""
        reason = " ".join(str(error).split())
        raise InvalidValueError(
            f"{what} must be an array, and {type(values).__name__} cannot be read as one{hint} ({reason})"
        ) from error


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
        array = _array(f"{'labels' if loss.labelled else 'targets'} of {population.name!r}", values)
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
