"""The base of communicators: sums, and agreement, among ranks, in terms of messages between two of them.

A sum over the examples of a batch is a balanced binary tree of partial sums (``backends/cpu/leaves.py``). Every rank
has added up a subtree of it. Ranks go up the tree together by recursive doubling: in round k, ranks that differ in bit
k exchange what they have, and both add the two, the lower rank's first. So all get the same bits, for as many messages
as any other sum of all ranks takes.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CommunicationError, InvalidValueError, shown

Array = npt.NDArray[Any]
GRADIENTS = "gradients"
"""By this name :meth:`Communicator.exchange` knows gradients, which a thread of their own may send."""


class Communicator(ABC):
    """Base of communicators.

    Attributes:
        rank, size: number of this process, from 0, and of all.
        neighbours: ranks on this machine, this one included.
        bytes_sent, seconds: by what they were, bytes that this rank has sent, and seconds that it spent on messages. Of
            gradients that are sent while others are computed, ``"computing meanwhile"`` are the seconds that were left
            for it, and ``"waiting for gradients"`` those after them until the last was there.
        starting: true until the first training step: ranks may be late then.
        overlaps: whether a thread may exchange gradients while another exchanges something else. Their messages are
            never mistaken for each other. Gradients are then sent while others are computed.
        computing: the thread that computes at present: while it does, another one that waits for messages delays
            nothing, and must be patient. None where no other thread waits.
    """

    rank: int
    size: int
    neighbours: int
    starting = True
    overlaps = False
    computing: int | None = None

    def __init__(self) -> None:
        self.bytes_sent: defaultdict[str, int] = defaultdict(int)
        self.seconds: defaultdict[str, float] = defaultdict(float)

    # --- what a kind of communicator does -----------------------------------------------------------------------------

    @abstractmethod
    def exchange(self, what: str, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        """Send arrays to ranks and receive others, each with its rank, and wait until all of it is done.

        Args:
            what: for messages, such as "gradients".

        Raises:
            CommunicationError: a rank failed, or does not answer.
        """

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one cannot go on. They end, and so does this process's part in them."""

    @abstractmethod
    def speaks(self, error: BaseException) -> bool:
        """True if this rank, which has failed, is the one to report it."""

    @abstractmethod
    def place(self) -> str:
        """The name of this rank's machine."""

    # --- sums ---------------------------------------------------------------------------------------------------------

    def add(self, what: str, arrays: Sequence[Array], counts: Sequence[int]) -> None:
        """Replace arrays of one kind of number by their sums over all ranks, in the order of the tree.

        Args:
            what: for messages and counted bytes.
            counts: partial sums of every rank. A rank without any has no number to add, not even a zero.
        """
        if self.size == 1 or not arrays:
            return
        own = np.concatenate([a.reshape(-1) for a in arrays]) if len(arrays) > 1 else arrays[0].reshape(-1).copy()
        distance = 1
        while distance < self.size:
            partner, first = self.rank ^ distance, self.rank // distance * distance
            other = first ^ distance
            mine, theirs = sum(counts[first : first + distance]), sum(counts[other : other + distance])
            received = np.empty_like(own)
            sends, receives = [(partner, own)] if mine else [], [(partner, received)] if theirs else []
            self.bytes_sent[what] += own.nbytes if mine else 0
            self._timed(what, sends, receives)
            if mine and theirs:
                own = own + received if self.rank < partner else received + own
            elif theirs:
                own = received
            distance *= 2
        start = 0
        for array in arrays:
            array.reshape(-1)[:] = own[start : start + array.size]
            start += array.size

    def gather(self, what: str, array: Array, sizes: Sequence[int]) -> Array:
        """The arrays of all ranks, one after the other along their first axis.

        Args:
            sizes: lengths of every rank's.
        """
        starts = np.cumsum([0, *sizes])
        whole = np.empty((int(starts[-1]), *array.shape[1:]), array.dtype)
        own = np.ascontiguousarray(array)
        whole[starts[self.rank] : starts[self.rank + 1]] = own
        others = [rank for rank in range(self.size) if rank != self.rank]
        receives = [(rank, whole[starts[rank] : starts[rank + 1]]) for rank in others if sizes[rank]]
        sends = [(rank, own) for rank in others] if sizes[self.rank] else []
        self.bytes_sent[what] += own.nbytes * len(sends)
        self._timed(what, sends, receives)
        return whole

    def _timed(self, what: str, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        start = time.perf_counter()
        self.exchange(what, sends, receives)
        self.seconds[what] += time.perf_counter() - start

    # --- agreement ----------------------------------------------------------------------------------------------------

    def everyone(self, what: str, value: Any) -> list[Any]:
        """The answers of every rank, in order of ranks: values that JSON can hold."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        sizes = self.gather(what, np.array([text.size], np.int64), [1] * self.size)
        words = self.gather(what, text, sizes.tolist()).tobytes()
        ends = np.cumsum(sizes).tolist()
        return [json.loads(words[end - size : end]) for size, end in zip(sizes.tolist(), ends, strict=True)]

    def check_alike(self, when: str, values: dict[str, Any]) -> None:
        """Raise an error if a rank has other values than rank 0; it names what differs, and the first such rank.

        Raises:
            CommunicationError: on every rank.
        """
        told = self.everyone("agreement", {**values, "machine": self.place()})
        for rank, other in enumerate(told):
            for name in values:
                first = told[0][name]
                if other[name] != first:
                    raise CommunicationError(
                        f"{when}: {name} of rank {rank} ({other['machine']}) is {shown(other[name])}, that of rank 0 "
                        f"({told[0]['machine']}) is {shown(first)}; all ranks must be given the same"
                    )

    def refuse_more_than(self, leaves: int, batch_size: int) -> None:
        """Raise an error if ranks are no power of two, or more than the partial sums of a batch."""
        advice = f"use mpiexec -n {1 << max(min(self.size, leaves).bit_length() - 1, 0)}"
        if self.size & (self.size - 1):
            raise InvalidValueError(f"the number of ranks must be a power of two, got {self.size}; {advice}")
        if self.size > leaves:
            raise InvalidValueError(
                f"{self.size} ranks are more than the {leaves} partial sum{'s'[: leaves > 1]} of a batch of "
                f"{batch_size} examples; {advice}, or a larger batch_size"
            )


def as_communicator(value: Any) -> Communicator | None:
    """A communicator, or None for none.

    Raises:
        InvalidValueError: it is neither.
    """
    if value is None or isinstance(value, Communicator):
        return value
    raise InvalidValueError(f"communicator must be None or a communicator such as MPI(), got {shown(value)}")
