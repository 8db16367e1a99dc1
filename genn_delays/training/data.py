"""Validation of data: checked, and converted into the form that engines load, all at once or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, shown, unknown
from ..learning.losses import Loss, Truth
from ..network import Network, Population
from ..neurons import SpikeInput
from ..plan.exchanged import InputData
from .arrays import check_input, labels_of, real_values, targets_of
from .events import array_of, event_lists, events_of_dense
from .events import steps_of as steps_of
from .prepared import PreparedInputs, PreparedLabels
from .streamed import Augmentation, Fetched, Stream, StreamedLabels, on_disk, refuse_loader, streams

Labels = Truth | StreamedLabels
"""Labels or targets of an output: in memory, or read batch by batch."""


class Batch(NamedTuple):
    """The data of a batch.

    Attributes:
        inputs: by index of the input population.
        examples: those of the batch, by their places in the inputs, int64 ``[lane]``.
        labels: labels or targets of the lanes, by index of the output.
        total: examples of the whole batch, of which these are one rank's share; None where they are all.
    """

    inputs: dict[int, InputData]
    examples: npt.NDArray[np.int64]
    labels: dict[int, Truth]
    total: int | None = None

    @property
    def size(self) -> int:
        """Examples of the whole batch."""
        return self.examples.size if self.total is None else self.total


class Data(NamedTuple):
    """Checked data: inputs and labels (or targets) by population, and which examples are meant."""

    inputs: dict[int, InputData | Stream]
    labels: dict[int, Labels]
    examples: npt.NDArray[np.int64]

    @property
    def streamed(self) -> bool:
        """True if any of it is read batch by batch."""
        return any(isinstance(own, Stream | StreamedLabels) for own in (*self.inputs.values(), *self.labels.values()))

    def classes(self) -> Truth:
        """A class of every example: the first output's that has them, one for all where none has."""
        if any(isinstance(labels, StreamedLabels) for labels in self.labels.values()):
            raise InvalidValueError(
                "validation_split needs all labels, and these are read batch by batch; give them as an array, or "
                "validation_x and validation_y"
            )
        found = (labels for labels in self.labels.values() if isinstance(labels, np.ndarray) and labels.ndim == 1)
        return next(found, np.zeros(self.examples.size, np.int32))

    def batch(self, numbers: npt.NDArray[np.int64], epoch: int | None = None) -> Batch:
        """The data of a batch of examples; `epoch` if it is for training."""
        fetched: Fetched = {}
        labels = {
            index: own.batch(numbers, fetched) if isinstance(own, StreamedLabels) else own[numbers]
            for index, own in self.labels.items()
        }
        if not any(isinstance(own, Stream) for own in self.inputs.values()):
            return Batch(self.inputs, numbers, labels)  # type: ignore[arg-type]
        inputs = {
            index: own.batch(numbers, fetched, epoch) if isinstance(own, Stream) else own.part(numbers)
            for index, own in self.inputs.items()
        }
        return Batch(inputs, np.arange(numbers.size, dtype=np.int64), labels)


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
    refuse_loader(what, values)
    if not isinstance(values, Mapping):
        raise InvalidValueError(f"{what} must be a dict by population, got {type(values).__name__}")
    found: dict[Population, Any] = {}
    for key, value in values.items():
        population = find_population(network, key)
        if population in found:
            raise InvalidValueError(f"{what} given twice for {population.name!r}, once by its name")
        refuse_loader(f"{what} of {population.name!r}", value)
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
    network: Network, x: Mapping[Any, Any] | PreparedInputs, time_steps: int, dt: float
) -> tuple[dict[int, InputData], int]:
    """Inputs by population index, all in memory, and the number of examples; see :func:`inputs_of`."""
    inputs, count = inputs_of(network, x, time_steps, dt)
    every, fetched = np.arange(count), Fetched()
    return {i: own.batch(every, fetched) if isinstance(own, Stream) else own for i, own in inputs.items()}, count


def inputs_of(
    network: Network,
    x: Mapping[Any, Any] | PreparedInputs,
    time_steps: int,
    dt: float,
    augmentations: Mapping[Population, Augmentation] | None = None,
) -> tuple[dict[int, InputData | Stream], int]:
    """Inputs by population index, and the number of examples.

    Args:
        x: by input population (or its name): an array ``[example, time, neuron]`` or whatever has ``__array__``, or
            for spike inputs also a list of ``(times in ms, neurons)``, one an example. A list is never taken for
            dense spikes: where one of lists (not of tuples) could be both, it is refused. What is read batch by batch
            (:func:`.streamed.streams`) stays where it is.
        augmentations: changes of an input's examples in training.

    Raises:
        InvalidValueError: an input missing, too many, of the wrong shape or type, or not finite.
    """
    augmentations = augmentations or {}
    if isinstance(x, PreparedInputs):
        if augmentations:
            raise InvalidValueError("augment changes examples as they are given; x has been prepared, give it itself")
        return x.of(network, time_steps, dt), len(x)
    prepared: dict[int, InputData | Stream] = {}
    count: int | None = None
    for population, values in by_population(network, "inputs", x, network.inputs).items():
        data = _input(population, values, time_steps, dt, augmentations.get(population))
        if count is not None and len(data) != count:
            raise InvalidValueError(f"inputs differ in their number of examples: {count} and {len(data)}")
        count = len(data)
        prepared[population.index] = data
    if not count:
        raise InvalidValueError("inputs hold no example; at least 1 is needed")
    return prepared, count


