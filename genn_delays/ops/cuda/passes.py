"""The passes over synapses on a GPU, by generated code."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends.cuda.device import Argument, Buffer
from ...backends.cuda.lanes import Sharing
from ...backends.cuda.launches import MOST_BLOCKS, correlate_warps, gather_steps, launch_rows
from ...backends.cuda.sorting import BLOCK, blocks
from ...codegen.cuda import STEPS
from ...codegen.cuda_ops import FAULTS, FORMS
from ...delays import DelayKernel
from ...errors import InvalidValueError
from ..arguments import Gradients, form_of
from .activity import DeviceActivity, DeviceGradient, Rows, unpacked
from .topology import DeviceTopology


class _Call:
    """The synapses of one call as kernels take them, looked at and placed."""

    def __init__(self, topology: DeviceTopology, weight: Any, position: Any, kernel: Any, width: float | None) -> None:
        self.queue, self.topology, self.size = topology.queue, topology, topology.topology.size
        self.queue.check()
        self.form, self.kernel, self.width = form_of(position is not None, kernel, width)
        self.module = self.queue.module(self.kernel)
        self.weight = self.queue.synapses("weight", weight, self.size)
        self.each(
            "find_not_finite", values=self.weight, found=self.queue.faults, place=FAULTS.index("weight"), N=self.size
        )
        self.position: Buffer | None = None
        if position is None:
            self.delay = topology.buffer("delay")
            return
        self.position = self.queue.scratch("position", self.size, np.float32)
        self.delay = self.queue.scratch("rounded position", self.size, np.uint16)
        self.each(
            "place_delays", position=self.queue.synapses("position", position, self.size), placed=self.position,
            delay=self.delay, found=self.queue.faults, max_delay=topology.topology.max_delay, size=self.size,
        )  # fmt: skip

    def each(self, kernel: str, /, *groups: dict[str, Argument], threads: int = 1, **named: Argument) -> None:
        """Run a kernel with so many threads for each synapse, which may be fewer that then share the synapses."""
        self.module.launch(kernel, min(blocks(threads * self.size), MOST_BLOCKS), BLOCK, *groups, named)

    @property
    def spread(self) -> bool:
        """True if synapses act at several lags."""
        return self.form == "kernel"

    def taps(self) -> tuple[dict[str, Argument], Buffer]:
        """The lags around every position with their shares, and the slopes of these."""
        assert self.position is not None
        queue, max_delay, most = self.queue, self.topology.topology.max_delay, 3
        if self.kernel is not None:  # as few as the width asks for, rounding allowed for
            most = min(max_delay + 1, int(2.0 * self.kernel.reach * self.width) + 3)
        found: dict[str, Argument] = {
            "first": queue.scratch("first lags", self.size, np.int32),
            "number": queue.scratch("numbers of lags", self.size, np.int32),
            "share": queue.scratch("shares of lags", self.size * most, np.float32),
            "most": most,
        }
        slope = queue.scratch("slopes of lags", self.size * most, np.float32)
        width = queue.scratch("width", 1, np.float32)
        width.upload(np.array([self.width], np.float32))
        name = "difference" if self.kernel is None else self.kernel.code_name
        self.each(
            f"taps_{name}", found, threads=32, position=self.position, slope=slope, width_now=width, min_delay=0,
            max_delay=max_delay, size=self.size,
        )  # fmt: skip
        return found, slope


def gather(
    topology: DeviceTopology,
    x: DeviceActivity | Any,
    weight: Any,
    *,
    position: Any = None,
    kernel: DelayKernel | str | None = None,
    width: float | None = None,
) -> Any:
    """The input current of every target, with the bits of :func:`genn_delays.ops.gather`.

    Args:
        topology: the synapses.
        x: what sources send, float32 ``[num_pre, time, batch]`` on the GPU with any strides, or a
            :class:`DeviceActivity`.
        weight: float32 ``[synapse]`` on the GPU.
        position, kernel, width: see :func:`genn_delays.ops.gather`; `position` on the GPU.

    Returns:
        float32 ``[num_post, time, batch]``, a new array of the queue's library.

    Raises:
        InvalidValueError: an argument has another type or shape, or lies elsewhere; or an earlier pass met a number
            that may not be.
    """
    with topology.queue.lock:
        call, x = _Call(topology, weight, position, kernel, width), _activity(x, topology)
        rows = Rows(topology.queue, (topology.topology.num_post, x.rows.T, x.rows.B))
        current = rows.new("current")
        taps = call.taps()[0] if call.spread else {}
        for form in FORMS:
            steps = gather_steps(form, call.spread, rows.N, rows.T, rows.L)
            launch_rows(
                call.module, f"gather_{form}{'_taps' if call.spread else ''}_{steps}", rows.N, steps, rows.T, rows.L,
                rows.sizes, taps, topology.buffers("row_start", "pre"), is_real=x.is_real, Isyn=current,
                x=x.sent(form), delay=call.delay, weight=call.weight, gain=np.float32(1.0), t0=0, t1=rows.T, begins=1,
            )  # fmt: skip
        return unpacked("current", current, rows)


def backgather(
    topology: DeviceTopology,
    g: DeviceGradient | Any,
    weight: Any,
    *,
    position: Any = None,
    kernel: DelayKernel | str | None = None,
    width: float | None = None,
) -> Any:
    """The gradient of what sources send; see :func:`genn_delays.ops.backgather`.

    Args:
        g: the gradient of the input current, float32 ``[num_post, time, batch]`` on the GPU with any strides, or a
            :class:`DeviceGradient`.
        topology, weight, position, kernel, width: see :func:`gather`.

    Returns:
        float32 ``[num_pre, time, batch]``, a new array of the queue's library.

    Raises:
        InvalidValueError: see :func:`gather`.
    """
    with topology.queue.lock:
        call = _Call(topology, weight, position, kernel, width)
        felt = _felt(g, topology)
        rows = Rows(topology.queue, (topology.topology.num_pre, felt.rows.T, felt.rows.B))
        e = rows.new("gradient of activity")
        launch_rows(
            call.module, f"backgather{'_taps' if call.spread else ''}", rows.N, STEPS, rows.T, rows.L, rows.sizes,
            call.taps()[0] if call.spread else {"spikes": None},
            topology.buffers("by_pre_start", "by_pre_slot", "post"), e=e, g=felt.real, delay=call.delay,
            weight=call.weight, gain=np.float32(1.0), t0=0, t1=rows.T, begins=1,
        )  # fmt: skip
        return unpacked("gradient of activity", e, rows)


def correlate(
    topology: DeviceTopology,
    x: DeviceActivity | Any,
    g: DeviceGradient | Any,
    weight: Any,
    *,
    position: Any = None,
    kernel: DelayKernel | str | None = None,
    width: float | None = None,
) -> Gradients:
    """The gradients of every synapse; see :func:`genn_delays.ops.correlate`.

    Args:
        topology, x, weight, position, kernel, width: see :func:`gather`.
        g: the gradient of the input current, float32 ``[num_post, time, batch]`` on the GPU with any strides, or a
            :class:`DeviceGradient`.

    Returns:
        float32 ``[synapse]`` each, new arrays of the queue's library.

    Raises:
        InvalidValueError: see :func:`gather`.
    """
    with topology.queue.lock:
        call, x = _Call(topology, weight, position, kernel, width), _activity(x, topology)
        felt = _felt(g, topology)
        if (felt.rows.T, felt.rows.B) != (x.rows.T, x.rows.B):
            wanted = f"{x.rows.T} time steps and a batch of {x.rows.B}"
            raise InvalidValueError(f"g must have {wanted}, as x has, got {felt.rows.T} and {felt.rows.B}")
        of_weight, grad = topology.queue.result("gradient of weights", (call.size,))
        of_position, delay_grad = (
            (None, None) if position is None else topology.queue.result("gradient of positions", (call.size,))
        )
        lanes = Sharing(x.rows.B)
        warps = correlate_warps(call.size, lanes.parts)
        shared: dict[str, Argument] = {
            "is_real": x.is_real, "g": felt.real, **topology.buffers("pre", "post"), "weight": call.weight,
            "grad": grad, "delay_grad": delay_grad, "gain": np.float32(1.0), "warps": warps, "size": call.size,
            "part": topology.queue.parts(lanes), "parts": lanes.parts, **x.rows.sizes,
        }  # fmt: skip
        if position is None:
            shared |= {"h": None, "delay": call.delay, "step_ms": np.float32(1.0)}
        else:
            taps, slope = call.taps()
            shared |= taps | {"slope": slope}
        for form in FORMS:
            name = f"correlate_{form}{'' if position is None else '_taps'}"
            call.module.launch(name, blocks(32 * warps * call.size), BLOCK, shared, x=x.sent(form))
        return Gradients(of_weight, of_position)


def _activity(x: DeviceActivity | Any, topology: DeviceTopology) -> DeviceActivity:
    found = x if isinstance(x, DeviceActivity) else DeviceActivity(x, topology.queue)
    _check_rows("x", found.rows, topology, topology.topology.num_pre, "num_pre")
    return found


def _felt(g: DeviceGradient | Any, topology: DeviceTopology) -> DeviceGradient:
    found = g if isinstance(g, DeviceGradient) else DeviceGradient(g, topology.queue)
    _check_rows("g", found.rows, topology, topology.topology.num_post, "num_post")
    return found


def _check_rows(name: str, rows: Rows, topology: DeviceTopology, size: int, what: str) -> None:
    """Raise an error unless activity or gradients fit the synapses."""
    if rows.queue is not topology.queue:
        raise InvalidValueError(f"{name} and the topology must be on one Queue")
    if size != rows.N:
        raise InvalidValueError(f"{name} must have {size} neurons, the topology's {what}, got {rows.N}")
