"""Work on long arrays in chunks that stay in a processor's cache, several of them at once: memory for one chunk a
thread in place of arrays of the whole length."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .floating import usual_errors

CHUNK = 1 << 15
"""Elements of a chunk."""
MOST_THREADS = 8


def in_chunks(
    count: int, work: Callable[[int, int], None], threads: int | None = None, chunk: int | None = None
) -> None:
    """Call ``work(first, last)`` for all chunks of ``range(count)``; chunks must be independent.

    NumPy's loops release Python's lock. Of several errors that of the first chunk is raised.

    Args:
        threads: number of threads; where not given, one per processor, or a single one for few chunks.
        chunk: elements of a chunk, ``CHUNK`` where not given.
    """
    chunk = chunk or CHUNK
    bounds = [(first, min(first + chunk, count)) for first in range(0, count, chunk)]
    if threads is None:
        threads = min(_processors(), MOST_THREADS) if len(bounds) > 8 else 1
    if threads == 1:
        for first, last in bounds:
            work(first, last)
        return

    def one(ends: tuple[int, int]) -> None:
        with usual_errors():  # a thread has its own
            work(*ends)

    with ThreadPoolExecutor(threads, "genn_delays.chunks") as pool:
        try:
            for _ in pool.map(one, bounds):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
