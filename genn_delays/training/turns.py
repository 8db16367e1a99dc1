"""Who uses a compiled network: one thread at a time, in the process that compiled it or, where its engine can, in one
that inherited it by a fork; nobody any more once the interpreter ends."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from ..errors import InUseError
from ..floating import usual_errors
from ..memory import told

if TYPE_CHECKING:
    from ..plan.protocol import Engine

P = ParamSpec("P")
R = TypeVar("R")
PATIENCE = 10.0
"""Seconds that the end of the interpreter waits for a batch that another thread computes."""


class Turns:
    """Takes turns of the threads that use an engine.

    What one thread began is finished before another's call begins, so both get what they would get one after the other.
    Only training, which may take hours, is not waited for: that is an error.

    Args:
        engine: that is used.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._owner: int | None = None  # the thread whose turn it is
        self._doing: list[str] = []  # what it was called for; calls of callbacks are within others
        self._lost: str | None = None  # what a thread of another process was doing when this one was forked from it
        self._parked = False
        self.inherited = False
        """Whether this process inherited the engine by a fork and has not used it yet."""
        _turns.add(self)

    @contextlib.contextmanager
    def taken(self, what: str, *, patient: bool = False) -> Iterator[None]:
        """The turn of this thread; within it, it may take it again.

        Args:
            what: it is for, the name of a method.
            patient: wait for a training too.

        Raises:
            InUseError: another thread trains, or the engine cannot be used in this process.
        """
        self._take(what, patient)
        try:
            yield
        finally:
            with self._changed:
                self._doing.pop()
                if not self._doing:
                    self._owner = None
                    self._changed.notify_all()

    def _take(self, what: str, patient: bool) -> None:
        me = threading.get_ident()
        with self._changed:
            while self._owner not in (None, me) and not _ending.is_set():
                if "train" in self._doing and not patient:
                    raise InUseError(
                        f"{what}: another thread is training this compiled network; wait until train() has returned, "
                        "or compile the network once more for this thread"
                    )
                self._changed.wait()
            if not _ending.is_set() or threading.current_thread() is threading.main_thread():
                self._owner = me
                self._doing.append(what)
                return
        _wait_for_good()

    def adopt(self) -> None:
        """Make an engine usable that this process inherited by a fork; nothing where it did not.

        Raises:
            InUseError: it cannot be.
        """
        if not self.inherited:
            return
        advice = "compile the network in this process (compiled.save and compiled.load bring what was learned)"
        if self._lost is not None:
            raise InUseError(
                f"this process was forked while another thread was in {self._lost}() of this compiled network, so its "
                f"copy may be half written; {advice}"
            )
        if not self._engine.survives_fork:
            raise InUseError(f"what a GPU or its driver keeps does not survive a fork; {advice}")
        self._engine.after_fork()
        self.inherited = False

    def pause(self) -> None:
        """Called between batches: a thread that is still at work when the interpreter ends stops here for good, as all
        threads do then, but where it holds nothing that others need."""
        if _ending.is_set() and threading.current_thread() is not threading.main_thread():
            with self._changed:
                self._parked = True
                self._changed.notify_all()
            _wait_for_good()

    def _end(self, deadline: float) -> None:
        """Wait until no other thread is at work."""
        with self._changed:
            while self._owner not in (None, threading.get_ident()) and not self._parked:
                if not self._changed.wait(deadline - time.monotonic()):
                    return

    def _forked(self) -> None:
        """In the new process: threads other than the one that forked are gone, whatever they held."""
        self._changed = threading.Condition()
        if self._owner not in (None, threading.get_ident()):
            self._lost, self._owner, self._doing = self._doing[0], None, []
        self.inherited = True
        if not self._engine.survives_fork:  # it must never be given back to a driver that does not know this process
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))


class _HasTurns(Protocol):
    _turns: Turns


S = TypeVar("S", bound=_HasTurns)


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method of a compiled network that takes its turn, after a fork makes the engine usable, and computes as it does
    everywhere, whatever NumPy has been asked to raise; memory that runs out is an error of the library's own."""

    @wraps(method)
    def taking(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._turns.taken(method.__name__), usual_errors(), told(method.__name__):
            self._turns.adopt()
            return method(self, *args, **kwargs)

    return taking


_turns: weakref.WeakSet[Turns] = weakref.WeakSet()
_ending = threading.Event()


def _wait_for_good() -> None:
    """The interpreter ends: this thread never comes back."""
    while True:
        threading.Event().wait()


def _end_of_interpreter() -> None:
    """Nobody computes any more when Python begins to take itself apart."""
    _ending.set()
    deadline = time.monotonic() + PATIENCE
    for turns in list(_turns):
        turns._end(deadline)


def _after_fork() -> None:
    for turns in list(_turns):
        turns._forked()


atexit.register(_end_of_interpreter)
if hasattr(os, "register_at_fork"):  # not Windows
    os.register_at_fork(after_in_child=_after_fork)
