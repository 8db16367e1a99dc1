"""The one source of randomness: Philox4x32-10, a pure function of (seed, purpose, owner, step, indices).

Nothing here has a state, so the same numbers come out in NumPy, C++, CUDA and GeNN code, in any order and on any
number of threads, and nothing has to be stored to resume. Source: Salmon, Moraes, Dror & Shaw, "Parallel random
numbers: as easy as 1, 2, 3" (SC 2011).

The 128-bit counter is ``(index_a, index_b, step, purpose << 24 | owner)``, the 64-bit key is the seed. What the first
three words mean belongs to the purpose; `owner` is the index of a connection or a population in its network, or the
number of a generated data set.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from .bodies import compute
from .bodies.functions import NORMAL_OF_SHARE, NORMAL_QUANTILE, PHILOX, SCALED
from .chunks import in_chunks

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

_MASK = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)

MAX_OWNER = 1 << 24
MAX_STEP = (1 << 32) - 1
MAX_SEED = (1 << 64) - 1


class Purpose(IntEnum):
    """The purpose of a random number; generated code uses the same values."""

    CONNECTIVITY = 1  # which pairs are connected               (draw lo, draw hi, 0)
    HOME = 2  # weight and delay of a pair                       (pre, post, ordinal)
    DALE = 3  # sign of a source neuron                          (pre, 0, 0), owner: population
    PARAMETER = 4  # neuron parameters                           (neuron, parameter, 0), owner: population
    ORDER = 5  # order of the training examples                  (example, 0, epoch)
    GROWTH = 6  # which pairs are grown                          (draw lo, draw hi, step)
    GROWTH_DELAY = 7  # delay of a grown synapse by `redraw`     (pre, post, step)
    NOISE = 8  # temperature noise of DEEP R                     (pre, post, step)
    DROPOUT = 9  # which neurons an example goes without         (neuron, lane / 4, step), owner: population
    CANDIDATES = 10  # which free slots are scored              (draw lo, draw hi, step)
    EXAMPLE = 11  # examples of a generated data set            (example, draw, stage), owner: data set
    AUGMENTATION = 12  # how an example is changed             (example, block, epoch), owner: population
    ROW_ORDER = 13  # order of a receptive field's rows         (block, permutation, field)
    POISSON = 14  # random spikes of a simulation               (neurons by :func:`of_neurons`, drive, step), population
    CURRENT = 15  # noise currents of a simulation             (the same)


def philox(seed: int, purpose: Purpose, owner: int, a: Any, b: Any = 0, step: Any = 0) -> U32:
    """Four 32-bit words for every counter.

    Args:
        seed: 64-bit key.
        purpose: what the numbers are for.
        owner: index of the connection or population, below 2**24.
        a, b, step: the counter's other words, integers or arrays that broadcast, each in [0, 2**32).

    Returns:
        uint32 array of shape ``[4, *broadcast shape]``.
    """
    a, b, step = np.broadcast_arrays(*(np.asarray(x).astype(np.uint32) for x in (a, b, step)))
    key = {"key0": seed & 0xFFFFFFFF, "key1": (seed >> 32) & 0xFFFFFFFF}
    counter = {"a": a, "b": b, "step": step, "stream": (int(purpose) << 24) | owner}
    words = compute(PHILOX, {**key, **counter})
    return np.stack([np.broadcast_to(word, a.shape) for word in words.values()])


def of_neurons(seed: int, purpose: Purpose, owner: int, size: int, b: int, step: int) -> U32:
    """One word for each of `size` neurons, uint32 ``[size]``.

    A counter's four words go to neurons that are 16 apart: neuron ``64 k + 16 j + m`` has word j of counter a =
    ``16 k + m``. So a loop over counters reads and writes without gaps, on GPUs too.
    """
    blocks = -(-size // 64)
    words = philox(seed, purpose, owner, np.arange(16 * blocks), b, step)  # [4, 16 blocks]
    return np.ascontiguousarray(words.reshape(4, blocks, 16).transpose(1, 0, 2)).reshape(-1)[:size]


def uniform(words: U32) -> npt.NDArray[np.float64]:
    """Words as uniform numbers in the open interval (0, 1): ``(word + 1/2) / 2**32``."""
    return (words.astype(np.float64) + 0.5) * 2.0**-32


def dropout_threshold(share: float) -> int:
    """A neuron is left out where its random word is below this."""
    return round(share * 2.0**32)


def scale64(words: U32, total: int | U64) -> U64:
    """64 random bits as an integer in [0, total): ``floor(r * total / 2**64)`` with ``r = word0 + 2**32 word1``.

    Args:
        words: uint32 ``[4, ...]`` from :func:`philox`; the first two words are used.
        total: from 1 to 2**63; one for all words or one for each.
    """
    return np.asarray(compute(SCALED, {"low": words[0], "high": words[1], "total": total})["result"])


def sample_distinct(
    count: int, total: int, seed: int, purpose: Purpose, owner: int, step: int = 0
) -> npt.NDArray[np.int64]:
    """`count` distinct integers out of [0, total), ascending, every subset equally likely.

    They are the first `count` distinct values of the sequence ``scale64(philox(k), total)``, k = 0, 1, ...; where more
    than half are wanted, the sequence names those left out. Time and memory are O(count).
    """
    if not 0 <= count <= total:
        raise ValueError(f"cannot choose {count} of {total}")
    if 2 * count > total:
        left_out = sample_distinct(total - count, total, seed, purpose, owner, step)
        keep = np.ones(total, dtype=bool)
        keep[left_out] = False
        return np.flatnonzero(keep)
    distinct = _once(_drawn(0, count, total, seed, purpose, owner, step))
    extra, begun = distinct[:0], count
    # never more are drawn than are wanted, so all distinct ones are among the first
    while want := count - distinct.size - extra.size:
        more = _once(_drawn(begun, want, total, seed, purpose, owner, step))
        begun += want
        for known in (distinct, extra):
            if known.size:
                more = more[known[np.minimum(np.searchsorted(known, more), known.size - 1)] != more]
        extra = np.sort(np.concatenate([extra, more]))
    found = np.empty(count, np.int64)
    found[: distinct.size], found[distinct.size :] = distinct, extra
    if extra.size:
        found.sort()
    return found


def _drawn(first: int, count: int, total: int, seed: int, purpose: Purpose, owner: int, step: int) -> npt.NDArray[Any]:
    """Draws `first` to ``first + count`` of the sequence that :func:`sample_distinct` is of, in as few bytes."""
    found = np.empty(count, np.uint32 if total <= 1 << 32 else np.int64)

    def draw(begin: int, end: int) -> None:
        k = np.arange(first + begin, first + end, dtype=np.uint64)
        found[begin:end] = scale64(philox(seed, purpose, owner, k & _MASK, k >> _32, step), total)

    in_chunks(count, draw)
    return found


def _once(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values sorted, each once; the given ones are sorted too."""
    values.sort()
    fresh = np.ones(values.size, np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values if fresh.all() else values[fresh]


def permutation(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """A random order of `count` examples, a function of (seed, epoch) alone."""
    words = philox(seed, Purpose.ORDER, 0, np.arange(count), 0, epoch)
    keys = (words[0].astype(np.uint64) << _32) | words[1].astype(np.uint64)
    return np.argsort(keys, kind="stable")


def first_true(test: Callable[[int], bool], high: int) -> int:
    """The smallest n in [0, high] with ``test(n)``, for a test that is false and then true; `high` if there is none."""
    low = 0
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low


def normal_quantile(words: U32) -> npt.NDArray[np.float64]:
    """Words as standard normal numbers: Acklam's rational approximation of the quantile (relative error 1.2e-9).

    IEEE operations alone, in the order of the generated code, so that both give the same bits.
    """
    return np.asarray(compute(NORMAL_QUANTILE, {"word": words})["y"])


def normal_of_share(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numbers below which shares `p` of the standard normal distribution lie, as :func:`normal_quantile`."""
    return np.asarray(compute(NORMAL_OF_SHARE, {"p": p})["y"])


class Draws:
    """A sequence of random numbers, a function of the arguments alone.

    Args:
        seed, purpose, owner, a, step: see :func:`philox`; the counter's word b counts blocks of four words.
    """

    def __init__(self, seed: int, purpose: Purpose, owner: int, a: int, step: int) -> None:
        self._key, self._a, self._step, self._drawn = (seed, purpose, owner), a, step, 0

    def words(self, count: int) -> U32:
        """The next words, uint32 ``[count]``."""
        first, end = self._drawn, self._drawn + count
        blocks = np.arange(first // 4, -(-end // 4))
        self._drawn = end
        found: U32 = philox(*self._key, self._a, blocks, self._step).T.reshape(-1)[first % 4 :][:count]
        return found

    def uniform(self, low: float = 0.0, high: float = 1.0, shape: int | tuple[int, ...] = ()) -> Any:
        """Uniform numbers between `low` and `high`, float64 of a shape; one number where none is given."""
        return low + (high - low) * self._shaped(uniform, shape)

    def integers(self, low: int, high: int, shape: int | tuple[int, ...] = ()) -> Any:
        """Whole numbers in [low, high), at most 2**32 of them, int64 of a shape."""
        return low + self._shaped(lambda words: (words.astype(np.uint64) * np.uint64(high - low)) >> _32, shape).astype(
            np.int64
        )

    def normal(self, mean: float = 0.0, sd: float = 1.0, shape: int | tuple[int, ...] = ()) -> Any:
        """Normal numbers, float64 of a shape."""
        return mean + sd * self._shaped(normal_quantile, shape)

    def _shaped(self, of: Callable[[U32], npt.NDArray[Any]], shape: int | tuple[int, ...]) -> Any:
        found = of(self.words(int(np.prod(shape, dtype=np.int64)))).reshape(shape)
        return found[()]
