"""The class of data sets, and the split that holds examples out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, InvalidValueError, check_count, check_real
from ..random import MAX_SEED


class Events(NamedTuple):
    """The spikes of one example.

    Attributes:
        times: ``[spikes]``, time of each spike in ms, integer or real, >= 0.
        neurons: ``[spikes]``, index of the input neuron of each spike, integer.
    """

    times: npt.NDArray[Any]
    neurons: npt.NDArray[np.integer[Any]]


Examples = npt.NDArray[np.float32] | list[Events]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory, split as its authors split it.

    Attributes:
        name: its name in the registry, or its path.
        citation: what to cite.
        licence: the licence of the data.
        num_inputs: number of input neurons.
        num_classes: labels are 0 .. ``num_classes - 1``; of real targets the number of output neurons.
        example_timesteps: length of an example in time steps (of 1 ms for spikes, of one frame for dense data).
        x_train: training inputs: float32 ``[examples, time, neuron]``, or one :class:`Events` per example.
        y_train: training labels, int64 ``[examples]``; or real targets, float32 ``[examples, neuron]`` or
            ``[examples, time, neuron]``, which only data of one's own have.
        x_test: test inputs, like ``x_train``. Never used for choosing anything: hold out a part of the training
            examples with :func:`stratified_split` for that.
        y_test: test labels or targets, like ``y_train``.
        sha256: of the content of the file or folder that data of one's own came from, in hexadecimal.

    Raises:
        DatasetError: the arrays do not fit these numbers. A loader that gets its listing wrong fails here.
    """

    name: str
    citation: str
    licence: str
    num_inputs: int
    num_classes: int
    example_timesteps: int
    x_train: Examples
    y_train: npt.NDArray[Any]
    x_test: Examples
    y_test: npt.NDArray[Any]
    sha256: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.x_train, list) != isinstance(self.x_test, list):
            raise DatasetError(f"data set {self.name}: training and test inputs are of different kinds")
        for part, x, y in (("training", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            fault = self._fault(x, y)
            if fault:
                raise DatasetError(f"data set {self.name}, {part} part: {fault}")

    def __repr__(self) -> str:
        """One line; the arrays themselves would be as long as a book."""
        unit = "ms" if self.kind == "spikes" else "time steps"
        return (
            f"Dataset({self.name!r}, {self.kind}: {len(self.x_train):,} training and {len(self.x_test):,} test "
            f"examples of {self.num_inputs} inputs x {self.example_timesteps} {unit}, {self.num_classes} "
            f"{'classes' if self.labelled else 'targets'})"
        )

    @property
    def labelled(self) -> bool:
        """True for class labels, False for real targets."""
        return bool(self.y_train.dtype == np.int64)

    @property
    def kind(self) -> Literal["dense", "spikes"]:
        """``"dense"`` for real-valued inputs, ``"spikes"`` for lists of events."""
        return "spikes" if isinstance(self.x_train, list) else "dense"

    def lengthened(self, steps: int) -> Dataset:
        """The same data with empty frames after every dense example, so that each lasts `steps` time steps."""
        missing = steps - self.example_timesteps
        if missing == 0 or isinstance(self.x_train, list) or isinstance(self.x_test, list):
            return self
        x_train, x_test = (np.pad(x, ((0, 0), (0, missing), (0, 0))) for x in (self.x_train, self.x_test))
        return replace(self, example_timesteps=steps, x_train=x_train, x_test=x_test)

    def _fault(self, x: Examples, y: npt.NDArray[Any]) -> str | None:
        """The fault of one part in words, or None."""
        if y.dtype == np.float32 and not self.labelled and y.ndim in (2, 3):
            if len(y) != len(x) or y.shape[-1] != self.num_classes:
                return f"{len(x)} examples need as many targets of {self.num_classes} neurons, found {y.shape}"
        elif y.dtype != np.int64 or y.ndim != 1 or len(y) != len(x):
            return f"{len(x)} examples need as many int64 labels, found {y.dtype} of shape {y.shape}"
        elif y.size and not (y.min() >= 0 and y.max() < self.num_classes):
            return f"labels must be 0 to {self.num_classes - 1}, found {y.min()} to {y.max()}"
        if isinstance(x, list):
            bad = next((i for i, events in enumerate(x) if not self._valid(events)), None)
            return (
                None
                if bad is None
                else (
                    f"example {bad} has spikes outside {self.num_inputs} neurons x {self.example_timesteps} ms, "
                    "or not as many times as neurons"
                )
            )
        expected = (len(x), self.example_timesteps, self.num_inputs)
        if x.dtype != np.float32 or x.shape != expected:
            return f"inputs must be float32 of shape {expected}, found {x.dtype} of shape {x.shape}"
        return None

    def _valid(self, events: Events) -> bool:
        times, neurons = events
        if times.ndim != 1 or times.shape != neurons.shape or not np.issubdtype(neurons.dtype, np.integer):
            return False
        in_time = (times >= 0) & (times < self.example_timesteps)
        return bool(np.all(in_time & (neurons >= 0) & (neurons < self.num_inputs)))


def stratified_split(
    labels: npt.ArrayLike, fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hold out the same fraction of every class.

    Within a class the examples are ordered by a hash of (seed, index), and the first ``round(fraction * count)`` are
    held out, at least one and at most all but one. A hash, not ``numpy.random``: NumPy keeps the right to change the
    streams of its ``Generator`` between versions, and a split that changes with it would quietly turn test or
    validation examples into training examples. BLAKE2b of a text is the same on every machine, for ever.

    Args:
        labels: ``[examples]``, the class of each example, integers.
        fraction: the part to hold out, in (0, 1).
        seed: which split, >= 0.

    Returns:
        Indices of the examples kept and of those held out, int64, each sorted; together every index once.

    Raises:
        InvalidValueError: ``fraction`` or ``seed`` is not allowed, ``labels`` is not a list of integers, or a class
            has a single example, which cannot be on both sides.

    Example:
        >>> train, validation = stratified_split([0, 0, 0, 0, 1, 1], fraction=0.25, seed=0)
        >>> len(train), len(validation)
        (4, 2)
    """
    fraction = check_real("fraction", fraction, 0, 1, open_low=True, open_high=True)
    seed = check_count("seed", seed, 0, MAX_SEED)
    y = np.asarray(labels)
    if y.ndim != 1 or y.size == 0 or not np.issubdtype(y.dtype, np.integer):
        raise InvalidValueError(f"labels must be a list of integers, got {y.dtype} of shape {y.shape}")

    def rank(index: int) -> tuple[bytes, int]:
        return hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=16).digest(), index

    held_out = np.zeros(y.size, dtype=bool)
    for label in np.unique(y):
        members = np.flatnonzero(y == label).tolist()
        if len(members) < 2:
            raise InvalidValueError(f"class {label} has one example; a split needs at least two of every class")
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held_out[sorted(members, key=rank)[:count]] = True
    return np.flatnonzero(~held_out).astype(np.int64), np.flatnonzero(held_out).astype(np.int64)
