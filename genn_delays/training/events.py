"""Validation of spikes: lists of (times, neurons) and dense spikes, checked and sorted in one pass, chunk by chunk.

A chunk stays in the processor's cache, so that nothing of the size of the data exists besides what is kept: a neuron
and a step of 4 bytes each an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError
from ..plan.exchanged import EventData

CHUNK = 1 << 14
"""Events of a chunk; the last of its examples may bring more."""
CELLS = 1 << 18
"""Cells (time step, neuron) of a chunk of dense examples."""

_EPS = float(np.finfo(np.float64).eps)

Part = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Times and neurons of an example, of one type each."""


def array_of(what: str, values: Any) -> npt.NDArray[Any]:
    """Values as an array, or an error that says why they are none."""
    if type(values) is np.ndarray:
        return values
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InvalidValueError(f"{what} must have no masked values: fill them, x.filled(0), or leave them out")
    try:
        return np.asarray(values)
    except Exception as error:  # a foreign __array__ may raise anything; the ValueErrors of lists are NumPy's
        if isinstance(error, ValueError) and isinstance(values, Sequence):  # rows that differ in length
            raise InvalidValueError(f"{what} must be an array, got rows of different lengths") from error
        parts = [values, *values] if isinstance(values, Sequence) else [values]
        graph = any(getattr(part, "requires_grad", False) is True for part in parts)
        hint = "; it requires a gradient, detach it first: x.detach()" if graph else ""
        reason = " ".join(str(error).split())
        raise InvalidValueError(
            f"{what} must be an array, and {type(values).__name__} cannot be read as one{hint} ({reason})"
        ) from error


