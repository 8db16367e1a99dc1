"""Buffers and kernels of a plan on a device, and launches of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.bodies import mangled
from ...codegen.cuda import emit_cuda
from ...communicators import Communicator
from ...plan.exchanged import Pass
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from .buffers import (
    allocate,
    allocate_population,
    check_memory,
    connection_shapes,
    lanes_of,
    most_taps,
    scratch_shapes,
)
from .device import Argument, Arguments, Buffer, Device, Graph
from .exchange import Exchange, sharing_of
from .history import History
from .launches import MOST_BLOCKS, few, launch_rows
from .sorting import BLOCK, blocks

Array = npt.NDArray[Any]
MOST_GRAPHS = 64
"""That are kept: each takes memory of the host and of the device, and rewiring by chance may ask for ever more."""


class Work:
    """The buffers and kernels of a plan on a device, and launches of them.

    Attributes:
        plan, device: what runs, and where.
        source, module: its kernels.
        L, lanes: lanes of all rows, and those that have an example.
        total: examples of the batch, those of all ranks.
        sharing, exchange: the lanes of this process, and its sums with other ranks, None for one process.
        part: where parts of lanes begin, see :class:`~.lanes.Sharing`.
        how: what the last forward pass was for.
        step: the training step, for kernels that draw random numbers.
        population, connection, scratch: buffers by name.
        history: losses and counts that have not been read yet.
        delays: of connections on cycles, as they were last looked at.
        graphs: what was recorded, by the keys of :meth:`replay`.
    """

    def __init__(self, plan: Plan, device: Device, half: bool, communicator: Communicator | None = None) -> None:
        if communicator is not None and communicator.size == 1:
            communicator = None  # nothing to exchange, so that launches need not be cut
        shared = communicator is not None
        self.sharing = sharing_of(plan, communicator)
        plan = replace(plan, batch_size=self.sharing.most_lanes) if shared else plan
        check_memory(plan, device, half, shared)
        self.plan, self.device = plan, device
        self.lanes = self.total = 0
        self.L, self.how = lanes_of(plan), Pass()
        self.source = emit_cuda(plan, half, shared)
        self.module = device.load(self.source)
        self.population = [allocate_population(device, plan, p, half, shared) for p in plan.populations]
        self.connection = [
            allocate(device, f"connection {c.name!r}", connection_shapes(plan, c)) for c in plan.connections
        ]
        self.scratch = allocate(device, "the network's", scratch_shapes(plan, shared))
        self.history = History(device, max(2 * len(plan.outputs), 3 * len(plan.connections), len(plan.populations)))
        self.exchange = Exchange(communicator, device, len(plan.outputs)) if communicator is not None else None
        self.part = device.allocate("parts of lanes", (self.sharing.parts + 1,), np.int32)
        self.part.upload(self.sharing.borders)
        self.delays: dict[int, Array] = {}
        self.step, self._step = device.allocate("training step", (1,), np.uint32), 0
        self.graphs: dict[Hashable, Graph] = {}
        self._deferred: list[tuple[Hashable, Callable[[], None]]] = []
        device.deferred = self.launch_deferred

    def launch(self, kernel: str, threads: int, /, *groups: Arguments, **named: Argument) -> None:
        """Run a kernel with one thread each, in blocks of 256; none for no threads. Arguments are given by name."""
        if threads:
            self.module.launch(kernel, blocks(threads), BLOCK, *groups, named)

    def each(self, kernel: str, most: int, /, *groups: Arguments, **named: Argument) -> None:
        """Run a kernel whose threads share what may be `most`, but may be far less; none for nothing."""
        if most:
            self.module.launch(kernel, min(blocks(most), MOST_BLOCKS), BLOCK, *groups, named)

    def rows(
        self, kernel: str, neurons: int, of_thread: int, steps: int, /, *groups: Arguments, **named: Argument
    ) -> None:
        """Run a kernel with a block for each piece of a row of each neuron; so many of the steps are a thread's."""
        launch_rows(self.module, kernel, neurons, of_thread, steps, self.L, *groups, **named)

    def row_threads(self, rows: int) -> int:
        """Threads of the blocks that each sum a whole row of activity: the more, the fewer rows there are."""
        return BLOCK * 4 if few(BLOCK * rows) else BLOCK

    @property
    def parts(self) -> dict[str, Argument]:
        """The arguments of kernels that add up lanes."""
        return {"part": self.part, "parts": self.sharing.parts}

    def row_parts(self, rows: int) -> dict[str, Argument]:
        """The same of kernels of :meth:`row_threads`."""
        return {**self.parts, "phases": self.sharing.phases(self.row_threads(rows) // 32)}

    def form(self, c: ConnectionPlan) -> str:
        """The form of activity that a connection's source sends, which is part of its kernels' names."""
        return "spikes" if self.plan.populations[c.source].spiking else "real"

    def sent(self, population: int) -> Buffer:
        """The buffer that a population sends: real values, or bits."""
        buffers = self.population[population]
        return buffers["bits"] if "bits" in buffers else buffers["x"]

    def gain(self, c: ConnectionPlan) -> np.float32:
        """Inverted dropout of a connection's source."""
        dropout = self.plan.populations[c.source].dropout
        return np.float32(1.0 / (1.0 - dropout) if dropout and self.how.training else 1.0)

    def taps(self, c: ConnectionPlan) -> dict[str, Argument]:
        """The arguments of kernels that spread a connection's synapses over lags."""
        b = self.connection[c.index]
        return {name: b[name] for name in ("first", "number", "share")} | {"most": most_taps(c)}

    def find_taps(self, c: ConnectionPlan, kernel: str) -> None:
        """Spread a connection's synapses over the lags around their real-valued delays."""
        b = self.connection[c.index]
        self.each(
            f"taps_{kernel}", 32 * c.size, self.taps(c), position=b["position"], slope=b["slope"],
            width_now=b["width"], min_delay=c.min_delay, max_delay=c.max_delay, size=c.size,
        )  # fmt: skip

    def sizes(self, p: PopulationPlan, t0: int, t1: int) -> dict[str, Argument]:
        """The arguments of a population's kernels that run over a block of steps."""
        return {"N": p.size, "T": self.plan.time_steps, "L": self.L, "live": self.lanes, "t0": t0, "t1": t1}

    def readout_arguments(self, p: PopulationPlan, z: Buffer) -> dict[str, Argument]:
        """The arguments of a readout's kernels; they read the output variable or bits."""
        b = self.population[p.index]
        sizes = {"N": p.size, "T": self.plan.time_steps, "L": self.L}
        numbers = {mangled(name): value for name, value in p.reading.numbers().items()}
        buffers = {"v": b["tape"], "bits": b.get("bits"), "z": z, "dv": b["g"], "carried": b.get("carried")}
        return {**buffers, "step_ms": float(p.dt), **numbers, **sizes}

    def blocks_of(self, group: tuple[int, ...]) -> list[tuple[int, int]]:
        """The blocks of steps in which a group runs, in order."""
        T, delays = self.plan.time_steps, [np.empty(0, np.uint16)] * len(self.plan.connections)
        inside = [c for c in self.plan.connections if c.source in group and c.target in group]
        if not any(c.kernel is not None for c in inside):  # else blocks are one step, whatever the delays are
            for c in inside:
                if c.index not in self.delays:
                    self.delays[c.index] = self._delays_of(c)
                delays[c.index] = self.delays[c.index]
        length = self.plan.block_steps(group, delays)
        return [(t0, min(t0 + length, T)) for t0 in range(0, T, length)]

    def _delays_of(self, c: ConnectionPlan) -> Array:
        """Delays of a connection now, and the shortest that can grow, so that rewiring never asks for them again."""
        delays: Array = self.connection[c.index]["delay"].download()[: c.size]
        if c.rewiring is not None:
            delays = np.append(delays, np.uint16(max(c.delay_low, 1)))
        return delays

    def set_step(self, step: int) -> None:
        """Let kernels know the training step."""
        if step % (1 << 32) != self._step:
            self._step = step % (1 << 32)
            self.step.upload(np.array([self._step], np.uint32))

    def replay(self, key: Hashable, work: Callable[[], None]) -> None:
        """Defer work that consists of launches alone, always the same for one key. When something else is asked of the
        device, all deferred work is launched as one graph. The graph is recorded the first time; a training step is
        one.
        """
        self._deferred.append((key, work))

    def launch_deferred(self) -> None:
        """Launch what was deferred, as one graph."""
        deferred, self._deferred = self._deferred, []
        if not deferred:
            return
        keys = tuple(key for key, _ in deferred)
        if keys not in self.graphs:
            with self.device.graph() as graph:
                for _, work in deferred:
                    work()
        else:
            graph = self.graphs.pop(keys)
        self.graphs[keys] = graph  # the most recently used goes to the end (LRU)
        if len(self.graphs) > MOST_GRAPHS:
            del self.graphs[next(iter(self.graphs))]
        graph.launch()


def all_of(work: Sequence[Callable[[], None]]) -> None:
    """Do all of it."""
    for piece in work:
        piece()