def _input(
    population: Population, values: Any, time_steps: int, dt: float, augmentation: Augmentation | None
) -> InputData | Stream:
    if streams(values) or (augmentation is not None and isinstance(values, list | tuple | np.ndarray)):
        stream = Stream(population, values, time_steps, dt, augmentation)
        stream.check()
        return stream
    if augmentation is not None:
        raise InvalidValueError(
            f"augment of {population.name!r} takes examples of a list, an array or a data set, got {shown(values)}"
        )
    spikes = isinstance(population.neuron, SpikeInput)
    if not spikes or hasattr(values, "__array__") or isinstance(values, memoryview):
        array = array_of(f"input of {population.name!r}", values)
        check_input(population, array.dtype, array.shape, time_steps)
        return events_of_dense(population.name, array) if spikes else real_values(population, array)
    what = f"spike input of {population.name!r}"
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InvalidValueError(
            f"{what} must be a list of (times, neurons), one an example, or an array [example, time, neuron], "
            f"got {type(values).__name__}"
        )
    return event_lists(what, values, population.size, time_steps, dt)


def augmentations_of(network: Network, augment: Mapping[Any, Any] | None, seed: int) -> dict[Population, Augmentation]:
    """The augmentations of examples by input.

    Args:
        augment: functions by input population or its name.
        seed: of training.
    """
    if augment is None:
        return {}
    if not isinstance(augment, Mapping):
        raise InvalidValueError(f"augment must be a dict of functions by input population, got {shown(augment)}")
    found: dict[Population, Callable[..., Any]] = {find_population(network, key): f for key, f in augment.items()}
    for population, function in found.items():
        if population not in network.inputs:
            raise InvalidValueError(f"augment given for {population.name!r}, which is not an input")
        if not callable(function):
            raise InvalidValueError(f"augment of {population.name!r} must be a function, got {shown(function)}")
    return {population: Augmentation(function, seed) for population, function in found.items()}


def prepare_labels(
    network: Network,
    y: Mapping[Any, Any] | PreparedLabels,
    count: int,
    losses: Mapping[int, Loss],
    time_steps: int,
) -> dict[int, Truth]:
    """Labels or targets by index of the output population, all in memory; see :func:`truths_of`."""
    every, fetched = np.arange(count), Fetched()
    truths = truths_of(network, y, count, losses, time_steps)
    return {i: own.batch(every, fetched) if isinstance(own, StreamedLabels) else own for i, own in truths.items()}


def truths_of(
    network: Network,
    y: Mapping[Any, Any] | PreparedLabels,
    count: int,
    losses: Mapping[int, Loss],
    time_steps: int,
    sources: Sequence[Any] = (),
) -> dict[int, Labels]:
    """Labels or targets by index of the output population; see :class:`~genn_delays.learning.losses.Loss`.

    Class labels are int32 ``[example]`` (or ``[example, time]`` for a loss of a time step), targets float32
    ``[example, neuron]`` or ``[example, time, neuron]``. They are in memory, but for targets on disk and what data sets
    give one by one.

    Args:
        sources: what inputs were given as; of one that is given here too items are (example, label).

    Raises:
        InvalidValueError: labels missing, of the wrong shape, number or type, out of range or not finite.
    """
    if isinstance(y, PreparedLabels):
        return y.of(network, losses, time_steps, count)
    prepared: dict[int, Labels] = {}
    for population, values in by_population(network, "labels", y, network.outputs).items():
        loss = losses[population.index]
        what = f"{'labels' if loss.labelled else 'targets'} of {population.name!r}"
        if streams(values) and not (loss.labelled and on_disk(values)):
            if len(values) != count:
                raise InvalidValueError(f"{what}: {len(values)} for {count} examples; there must be one for each")
            second = any(values is source for source in sources)
            own = StreamedLabels(population, values, loss, time_steps, second)
            own.check()
            prepared[population.index] = own
            continue
        array = array_of(what, values)
        steps = time_steps if loss.stepwise else None
        prepared[population.index] = (labels_of if loss.labelled else targets_of)(population, array, count, steps)
    return prepared
