"""Gradients that are added up over ranks while others are still computed.

In the backward pass all synapses onto one group of populations have their gradients at once, those of the outputs
first. Generated code tells when, and a thread then exchanges them with other ranks. What is complete last is exchanged
after the pass by the thread that computes, which has nothing else to do. Sums have the same bits; only when they are
made differs.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from ...errors import BackendUnavailableError
from ...floating import usual_errors
from ...plan.plan import Plan
from .shared_sums import SharedSums
from .structs import Arrays

EARLY_BYTES = 1 << 14
"""Gradients of fewer bytes wait for the next: 10 Gbit/s take 13 µs for them, and to wake a thread takes some 20."""
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64)


class Message(NamedTuple):
    """Gradients that are sent together, once those of group number `group` of the backward pass are complete, or after
    the pass."""

    group: int
    early: bool
    connections: list[Arrays]
    populations: list[Arrays]


def messages_of(plan: Plan, connections: Sequence[Arrays], populations: Sequence[Arrays]) -> list[Message]:
    """The messages of a backward pass, the same on every rank.

    Args:
        connections, populations: arrays of each, in order of their numbers.
    """
    messages: list[Message] = []
    last, synapses, neurons = len(plan.groups) - 1, list[Arrays](), list[Arrays]()
    for place, group in enumerate(reversed(plan.groups)):
        synapses += [connections[k] for p in group for k in plan.populations[p].incoming]
        neurons += [populations[p] for p in group]
        if SharedSums.bytes_of_gradients(synapses, neurons) >= EARLY_BYTES or place == last:
            messages.append(Message(place, place < last, synapses, neurons))
            synapses, neurons = [], []
    return messages


class EarlySums:
    """A thread that adds up gradients of all ranks during the backward pass.

    Raises:
        BackendUnavailableError: the system refuses a thread.
    """

    def __init__(self, sums: SharedSums, messages: Sequence[Message], net: Any) -> None:
        self._sums, self._messages = sums, messages
        self._underway: list[Future[None]] = []
        self._error: BaseException | None = None
        self._failed = False
        self._begun = 0.0
        self._thread = ThreadPoolExecutor(1, "genn_delays.gradients")
        try:
            self._thread.submit(int)
        except RuntimeError as error:
            raise BackendUnavailableError(
                f"the system refused to start a thread that sends gradients ({error}); MPI(overlap=False) needs none"
            ) from error
        self._function = _CALLBACK(self._complete)  # kept alive: generated code calls it
        net.completed = ctypes.cast(self._function, ctypes.c_void_p)

    @classmethod
    def of(
        cls,
        plan: Plan,
        sums: SharedSums | None,
        connections: Sequence[Arrays],
        populations: Sequence[Arrays],
        net: Any,
    ) -> EarlySums | None:
        """Those of an engine; None where nothing is sent early."""
        if sums is None or not sums.communicator.overlaps or sums.communicator.size == 1:
            return None
        messages = messages_of(plan, connections, populations)
        return cls(sums, messages, net) if messages[0].early else None

    def _complete(self, group: int) -> None:
        """Called by generated code. An error cannot pass through it, so it waits for :meth:`finish`."""
        try:
            if group == 0:
                self._underway, self._failed = [], False  # whatever became of the pass before
            message = self._messages[len(self._underway)]
            if message.early and message.group == group:
                if not self._underway:
                    self._begun = time.perf_counter()
                self._sums.communicator.computing = threading.get_ident()
                self._underway.append(self._thread.submit(self._add, message))
        except BaseException as error:
            self._error = error

    def _add(self, message: Message) -> None:
        if self._failed:  # another rank would take this message for the one that failed
            return
        try:
            with usual_errors():  # a thread has its own
                self._sums.add_gradients(message.connections, message.populations)
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Wait until the gradients of all ranks are added up, when the pass is over.

        Raises:
            CommunicationError: a rank failed, or does not answer.
        """
        communicator, start = self._sums.communicator, time.perf_counter()
        communicator.computing = None
        underway, self._underway = self._underway, []
        error, self._error = self._error, None
        if error is not None:
            raise error
        for sent in underway:
            sent.result()
        if underway:
            communicator.seconds["computing meanwhile"] += start - self._begun
            communicator.seconds["waiting for gradients"] += time.perf_counter() - start
        for message in self._messages[len(underway) :]:  # a rank without examples has sent none so far
            self._add(message)
