"""A simulation on a GPU: buffers, the structure that points to them, and launches recorded as graphs.

Two kernels a block of steps (``codegen/templates/cuda/simulation_step.cu.j2``), and one more pair for every further
level of delays of 0. The device counts steps itself, so a graph serves any of them; the host waits only when it
fetches what was recorded.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.cuda_simulation import BLOCK, PIECE, emit_cuda_simulation, emit_cuda_simulation_structures
from ...derive.names import derived_name
from ...errors import CompileError
from ...plan.simulation import Given, Infinite, Recording, SimulatedPopulation, SimulationPlan, Sink, give_spikes
from ..cpu.rows import Rows
from ..cpu.structs import structures
from .device import Arguments, Buffer, Device, Graph
from .simulation_memory import RECORDED, TRACE_BYTES

GRAPHS = (256, 32, 4)
"""Blocks of steps that are recorded as one graph; what is left over is launched by itself. Even, so that the list of
spikes that comes next is the same again."""
MOST_STEPS = 1 << 13
"""Steps that are launched before the host fetches what they have recorded."""
SCATTER_THREADS = 256
MOST_SCATTERING = 256
"""Blocks of threads that add spikes' synapses at most: some two for each multiprocessor of a large GPU."""
MOST_TEAM = 6
"""Power of two of the warps that share a row at most."""
NOW, FULL, RECORDS, FAULT, STATES = 0, 1, 4, 5, 6
"""Places of the members of ``struct State``."""
NO_FAULT = np.uint64(0xFFFFFFFFFFFFFFFF)


