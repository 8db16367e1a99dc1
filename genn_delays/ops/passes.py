"""The passes over synapses on this machine's processor, by generated code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..backends.cpu.structs import Arrays, address
from ..delays import DelayKernel
from ..errors import InvalidValueError
from .activity import Activity
from .arguments import Array, Gradients, Spread, checked_array, spread_of, synapse_array
from .library import Library, library, network_type, threads_of
from .topology import Topology


class _Call:
    """A structure that points to the arrays of one call, which it keeps alive."""

    def __init__(self, topology: Topology, spread: Spread, weight: Array | None, T: int, B: int, threads: int) -> None:
        self.arrays = Arrays("a pass over synapses")
        self.kept: list[Any] = [topology, spread, weight]
        self.threads, self.form = threads, spread.form
        self.library: Library = library(spread.kernel)
        net = self.net = network_type()()
        net.T, net.t1, net.B = T, T, B
        net.leaf, net.leaves, net.num_leaves = B, 1, 1  # one partial sum, of all lanes
        c = net.c[0]
        c.num_pre, c.num_post, c.size, c.target = topology.num_pre, topology.num_post, topology.size, 1
        c.gain, c.width, c.max_delay = 1.0, spread.width, topology.max_delay
        c.pre, c.post, c.row_start = (address(a) for a in (topology.pre, topology.post, topology.row_start))
        delay = topology.delay
        if spread.form == "difference":
            assert spread.position is not None
            delay = np.rint(spread.position).astype(np.uint16)
            self.kept.append(delay)
        c.delay = address(delay)
        if spread.position is not None:
            c.position = address(spread.position)
            net.lag_stride = max(topology.max_delay + 1, 3)
            net.taps_stride = 3 * net.lag_stride
            net.taps = self.arrays.new("taps", (threads, net.taps_stride), np.float32)
        if weight is not None:
            if not self.library.are_finite(address(weight), weight.size):
                raise InvalidValueError(f"weight must be finite, got {weight[~np.isfinite(weight)][0]}")
            c.weight = address(weight)

    def run(self, name: str) -> None:
        self.library.run(f"{name}_{self.form}", self.net, self.threads)


def gather(
    topology: Topology,
    x: Activity | Array,
    weight: Array,
    *,
    position: Array | None = None,
    kernel: DelayKernel | str | None = None,
    width: float | None = None,
    threads: int | None = None,
) -> npt.NDArray[np.float32]:
    """The input current of every target, ``I[i, t] = sum_k w_k x[pre_k, t - d_k]``, added up in the synapses' order.

    Args:
        topology: the synapses.
        x: what sources send, float32 ``[num_pre, time, batch]``, as it is or as :class:`Activity`.
        weight: float32 ``[synapse]``.
        position: real-valued delays in place of the topology's, float32 ``[synapse]`` within [0, max_delay]; rounded
            where there is no `kernel`.
        kernel: the delay kernel by which synapses are spread over the lags 0 to ``topology.max_delay``.
        width: of the kernel in time steps: its sigma and its offset, ``kernel.width(...)``.
        threads: the processors there are where not given; results do not depend on it.

    Returns:
        float32 ``[num_post, time, batch]``, a new array.

    Raises:
        InvalidValueError: an argument has another type or shape, or a number is not finite.
    """
    spread, number = spread_of(topology, position, kernel, width), threads_of(threads)
    activity = _activity(x, topology, number)
    weight = synapse_array("weight", weight, topology)
    T, B = activity.x.shape[1:]
    call = _Call(topology, spread, weight, T, B, number)
    activity.point(call.net, spread.lags)
    current = np.empty((topology.num_post, T, B), np.float32)
    call.net.p[1].size, call.net.p[1].x = topology.num_post, address(current)
    call.run("gather")
    return current


def backgather(
    topology: Topology,
    g: Array,
    weight: Array,
    *,
    position: Array | None = None,
    kernel: DelayKernel | str | None = None,
    width: float | None = None,
    threads: int | None = None,
) -> npt.NDArray[np.float32]:
    """The gradient of what sources send, ``e[j, t] = sum_k w_k g[post_k, t + d_k]``.

    Args:
        g: the gradient of the input current, float32 ``[num_post, time, batch]``.
        topology, weight, position, kernel, width, threads: see :func:`gather`.

    Returns:
        float32 ``[num_pre, time, batch]``, a new array.

    Raises:
        InvalidValueError: an argument has another type or shape.
    """
    spread, number = spread_of(topology, position, kernel, width), threads_of(threads)
    g = checked_array("g", g, (topology.num_post, None, None))
    weight = synapse_array("weight", weight, topology)
    T, B = g.shape[1:]
    call = _Call(topology, spread, weight, T, B, number)
    start, slot = topology.by_pre
    call.net.c[0].by_pre_start, call.net.c[0].by_pre_slot = address(start), address(slot)
    e = np.empty((topology.num_pre, T, B), np.float32)
    call.net.p[0].size, call.net.p[0].g = topology.num_pre, address(e)
    call.net.p[1].size, call.net.p[1].g = topology.num_post, address(g)
    call.run("backgather")
    return e


def correlate(
    topology: Topology,
    x: Activity | Array,
    g: Array,
    weight: Array,
    *,
    position: Array | None = None,
    kernel: DelayKernel | str | None = None,
    width: float | None = None,
    threads: int | None = None,
) -> Gradients:
    """The gradients of every synapse: ``dL/dw = <x[pre] delayed, g[post]>``, and of its position if it has one.

    With positions and no kernel the gradient of a position is ``w (C[n + 1] - C[n - 1]) / 2`` of the correlogram
    ``C[n] = <x[pre] delayed by n, g[post]>`` at the rounded position n, one-sided at the first and the last lag.

    Args:
        topology, x, weight, position, kernel, width, threads: see :func:`gather`.
        g: the gradient of the input current, float32 ``[num_post, time, batch]``.

    Returns:
        float32 ``[synapse]`` each.

    Raises:
        InvalidValueError: an argument has another type or shape, or a number is not finite.
    """
    spread, number = spread_of(topology, position, kernel, width), threads_of(threads)
    activity = _activity(x, topology, number)
    g = checked_array("g", g, (topology.num_post, *activity.x.shape[1:]))
    weight = synapse_array("weight", weight, topology)
    T, B = activity.x.shape[1:]
    call = _Call(topology, spread, weight, T, B, number)
    activity.point(call.net, spread.lags)
    call.net.p[1].size, call.net.p[1].g = topology.num_post, address(g)
    found = Gradients(
        np.empty(topology.size, np.float32), None if position is None else np.empty(topology.size, np.float32)
    )
    call.net.c[0].grad = address(found.weight)
    if found.position is not None:
        call.net.c[0].delay_grad = address(found.position)
    call.run("correlate")
    return found


def _activity(x: Activity | Array, topology: Topology, threads: int) -> Activity:
    if not isinstance(x, Activity):
        x = Activity(checked_array("x", x, (topology.num_pre, None, None)), threads=threads)
    if x.x.shape[0] != topology.num_pre:
        raise InvalidValueError(f"x must have {topology.num_pre} neurons, the topology's num_pre, got {x.x.shape[0]}")
    return x