class Events:
    """Spikes of examples that are added one after the other; :meth:`data` returns them all.

    Args:
        what: they are, for messages.
        size: of the population.
        time_steps, dt: length of an example, and of a step in ms.
    """

    def __init__(self, what: str, size: int, time_steps: int, dt: float) -> None:
        self._what, self._size, self._time_steps, self._dt = what, size, time_steps, dt
        self._key = np.int32 if size * time_steps < 1 << 31 else np.int64
        self._neuron, self._step = np.empty(0, np.int32), np.empty(0, np.int32)
        self._count = 0
        self._lengths: list[npt.NDArray[np.int64]] = []
        self._waiting: list[list[Part]] = []
        self._names: list[int] = []
        self._events = 0

    def add(self, number: int, example: Any) -> None:
        """An example ``(times in ms, neurons)``; `number` is what messages call it."""
        try:
            parts = one_example(f"{self._what}, example {number}", example)
        except InvalidValueError:
            self._flush()  # the fault of an earlier example comes first
            raise
        self._waiting.append(parts)
        self._names.append(number)
        self._events += sum(neuron.size for _, neuron in parts)
        if self._events >= CHUNK:
            self._flush()

    def keep(self, neuron: npt.NDArray[Any], step: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> None:
        """Spikes of examples that are checked, and how many each has."""
        self._flush()
        total = self._count + neuron.size
        if total > self._neuron.size:
            for array in (self._neuron, self._step):  # in place where the system can, so that no second copy exists
                array.resize(total + total // 8, refcheck=False)
        self._neuron[self._count : total], self._step[self._count : total] = neuron, step
        self._count = total
        self._lengths.append(lengths.astype(np.int64))

    def data(self) -> EventData:
        """All examples, each sorted by (neuron, step) if it was a list of events."""
        self._flush()
        for array in (self._neuron, self._step):
            array.resize(self._count, refcheck=False)
        start = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        return EventData(np.cumsum(start), self._neuron, self._step)

    def _flush(self) -> None:
        waiting, names = self._waiting, self._names
        self._waiting, self._names, self._events = [], [], 0
        if waiting:
            try:
                self.keep(*self._sorted(waiting, names))
            except _FaultyError:  # find the example and its fault
                for example, number in zip(waiting, names, strict=True):
                    self._check(number, example)
                raise

    def _sorted(self, examples: list[list[Part]], names: list[int]) -> tuple[npt.NDArray[Any], ...]:
        """Neurons and steps of examples, sorted and each once, and how many each example has."""
        parts = [part for example in examples for part in example]
        sizes = np.asarray([sum(neuron.size for _, neuron in example) for example in examples])
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        neuron = np.concatenate([part[1] for part in parts], dtype=np.int64, casting="unsafe")
        if not neuron.size:
            return neuron, neuron, sizes
        time = np.concatenate([part[0] for part in parts], dtype=np.float64, casting="unsafe")
        if not (time.min() >= 0 and time.max() < self._time_steps * self._dt):
            raise _FaultyError
        if not (neuron.min() >= 0 and neuron.max() < self._size):
            raise _FaultyError
        neuron *= self._time_steps
        neuron += self._steps([part[0] for part in parts], time)
        key = neuron.astype(self._key)
        slices = [slice(*ends) for ends in pairwise(bounds.tolist())]
        for own in slices:
            key[own].sort()
        fresh = np.empty(key.size, np.bool_)  # events within one step are one spike
        np.not_equal(key[1:], key[:-1], out=fresh[1:])
        fresh[bounds[:-1][sizes > 0]] = True
        if not fresh.all():
            key, sizes = key[fresh], np.asarray([np.count_nonzero(fresh[own]) for own in slices])
        found: npt.NDArray[Any] = key // self._time_steps
        return found, key - found * self._time_steps, sizes

    def _steps(self, given: list[npt.NDArray[Any]], time: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The steps of times that are given in several arrays; `time` has all of them in double precision."""
        kinds = {one.dtype for one in given}
        if len(kinds) == 1:
            step = chunk_steps(given, time, self._dt)
        else:  # the precision of a time depends on its original type
            step = np.empty(time.size, np.int64)
            for kind in kinds:
                mine = np.repeat([one.dtype == kind for one in given], [one.size for one in given])
                step[mine] = chunk_steps([one for one in given if one.dtype == kind], time[mine], self._dt)
        return np.minimum(step, self._time_steps - 1)

    def _check(self, number: int, example: list[Part]) -> None:
        """Raise an error for the first fault of an example."""
        what, dt = f"{self._what}, example {number}", self._dt
        time = np.concatenate([part[0] for part in example], dtype=np.float64, casting="unsafe")
        neuron = np.concatenate([part[1] for part in example], dtype=np.int64, casting="unsafe")
        limit = self._time_steps * dt
        for name, array, bad, high in (
            ("times", time, ~((time >= 0) & (time < limit)), f"{limit:g}) ms, the length of an example"),
            ("neurons", neuron, ~((neuron >= 0) & (neuron < self._size)), f"{self._size})"),
        ):
            if bad.any():
                raise InvalidValueError(f"{what}: {name} must lie in [0, {high}; got {array[bad][0]}")
        for given, _ in example:
            vague = steps_of(given, dt)[1]
            if vague.any():
                raise InvalidValueError(
                    f"{what}: times of dtype {given.dtype} near {given[vague][0]} ms lie "
                    f"{spacing_of(given[vague])[0]:g} ms apart, too far to tell one time step of {dt:g} ms from the "
                    "next; give them in a more precise dtype"
                )


class _FaultyError(Exception):
    """Something is wrong with an example of a chunk."""


def event_lists(what: str, values: Sequence[Any], size: int, time_steps: int, dt: float) -> EventData:
    """Examples ``(times in ms, neurons)`` as sorted events."""
    check_one_meaning(what, values, size, time_steps)
    events = Events(what, size, time_steps, dt)
    for number, one in enumerate(values):
        events.add(number, one)
    return events.data()


def events_of_dense(name: str, array: npt.NDArray[Any], numbers: Sequence[int] | None = None) -> EventData:
    """Dense spikes ``[example, time, neuron]``, 0 or 1 of any type of number, as events.

    Args:
        name: of the population.
        numbers: what messages call the examples; their places where not given.
    """
    events = Events("", array.shape[2], array.shape[1], 1.0)
    for first, part in chunks(array):
        ones = part if part.dtype == np.bool_ else _ones(name, part, first, numbers)
        found = np.flatnonzero(ones)  # of all at once, which is faster than by axis
        steps = found // array.shape[2]
        lengths = np.bincount(steps // array.shape[1], minlength=len(part))
        events.keep(found - steps * array.shape[2], steps % array.shape[1], lengths)
    return events.data()


def _ones(name: str, part: npt.NDArray[Any], first: int, numbers: Sequence[int] | None) -> npt.NDArray[np.bool_]:
    """True where dense spikes are 1; everywhere else they must be 0."""
    with np.errstate(over="ignore"):
        part = part.astype(np.float32, copy=False)
    ones: npt.NDArray[np.bool_] = part == 1
    if np.count_nonzero(part != 0) > np.count_nonzero(ones):  # what is not finite is neither
        check_finite(f"input of {name!r}", part, first, numbers)
        bad = (part != 0) & ~ones
        raise InvalidValueError(f"spike input of {name!r} must be 0 or 1, got {part[bad][0]}")
    return ones


def chunks(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Examples of an array ``[example, time, neuron]`` in parts, each with the first one's place."""
    count = max(1, CELLS // max(array[:1].size, 1))
    for first in range(0, len(array), count):
        yield first, array[first : first + count]


def check_finite(what: str, part: npt.NDArray[Any], first: int, numbers: Sequence[int] | None) -> None:
    """Raise an error if some examples have a value that is not finite; `first` is the index of the first example."""
    if not np.isfinite(part).all():
        example, step, neuron = (int(i) for i in np.argwhere(~np.isfinite(part))[0])
        number = first + example if numbers is None else numbers[first + example]
        raise InvalidValueError(
            f"{what} must be finite, got {part[example, step, neuron]}: example {number}, step {step}, no. {neuron}"
        )


def one_example(what: str, example: Any) -> list[Part]:
    """Times and neurons, apart for every type that times have: NumPy would widen those of a list to one of them."""
    if not isinstance(example, Sequence) or len(example) != 2:
        length = f" of length {len(example)}" if isinstance(example, Sequence) else ""
        raise InvalidValueError(
            f"{what}, must be (times, neurons), got {type(example).__name__}{length}; dense spikes are given as an "
            "array [example, time, neuron]"
        )
    time, neuron = array_of(what, example[0]), array_of(what, example[1])
    if time.dtype.kind not in "fiu":
        raise InvalidValueError(f"{what}: times must be real numbers, got dtype {time.dtype}")
    if time.ndim != 1 or time.shape != neuron.shape:
        raise InvalidValueError(f"{what}: times {time.shape} and neurons {neuron.shape} must match")
    if neuron.dtype.kind not in "iu":
        if neuron.size:
            raise InvalidValueError(f"{what}: neurons must be whole numbers, got dtype {neuron.dtype}")
        neuron = np.empty(0, np.int64)  # an empty list is of no type
    given = example[0]
    kinds = [] if hasattr(given, "dtype") else [getattr(t, "dtype", time.dtype) for t in given]
    if all(kind == time.dtype for kind in kinds):
        return [(time, neuron)]
    groups = {kind: np.asarray([kind == other for other in kinds]) for kind in kinds}
    return [(time[of].astype(kind), neuron[of]) for kind, of in groups.items()]


def check_one_meaning(what: str, values: Sequence[Any], size: int, time_steps: int) -> None:
    """Refuse lists that may be two rows of neurons (dense spikes of two time steps) or times and their neurons."""
    if time_steps != 2 or not values or any(isinstance(example, tuple) for example in values):
        return
    try:
        array = np.asarray(values)
    except Exception:  # a foreign __array__ may raise anything: such a list can only be events
        return
    if array.shape[1:] == (2, size) and array.dtype.kind in "fiub" and np.isin(array, (0, 1)).all():
        raise InvalidValueError(
            f"{what}: lists of shape {array.shape} may be (times, neurons) of each example or dense spikes [example, "
            "time, neuron]; give the first as tuples, [(times, neurons), ...], the second as an array, numpy.array(...)"
        )


def chunk_steps(given: list[npt.NDArray[Any]], time: npt.NDArray[np.float64], dt: float) -> npt.NDArray[np.int64]:
    """The steps that :func:`steps_of` says, looked at by it only where rounding could matter.

    How far below the start of a step a time may lie and still belong to it rises with the time, so the largest time of
    a chunk bounds it for all.

    Args:
        given: the times in arrays of one type.
        time: the same ``[spikes]`` in double precision.

    Raises:
        _FaultyError: the precision of a time is too low.
    """
    kind, largest = given[0].dtype, time.max(initial=0.0)
    spacing = float(spacing_of(np.asarray([largest]).astype(kind))[0]) if kind.kind == "f" else 0.0
    lost = lost_by(kind, dt)
    quotient = time / dt
    whole = np.floor(quotient)
    most = float(largest) / dt + 2  # steps
    if not spacing + abs(lost) * most < dt / 2:  # or NaN
        step, vague_ones = steps_of(np.concatenate(given), dt)
        if vague_ones.any():
            raise _FaultyError
        return step
    step = whole.astype(np.int64)
    reach = 1.01 * (spacing / 2 + max(lost, 0.0) * most) / dt + 16 * _EPS * most  # steps
    quotient -= whole
    near = np.flatnonzero(quotient >= 1 - reach)
    if near.size:
        step[near] = steps_of(np.concatenate(given)[near], dt)[0]
    return step


def steps_of(time: npt.NDArray[Any], dt: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The time steps that times fall into, and a mask of times whose precision is too low to tell.

    Time t belongs to step floor(t / dt). But a time written as ``k * dt`` belongs to step k though it may have been
    rounded to just below: 43 * 0.1 / 0.1 is 42.99... So t counts as the start of the next step where rounding in its
    own type explains the difference: half the spacing of the numbers at t, and, where dt was rounded to this type
    before it was multiplied by k, k times what dt lost by that. Where these together may be a whole step, nobody can
    tell which of two steps is meant.

    Args:
        time: ``[spikes]`` in ms, integer or real of any size and byte order, finite and >= 0.
        dt: in ms.
    """
    t, spacing = time.astype(np.float64), spacing_of(time)
    lost = lost_by(time.dtype, dt)
    step = np.floor(t / dt)
    start = (step + 1) * dt  # of the next step
    arithmetic = 2 * _EPS * start  # in double precision, here and where the times were made
    step += t >= start - spacing / 2 - max(lost, 0.0) * (step + 1) - arithmetic
    return step.astype(np.int64), spacing + abs(lost) * (step + 1) >= dt


def lost_by(kind: np.dtype[Any], dt: float) -> float:
    """The rounding error of dt in a type; 0 for integer types, to which it is not rounded."""
    with np.errstate(over="ignore", under="ignore"):
        return dt - float(kind.type(dt)) if kind.kind == "f" else 0.0


def spacing_of(time: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The distance from each time to the next number of its type, in ms; 0 for integers, which are exact."""
    if time.dtype.kind != "f":
        return np.zeros(time.shape)
    # no finer than the double precision that is computed in; NumPy's own of longer types is none below powers of 2
    native = time.astype(time.dtype.newbyteorder("=") if time.dtype.itemsize < 8 else np.float64)
    with np.errstate(over="ignore", under="ignore"):  # beyond the largest number there is none
        return np.asarray(np.spacing(native), dtype=np.float64)