class CUDASimulation:
    """See :class:`~genn_delays.plan.simulation.SimulationEngine`.

    Attributes:
        device: where it runs; closed with the engine.
        source: path of the generated source.
        compiled: whether it had to be compiled, or came from the cache.
        graphs: what was recorded, by the number of blocks and the list of spikes that comes first.
    """

    survives_fork = False

    def __init__(self, plan: SimulationPlan, wiring: Rows, recording: Recording, device: Device) -> None:
        self.plan, self.recording, self.device, self.now = plan, recording, device, 0
        self.module = device.load(emit_cuda_simulation(plan, recording))
        self.source: Path = self.module.path
        self.compiled = self.module.compiled
        self.graphs: dict[tuple[int, int], Graph] = {}
        kinds = structures(emit_cuda_simulation_structures(plan))
        self._net = kinds["Network"]()
        self._state = device.allocate("state", STATES, np.uint64)
        self._check_size()
        self._network = device.allocate("network", ctypes.sizeof(self._net), np.uint8)
        self._parity = 0
        self._closed: tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]] | None = None
        self._most_steps = self._longest_chunk()
        self._fill_network()
        self._fill_rows(wiring)
        self._fill_populations()
        self._fill_traces(kinds["Trace"])
        self._set_now(0)

    def _check_size(self) -> None:
        """Raise an error if host and device do not agree on the structure."""
        self.module.launch("size_of_network", 1, 1, size=self._state)
        found = int(self._state.download()[0])
        if found != ctypes.sizeof(self._net):
            message = f"struct Network has {found} bytes, {ctypes.sizeof(self._net)} were expected"
            raise CompileError("load", message, str(self.source))

    # --- memory ------------------------------------------------------------------------------------------------------

    def _new(self, name: str, values: npt.NDArray[Any], dtype: Any) -> Buffer:
        """A buffer with these values."""
        buffer = self.device.allocate(name, values.size, dtype)
        buffer.upload(np.ascontiguousarray(values, dtype).reshape(-1))
        return buffer

    def _fill_network(self) -> None:
        net, plan, device = self._net, self.plan, self.device
        senders = {c.source for c in plan.connections}
        self._senders = plan.block * sum(plan.populations[i].size for i in senders)
        net.seed, net.block, net.columns, net.slots = plan.seed, plan.block, plan.columns, plan.longest + 1
        self._ring = device.allocate("what arrives", max(1, net.slots * plan.columns), np.int32)
        self._spikes = device.allocate("spikes of a block", max(2, 2 * self._senders), np.uint32)
        recorded = [self.recording.spikes[i] for i in self.recording.spikes]
        sizes = [plan.populations[i].size for i in self.recording.spikes]
        most = sum(n if of is None else of.size for of, n in zip(recorded, sizes, strict=True))
        net.most_records = plan.block * most
        net.record_room = max(RECORDED, 2 * net.most_records) if most else 1
        if not most:
            net.record_room = 0
        self._record = device.allocate("recorded spikes", max(1, net.record_room), np.uint64)
        net.state, net.ring, net.spikes = self._state.address, self._ring.address, self._spikes.address
        net.record = self._record.address
        shares: list[tuple[int, int]] = []
        self._levels: list[tuple[int, int]] = []
        """Of every level its first block of threads and their number."""
        for level in range(plan.levels):
            own = [p for p in plan.populations if p.level == level]
            new = [(p.index, first) for p in own for first in range(0, p.size, BLOCK)]
            self._levels.append((len(shares), len(new)))
            shares += new
        self._share = self._new("shares of blocks", np.array(shares), np.int32)
        net.share = self._share.address

    def _fill_rows(self, rows: Rows) -> None:
        """Copy the rows, which the host then forgets."""
        (start,), (synapse,) = rows.start, rows.synapse
        self._start = self._new("the starts of rows", start, np.int64)
        self._synapse = self._new("the rows of synapses", synapse.view(np.uint32), np.uint32)
        self._net.start, self._net.synapse = self._start.address, self._synapse.address
        longest = int(np.diff(start).max(initial=0))
        self._net.team = min(MOST_TEAM, max(0, (-(-longest // PIECE) - 1).bit_length()))
        warps = self._senders << self._net.team
        self._scattering = min(MOST_SCATTERING, max(1, -(-32 * warps // SCATTER_THREADS)))

    def _fill_populations(self) -> None:
        """Parameters and variables of all populations, each kind in one buffer, and what only some have."""
        plan = self.plan
        variables = [p.parameters[derived_name("initial", s)] for p in plan.populations for s in p.states]
        parameters = [v for p in plan.populations for v in p.parameters.values()]
        self._var = self._new("variables", _joined(variables), np.float32)
        self._par = self._new("parameters", _joined(parameters), np.float32)
        self._kept: list[Buffer] = []
        self._drives: dict[int, list[Buffer]] = {}
        self._given: dict[int, tuple[Buffer, Buffer]] = {}
        self._first: list[int] = []
        first = parameter = 0
        for p in plan.populations:
            view = self._net.p[p.index]
            self._first.append(first)
            view.fault = first
            for k in range(len(p.states)):
                view.var[k] = self._var.address + 4 * first
                first += p.size
            for k in range(len(p.parameters)):
                view.par[k] = self._par.address + 4 * parameter
                parameter += p.size
            self._fill_population(p, view)

    def _keep(self, p: SimulatedPopulation, name: str, values: npt.NDArray[Any], dtype: Any) -> int:
        self._kept.append(self._new(f"{name} of population {p.name!r}", values, dtype))
        return self._kept[-1].address

    def _fill_population(self, p: SimulatedPopulation, view: Any) -> None:
        view.index, view.size, view.first = p.index, p.size, p.first
        view.sends = any(c.source == p.index for c in self.plan.connections)
        view.records = p.index in self.recording.spikes
        wanted = self.recording.spikes.get(p.index)
        if wanted is not None:
            view.recorded = self._keep(p, "recorded", np.isin(np.arange(p.size), wanted), np.uint8)
        if p.bias is not None:
            view.bias = self._keep(p, "bias", p.bias, np.float32)
        if p.kind == "spikes":
            start = self.device.allocate(f"steps of spikes of {p.name!r}", self._most_steps + 1, np.int64)
            self._given[p.index] = (start, self.device.allocate(f"spikes of {p.name!r}", 1, np.int32))
        for k, index in enumerate(p.receptors):
            view.column[k] = self.plan.receptors[index].column
        self._drives[p.index] = []
        self._drive(p, view)

    def _drive(self, p: SimulatedPopulation, view: Any) -> None:
        """The buffers of a population's drives and random spikes, and the scale of what arrives; earlier ones are given
        back."""
        before, self._drives[p.index] = self._drives[p.index], []

        def keep(name: str, values: npt.NDArray[Any], dtype: Any) -> int:
            buffer = self._new(f"{name} of population {p.name!r}", values, dtype)
            self._drives[p.index].append(buffer)
            return buffer.address

        if p.threshold is not None:
            view.below = keep("below", p.threshold, np.uint64)
        for k, index in enumerate(p.receptors):
            view.scale[k] = 2.0 ** -self.plan.receptors[index].exponent
        for k, d in enumerate(p.poisson):
            drive = view.drive[k]
            drive.number, (drive.num_thresholds, drive.width) = d.number, d.table.thresholds.shape
            drive.weight = keep(f"weight {k}", d.weight, np.int32)
            drive.fewest = keep(f"fewest {k}", d.table.fewest, np.int32)
            drive.threshold = keep(f"threshold {k}", d.table.thresholds, np.uint32)
        for k, c in enumerate(p.currents):
            current = view.current[k]
            current.number, current.repeat = c.number, c.repeat
            current.mean = keep(f"mean {k}", c.mean, np.float32)
            if c.sd is not None:
                current.sd = keep(f"sd {k}", c.sd, np.float32)
            if c.steps is not None:
                current.num_steps, current.width = c.steps.shape
                current.steps = keep(f"steps {k}", c.steps, np.float32)
        for buffer in before:
            self.device.free(buffer)

    def _longest_chunk(self) -> int:
        """Steps whose samples of traces have room."""
        a_step = sum(4 * t.neurons.size / t.every for t in self.recording.traces)
        return max(1, min(MOST_STEPS, int(TRACE_BYTES / a_step))) if a_step else MOST_STEPS

    def _fill_traces(self, kind: Any) -> None:
        traces = self.recording.traces
        self._traces = (kind * max(1, len(traces)))()
        self._trace_values: list[Buffer] = []
        for view, trace in zip(self._traces, traces, strict=False):
            p = self.plan.populations[trace.population]
            place = np.full(p.size, -1, np.int32)
            place[trace.neurons] = np.arange(trace.neurons.size)
            samples = -(-self._most_steps // trace.every) + 1
            values = self.device.allocate(
                f"{trace.variable!r} of population {p.name!r}", samples * trace.neurons.size, np.float32
            )
            view.size, view.every = trace.neurons.size, min(trace.every, 0xFFFFFFFF)
            view.place, view.values = self._keep(p, f"places of {trace.variable}", place, np.int32), values.address
            self._trace_values.append(values)
        self._trace = self.device.allocate("traces", ctypes.sizeof(self._traces), np.uint8)
        self._net.trace = self._trace.address

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, steps: int, given: Given, sink: Sink) -> None:
        until = self.now + steps
        while self.now < until:
            begin, end = self.now, min(until, self.now + self._most_steps)
            self._begin(begin, end, given)
            try:
                while self.now < end:
                    self._launch(end)
                    self._fetch(sink)
            finally:
                self.now = int(self._state.download(NOW, 1)[0])
                self._give_traces(begin, sink)

    def _begin(self, begin: int, end: int, given: Given) -> None:
        """Let the device have what these steps need: given spikes, and where samples of traces go."""
        for index, (start, neuron) in self._given.items():
            p, view = self.plan.populations[index], self._net.p[index]
            spikes = p.given if p.given is not None else given.get(index)
            steps, neurons = (np.zeros(0, np.int64), np.zeros(0, np.int32)) if spikes is None else spikes
            low, high = np.searchsorted(steps, [begin, end])
            starts = np.searchsorted(steps[low:high], np.arange(begin, end + 1))
            start.upload(starts.astype(np.int64), start=0)
            if high - low > neuron.size:
                self.device.free(neuron)
                neuron = self.device.allocate(neuron.name, 2 * int(high - low), np.int32)
                self._given[index] = (start, neuron)
            neuron.upload(np.ascontiguousarray(neurons[low:high], np.int32), start=0)
            view.given_start, view.given_neuron = start.address, neuron.address
        for view, trace in zip(self._traces, self.recording.traces, strict=False):
            view.first_sample = -(-begin // trace.every)
        self._trace.upload(_bytes(self._traces))
        self._net.begin = begin
        self._network.upload(_bytes(self._net))

    def _launch(self, until: int) -> None:
        """Launch all steps up to one, in as few graphs as there are."""
        now, block = self.now, self.plan.block
        while now < until:
            whole = (until - now) // block if now % block == 0 else 0
            blocks = next((n for n in GRAPHS if n <= whole), 0)
            if blocks:
                self._replay(blocks)
                now += blocks * block
            else:
                steps = min(until, (now // block + 1) * block) - now
                self._step(steps)
                now += steps

    def _replay(self, blocks: int) -> None:
        """Launch whole blocks as one graph, which is recorded the first time."""
        key = (blocks, self._parity)
        if key not in self.graphs:
            with self.device.graph() as graph:
                for _ in range(blocks):
                    self._step(self.plan.block)
            self.graphs[key] = graph
        self.graphs[key].launch()

    def _step(self, steps: int) -> None:
        """Launch a block of so many steps."""
        for level, (first, count) in enumerate(self._levels):
            last = level == len(self._levels) - 1
            turn: Arguments = {"n": self._network, "parity": self._parity}
            self.module.launch("neurons", count, BLOCK, turn, first=first, steps=steps)
            self.module.launch("scatter", self._scattering, SCATTER_THREADS, turn, steps=steps if last else 0)
            self._parity = 1 - self._parity

    def _fetch(self, sink: Sink) -> None:
        """Wait, and give what was recorded to the sink; an error where a variable is not finite."""
        state = self._state.download()
        self.now = int(state[NOW])
        if state[RECORDS]:
            record = self._record.download(0, int(state[RECORDS]))
            self._state.upload(np.zeros(1, np.uint64), start=RECORDS)
            self._state.upload(np.zeros(1, np.uint64), start=FULL)
            give_spikes(self.plan, self.recording, record, sink)
        if state[FAULT] != NO_FAULT:
            self._state.upload(np.array([NO_FAULT]), start=FAULT)
            raise self._infinite(int(state[FAULT])).error(self.plan.dt)

    def _infinite(self, fault: int) -> Infinite:
        number = fault & 0xFFFFFFFF
        p = next(p for p in reversed(self.plan.populations) if p.states and self._first[p.index] <= number)
        variable, neuron = divmod(number - self._first[p.index], p.size)
        return Infinite(p.name, p.states[variable], neuron, fault >> 32)

    def _give_traces(self, begin: int, sink: Sink) -> None:
        """Give the samples since a step to the sink."""
        for number, (trace, values) in enumerate(zip(self.recording.traces, self._trace_values, strict=True)):
            done = -(-self.now // trace.every) - -(-begin // trace.every)
            if done:
                size = trace.neurons.size
                sink.trace(number, values.download(0, done * size).reshape(done, size))

    # --- reading and writing -----------------------------------------------------------------------------------------

    def _set_now(self, now: int) -> None:
        self.now = now
        self._state.upload(np.array([now, 0, 0, 0, 0, NO_FAULT], np.uint64))

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        start, size = self._place(population, name)
        if self._closed is not None:
            return self._closed[0][start : start + size].copy()
        return self._var.download(start, size)

    def set_variable(self, population: int, name: str, values: npt.NDArray[np.float32]) -> None:
        self._var.upload(np.ascontiguousarray(values, np.float32), start=self._place(population, name)[0])

    def take_drives(self, plan: SimulationPlan, population: int) -> None:
        self.plan = plan
        self._drive(plan.populations[population], self._net.p[population])

    def _place(self, population: int, name: str) -> tuple[int, int]:
        """The place of a variable among all, and its size."""
        p = self.plan.populations[population]
        return self._first[population] + p.states.index(name) * p.size, p.size

    def pending(self) -> npt.NDArray[np.int32]:
        return self._pending().copy() if self._closed is None else self._closed[1].copy()

    def _pending(self) -> npt.NDArray[np.int32]:
        slots, columns = self.plan.longest + 1, self.plan.columns
        ring = self._ring.download(0, slots * columns).reshape(slots, columns)
        return np.asarray(ring[(self.now + np.arange(self.plan.longest)) % slots])

    def set_pending(self, values: npt.NDArray[np.int32], now: int) -> None:
        slots = self.plan.longest + 1
        ring = np.zeros((slots, self.plan.columns), np.int32)
        ring[(now + np.arange(self.plan.longest)) % slots] = values
        self._ring.upload(ring.reshape(-1), start=0)
        self._set_now(now)

    def close(self) -> None:
        """Give the device back; variables and what is on its way can be read afterwards, too."""
        if self._closed is not None:
            return
        try:
            self._closed = self._var.download(), self._pending()
        finally:
            self.device.close()

    def after_fork(self) -> None:
        """Never called."""


def _joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    return np.concatenate(arrays or [np.zeros(1)]).astype(np.float32)


def _bytes(structure: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes(structure), np.uint8)
