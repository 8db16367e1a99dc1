"""A simulation in NumPy, step by step: the definition of what every backend computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...derive.expressions import evaluate
from ...derive.names import derived_name
from ...plan.simulation import (
    CurrentPlan,
    Given,
    Infinite,
    Recording,
    SimulatedPopulation,
    SimulationPlan,
    Sink,
)
from ...random import Purpose, normal_quantile, of_neurons
from .wiring import ReferenceWiring

Array = npt.NDArray[Any]


class ReferenceSimulation:
    """See :class:`~genn_delays.plan.simulation.SimulationEngine`."""

    source = None
    survives_fork = True

    def __init__(self, plan: SimulationPlan, wiring: ReferenceWiring, recording: Recording) -> None:
        self.plan, self.recording, self.now = plan, recording, 0
        self.slots = plan.longest + 1
        self.faults: dict[int, Infinite] = {}
        self.ring = np.zeros((self.slots, plan.columns), np.int32)
        self.numbers = {p.index: {n: v.astype(np.float32) for n, v in p.parameters.items()} for p in plan.populations}
        self.state: dict[int, dict[str, Array]] = {}
        for p in plan.populations:
            self.state[p.index] = {s: self.numbers[p.index][derived_name("initial", s)].copy() for s in p.states}
        self.rows = [_Rows(wiring, c.index) for c in plan.connections]

    def run(self, steps: int, given: Given, sink: Sink) -> None:
        with np.errstate(all="ignore"):  # variables that overflow are looked for afterwards
            for _ in range(steps):
                self._step(given, sink)
                if self.faults:
                    first = self.faults[min(self.faults)]
                    self.faults = {}
                    raise first.error(self.plan.dt)

    def _step(self, given: Given, sink: Sink) -> None:
        t = self.now
        for index in self.plan.order:
            p = self.plan.populations[index]
            spiked = self._neurons(p, t, sink) if p.kind == "neuron" else self._sent(p, t, given)
            if index in self.recording.spikes:
                _record_spikes(sink, p, t, spiked, self.recording.spikes[index])
            for c in self.plan.connections:
                if c.source == index:
                    self.rows[c.index].add(self.ring, t, spiked, self.plan.receptors[c.receptor].column)
        self.now += 1

    def _sent(self, p: SimulatedPopulation, t: int, given: Given) -> Array:
        """The neurons of an input that spike in step t."""
        if p.threshold is not None:
            words = of_neurons(self.plan.seed, Purpose.POISSON, p.index, p.size, 0, t)
            return np.flatnonzero(words < p.threshold)
        steps, neurons = p.given if p.given is not None else given.get(p.index, (np.zeros(0, np.int64),) * 2)
        return neurons[slice(*np.searchsorted(steps, [t, t + 1]))]

    def _neurons(self, p: SimulatedPopulation, t: int, sink: Sink) -> Array:
        """One step of neurons; those that spike."""
        model, numbers, receptors = p.model, self.numbers[p.index], [self.plan.receptors[r] for r in p.receptors]
        assert model is not None
        arrived = self._arrived(p, t)
        current = np.zeros(p.size, np.float32)
        bias = np.float32(0) if p.bias is None else p.bias
        for r, sums in zip(receptors, arrived, strict=True):
            if r.variable is None:
                current = sums
        if p.biased is None and p.bias is not None:
            current = current + bias
        for drive in p.currents:
            current = current + self._current(p, drive, t)
        known = {**numbers, **self.state[p.index], "Isyn": current}
        for name, step in model.steps.items():
            known[name] = evaluate(step.py, known)
        now = {s: evaluate(model.update[s].py, known) + np.zeros(p.size, np.float32) for s in model.states}
        for k, (r, sums) in enumerate(zip(receptors, arrived, strict=True)):
            if r.variable is not None:
                now[r.variable] = now[r.variable] + (sums + bias if p.biased == k else sums)
        for number, trace in enumerate(self.recording.traces):
            if trace.population == p.index and t % trace.every == 0:
                sink.trace(number, now[trace.variable][None, trace.neurons].astype(np.float32))
        spike = np.zeros(p.size, bool)
        if model.threshold is not None:
            spike = evaluate(model.threshold.py, {**numbers, **now}) >= 0
            jumped = {s: evaluate(e.py, {**numbers, **now}) for s, e in model.jump.items()}
            now |= {s: np.where(spike, values, now[s]) for s, values in jumped.items()}
        self.state[p.index] = {s: values.astype(np.float32) for s, values in now.items()}
        self._look_for_faults(p)
        return np.flatnonzero(spike)

    def _look_for_faults(self, p: SimulatedPopulation) -> None:
        """Note the first neuron of a variable that is not finite, of the first such population."""
        for s, values in self.state[p.index].items():
            bad = ~np.isfinite(values)
            if bad.any() and (not self.faults or p.index < min(self.faults)):
                self.faults[p.index] = Infinite(p.name, s, int(np.flatnonzero(bad)[0]), self.now)

    def _arrived(self, p: SimulatedPopulation, t: int) -> list[Array]:
        """By receptor what arrives in step t, events of drives included, float32 ``[neuron]``."""
        found = []
        for k, index in enumerate(p.receptors):
            r = self.plan.receptors[index]
            own = self.ring[t % self.slots, r.column : r.column + p.size]
            sums = own.copy()
            own[:] = 0
            for drive in p.poisson:
                if drive.receptor == k:
                    words = of_neurons(self.plan.seed, Purpose.POISSON, p.index, p.size, drive.number, t)
                    sums += drive.table.events(words) * drive.weight
            found.append(sums.astype(np.float32) * np.float32(2.0**-r.exponent))
        return found

    def _current(self, p: SimulatedPopulation, drive: CurrentPlan, t: int) -> Array:
        if drive.sd is not None:
            words = of_neurons(self.plan.seed, Purpose.CURRENT, p.index, p.size, drive.number, t)
            return drive.mean + drive.sd * normal_quantile(words).astype(np.float32)
        if drive.steps is not None:
            row = t % len(drive.steps) if drive.repeat else t
            return drive.steps[row] if row < len(drive.steps) else np.float32(0)  # type: ignore[return-value]
        return drive.mean

    # --- reading and writing -----------------------------------------------------------------------------------------

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        return self.state[population][name].copy()

    def set_variable(self, population: int, name: str, values: npt.NDArray[np.float32]) -> None:
        self.state[population][name] = values.astype(np.float32)

    def take_parameters(self, plan: SimulationPlan, population: int) -> None:
        """See :class:`~genn_delays.plan.simulation.TakesParameters`."""
        self.plan = plan
        self.numbers[population] = {n: v.astype(np.float32) for n, v in plan.populations[population].parameters.items()}

    def take_drives(self, plan: SimulationPlan, population: int) -> None:
        self.plan = plan

    def pending(self) -> npt.NDArray[np.int32]:
        return self.ring[(self.now + np.arange(self.plan.longest)) % self.slots]

    def set_pending(self, values: npt.NDArray[np.int32], now: int) -> None:
        self.now = now
        self.ring[:] = 0
        self.ring[(now + np.arange(self.plan.longest)) % self.slots] = values

    def close(self) -> None:
        """Nothing to free."""

    def after_fork(self) -> None:
        """Nothing to do: it has no threads."""


class _Rows:
    """The synapses of a connection by source neuron, with weights on the grid."""

    def __init__(self, wiring: ReferenceWiring, number: int) -> None:
        s = wiring.synapses[number]
        order = np.argsort(s.pre, kind="stable")
        self.pre, self.post, self.delay = s.pre[order], s.post[order], s.delay[order].astype(np.int64)
        self.weight = wiring.weight[number][order]

    def add(self, ring: Array, t: int, spiked: Array, column: int) -> None:
        """Add the synapses of neurons that spike in step t to what arrives in later steps."""
        for i in spiked:
            row = slice(*np.searchsorted(self.pre, [i, i + 1]))
            np.add.at(ring, ((t + self.delay[row]) % len(ring), column + self.post[row]), self.weight[row])


def _record_spikes(sink: Sink, p: SimulatedPopulation, t: int, spiked: Array, wanted: Array | None) -> None:
    kept = spiked if wanted is None else spiked[np.isin(spiked, wanted)]
    if kept.size:
        sink.spikes(p.index, np.full(kept.size, t), kept.astype(np.int32))
