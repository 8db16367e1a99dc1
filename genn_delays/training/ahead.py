"""Prefetching: a thread makes the next item while the caller works on the last one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

from ..floating import usual_errors

T = TypeVar("T")
R = TypeVar("R")


def ahead(make: Callable[[T], R], items: Sequence[T]) -> Generator[R, None, None]:
    """``make(item)`` of every item in order, each by a thread of its own that begins when the one before is handed
    over: at most two results are there at once.

    An exception of `make` is raised here, in place of its result. When the iterator is closed, no thread is left.
    """
    job: _Job[R] | None = None
    try:
        for number, item in enumerate(items):
            current = job or _Job(make, item)
            job = current
            found = current.result()
            job = _Job(make, items[number + 1]) if number + 1 < len(items) else None
            yield found
    finally:
        if job is not None:
            job.end()


class _Job(Generic[R]):
    """One result, made by a thread from now on."""

    def __init__(self, make: Callable[[T], R], item: T) -> None:
        self._make: Callable[[], R] = lambda: make(item)
        self._found: list[R] = []
        self._error: BaseException | None = None
        self._process = os.getpid()
        thread = threading.Thread(target=self._run, name="genn_delays.ahead", daemon=True)
        self._thread: threading.Thread | None = thread
        try:
            thread.start()
        except RuntimeError:  # no thread can be started: the result is made when it is needed
            self._thread = None

    def _run(self) -> None:
        try:
            with usual_errors():  # a thread has its own
                self._found.append(self._make())
        except BaseException as error:  # raised where the result is asked for
            self._error = error

    def result(self) -> R:
        """Wait for the result; raises the error of `make` if there was one."""
        if self._thread is None or os.getpid() != self._process:  # a fork copies no threads
            return self._make()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found.pop()

    def end(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None and os.getpid() == self._process:
            self._thread.join()
