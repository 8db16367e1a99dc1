"""Ranks that are threads of one process, with messages through queues: all that a communicator is, without MPI."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from genn_delays.communicators import GRADIENTS, Communicator
from genn_delays.errors import CommunicationError


class ThreadRank(Communicator):
    """One rank; `mail` holds a queue for every (sender, receiver, whether it is of gradients)."""

    def __init__(self, rank: int, size: int, mail: dict[tuple[int, int, bool], Any], failed: threading.Event) -> None:
        super().__init__()
        self.rank, self.size, self.neighbours = rank, size, size
        self._mail, self._failed = mail, failed

    def exchange(self, what: str, sends: Sequence[tuple[int, Any]], receives: Sequence[tuple[int, Any]]) -> None:
        for rank, array in sends:
            self._mail[self.rank, rank, what == GRADIENTS].put(array.tobytes())
        for rank, array in receives:
            while True:
                try:
                    found = self._mail[rank, self.rank, what == GRADIENTS].get(timeout=0.05)
                    break
                except queue.Empty:
                    if self._failed.is_set():
                        raise CommunicationError("another rank failed", told=True) from None
            assert len(found) == array.nbytes, what
            array.reshape(-1).view("u1")[:] = bytearray(found)

    def fail(self, error: BaseException) -> None:
        self._failed.set()

    def speaks(self, error: BaseException) -> bool:
        return not (isinstance(error, CommunicationError) and error.told)

    def place(self) -> str:
        return f"thread {self.rank}"


def on_ranks(size: int, work: Callable[[ThreadRank], Any]) -> list[Any]:
    """The results of `work` of every rank, or the exception that it raised."""
    mail = {(a, b, of): queue.Queue() for a in range(size) for b in range(size) for of in (False, True)}
    failed, results = threading.Event(), [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadRank(rank, size, mail, failed))
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results
