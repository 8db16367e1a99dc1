"""A simulation on this machine's processor: memory, the structure that points to it, and calls into generated code."""

from __future__ import annotations

import ctypes
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.simulation import emit_simulation, emit_simulation_structures
from ...derive.names import derived_name
from ...errors import OutOfMemoryError
from ...plan.simulation import Given, Infinite, Recording, SimulatedPopulation, SimulationPlan, Sink, give_spikes
from .compiler import NO_TRAPS, load_library
from .rows import Rows
from .structs import Arrays, address, structures
from .threads import HasThreads, declare
from .wiring import CPUWiring, part_of

RECORDED = 1 << 16
"""Spikes that a thread has room to record at least, before they are fetched."""


class CPUSimulation(HasThreads):
    """See :class:`~genn_delays.plan.simulation.SimulationEngine`.

    Attributes:
        source: path of the generated source.
        compiled: whether it had to be compiled, or came from the cache.
    """

    def __init__(self, plan: SimulationPlan, wiring: CPUWiring, recording: Recording, threads: int) -> None:
        self.plan, self.recording, self.threads, self.now = plan, recording, threads, 0
        self._text = emit_simulation(plan, recording)
        self._library, library_path, self.compiled = load_library(self._text, NO_TRAPS)
        self.source: Path = library_path.with_suffix(".cpp")
        kinds = structures(emit_simulation_structures(plan))
        net = self._net = kinds["Network"]()
        self._declare()
        self._arrays = Arrays("the simulation")
        self._window, self._lines = wiring.window, wiring.lines
        self._buckets = -(-plan.longest // self._window) + 2
        self._population_arrays = [self._population(p, net.p[p.index]) for p in plan.populations]
        self._parts = (kinds["Part"] * threads)()
        self._part_arrays = [self._part(k, self._parts[k], kinds["Bucket"]) for k in range(threads)]
        self._traces = (kinds["Trace"] * max(1, len(recording.traces)))()
        self._trace_values: list[npt.NDArray[np.float32]] = []
        self._fill_network()
        weakref.finalize(self, _free, self._library, net, (self._parts, self._part_arrays)).atexit = False
        self.start_threads(threads)
        self._take_rows(wiring)

    def _declare(self) -> None:
        library, procedures = self._library, ("simulate", "collect", "forget", "meeting_destroy")
        declare(library, self._net, str(self.source), procedures)
        library.meeting_create.restype = ctypes.c_void_p
        library.meeting_create.argtypes, library.meeting_destroy.argtypes = [ctypes.c_int64], [ctypes.c_void_p]

    # --- memory ------------------------------------------------------------------------------------------------------

    def _population(self, p: SimulatedPopulation, view: Any) -> Arrays:
        """The arrays of a population."""
        arrays = Arrays(f"population {p.name!r}")
        keep = arrays.keep
        view.index, view.size, view.first, view.level = p.index, p.size, p.first, p.level
        view.sends = any(c.source == p.index for c in self.plan.connections)
        view.records = p.index in self.recording.spikes
        wanted = self.recording.spikes.get(p.index)
        if wanted is not None:
            view.recorded = keep("recorded", np.isin(np.arange(p.size), wanted), np.uint8)
        for k, s in enumerate(p.states):
            view.var[k] = keep(f"var {s}", p.parameters[derived_name("initial", s)], np.float32)
        for k, (name, values) in enumerate(p.parameters.items()):
            view.par[k] = keep(f"par {name}", values, np.float32)
        if p.bias is not None:
            view.bias = keep("bias", p.bias, np.float32)
        view.num_columns = len(p.receptors)
        for k, index in enumerate(p.receptors):
            view.column[k] = self.plan.receptors[index].column
        self._drive(p, view, arrays)
        return arrays

    def _drive(self, p: SimulatedPopulation, view: Any, arrays: Arrays) -> None:
        """The arrays of a population's drives and random spikes, and the scale of what arrives."""
        keep = arrays.keep
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

    def _part(self, number: int, view: Any, kind: Any) -> Arrays:
        """The arrays of a thread's part, but for its synapses."""
        arrays, plan = Arrays(f"thread {number}"), self.plan
        low, high = (
            arrays.new("low", len(plan.populations), np.int64),
            arrays.new("high", len(plan.populations), np.int64),
        )
        for p in plan.populations:
            arrays["low"][p.index], arrays["high"][p.index] = part_of(p.size, number, self.threads)
        own = arrays["high"] - arrays["low"]
        sending = sum(int(own[p.index]) for p in plan.populations if any(c.source == p.index for c in plan.connections))
        recorded = plan.block * sum(int(own[i]) for i in self.recording.spikes)
        view.low, view.high, view.delivered = low, high, -1
        view.bucket = arrays.new("buckets", (self._buckets, ctypes.sizeof(kind)), np.uint8, zero=True)
        for k in range(2):
            view.spikes[k] = arrays.new(f"spikes {k}", max(1, plan.block * sending), np.uint64)
        view.most_records, view.record_room = recorded, max(RECORDED, 2 * recorded)
        view.record = arrays.new("record", view.record_room, np.uint64)
        return arrays

    def _fill_network(self) -> None:
        net, plan, arrays = self._net, self.plan, self._arrays
        net.seed, net.block, net.window, net.lines = plan.seed, plan.block, self._window, self._lines
        net.neurons, net.columns = plan.neurons, plan.columns
        net.buckets, net.threads = self._buckets, self.threads
        net.input = arrays.new("input", (self._window, max(1, plan.columns)), np.int32, zero=True)
        net.part = ctypes.addressof(self._parts)
        net.trace = ctypes.addressof(self._traces)

    def _held(self) -> list[tuple[Any, int]]:
        """The place at which the threads meet."""
        self._net.meeting = self._library.meeting_create(self.threads)
        return [(self._library.meeting_destroy, self._net.meeting)]

    def _take_rows(self, rows: Rows) -> None:
        """Let every part point to its rows, which live as long as this."""
        self._rows = rows
        for view, start, synapse in zip(self._parts, rows.start, rows.synapse, strict=True):
            view.start, view.synapse = address(start), address(synapse)

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, steps: int, given: Given, sink: Sink) -> None:
        net, held = self._net, []
        for p in self.plan.populations:
            if p.kind == "spikes":
                view, spikes = net.p[p.index], p.given if p.given is not None else given.get(p.index)
                view.num_given = 0 if spikes is None else spikes[0].size
                if spikes is not None:
                    held.append([np.ascontiguousarray(a) for a in spikes])
                    view.given_step, view.given_neuron = (address(a) for a in held[-1])
        net.begin = net.now = self.now
        net.until = self.now + steps
        self._open_traces(steps)
        try:
            while net.now < net.until:
                self._library.simulate(ctypes.byref(net))
                self._fetch_spikes(sink)
                self._check()
        finally:
            self.now = net.now
            self._give_traces(sink)
            if self.now >= net.loaded_from + net.num_loaded:
                net.loaded = None

    def _check(self) -> None:
        """An error where a variable is not finite, or no memory is left for spikes."""
        faults = [v for v in self._parts if v.fault]
        if faults:
            first = min(faults, key=lambda v: (v.fault_step, v.fault_population, v.fault_variable, v.fault_neuron))
            p = self.plan.populations[first.fault_population]
            found = Infinite(p.name, p.states[first.fault_variable], first.fault_neuron, first.fault_step)
            for view in self._parts:
                view.fault = 0
            raise found.error(self.plan.dt)
        if any(v.lost for v in self._parts):
            raise OutOfMemoryError("no memory is left for spikes on their way: the network spikes too much")

    def _open_traces(self, steps: int) -> None:
        """Room for the samples of a run."""
        self._trace_values = []
        for view, trace in zip(self._traces, self.recording.traces, strict=False):
            first = -(-self.now // trace.every)
            last = -(-(self.now + steps) // trace.every)
            values = np.empty((last - first, trace.neurons.size), np.float32)
            view.size, view.every, view.first_sample = trace.neurons.size, trace.every, first
            view.neuron, view.values = address(trace.neurons), address(values)
            self._trace_values.append(values)

    def _give_traces(self, sink: Sink) -> None:
        """Give the samples up to now to the sink: all of a run, unless it was interrupted."""
        for number, (trace, values) in enumerate(zip(self.recording.traces, self._trace_values, strict=True)):
            done = -(-self.now // trace.every) - -(-self._net.begin // trace.every)
            if done:
                sink.trace(number, values[:done])

    def _fetch_spikes(self, sink: Sink) -> None:
        """Give what was recorded since the last time to the sink."""
        found = [a["record"][: v.num_record] for v, a in zip(self._parts, self._part_arrays, strict=True)]
        record = np.concatenate(found) + (np.uint64(self._net.begin) << np.uint64(32))
        for view in self._parts:
            view.num_record = 0
        give_spikes(self.plan, self.recording, record, sink)

    # --- reading and writing -----------------------------------------------------------------------------------------

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        return self._population_arrays[population][f"var {name}"].copy()

    def set_variable(self, population: int, name: str, values: npt.NDArray[np.float32]) -> None:
        self._population_arrays[population][f"var {name}"][...] = values

    def take_parameters(self, plan: SimulationPlan, population: int) -> None:
        """See :class:`~genn_delays.plan.simulation.TakesParameters`.

        Where a parameter was one number for all neurons and no longer is, or has become one, the code is another.
        """
        text = emit_simulation(plan, self.recording)
        if text != self._text:
            self._library, library_path, self.compiled = load_library(text, NO_TRAPS)
            self.source, self._text = library_path.with_suffix(".cpp"), text
            self._declare()
        self.plan, p, arrays = plan, plan.populations[population], self._population_arrays[population]
        for name, values in p.parameters.items():
            arrays[f"par {name}"][...] = values
        if p.bias is not None:
            arrays["bias"][...] = p.bias

    def take_drives(self, plan: SimulationPlan, population: int) -> None:
        self.plan = plan
        self._drive(plan.populations[population], self._net.p[population], self._population_arrays[population])

    def pending(self) -> npt.NDArray[np.int32]:
        found = np.zeros((self.plan.longest, self.plan.columns), np.int32)
        self._net.now = self.now
        self._library.collect(ctypes.byref(self._net), ctypes.c_void_p(address(found)), ctypes.c_int64(len(found)))
        return found

    def set_pending(self, values: npt.NDArray[np.int32], now: int) -> None:
        self.now, net, window = now, self._net, self._window
        self._library.forget(ctypes.byref(net))
        rest = range(now, min(-(-now // window) * window, now + len(values)))  # of a window that has begun
        self._arrays["input"][...] = 0
        for t in rest:
            self._arrays["input"][t % window] = values[t - now]
        for view in self._parts:
            view.delivered = -(-now // window) - 1
        self._arrays["loaded"] = np.ascontiguousarray(values)
        net.loaded = self._arrays.address("loaded") if values.any() else None
        net.loaded_from, net.num_loaded = now, len(values)


def _free(library: Any, net: Any, held: Any) -> None:
    """Free the memory of spikes on their way, which generated code has allocated; `held` is what it points to."""
    library.forget(ctypes.byref(net))
