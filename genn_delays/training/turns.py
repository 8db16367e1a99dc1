"""Exclusive use of a compiled network: by one thread at a time, in the process that compiled it or, if its engine can,
in a process that inherited it by a fork; not after the interpreter has begun to end."""

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

    The call of one thread is finished before that of another begins, so both get the results of calls one after the
    other. Only training, which may take hours, is not waited for: that is an error.

    Args:
        engine: that is used.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._owner: int | None = None  # the thread whose turn it is
        self._doing: list[str] = []  # the methods it is in; callbacks call methods within others
        self._lost: str | None = None  # the method of another thread at the moment of a fork, in the new process
        self._parked = False
        self.inherited = False
        """True if this process inherited the engine by a fork and has not used it yet."""
        _turns.add(self)

    @contextlib.contextmanager
    def taken(self, what: str, *, patient: bool = False) -> Iterator[None]:
        """The turn of this thread, which is reentrant.

        Args:
            what: name of the method.
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
        """Make an engine usable that this process inherited by a fork; otherwise do nothing.

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
        """Called between batches: a thread that still works when the interpreter ends stops here for good. All threads
        stop
        then; here it holds no lock that others need."""
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
        """In the new process: all threads but the one that forked are gone, and their locks are never released."""
        self._changed = threading.Condition()
        if self._owner not in (None, threading.get_ident()):
            self._lost, self._owner, self._doing = self._doing[0], None, []
        self.inherited = True
        if not self._engine.survives_fork:  # it must never be freed through a driver that does not know this process
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))


class _HasTurns(Protocol):
    _turns: Turns


S = TypeVar("S", bound=_HasTurns)


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A decorator for methods of a compiled network: take a turn, make the engine usable after a fork, use NumPy's
    default
    handling of floating point errors, and turn a MemoryError into an error of this library."""

    @wraps(method)
    def taking(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._turns.taken(method.__name__), usual_errors(), told(method.__name__):
            self._turns.adopt()
            return method(self, *args, **kwargs)

    return taking


_turns: weakref.WeakSet[Turns] = weakref.WeakSet()
_ending = threading.Event()


def _wait_for_good() -> None:
    """The interpreter ends: block this thread for good."""
    while True:
        threading.Event().wait()


def _end_of_interpreter() -> None:
    """End all computation before Python's finalisation."""
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
