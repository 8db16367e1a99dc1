"""Random neighbours of every neuron, each a function of (seed, connection, neuron, index) alone.

The sequence of a row, a source or a target neuron, is ``v_k = floor(r_k limit / 2**64)`` for k = 0, 1, ..., with r_k
the 64 bits of words ``2 (k mod 2)`` and ``2 (k mod 2) + 1`` of ``philox(seed, CONNECTIVITY, connection, row, k // 2)``.
So rows can be drawn in any order, one by one or many at once, by the builder of rows on the backend ``cpu`` too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from ..chunks import CHUNK, in_chunks
from ..random import Purpose, philox, sample_distinct, scale64

I64 = npt.NDArray[np.int64]

ROWS, SOURCES = 0, 1
"""The step of the counter: neighbours of rows, and sources of all synapses (:func:`counts_of_sources`)."""


@dataclass(frozen=True)
class Draws:
    """The draws that the pairs of a connection come from, for all that draw them row by row.

    Attributes:
        order: ``"source"``: rows are source neurons, and their targets are drawn; ``"target"``: the other way round;
            ``"all"``: all targets of every source; ``"same"``: the target with the number of the source; ``"pair"``:
            distinct ones of all pairs, by :func:`~genn_delays.random.sample_distinct`.
        count: of neighbours a row, or of pairs; None where :func:`counts_of_sources` tells it.
        total: number of pairs, several of one pair of neurons counted each.
        distinct: the first `count` distinct values of a row's sequence; otherwise its first `count` ones.
        skip_self: no neuron is its own neighbour.
    """

    order: str
    count: int | None
    total: int
    distinct: bool = True
    skip_self: bool = False

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> I64:
        """The pairs as ascending numbers ``post * num_pre + pre``."""
        if self.order == "all":
            return np.arange(num_pre * num_post, dtype=np.int64)
        if self.order == "same":
            return np.arange(num_pre, dtype=np.int64) * (num_pre + 1)
        if self.order == "pair":
            possible = (num_pre - self.skip_self) * num_post
            found = sample_distinct(self.total, possible, seed, Purpose.CONNECTIVITY, owner)
            if not self.skip_self:
                return found
            post, place = np.divmod(found, num_pre - 1)
            return post * num_pre + place + (place >= post)
        by_source = self.order == "source"
        rows, others = (num_pre, num_post) if by_source else (num_post, num_pre)
        limit = others - self.skip_self

        def rank(row: I64, value: I64) -> I64:
            if self.skip_self:
                value = value + (value >= row)
            return value * num_pre + row if by_source else row * num_pre + value

        if self.count is None:
            start = np.concatenate([[0], np.cumsum(counts_of_sources(self.total, num_pre, seed, owner))])
            found = _with_replacement(start, limit, seed, owner, rank)
        elif self.distinct:
            found = _distinct(rows, self.count, limit, seed, owner, rank)
        else:
            found = _with_replacement(np.arange(rows + 1) * self.count, limit, seed, owner, rank)
        found.sort()
        return found


def counts_of_sources(total: int, num_pre: int, seed: int, owner: int) -> I64:
    """The number of synapses of every source ``[num_pre]``, where each of `total` synapses has a random source."""
    found, lock = np.zeros(num_pre, np.int64), Lock()

    def draw(first: int, last: int) -> None:
        part = np.bincount(_values(None, np.arange(first, last), num_pre, seed, owner), minlength=num_pre)
        with lock:
            np.add(found, part, out=found)

    # chunks as long as there are rows, so that adding does not cost more than drawing
    in_chunks(total, draw, chunk=max(CHUNK, num_pre))
    return found


def _values(row: I64 | None, k: I64, limit: int | I64, seed: int, owner: int) -> I64:
    """Values k of the sequences of rows, or of the one of all sources, whose counter has the lower and upper words of
    ``k // 2`` and step 1."""
    block = k >> 1
    counter = (block & 0xFFFFFFFF, block >> 32, SOURCES) if row is None else (row, block, ROWS)
    words = philox(seed, Purpose.CONNECTIVITY, owner, *counter)
    chosen, total = np.where(k & 1, words[2:], words[:2]), np.asarray(limit, np.uint64)
    return scale64(chosen, total).astype(np.int64)


def _with_replacement(start: I64, limit: int, seed: int, owner: int, rank: Callable[[I64, I64], I64]) -> I64:
    """Row r has the first ``start[r + 1] - start[r]`` values of its sequence."""
    found = np.empty(int(start[-1]), np.int64)

    def draw(first: int, last: int) -> None:
        place = np.arange(first, last)
        row = np.searchsorted(start, place, side="right") - 1
        found[first:last] = rank(row, _values(row, place - start[row], limit, seed, owner))

    in_chunks(found.size, draw)
    return found


def _distinct(rows: int, count: int, limit: int, seed: int, owner: int, rank: Callable[[I64, I64], I64]) -> I64:
    """Row r has the first `count` distinct values of its sequence, or all but those of the others where they are more
    than half of all."""
    found = np.empty(rows * count, np.int64)

    def draw(first: int, last: int) -> None:
        row = np.arange(first, last)
        place, value = distinct_values(row, np.full(row.size, count), np.full(row.size, limit), seed, owner)
        found[first * count : last * count] = rank(first + place, value)

    in_chunks(rows, draw, chunk=max(CHUNK // max(count, 1), 1))
    return found


def distinct_values(row: I64, count: I64, limit: I64, seed: int, owner: int) -> tuple[I64, I64]:
    """The first `count` distinct values below `limit` of every row's sequence, or all but those that are left out where
    they are more than half of all.

    Args:
        row, count, limit: whole numbers ``[place]``.

    Returns:
        Place of the row and value, ``[sum of the counts]``, ascending.
    """
    out = 2 * count > limit
    stride = int(limit.max(initial=1))
    chosen = _first_distinct(row, np.where(out, limit - count, count), limit, stride, seed, owner)
    if out.any():
        start = np.cumsum(np.where(out, limit, 0)) - np.where(out, limit, 0)
        left = np.ones(int(limit[out].sum()), np.bool_)
        place = chosen // stride
        drawn = out[place]
        left[start[place[drawn]] + chosen[drawn] % stride] = False
        others = np.flatnonzero(left)
        whose = np.repeat(np.flatnonzero(out), limit[out])[others]
        chosen = np.sort(np.concatenate([chosen[~drawn], whose * stride + others - start[whose]]))
    return chosen // stride, chosen % stride


def _first_distinct(row: I64, count: I64, limit: I64, stride: int, seed: int, owner: int) -> I64:
    """The first `count` distinct values of every row's sequence, as ascending ``place of the row * stride + value``.

    Never more are drawn than are wanted, so all distinct ones are among the first.
    """
    place = np.arange(row.size)
    begun, want = np.zeros(row.size, np.int64), count
    found = np.empty(0, np.int64)
    while want.any():
        which = np.repeat(place, want)
        k = begun[which] + np.arange(which.size) - np.repeat(np.cumsum(want) - want, want)
        more = np.unique(which * stride + _values(row[which], k, limit[which], seed, owner))
        if found.size:
            more = more[found[np.minimum(np.searchsorted(found, more), found.size - 1)] != more]
        found = np.sort(np.concatenate([found, more]))
        begun = begun + want
        want = count - np.bincount(found // stride, minlength=row.size)
    return found
