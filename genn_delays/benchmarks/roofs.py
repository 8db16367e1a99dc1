"""The machine's limits: copies of memory and of the first-level cache, and unfused multiplies and adds."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..backends.cpu.compiler import load_library
from .timing import clock

SOURCE = """\
// What a machine can do at most, measured for `genn-delays benchmark kernels`.
#include <stdint.h>

typedef float row __attribute__((vector_size(64)));  // 16 numbers, in as many registers as they take

// x = x * a + b in `chains` independent rows, the product rounded first, as kernels have it
template <int chains> static float multiply_add(int64_t rounds, float a, float b) {
    row x[chains];
    for (int c = 0; c < chains; c++) x[c] = row{} + (float)c;
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int c = 0; c < chains; c++) x[c] = x[c] * a + b;
    }
    row sum = x[0];
    for (int c = 1; c < chains; c++) sum += x[c];
    return sum[0];
}

extern "C" float multiply_add_3(int64_t n, float a, float b) { return multiply_add<3>(n, a, b); }
extern "C" float multiply_add_4(int64_t n, float a, float b) { return multiply_add<4>(n, a, b); }
extern "C" float multiply_add_6(int64_t n, float a, float b) { return multiply_add<6>(n, a, b); }
extern "C" float multiply_add_8(int64_t n, float a, float b) { return multiply_add<8>(n, a, b); }
extern "C" float multiply_add_12(int64_t n, float a, float b) { return multiply_add<12>(n, a, b); }

extern "C" void copy(float *__restrict__ to, const float *__restrict__ from, int64_t n, int64_t rounds) {
    for (int64_t r = 0; r < rounds; r++) {
        for (int64_t i = 0; i < n; i++) to[i] = from[i];
        __asm__ volatile("" ::: "memory");  // every round is made
    }
}
"""
CHAINS = (3, 4, 6, 8, 12)
"""Rows that are computed independently; the best is what the machine can do."""
CACHED = 2048
"""Numbers of a copy within the first-level cache, 8 KiB there and 8 KiB back."""


@dataclass(frozen=True)
class Roofs:
    """Limits of the machine with so many threads.

    Attributes:
        flops: multiplies and adds a second, unfused.
        bandwidth: bytes a second that a copy of memory reads and writes.
        cache_bandwidth: the same within the first-level cache.
    """

    threads: int
    flops: float
    bandwidth: float
    cache_bandwidth: float

    def attainable(self, intensity: float) -> float:
        """Operations a second at so many operations a byte of memory."""
        return min(self.flops, intensity * self.bandwidth)


@cache
def _library() -> ctypes.CDLL:
    library = load_library(SOURCE)[0]
    for chains in CHAINS:
        function = getattr(library, f"multiply_add_{chains}")
        function.argtypes, function.restype = [ctypes.c_int64, ctypes.c_float, ctypes.c_float], ctypes.c_float
    pointer = ctypes.c_void_p
    library.copy.argtypes, library.copy.restype = [pointer, pointer, ctypes.c_int64, ctypes.c_int64], None
    return library


def at_once(works: list[Callable[[], Any]]) -> float:
    """Seconds from a common start until the last of several pieces of work is done, each in a thread of its own."""
    start = threading.Barrier(len(works) + 1)
    ends: list[float] = []

    def run(work: Callable[[], Any]) -> None:
        start.wait()
        work()
        ends.append(clock())

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    start.wait()
    begun = clock()
    for thread in threads:
        thread.join()
    return max(max(ends) - begun, 1e-9)


def roofs(threads: int, repeats: int = 5, *, megabytes: int = 256, rounds: int = 2_000_000) -> Roofs:
    """Measure the machine; of several repeats the best, as nothing makes it faster than it is.

    Args:
        megabytes: that all threads copy together, more than all caches hold.
        rounds: of multiplies and adds, and so many 16ths of copies within the cache.
    """
    library = _library()
    flops = 0.0
    for chains in CHAINS:
        function = getattr(library, f"multiply_add_{chains}")
        seconds = min(at_once([lambda f=function: f(rounds, 0.999, 0.001)] * threads) for _ in range(repeats))  # type: ignore[misc]
        flops = max(flops, 2.0 * 16 * chains * rounds * threads / seconds)
    large = _copying(threads, max(megabytes * 1_000_000 // 8 // threads, 1), 1, repeats)
    return Roofs(threads, flops, large, _copying(threads, CACHED, max(rounds // 16, 1), repeats))


def _copying(threads: int, numbers: int, rounds: int, repeats: int) -> float:
    """Bytes a second, read and written, of so many numbers a thread."""
    arrays = [(np.zeros(numbers, np.float32), np.ones(numbers, np.float32)) for _ in range(threads)]
    works = [_copy(to, source, rounds) for to, source in arrays]
    seconds = min(at_once(works) for _ in range(repeats + 1))
    return 2.0 * 4 * numbers * rounds * threads / seconds


def _copy(to: Any, source: Any, rounds: int) -> Callable[[], Any]:
    return lambda: _library().copy(to.ctypes.data, source.ctypes.data, to.size, rounds)
