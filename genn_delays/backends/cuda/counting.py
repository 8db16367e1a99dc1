"""Launches and memory traffic of a network, found without a GPU by a device that only counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...plan.plan import Plan
from ...plan.schema import synapse_fields
from .buffers import lanes_of
from .device import Buffer, Device, Graph, Mark, Memory, Module
from .signature import Signature


class CountingDevice(Device):
    """Launches nothing and allocates nothing.

    Attributes:
        times: how often each kernel would have run so far, and each buffer would have been cleared.
    """

    name = "counts"

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[str] = Counter()

    def note(self, what: str) -> None:
        """Count a kernel, or let the graph that is recorded count it whenever it is launched."""
        recorded = self._recording
        (recorded.times if isinstance(recorded, CountingGraph) else self.times)[what] += 1

    def memory(self) -> Memory:
        return Memory(1 << 62, 1 << 62)

    def synchronise(self) -> None:
        self._check_open()
        self.settle()

    def _mark(self) -> Mark:
        return _Now()

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return _CountingBuffer(self, name, shape, dtype)

    def _load(self, source: str) -> Module:
        return _CountingModule(self, source)

    def _new_graph(self) -> Graph:
        return CountingGraph(self)

    def _finish_graph(self, graph: Graph, keep: bool) -> None:
        """Nothing to do: a recording needs no further processing."""

    def _close(self) -> None:
        """Nothing to free."""


class CountingGraph(Graph):
    """Kernels to be counted again.

    Attributes:
        times: how often each is in it.
    """

    def __init__(self, device: CountingDevice) -> None:
        super().__init__(device)
        self._counts, self.times = device, Counter[str]()

    def _launch(self) -> None:
        self._counts.times.update(self.times)


class _Now(Mark):
    def wait(self) -> None:
        """All that was launched is done."""


class _CountingModule(Module):
    compiled = False

    def __init__(self, device: CountingDevice, source: str) -> None:
        super().__init__(device, source)
        self._counts = device

    def _launch(
        self, kernel: Signature, grid: Sequence[int], block: Sequence[int], values: list[np.generic], shared: int
    ) -> None:
        self._counts.note(kernel.name)


class _CountingBuffer(Buffer):
    """Keeps arrays that were uploaded whole, such as delays, as the number of launches depends on them; else zeros."""

    def __init__(self, device: CountingDevice, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        super().__init__(device, name, shape, dtype)
        self._counts = device
        self._given: npt.NDArray[Any] | None = None

    def _write(self, offset: int, array: npt.NDArray[Any], after: Mark | None) -> None:
        self._given = array.reshape(-1).copy() if array.size == self.size else None

    def _read(self, offset: int, array: npt.NDArray[Any]) -> None:
        start = offset // self.dtype.itemsize
        array.reshape(-1)[:] = 0 if self._given is None else self._given[start : start + array.size]

    def _clear(self) -> None:
        self._given = None
        self._counts.note(f"clear {self.name}")

    def _free(self) -> None:
        self._given = None


def least_bytes(plan: Plan, *, training: bool = True) -> int:
    """Bytes that a training step, or an evaluated batch, reads and writes at least, whatever is cached: each pass its
    own arrays once."""
    f32, half_lane = 4, 1 / 8  # of a number; of a spike
    rows = plan.time_steps * lanes_of(plan)
    total = 0.0
    for p in plan.populations:
        if p.model is None:
            total += p.size * rows * 2 * f32  # loaded, gathered
            continue
        arrays = 1 + 1  # current: written by gather, read by membrane
        arrays += len(p.model.states)  # the tape is written
        arrays += 0 if p.readout is None else 1  # the readout reads
        spikes = 1 + len(p.outgoing) if p.spiking else 0  # written, gathered
        if training:
            arrays += len(p.model.states) + 1 + 1  # the adjoint reads the tape and e, and writes g
            arrays += 1  # backgather, or the readout's backward pass, writes e
            arrays += len(p.incoming)  # correlate reads g
            sources = [plan.populations[plan.connections[k].source] for k in p.incoming]
            arrays += sum(source.model is not None for source in sources)  # backgather
            arrays += 1 + 2 + 2 if p.batch_norm else 0  # statistics; sums of g and I; g again, and written
            spikes += len(p.outgoing) if p.spiking else 0  # correlated
        total += p.size * rows * (arrays * f32 + spikes * half_lane)
    for c in plan.connections:
        numbers = 4 * 3 + 2 + 4 * 2  # pre, post, by_pre_slot, delay; weight and gradient
        moments = sum(np.dtype(f.dtype).itemsize for f in synapse_fields(c).values() if f.several)
        moved = 2 * numbers + 2 * moments
        total += c.size * (moved if training else 4 + 2 + 4)  # pre, delay, weight
    return int(total)
