"""The compiled passes, one library for each delay kernel, and the threads that they run on."""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from typing import Any

from ..backends.cpu.backend import available_processors
from ..backends.cpu.compiler import load_library
from ..backends.cpu.structs import structures
from ..codegen.ops import emit_ops, emit_ops_structures
from ..delays import DelayKernel
from ..errors import BackendUnavailableError, CompileError, check_count


class Library:
    """The passes for one delay kernel, or for none.

    Attributes:
        source: path of the generated source.
    """

    def __init__(self, kernel: DelayKernel | None) -> None:
        self._library, path, _ = load_library(emit_ops(kernel))
        self.source = path.with_suffix(".cpp")
        self._library.pool_create.restype = ctypes.c_void_p
        self._library.are_finite.restype = self._library.size_of_network.restype = ctypes.c_int64
        if self._library.size_of_network() != ctypes.sizeof(network_type()):
            message = f"struct Network has {self._library.size_of_network()} bytes in place of those that were expected"
            raise CompileError("load", message, str(self.source))
        self._pools: dict[tuple[int, int], tuple[int, threading.Lock]] = {}
        self._making = threading.Lock()

    def run(self, name: str, net: Any, threads: int) -> None:
        """Call a pass on a structure that points to its arrays; one at a time for a number of threads."""
        pool, lock = self._pool(threads)
        with lock:
            net.pool = pool
            getattr(self._library, name)(ctypes.byref(net))

    def are_finite(self, address: int, count: int) -> bool:
        """True if so many numbers of single precision are."""
        return bool(self._library.are_finite(ctypes.c_void_p(address), ctypes.c_int64(count)))

    def _pool(self, threads: int) -> tuple[int, threading.Lock]:
        """The threads of this process: a child that was forked has none of its parent's."""
        key = os.getpid(), threads
        with self._making:
            if key not in self._pools:
                pool = self._library.pool_create(ctypes.c_int(threads))
                if not pool:
                    raise BackendUnavailableError(f"the system refused to start {threads} threads; ask for fewer")
                self._pools[key] = pool, threading.Lock()
            return self._pools[key]


@cache
def network_type() -> Any:
    """The ctypes class of ``struct Network``."""
    return structures(emit_ops_structures())["Network"]


_LIBRARIES: dict[tuple[str, tuple[str, ...]], Library] = {}
_LOADING = threading.Lock()


def library(kernel: DelayKernel | None) -> Library:
    """The passes for a delay kernel, compiled or from the cache when they are first asked for.

    Raises:
        BackendUnavailableError: no C++ compiler.
    """
    from ..backends.cpu import compiler

    key = ("" if kernel is None else kernel.code_name, compiler.FLAGS)
    with _LOADING:
        if key not in _LIBRARIES:
            _LIBRARIES[key] = Library(kernel)
        return _LIBRARIES[key]


def threads_of(threads: int | None) -> int:
    """A number of threads, the processors that this process may use for None."""
    return available_processors() if threads is None else check_count("threads", threads, 1, 1024)
