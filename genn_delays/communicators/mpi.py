"""Ranks of MPI, through mpi4py."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BackendUnavailableError, CommunicationError, check_real, check_switch, install_extra
from .communicator import GRADIENTS, Array, Communicator

DATA, FAILED, PRESENT, EARLY = 1, 2, 3, 4
"""Tags of messages: arrays; the reason why a rank ends; that a rank is waiting; gradients, by a thread of their own."""
STARTING = 20
"""While networks are compiled and data are read, ranks may be late by so many times the timeout."""
GRACE = 2.0
"""Seconds in which all ranks that are not hanging say so, once one has waited for too long."""
TURN = 0.3
"""Seconds that a rank with an error waits for that of a lower rank, which is reported in its place."""
PATIENCE = 3.0
"""Seconds in which a rank that has nothing to report waits for another to report and to end all."""
LOOKS = 100
"""So often a rank looks for a message before it begins to sleep in between."""
ERROR_STATUS = 2
"""The status that mpiexec is told where ranks are ended, the command line's status of an error."""


class MPI(Communicator):
    """All processes that ``mpiexec`` has started, by mpi4py.

    Args:
        timeout: seconds that a rank may be late in a training step before it is taken to hang, which ends all; 20 times
            as long at the start, while code is compiled and data are read.
        overlap: send gradients while others are computed, by a thread of their own. It changes no bit. Without it, and
            where MPI was initialised for one thread only, they are sent after the backward pass.

    Raises:
        BackendUnavailableError: mpi4py, or MPI itself, is not installed.
    """

    def __init__(self, timeout: float = 30.0, overlap: bool = True) -> None:
        super().__init__()
        self.timeout = check_real("timeout of MPI", timeout, 0.0, open_low=True)
        overlap = check_switch("overlap of MPI", overlap)
        self._mpi = _mpi4py()
        self.overlaps = overlap and self._mpi.Query_thread() >= self._mpi.THREAD_SERIALIZED
        self._lock = threading.RLock()  # around every call of MPI
        self._world = self._mpi.COMM_WORLD.Dup()
        self.rank, self.size = int(self._world.Get_rank()), int(self._world.Get_size())
        self.neighbours = int(self._world.Split_type(self._mpi.COMM_TYPE_SHARED).Get_size())
        self._ending = self._failed = False
        self._patience = 0.2
        self._told: list[Any] = []  # messages on their way
        self._failures: dict[int, bytes] = {}  # by rank, why it failed
        self._fault: tuple[str, bool] | None = None  # the error that ends this rank's messages, on all its threads

    def __repr__(self) -> str:
        return f"<MPI: rank {self.rank} of {self.size}>"

    def place(self) -> str:
        return str(self._mpi.Get_processor_name())

    def exchange(self, what: str, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        world, byte, tag = self._world, self._mpi.BYTE, EARLY if what == GRADIENTS else DATA
        with self._lock:
            waiting = [world.Irecv([_bytes(array), byte], rank, tag) for rank, array in receives]
            waiting += [world.Isend([_bytes(array), byte], rank, tag) for rank, array in sends]
        if waiting:
            self._wait(waiting, what)

    def _wait(self, requests: list[Any], what: str) -> None:
        """Wait for messages, but not for ranks that have failed or hang."""
        limit = self.timeout * (STARTING if self.starting else 1)
        begun, looks, own = time.monotonic(), 0, threading.get_ident()
        while not self._arrived(requests):
            looks += 1
            delays_nothing = self.computing not in (None, own)
            if looks < LOOKS and not delays_nothing:
                os.sched_yield()
                continue
            self._listen()
            if delays_nothing:
                begun = time.monotonic()
            elif time.monotonic() - begun > limit:
                self._call_the_roll(what, limit)
            time.sleep(1e-4)

    def _arrived(self, requests: list[Any]) -> bool:
        with self._lock:
            return bool(self._mpi.Request.Testall(requests))

    # --- ranks that fail ----------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        if self.size == 1 or self._failed:
            return
        self._failed = True
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, CommunicationError) and error.told:
            self._patience = PATIENCE
        else:
            self._tell(FAILED, text.encode()[:2000])
        with self._lock:
            self._fault = self._fault or (f"this rank failed: {text}", True)  # another thread may be waiting
        self._end_all()

    def speaks(self, error: BaseException) -> bool:
        """True if this rank, which has failed, is the one to report it: no lower one has failed too."""
        if isinstance(error, CommunicationError) and error.told:
            return False
        deadline = time.monotonic() + TURN
        while self.rank > 0 and time.monotonic() < deadline:
            if any(rank < self.rank for rank in self._heard_failures()):
                self._patience = PATIENCE
                return False
            time.sleep(0.01)
        return True

    def _listen(self) -> None:
        """Raise an error if another rank has failed."""
        with self._lock:
            if self._fault is None and (failures := self._heard_failures()):
                rank, text = min(failures.items())
                self._end_all()
                self._fault = f"rank {rank} failed: {text.decode(errors='replace')}", True
            if self._fault is not None:
                message, told = self._fault
                raise CommunicationError(message, told=told)

    def _call_the_roll(self, what: str, limit: float) -> None:
        """Find out who is not waiting, after so many seconds, and raise an error that names them."""
        with self._lock:  # once, whoever of this rank waits
            self._listen()
            self._tell(PRESENT, b"")
            present, deadline = {self.rank}, time.monotonic() + GRACE
            while len(present) < self.size and time.monotonic() < deadline:
                self._listen()
                present |= self._heard(PRESENT).keys()
                time.sleep(0.01)
            missing = [rank for rank in range(self.size) if rank not in present]
            self._end_all()
            named = f"rank{'s'[: len(missing) > 1]} {', '.join(map(str, missing))}" if missing else "a message"
            self._fault = (
                f"{named} did not come within {limit:g} s, which others waited for ({what}): a process that hangs, is "
                "stopped, or was given something else to do ends the training of all; --resume goes on (timeout of "
                "MPI, --timeout: seconds)",
                self.rank != min(present),
            )
            self._listen()

    def _tell(self, tag: int, text: bytes) -> None:
        """A message to all other ranks, which they hear while they wait."""
        buffer = np.frombuffer(text, np.uint8).copy()
        others = (rank for rank in range(self.size) if rank != self.rank)
        with self._lock:
            self._told += [(buffer, self._world.Isend([buffer, self._mpi.BYTE], rank, tag)) for rank in others]

    def _heard_failures(self) -> dict[int, bytes]:
        """All failures that this rank has heard of, by rank."""
        with self._lock:
            self._failures |= self._heard(FAILED)
            return self._failures

    def _heard(self, tag: int) -> dict[int, bytes]:
        """The messages of a kind that have come, by rank."""
        found: dict[int, bytes] = {}
        status = self._mpi.Status()
        while self._world.Iprobe(self._mpi.ANY_SOURCE, tag, status):
            buffer = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            self._world.Recv([buffer, self._mpi.BYTE], status.Get_source(), tag)
            found[int(status.Get_source())] = buffer.tobytes()
        return found

    def _end_all(self) -> None:
        """Have mpiexec end all ranks when this process ends: some may never reach the end of MPI."""
        if not self._ending:
            self._ending = True
            atexit.register(self._abort)  # runs before mpi4py's own, which would wait for all ranks

    def _abort(self) -> None:
        time.sleep(self._patience)
        self._world.Abort(ERROR_STATUS)


def _bytes(array: Array) -> Array:
    """An array's memory as bytes."""
    return array.reshape(-1).view(np.uint8)


def _mpi4py() -> Any:
    try:
        from mpi4py import MPI as found  # noqa: N811
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BackendUnavailableError(
            f"training by several processes needs mpi4py and MPI ({reason}): {install_extra('mpi')}"
        ) from error
    return found
