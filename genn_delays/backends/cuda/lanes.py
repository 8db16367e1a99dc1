"""The order of sums over the examples of a batch on a device, and the lanes of each of several ranks.

Strips of 32 lanes are grouped into parts, a power of two and at most 32 of them, with borders that depend on the batch
size alone (``parts_sum`` in ``prelude.cu.j2``). The parts are the leaves of a balanced binary tree, and within a part
the lanes are; a rank has an aligned branch of it. So the sum of all ranks, added up as a communicator does it, has the
bits of one process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STRIP = 32
"""Lanes of a strip."""
MOST_PARTS = 32
"""The threads of a warp: one goes on with each part."""
LEAST_LANES = 16
"""A rank has at least half of a strip."""
MOST_JOBS = 32
"""Warps, or their turns, that share the sum of a row at most."""


@dataclass(frozen=True)
class Sharing:
    """The lanes of a rank.

    Attributes:
        batch_size: of all ranks.
        rank, size: number of this rank, and of all, a power of two.
    """

    batch_size: int
    rank: int = 0
    size: int = 1

    @property
    def strips(self) -> int:
        """Of the whole batch."""
        return -(-self.batch_size // STRIP)

    @property
    def whole_parts(self) -> int:
        """Parts of the whole batch: each has a strip at least."""
        return 1 << (min(self.strips, MOST_PARTS).bit_length() - 1)

    @property
    def most_ranks(self) -> int:
        """Partial sums of a batch, of which every rank needs one: parts, and where a part is a strip, its halves."""
        return -(-self.batch_size // LEAST_LANES) if self.whole_parts == self.strips else self.whole_parts

    @property
    def parts(self) -> int:
        """Parts of this rank's lanes."""
        return max(self.whole_parts // self.size, 1)

    @property
    def borders(self) -> npt.NDArray[np.int32]:
        """The first of this rank's own strips that each of its parts has, and the end, int32 ``[part + 1]``."""
        first = self.rank * self.whole_parts // self.size
        starts = np.arange(first, first + self.parts + 1, dtype=np.int64) * self.strips // self.whole_parts
        borders: npt.NDArray[np.int32] = (starts - starts[0]).astype(np.int32)
        return borders

    def first_lane(self, rank: int) -> int:
        """The first lane of a rank; of a number beyond the last rank the end of all lanes."""
        if self.size <= self.whole_parts:
            return rank * self.whole_parts // self.size * self.strips // self.whole_parts * STRIP
        return rank * self.strips * STRIP // self.size

    @property
    def before(self) -> int:
        """Lanes of the ranks before this one in a whole batch."""
        return self.first_lane(self.rank)

    def of(self, lanes: int, rank: int | None = None) -> tuple[int, int]:
        """The first and the last (exclusive) example of a batch of so many that are a rank's, this one's by default."""
        number = self.rank if rank is None else rank
        return min(self.first_lane(number), lanes), min(self.first_lane(number + 1), lanes)

    def sizes(self, lanes: int) -> list[int]:
        """Examples of every rank."""
        return [end - first for first, end in (self.of(lanes, rank) for rank in range(self.size))]

    @property
    def most_lanes(self) -> int:
        """Examples of this rank at most."""
        first, end = self.of(self.batch_size)
        return end - first

    def phases(self, warps: int) -> int:
        """Warps that share the steps of each part where `warps` sum a row: a function of the whole batch, as the order
        of sums depends on it."""
        return max(1, min(-(-warps // self.whole_parts), MOST_JOBS // self.whole_parts))
