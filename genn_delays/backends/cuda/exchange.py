"""Sums over the examples of all ranks: numbers of a device come into page-locked memory of the host, are exchanged
there, and go back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...communicators import Communicator
from ...plan.plan import Plan
from .device import Buffer, Device
from .lanes import Sharing

Array = npt.NDArray[Any]


class Summed(NamedTuple):
    """The first numbers of a buffer that ranks add up."""

    buffer: Buffer
    numbers: int


class Exchange:
    """All that an engine of one rank adds up with the others.

    Attributes:
        communicator: the ranks.
        losses: sums of losses and right answers of each output, two numbers each, of this rank's lanes or of all.
    """

    def __init__(self, communicator: Communicator, device: Device, outputs: int) -> None:
        self.communicator, self._device = communicator, device
        self.losses = device.allocate("losses", (max(2 * outputs, 1),), np.float64)
        self._first = device.allocate("row of losses", (1,), np.int64)
        self._memory = device.page_locked(0)

    @property
    def row(self) -> dict[str, Any]:
        """The arguments of kernels that sum losses, see :meth:`~.history.History.row`."""
        return {"history": self.losses, "row": self._first, "width": self.losses.size}

    def add(self, *groups: tuple[str, Sequence[Summed]]) -> Array:
        """Replace numbers on the device by their sums over all ranks. The host waits for the device once.

        Args:
            groups: what they are, for messages and counted bytes, and where; numbers of one group are of one kind.

        Returns:
            A copy of the sums of the first group that has any.
        """
        wanted = [(what, [s for s in summed if s.numbers]) for what, summed in groups]
        wanted = [(what, summed) for what, summed in wanted if summed]
        if not wanted:
            return np.empty(0)
        views = self._views([summed for _, summed in wanted])
        for (_, summed), (_, pieces) in zip(wanted, views, strict=True):
            for (buffer, _), piece in zip(summed, pieces, strict=True):
                buffer.fetch(piece)
        self._device.synchronise()
        for (what, summed), (whole, pieces) in zip(wanted, views, strict=True):
            # every rank has a number to add: one without examples has 0, as one process has for lanes without any
            self.communicator.add(what, [whole], [1] * self.communicator.size)
            for (buffer, _), piece in zip(summed, pieces, strict=True):
                buffer.give(piece)
        return views[0][0].copy()

    def _views(self, groups: Sequence[Sequence[Summed]]) -> list[tuple[Array, list[Array]]]:
        """Room in page-locked memory for every group, and in it for every buffer."""
        sizes = [sum(s.numbers * s.buffer.dtype.itemsize for s in summed) for summed in groups]
        needed = sum(-(-size // 8) * 8 for size in sizes)
        if self._memory.size < needed:
            self._device.synchronise()  # the last copies out of it are done
            self._memory = self._device.page_locked(needed)
        found, start = [], 0
        for summed, size in zip(groups, sizes, strict=True):
            whole = self._memory[start : start + size].view(summed[0].buffer.dtype)
            ends = np.cumsum([s.numbers for s in summed])
            found.append((whole, np.split(whole, ends[:-1])))
            start += -(-size // 8) * 8
        return found


class SharedLosses(Mapping[int, tuple[float, int]]):
    """By output, the summed loss and right answers of all ranks' examples, once they were exchanged."""

    def __init__(self, outputs: Sequence[int]) -> None:
        self._outputs = outputs
        self._found: Array | None = None

    def settle(self, found: Array) -> None:
        """Take over the sums."""
        self._found = found

    def __getitem__(self, key: int) -> tuple[float, int]:
        place = 2 * self._outputs.index(key)
        assert self._found is not None, "losses are exchanged with the backward pass"
        return float(self._found[place]), int(self._found[place + 1])

    def __iter__(self) -> Iterator[int]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def sharing_of(plan: Plan, communicator: Communicator | None) -> Sharing:
    """A rank's share of batches, or the whole of them.

    Raises:
        InvalidValueError: ranks are no power of two, or more than partial sums.
    """
    if communicator is None:
        return Sharing(plan.batch_size)
    communicator.refuse_more_than(Sharing(plan.batch_size).most_ranks, plan.batch_size)
    return Sharing(plan.batch_size, communicator.rank, communicator.size)
