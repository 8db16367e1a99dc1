"""Parts of every library of generated code: procedures, a structure of known size, a pool of threads."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterable
from typing import Any

from ...errors import BackendUnavailableError, CompileError


def declare(library: Any, net: Any, source: str, procedures: Iterable[str]) -> None:
    """Declare a library's pool of threads and its functions without a result.

    Raises:
        CompileError: its structure ``Network`` has not the size of `net`.
    """
    for name in (*procedures, "pool_destroy"):
        getattr(library, name).restype = None
    library.size_of_network.restype = ctypes.c_int64
    library.pool_create.restype = ctypes.c_void_p
    library.pool_destroy.argtypes = [ctypes.c_void_p]
    if library.size_of_network() != ctypes.sizeof(net):
        message = f"struct Network has {library.size_of_network()} bytes, {ctypes.sizeof(net)} were expected"
        raise CompileError("load", message, source)


class HasThreads:
    """An engine whose library computes on a pool of threads, from :meth:`start_threads` until ``close()``."""

    survives_fork = True
    _library: Any
    _net: Any
    close: weakref.finalize[Any, Any]

    def start_threads(self, number: int) -> None:
        """Start the threads of this process.

        Raises:
            BackendUnavailableError: the system has not so many.
        """
        pool = self._library.pool_create(number)
        if not pool:
            raise BackendUnavailableError(f"the system refused to start {number} threads; ask for fewer")
        self._net.pool, self._num_threads = pool, number
        self.close = weakref.finalize(self, _end, [(self._library.pool_destroy, pool), *self._held()], os.getpid())
        self.close.atexit = False  # a thread that still computes would lose its memory; the process ends anyway

    def _held(self) -> list[tuple[Any, int]]:
        """Further memory that ends with the threads: functions that free it, and what these are given."""
        return []

    def after_fork(self) -> None:
        """Threads are not inherited. Everything in memory is still where it was."""
        if self.close.alive:
            self.close.detach()
            self.start_threads(self._num_threads)


def _end(held: list[tuple[Any, int]], process: int) -> None:
    """End a pool's threads and free its memory, if they run in this process and not in its parent."""
    if os.getpid() == process:
        for free, what in held:
            free(what)
