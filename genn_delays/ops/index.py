"""The inverse index of synapses, by a counting sort on this machine's processor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..backends.cpu.structs import address
from .library import library, network_type, threads_of


def inverse_index(pre: npt.NDArray[np.int32], num_pre: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The synapses of every source: the first one, int64 ``[num_pre + 1]``, and their indices, int32, ascending."""
    threads, net = threads_of(None), network_type()()
    start, slot = np.empty(num_pre + 1, np.int64), np.empty(pre.size, np.int32)
    counts = np.empty(min(threads, 1 + pre.size // num_pre) * num_pre, np.int32)
    c = net.c[0]
    c.num_pre, c.size, c.pre = num_pre, pre.size, address(pre)
    c.by_pre_start, c.by_pre_slot, net.counts = address(start), address(slot), address(counts)
    library(None).run("index_connection", net, threads)
    return start, slot
