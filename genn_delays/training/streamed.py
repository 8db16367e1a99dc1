"""Streaming: examples read batch by batch from data sets on disk, or from objects that give one example at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GennDelaysError, InvalidValueError
from ..learning.losses import Loss, Truth
from ..network import Population
from ..neurons import SpikeInput
from ..plan.exchanged import DenseData, InputData
from ..random import Draws, Purpose
from .arrays import check_input, labels_of, real_values, targets_of
from .events import Events, array_of, events_of_dense

Fetched = dict[int, list[Any]]
"""Items of one batch by the ``id`` of their data set: each is read once."""


def on_disk(values: Any) -> bool:
    """True for arrays that are read in parts: ``numpy.memmap``, or arrays with chunks (h5py, Zarr)."""
    return isinstance(values, np.memmap) or all(hasattr(values, name) for name in ("shape", "dtype", "chunks"))


def streams(values: Any) -> bool:
    """True if examples are read batch by batch, in place of all at once."""
    if on_disk(values):
        return True
    known = (list, tuple, str, bytes, bytearray, memoryview, Mapping)
    return not (isinstance(values, known) or hasattr(values, "__array__")) and all(
        hasattr(type(values), name) for name in ("__len__", "__getitem__")
    )


def refuse_loader(what: str, values: Any) -> None:
    """Raise an error for a DataLoader of PyTorch, which has its own order and batches."""
    if hasattr(values, "dataset") and hasattr(values, "batch_sampler"):
        raise InvalidValueError(
            f"{what}: a {type(values).__name__} has an order and batches of its own; give its data set, "
            "x={population: loader.dataset}, y={population: loader.dataset}: the order is a function of the seed then, "
            "the next batch is prepared while one is computed, and batch_size is the compiler's"
        )


@dataclass(frozen=True, eq=False)
class Augmentation:
    """An augmentation of examples for training.

    Attributes:
        function: called with an example and a :class:`~genn_delays.random.Draws`, gives the example to be learned.
        seed: of training.
    """

    function: Callable[[Any, Draws], Any]
    seed: int


@dataclass(frozen=True, eq=False)
class Stream:
    """Examples of an input population.

    Attributes:
        values: an array on disk ``[example, time, neuron]``, or an object whose items are examples ``[time, neuron]``,
            for spikes also ``(times in ms, neurons)``, or pairs of such an example and its label.
        time_steps, dt: length of an example, and of a step in ms.
    """

    population: Population
    values: Any
    time_steps: int
    dt: float
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def _what(self) -> str:
        spikes = isinstance(self.population.neuron, SpikeInput)
        return f"{'spike ' if spikes else ''}input of {self.population.name!r}"

    def check(self) -> None:
        """Raise an error for faults that can be found before anything is computed: in type and shape of an array, or in
        the
        first item of another object."""
        if on_disk(self.values):
            check_input(self.population, self.values.dtype, tuple(self.values.shape), self.time_steps)
        elif len(self):
            replace(self, augmentation=None).batch(np.zeros(1, np.int64), {})

    def batch(self, numbers: npt.NDArray[np.int64], fetched: Fetched, epoch: int | None = None) -> InputData:
        """Examples, checked and prepared.

        Args:
            numbers: which, ``[lane]``.
            fetched: items of these numbers, by object; taken from there, or put there.
            epoch: that is trained; None where nothing is learned, and nothing augmented.
        """
        if self.augmentation is None or epoch is None:
            if on_disk(self.values):
                return self._of_array(rows(self._what, self.values, numbers), numbers)
            items = fetch(self._what, self.values, numbers, fetched)
            return self._of_items([_example(item) for item in items], numbers)
        augment, found = self.augmentation, []
        for number, item in zip(numbers.tolist(), fetch(self._what, self.values, numbers, fetched), strict=True):
            draws = Draws(augment.seed, Purpose.AUGMENTATION, self.population.index, number, epoch)
            try:
                found.append(augment.function(_read_only(_example(item)), draws))
            except (GennDelaysError, MemoryError):
                raise
            except Exception as error:
                raise _unreadable(f"{self._what}, example {number}", "augmented", error) from error
        return self._of_items(found, numbers)

    def _of_array(self, array: npt.NDArray[Any], numbers: npt.NDArray[np.int64]) -> InputData:
        if isinstance(self.population.neuron, SpikeInput):
            return replace(events_of_dense(self.population.name, array, numbers.tolist()), passing=True)
        return replace(real_values(self.population, array, numbers.tolist()), passing=True)

    def _of_items(self, items: list[Any], numbers: npt.NDArray[np.int64]) -> InputData:
        p, names = self.population, numbers.tolist()
        if not isinstance(p.neuron, SpikeInput):
            values = np.empty((len(items), self.time_steps, p.size), np.float32)
            for place, (number, item) in enumerate(zip(names, items, strict=True)):
                with np.errstate(over="ignore"):
                    values[place] = self._dense(number, item)
            return DenseData(real_values(p, values, names).values, passing=True)
        events = Events(self._what, p.size, self.time_steps, self.dt)
        for number, item in zip(names, items, strict=True):
            if hasattr(item, "__array__"):
                one = events_of_dense(p.name, self._dense(number, item)[None], [number])
                events.keep(one.neuron, one.step, np.diff(one.start))
            else:
                events.add(number, item)
        return replace(events.data(), passing=True)

    def _dense(self, number: int, item: Any) -> npt.NDArray[Any]:
        """An example ``[time, neuron]``."""
        array = array_of(f"{self._what}, example {number}", item)
        try:
            check_input(self.population, array.dtype, (1, *array.shape), self.time_steps)
        except InvalidValueError as error:
            wanted = f"[time, neuron] of shape ({self.time_steps}, {self.population.size})"
            raise InvalidValueError(
                f"{self._what}, example {number}: must be numbers {wanted}, got shape {array.shape}, dtype "
                f"{array.dtype}"
            ) from error
        return array


@dataclass(frozen=True, eq=False)
class StreamedLabels:
    """Labels or targets of an output, read batch by batch.

    Attributes:
        values: an array on disk, or an object whose items are labels or targets.
        second: the items are pairs, of an input's example and this.
    """

    population: Population
    values: Any
    loss: Loss
    time_steps: int
    second: bool

    def __len__(self) -> int:
        return len(self.values)

    def check(self) -> None:
        """Raise an error if the first one is not valid."""
        if len(self):
            self.batch(np.zeros(1, np.int64), {})

    def batch(self, numbers: npt.NDArray[np.int64], fetched: Fetched) -> Truth:
        """Those of examples, checked; see :meth:`Stream.batch`."""
        what = f"{'labels' if self.loss.labelled else 'targets'} of {self.population.name!r}"
        if on_disk(self.values):
            array = rows(what, self.values, numbers)
        else:
            items = fetch(what, self.values, numbers, fetched)
            if self.second:
                for number, item in zip(numbers.tolist(), items, strict=True):
                    if not isinstance(item, tuple | list) or len(item) != 2:
                        raise InvalidValueError(
                            f"{what}, example {number}: an item of a data set that gives examples and labels must be "
                            f"(example, label), got {type(item).__name__}"
                        )
                items = [item[1] for item in items]
            array = array_of(what, [array_of(f"{what}, example {n}", i) for n, i in zip(numbers, items, strict=True)])
        steps = self.time_steps if self.loss.stepwise else None
        check = labels_of if self.loss.labelled else targets_of
        return check(self.population, array, numbers.size, steps, numbers.tolist())


def fetch(what: str, values: Any, numbers: npt.NDArray[np.int64], fetched: Fetched) -> list[Any]:
    """Items of an object, each asked for once a batch."""
    if id(values) not in fetched:
        items = []
        for number in numbers.tolist():
            try:
                items.append(values[number])
            except (GennDelaysError, MemoryError):
                raise
            except Exception as error:  # a foreign data set may raise anything
                raise _unreadable(f"{what}, example {number}", "read", error) from error
        fetched[id(values)] = items
    return fetched[id(values)]


def rows(what: str, values: Any, numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Rows of an array on disk ``[example, ...]``, read from its beginning to its end, neighbours at once."""
    order = np.argsort(numbers, kind="stable")
    ascending = numbers[order]
    found = np.empty((numbers.size, *values.shape[1:]), values.dtype)
    ends = [*(np.flatnonzero(np.diff(ascending) != 1) + 1).tolist(), numbers.size]
    for first, last in zip([0, *ends], ends, strict=False):
        begin = int(ascending[first])
        try:
            found[order[first:last]] = values[begin : begin + last - first]
        except (GennDelaysError, MemoryError):
            raise
        except Exception as error:
            raise _unreadable(f"{what}, example {begin}", "read", error) from error
    return found


def _unreadable(what: str, done: str, error: Exception) -> InvalidValueError:
    reason = " ".join(str(error).split())
    return InvalidValueError(f"{what} cannot be {done} ({type(error).__name__}{': ' if reason else ''}{reason})")


def _example(item: Any) -> Any:
    """An item's example: the item, or its first part where that is an example itself and the second its label."""
    pair = isinstance(item, tuple | list) and len(item) == 2 and _depth(item[0]) > 1
    return item[0] if pair else item


def _depth(values: Any) -> int:
    """The number of axes of an array, or of lists within lists."""
    if hasattr(values, "ndim"):
        return int(values.ndim)
    if not isinstance(values, Sequence) or isinstance(values, str):
        return 0
    return 1 + (_depth(values[0]) if len(values) else 0)


def _read_only(example: Any) -> Any:
    """An example whose arrays cannot be changed in place: they may be the data themselves."""
    if isinstance(example, np.ndarray):
        view = example.view()
        view.flags.writeable = False
        return view
    if isinstance(example, tuple | list) and any(isinstance(part, np.ndarray) for part in example):
        parts = [_read_only(part) for part in example]
        return example._make(parts) if hasattr(example, "_make") else tuple(parts)
    return example
