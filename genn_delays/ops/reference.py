"""The definition of the passes over synapses, in NumPy: one synapse after the other, float32 or float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..delays import difference_taps
from .arguments import Array, Gradients, checked_array, spread_of, synapse_array
from .topology import Topology


def _taps(
    topology: Topology, k: int, position: Array | None, kernel: Any, width: Any
) -> Iterator[tuple[int, Any, Any]]:
    """The lags of synapse k, the share of its weight that acts at each, and that share's slope by the position."""
    if position is None:
        yield int(topology.delay[k]), position, position
        return
    own, high = position[k : k + 1], topology.max_delay
    taps = difference_taps(own, 0, high) if kernel is None else kernel.taps(own, width, 0, high)
    count = int(taps.number[0]) if kernel is not None else min(3, high + 1 - int(taps.first[0]))
    for n in range(count):
        yield int(taps.first[0]) + n, taps.share[0, n], taps.slope[0, n]


def gather(topology: Topology, x: Array, weight: Array, *, position: Any = None, kernel: Any = None,
           width: Any = None) -> Array:  # fmt: skip
    """See :func:`genn_delays.ops.gather`; of the precision of `weight`."""
    spread = spread_of(topology, position, kernel, width, weight.dtype)
    x = checked_array("x", x, (topology.num_pre, None, None), weight.dtype)
    synapse_array("weight", weight, topology, weight.dtype)
    T = x.shape[1]
    current = np.zeros((topology.num_post, *x.shape[1:]), weight.dtype)
    for k in range(topology.size):
        for lag, share, _ in _taps(topology, k, spread.position, spread.kernel, spread.width):
            if lag < T and (share is None or share != 0):
                part = weight[k] if share is None else weight[k] * share
                current[topology.post[k], lag:] += part * x[topology.pre[k], : T - lag]
    return current


def backgather(topology: Topology, g: Array, weight: Array, *, position: Any = None, kernel: Any = None,
               width: Any = None) -> Array:  # fmt: skip
    """See :func:`genn_delays.ops.backgather`; of the precision of `weight`."""
    spread = spread_of(topology, position, kernel, width, weight.dtype)
    g = checked_array("g", g, (topology.num_post, None, None), weight.dtype)
    synapse_array("weight", weight, topology, weight.dtype)
    T = g.shape[1]
    e = np.zeros((topology.num_pre, *g.shape[1:]), weight.dtype)
    for k in range(topology.size):
        for lag, share, _ in _taps(topology, k, spread.position, spread.kernel, spread.width):
            if lag < T and (share is None or share != 0):
                part = weight[k] if share is None else weight[k] * share
                e[topology.pre[k], : T - lag] += part * g[topology.post[k], lag:]
    return e


def correlate(topology: Topology, x: Array, g: Array, weight: Array, *, position: Any = None, kernel: Any = None,
              width: Any = None) -> Gradients:  # fmt: skip
    """See :func:`genn_delays.ops.correlate`; of the precision of `weight`."""
    spread = spread_of(topology, position, kernel, width, weight.dtype)
    x = checked_array("x", x, (topology.num_pre, None, None), weight.dtype)
    g = checked_array("g", g, (topology.num_post, *x.shape[1:]), weight.dtype)
    synapse_array("weight", weight, topology, weight.dtype)
    T = x.shape[1]
    found = Gradients(np.zeros(topology.size, weight.dtype), None if position is None else np.zeros_like(weight))
    for k in range(topology.size):
        for lag, share, slope in _taps(topology, k, spread.position, spread.kernel, spread.width):
            here = (x[topology.pre[k], : max(T - lag, 0)] * g[topology.post[k], lag:]).sum()
            found.weight[k] += here if share is None else share * here
            if found.position is not None:
                found.position[k] += weight[k] * slope * here
    return found
