"""A plan on a GPU: buffers, and launches of generated kernels in the order of the plan."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.cuda import emit_cuda
from ...learning.losses import Truth
from ...learning.optimisers import Optimisers
from ...plan.foresight import foresee
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.populations import PopulationState
from ...plan.protocol import ConnectionState, DenseData, InputData, Pass, Rewired
from .backward import Backward
from .buffers import (
    allocate,
    allocate_population,
    check_memory,
    connection_shapes,
    lanes_of,
    most_taps,
    scratch_shapes,
    state_shapes,
)  # fmt: skip
from .contents import Contents
from .data import DataOnDevice
from .device import Buffer, Device, Graph, KernelError, Mark
from .finder import Finder
from .forward import Forward
from .history import History, Row
from .learner import CUDALearner
from .rewiring import Rewiring, index_by_source
from .sorting import BLOCK, blocks
from .updates import Updates

Array = npt.NDArray[Any]
MOST_PIECES = 65_535
"""CUDA's limit of a grid's second and third dimension."""
MOST_BLOCKS = 4096
"""Of kernels whose threads share what only the device knows: enough to fill a GPU, few to find there is nothing."""
FEW_THREADS = 1 << 17
"""Fewer threads leave processors of a large GPU without work: 1,000 on each of 132."""
AHEAD = 4
"""Batches that may be launched before the oldest of them is done: enough to hide the host, few enough to stop soon."""
MOST_GRAPHS = 64
"""That are kept: each takes memory of the host and of the device, and rewiring by chance may ask for ever more."""


class CUDAEngine(Contents):
    """See :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        device: where it runs; closed with the engine.
        module: its kernels.
        population, connection: their buffers by name.
        how: what the last forward pass was for.
        step: the training step, for kernels that draw random numbers.
        history: losses and counts that nobody has looked at yet.
        updates: steps of the optimisers.
        finder: see :class:`~genn_delays.plan.protocol.Finder`.
        rewired: by connection, synapses replaced by the last rewiring, whether that failed, and how many were newborn.
        values: the values of populations that the host learns.
        delays: of connections on cycles, as they were last looked at.
    """

    runs_ahead = True
    survives_fork = False

    def __init__(self, plan: Plan, device: Device, tape: str = "float32") -> None:
        self.plan, self.device = plan, device
        half = tape == "float16"
        self.lanes, self.L, self.how = 0, lanes_of(plan), Pass()
        self._forward, self._backward = Forward(self), Backward(self)
        check_memory(plan, device, half)
        foresee(plan, {})
        self.source = emit_cuda(plan, half)
        self.module = device.load(self.source)
        self.population = [allocate_population(device, plan, p, half) for p in plan.populations]
        self.connection = [
            allocate(device, f"connection {c.name!r}", connection_shapes(plan, c)) for c in plan.connections
        ]
        self.scratch = allocate(device, "the network's", scratch_shapes(plan))
        self._examples = device.allocate("examples", (self.L,), np.int64)
        self._data = DataOnDevice(device)
        self._launched: deque[Mark] = deque()
        self.history = History(device, max(2 * len(plan.outputs), 3 * len(plan.connections), len(plan.populations)))
        self.updates = Updates(self)
        self.values: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
        self.delays: dict[int, Array] = {}
        self.step, self._step = device.allocate("training step", (1,), np.uint32), 0
        self.rewired = device.allocate("rewired", (len(plan.connections), 3), np.int64)
        self._graphs: dict[Hashable, Graph] = {}
        self._deferred: list[tuple[Hashable, Callable[[], None]]] = []
        device.deferred = self._launch_deferred
        self._closed_states: list[ConnectionState] | None = None
        self._rewiring = Rewiring(self)
        self.learner = None if any(p.slopes for p in plan.populations) else CUDALearner(self)
        self.finder = Finder(self)
        for p in plan.populations:
            self._upload_numbers(p)
            self.set_values(p.index, PopulationState.new(p).values)
        for c in plan.connections:
            self._upload_rule(c)
            self.set_state(c.index, ConnectionState.new(c.initial_synapses(), c))

    def _upload_numbers(self, p: PopulationPlan) -> None:
        if p.model is None:
            return
        if p.parameters:
            self.population[p.index]["par"].upload(np.stack(list(p.parameters.values())).astype(np.float32))
        if p.bias is not None:
            self.population[p.index]["bias"].upload(p.bias.astype(np.float32))

    def _upload_rule(self, c: ConnectionPlan) -> None:
        buffers = self.connection[c.index]
        if c.rewiring is not None:
            thresholds = c.connection.connectivity.delay_initializer.thresholds
            buffers["threshold"].upload(np.append(thresholds, np.uint32(0)))
            if c.pre_sign is not None:
                buffers["pre_sign"].upload(c.pre_sign)

    def close(self) -> None:
        if self._closed_states is not None:
            return
        try:
            states = [self.state(c.index) for c in self.plan.connections]
            self.history.fetch()
            if self.learner is not None:
                self.learner.fetch()
            self._closed_states = states
        finally:
            self.device.close()

    def after_fork(self) -> None:
        """Never called."""

    def check_learning(self, *, training: bool) -> None:
        """Whatever can be planned can be learned."""

    # --- launching ---------------------------------------------------------------------------------------------------

    def launch(self, kernel: str, threads: int, *arguments: Any) -> None:
        """Run a kernel with one thread each, in blocks of 256; none for no threads."""
        if threads:
            self.module.launch(kernel, blocks(threads), BLOCK, *arguments)

    def each(self, kernel: str, most: int, *arguments: Any) -> None:
        """Run a kernel whose threads share what may be `most`, but may be far less; none for nothing."""
        if most:
            self.module.launch(kernel, min(blocks(most), MOST_BLOCKS), BLOCK, *arguments)

    def rows(self, kernel: str, neurons: int, of_thread: int, steps: int, *arguments: Any) -> None:
        """Run a kernel with a block for each piece of a row of each neuron; so many of the steps are a thread's."""
        if neurons and steps:
            pieces = blocks(-(-steps // of_thread) * self.L)  # whole warps, each with steps of a strip of lanes
            self.module.launch(kernel, (neurons, *_planes(pieces)), BLOCK, *arguments)

    def few(self, threads: int) -> bool:
        """Whether so many threads leave most of a GPU idle; by their number alone, so that every GPU does the same."""
        return threads < FEW_THREADS

    def row_threads(self, rows: int) -> int:
        """Threads of the blocks that each sum a whole row of activity: the more, the fewer rows there are."""
        return BLOCK * 4 if self.few(BLOCK * rows) else BLOCK

    def form(self, c: ConnectionPlan) -> str:
        """How a connection's source sends: what its kernels are called by."""
        return "spikes" if self.plan.populations[c.source].spiking else "real"

    def sent(self, population: int) -> Buffer:
        """What a population sends: real values, or bits."""
        buffers = self.population[population]
        return buffers["bits"] if "bits" in buffers else buffers["x"]

    def gain(self, c: ConnectionPlan) -> np.float32:
        """Inverted dropout of a connection's source."""
        dropout = self.plan.populations[c.source].dropout
        return np.float32(1.0 / (1.0 - dropout) if dropout and self.how.training else 1.0)

    def taps(self, c: ConnectionPlan) -> list[Any]:
        """The arguments of kernels that spread a connection's synapses over lags."""
        b = self.connection[c.index]
        return [b["first"], b["number"], b["share"], most_taps(c)]

    def find_taps(self, c: ConnectionPlan, kernel: str) -> None:
        """Spread a connection's synapses over the lags around their real-valued delays."""
        b = self.connection[c.index]
        self.each(
            f"taps_{kernel}", 32 * c.size, b["position"], b["first"], b["number"], b["share"], b["slope"], most_taps(c),
            b["width"], c.min_delay, c.max_delay, c.size,
        )  # fmt: skip

    def readout_arguments(self, p: PopulationPlan, z: Buffer) -> list[Any]:
        """The arguments of a readout's kernels; they read the output variable or bits."""
        b = self.population[p.index]
        return [b["tape"], b.get("bits"), z, b["g"], float(p.dt), p.size, self.plan.time_steps, self.L]

    def blocks_of(self, group: tuple[int, ...]) -> list[tuple[int, int]]:
        """The blocks of steps in which a group runs, in order."""
        T, delays = self.plan.time_steps, [np.empty(0, np.uint16)] * len(self.plan.connections)
        inside = [c for c in self.plan.connections if c.source in group and c.target in group]
        if not any(c.kernel is not None for c in inside):  # else blocks are one step, whatever delays are
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
            delays = np.append(delays, np.uint16(max(c.connection.connectivity.delay_initializer.low, 1)))
        return delays

    def set_step(self, step: int) -> None:
        """Let kernels know the training step."""
        if step % (1 << 32) != self._step:
            self._step = step % (1 << 32)
            self.step.upload(np.array([self._step], np.uint32))

    def replay(self, key: Hashable, work: Callable[[], None]) -> None:
        """Do work that consists of launches alone, the same for one key: when something else is asked of the device,
        together with all that was deferred, as one graph. It is recorded when it comes for the first time; a training
        step is one.
        """
        self._deferred.append((key, work))

    def _launch_deferred(self) -> None:
        """Launch what was deferred, as one graph."""
        deferred, self._deferred = self._deferred, []
        if not deferred:
            return
        keys = tuple(key for key, _ in deferred)
        if keys not in self._graphs:
            with self.device.graph() as graph:
                for _, work in deferred:
                    work()
        else:
            graph = self._graphs.pop(keys)
        self._graphs[keys] = graph  # behind all others: it was used last
        if len(self._graphs) > MOST_GRAPHS:
            del self._graphs[next(iter(self._graphs))]
        graph.launch()

    # --- the passes --------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.lanes = len(examples)
        T, L = self.plan.time_steps, self.L
        self._launched.append(self.device.mark())
        if len(self._launched) > AHEAD:
            self._launched.popleft().wait()
        for index, data in inputs.items():
            b, size = self.population[index], self.plan.populations[index].size
            with self._data.placed(index, data, examples) as (buffers, numbers):
                self._examples.upload(np.ascontiguousarray(numbers), start=0)
                if isinstance(data, DenseData):
                    grid = (-(-size // 32) * (L // 32), *_planes(T))
                    self.module.launch(
                        "load_dense", grid, BLOCK, b["x"], *buffers, self._examples, size, T, L, self.lanes
                    )
                else:
                    b["bits"].clear()
                    self.module.launch("load_events", self.lanes, BLOCK, b["bits"], *buffers, self._examples, T, L)

    def forward(self, how: Pass) -> None:
        self.device.settle()  # what was deferred is of another pass
        self.how = how
        self._forward.prepare()
        blocks = tuple(tuple(self.blocks_of(group)) for group in self.plan.groups)
        self.replay(("forward", how.training, self.lanes, blocks), self._forward.run)
        self._forward.check()

    def not_finite(self) -> tuple[int, ...]:
        if self._closed_states is not None:
            return ()
        states = self.finder.found.download()[: self.finder.states]
        if states.any():
            self.finder.found.clear()
        return tuple(np.flatnonzero(states).tolist())

    def loss(self, labels: dict[int, Truth]) -> Mapping[int, tuple[float, int]]:
        for p in self.plan.outputs:
            assert p.loss is not None
            truth = np.ascontiguousarray(labels[p.index]).reshape(-1)
            self.population[p.index]["labels" if p.loss.labelled else "targets"].upload(truth, start=0, early=True)
        truths = [labels[p.index].size // self.lanes for p in self.plan.outputs]
        read = {p.index: partial(_loss_of, 2 * k) for k, p in enumerate(self.plan.outputs)}
        results = self.history.later("losses", read)
        self.replay(("loss", self.lanes, *truths), lambda: self._loss(truths))
        if not self.how.training:
            self.device.settle()  # nothing follows: the device has something to do
        return results

    def _loss(self, truths: list[int]) -> None:
        """Losses and right answers of a batch, and dL/dz; the labels are there, so many an example."""
        names = ("label_smoothing", "softmax_temperature", "ttfs_alpha", "delta")
        for k, (p, count) in enumerate(zip(self.plan.outputs, truths, strict=True)):
            assert p.loss is not None
            b, numbers = self.population[p.index], [float(p.loss.numbers().get(name, 1.0)) for name in names]
            stepwise, sizes = p.loss.stepwise, [p.size, self.plan.time_steps, self.L, self.lanes]
            found = [b["step_losses"], b["step_correct"]] if stepwise else [b["losses"], b["correct"]]
            arguments = [
                b["z"], b["dz"], b["tape"], b["g"], b.get("labels"), b.get("targets"), *found, *numbers, float(p.dt),
                count, *sizes,
            ]  # fmt: skip
            row: list[Any] = [*self.history.row("losses"), 2 * k]
            if not stepwise and self.L <= BLOCK:  # of more lanes a thread of the sum has several
                self.module.launch(f"summed_loss_{p.index}", 1, self.L, *arguments, *row)
                continue
            self.launch(f"loss_{p.index}", self.L * (self.plan.time_steps if stepwise else 1), *arguments)
            if stepwise:
                lanes = b["z"], b.get("labels"), b["losses"], b["correct"]
                self.launch(f"loss_over_time_{p.index}", self.L, *found, *lanes, count, *sizes)
            self.module.launch("sum_losses", 1, BLOCK, b["losses"], b["correct"], *row, self.lanes)

    def backward(self) -> None:
        blocks = tuple(tuple(self.blocks_of(group)) for group in self.plan.groups)
        self.replay(("backward", self.how.training, self.lanes, blocks), self._backward.run)

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        self.set_step(step)
        self.updates.scale_by(scale)
        self.updates.run(optimisers, {})

    def rewire(self, step: int, drops: dict[int, int]) -> Mapping[int, Rewired]:
        counts: Mapping[int, Rewired] = {}
        if drops:
            self.set_step(step)
            for index, asked in drops.items():
                self._rewiring.run(self.plan.connections[index], asked)
            counts = self.history.later("rewired", {index: partial(self._rewired_of, index) for index in drops})
            size, row = self.rewired.size, self.history.row("rewired")
            self.replay("note rewired", lambda: self.launch("note_rewired", size, self.rewired, *row, size))
        self.device.settle()  # a step is over: the device has something to do
        return counts

    def _rewired_of(self, connection: int, row: Row) -> Rewired:
        """Synapses of a connection that were replaced, out of a row of the history."""
        dropped, failed, newborn = (int(number) for number in row[3 * connection : 3 * connection + 3])
        if failed:
            raise KernelError(
                f"rewiring connection {self.plan.connections[connection].name!r}: too few different random numbers "
                "were drawn, which should not happen; the connection was left as it was"
            )
        return Rewired(dropped - newborn, newborn)

    # --- synapses ----------------------------------------------------------------------------------------------------

    def state(self, connection: int) -> ConnectionState:
        if self._closed_states is not None:
            return self._closed_states[connection].copy()
        c, b = self.plan.connections[connection], self.connection[connection]
        empty: dict[str, Array] = {"age": np.empty(0, np.uint16), "position": np.empty(0, np.float32)}
        return ConnectionState.from_arrays(empty | {n: b[n].download()[: c.size] for n in state_shapes(c)})

    def set_state(self, connection: int, state: ConnectionState) -> None:
        c, b, arrays = self.plan.connections[connection], self.connection[connection], state.arrays()
        for name in state_shapes(c):
            if c.size:
                b[name].upload(np.ascontiguousarray(arrays[name]))
        self.delays.pop(connection, None)
        index_by_source(self, c)


def _planes(pieces: int) -> tuple[int, int]:
    """A grid's second and third dimension for so many pieces, or a few more."""
    planes = -(-pieces // MOST_PIECES)
    return -(-pieces // planes), planes


def _loss_of(column: int, row: Row) -> tuple[float, int]:
    """Summed loss and right answers of an output, out of a row of the history."""
    return float(row[column]), int(row[column + 1])
