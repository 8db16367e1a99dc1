"""The order of sums over the examples of a batch: gradients, batch norm's sums, scores of free slots.

A tile of lanes gives one partial sum, or several of a fixed number of lanes, the *leaves*: at least four a batch where
its tiles are fewer. They are combined as a balanced binary tree, the larger half of them first. Tiles and leaves depend
on shapes only. So a process can add up any part of the tree by itself, and the sum has the same bits for any number of
threads and processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...codegen.emit import MOST_LEAVES

LEAVES = 4
"""A batch has so many leaves where its number of lanes allows it."""
MOST_OFFSETS = 1 << 27
"""A row of more offsets is one leaf: kernels find an offset's lane without a division below it."""


def leaf_lanes(tile: int, batch_size: int, time_steps: int) -> int:
    """Lanes of a leaf, which divide a tile's.

    Args:
        tile: lanes of a tile at most.
    """
    if tile % 16 or tile * time_steps >= MOST_OFFSETS:
        return tile
    tiles, sixteens = -(-batch_size // tile), tile // 16
    possible = [k for k in range(1, min(sixteens, MOST_LEAVES) + 1) if sixteens % k == 0]
    return tile // next((k for k in possible if k * tiles >= LEAVES), possible[-1])


def leaf_sizes(lanes: int, tile: int, leaf: int) -> list[int]:
    """Lanes of every leaf of a batch. A tile whose lanes are no multiple of a leaf's is one leaf."""
    sizes: list[int] = []
    for first in range(0, lanes, tile):
        here = min(tile, lanes - first)
        sizes += [here] if here % leaf else [leaf] * (here // leaf)
    return sizes


def span(count: int, number: int, parts: int) -> tuple[int, int]:
    """The first and the last (exclusive) of so many leaves that are those of subtree `number` of `parts`, a power of
    two."""
    first, end, size = 0, count, parts
    while size > 1:
        size //= 2
        middle = first + (end - first + 1) // 2
        first, end = (first, middle) if number % (2 * size) < size else (middle, end)
    return first, end


@dataclass(frozen=True)
class Share:
    """The part of a batch that a process computes.

    Attributes:
        before, lanes, total: lanes of the processes before it, its own, and those of all.
        starts: the first lane of every tile of its own, and the end, int64 ``[tile + 1]``.
        leaf_starts: the same of leaves.
        counts, sizes: leaves and lanes of every process.
    """

    before: int
    lanes: int
    total: int
    starts: npt.NDArray[np.int64]
    leaf_starts: npt.NDArray[np.int64]
    counts: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def tiles(self) -> Iterator[tuple[int, int]]:
        """First lane and number of lanes of every tile."""
        return zip(self.starts[:-1].tolist(), np.diff(self.starts).tolist(), strict=True)


@dataclass(frozen=True)
class Sharing:
    """The way in which batches are shared out.

    Attributes:
        batch_size: of all processes.
        tile, leaf: lanes of a tile at most, and of a leaf.
        rank, size: number of this process, and of processes.
    """

    batch_size: int
    tile: int
    leaf: int
    rank: int = 0
    size: int = 1

    def of(self, lanes: int) -> Share:
        """This process's share of a batch."""
        sizes = leaf_sizes(lanes, self.tile, self.leaf)
        spans = [span(len(sizes), rank, self.size) for rank in range(self.size)]
        first, end = spans[self.rank]
        starts, leaf_starts, here = [0], [0], 0
        for number, size in enumerate(sizes[first:end], 1):
            grown = here + size
            if here and (grown > self.tile or size != self.leaf):  # a leaf of another size is a tile of its own
                starts.append(starts[-1] + here)
                leaf_starts.append(number - 1)
                grown = size
            here = grown
        if here:
            starts.append(starts[-1] + here)
            leaf_starts.append(end - first)
        counts = tuple(e - f for f, e in spans)
        lanes_of = tuple(sum(sizes[f:e]) for f, e in spans)
        before = sum(sizes[:first])
        own = [np.array(numbers, np.int64) for numbers in (starts, leaf_starts)]
        return Share(before, sum(sizes[first:end]), lanes, own[0], own[1], counts, lanes_of)

    @cached_property
    def most_leaves(self) -> int:
        """Leaves that this process gets of a batch at most: one of all tiles but the last has the most."""
        whole = max(self.batch_size // self.leaf * self.leaf, 1)
        return max(self.of(lanes).counts[self.rank] for lanes in (whole, self.batch_size))

    @cached_property
    def most_lanes(self) -> int:
        """Lanes of which this process has memory for all its tiles: of one leaf there may be as many as of a tile."""
        if self.size == 1:
            return self.batch_size
        tiles = -(-(max(self.most_leaves, 1) - 1) * self.leaf // self.tile)
        return (tiles + 1) * self.tile

    @cached_property
    def levels(self) -> int:
        """Arrays in which sums wait while this process adds up its tiles."""
        return 0 if self.most_lanes <= self.tile else max((self.most_leaves - 1).bit_length() - 1, 0)
