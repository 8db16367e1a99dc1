"""A plan in NumPy: the forward pass, its adjoint and the rewiring, written as their equations.

Time runs step by step, so there are no blocks, no lists and no choice of form here. ``np.add.at`` adds one synapse
after the other in the order of the arrays, which is the row order that every backend keeps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.equations import evaluate
from ...compilers.plan import ConnectionPlan, Plan, PopulationPlan
from ...connectivity import Synapses, home_words
from ...learning.losses import LOSSES
from ...learning.optimisers import Optimiser
from ...learning.readouts import READOUTS
from ...random import Purpose, normal_quantile, philox, sample_distinct
from ..protocol import ConnectionState, DenseData, InputData

Array = npt.NDArray[Any]


class ReferenceEngine:
    """See :class:`~genn_delays.backends.protocol.Engine`. Activity is ``[neuron, time, lane]``.

    Attributes:
        frozen_resets: spikes by population, ``[neuron, time, lane]``: where given, they decide the resets in place of
            the run's own. With smooth spikes and those of the unperturbed run, finite differences of the loss are the
            gradient with a detached reset.
    """

    def __init__(self, plan: Plan, dtype: str, smooth: bool) -> None:
        self.plan, self.dtype, self.smooth = plan, np.dtype(dtype), smooth
        self.frozen_resets: dict[int, Array] = {}
        self.x: dict[int, Array] = {}  # what a population sends
        self.tape: dict[int, dict[str, Array]] = {}  # its variables before the jumps
        self.g: dict[int, Array] = {}  # dL/dIsyn
        self.z: dict[int, Array] = {}  # what its readout gives
        self.dz: dict[int, Array] = {}
        self._numbers = {
            p.index: {name: values.astype(np.float32).astype(dtype)[:, None] for name, values in p.parameters.items()}
            for p in plan.populations
        }
        self._states = {c.index: ConnectionState.new(c.initial_synapses(), c.num_moments) for c in plan.connections}
        self._gradients: dict[int, Array] = {}
        self.lanes = 0

    def close(self) -> None:
        """Nothing to give back."""

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.lanes = len(examples)
        for index, data in inputs.items():
            x = np.zeros((self.plan.populations[index].size, self.plan.time_steps, self.lanes), self.dtype)
            for lane, example in enumerate(examples):
                if isinstance(data, DenseData):
                    x[:, :, lane] = data.values[example].T
                else:
                    events = slice(data.start[example], data.start[example + 1])
                    x[data.neuron[events], data.step[events], lane] = 1
            self.x[index] = x

    def forward(self) -> None:
        order = [self.plan.populations[i] for group in self.plan.groups for i in group]
        shape = (self.plan.time_steps, self.lanes)
        for p in order:
            assert p.model is not None
            self.x[p.index] = np.zeros((p.size, *shape), self.dtype)
            self.tape[p.index] = {s: np.zeros((p.size, *shape), self.dtype) for s in p.model.states}
        after = {p.index: self._initial(p) for p in order}
        for t in range(self.plan.time_steps):
            for p in order:
                current = np.zeros((p.size, self.lanes), self.dtype)
                for c in p.incoming:
                    s, source = self._synapses(c), self.plan.connections[c].source
                    departure = t - s.delay.astype(np.int64)
                    sent = np.where((departure >= 0)[:, None], self.x[source][s.pre, np.maximum(departure, 0)], 0)
                    np.add.at(current, s.post, s.weight[:, None] * sent)
                after[p.index] = self._step(p, t, after[p.index], current)
        for p in self.plan.outputs:
            self.z[p.index] = READOUTS[str(p.readout)].forward(self._read(p))

    def _initial(self, p: PopulationPlan) -> dict[str, Array]:
        assert p.model is not None
        numbers = self._numbers[p.index]
        return {s: np.broadcast_to(numbers[f"{s}_initial"], (p.size, self.lanes)) for s in p.model.states}

    def _step(self, p: PopulationPlan, t: int, state: dict[str, Array], current: Array) -> dict[str, Array]:
        """One step of a population: variables, spikes, and the variables after a spike's jumps."""
        model, numbers = p.model, self._numbers[p.index]
        assert model is not None
        known = {**numbers, **state, "Isyn": current}
        now = {s: evaluate(model.update[s].py, known) for s in model.states}
        for s, values in now.items():
            self.tape[p.index][s][:, t] = values
        if model.threshold is None:
            return now
        distance = evaluate(model.threshold.py, {**numbers, **now})
        spike = self._spike(distance)
        self.x[p.index][:, t] = spike
        if p.index in self.frozen_resets:
            spike = self.frozen_resets[p.index][:, t]
        jumped = {s: evaluate(jump.py, {**numbers, **now}) for s, jump in model.jump.items()}
        if self.smooth:
            return {s: now[s] + spike * (jumped[s] - now[s]) if s in jumped else now[s] for s in model.states}
        return {s: np.where(spike == 1, jumped[s], now[s]) if s in jumped else now[s] for s in model.states}

    def _spike(self, distance: Array) -> Array:
        if self.smooth:
            return evaluate(self.plan.surrogate_code.spike.py, {"x": distance})
        return (distance >= 0).astype(self.dtype)

    def _read(self, p: PopulationPlan) -> Array:
        assert p.model is not None
        return self.tape[p.index][p.model.states[p.model.output]]

    def loss(self, labels: dict[int, npt.NDArray[np.int32]]) -> dict[int, tuple[float, int]]:
        results = {}
        for p in self.plan.outputs:
            losses, self.dz[p.index] = LOSSES[self.plan.loss].evaluate(self.z[p.index], labels[p.index])
            right = self.z[p.index].argmax(axis=0) == labels[p.index]
            results[p.index] = (float(losses.sum()), int(right.sum()))
        return results

    def backward(self) -> None:
        order = [self.plan.populations[i] for group in reversed(self.plan.groups) for i in group]
        T = self.plan.time_steps
        later, direct = {}, {}
        for p in order:
            assert p.model is not None
            self.g[p.index] = np.zeros((p.size, T, self.lanes), self.dtype)
            later[p.index] = {s: np.zeros((p.size, self.lanes), self.dtype) for s in p.model.states}
        for p in self.plan.outputs:
            direct[p.index] = READOUTS[str(p.readout)].backward(self._read(p), self.dz[p.index])
        for t in reversed(range(T)):
            for p in order:
                e = direct[p.index][:, t].copy() if p.index in direct else np.zeros((p.size, self.lanes), self.dtype)
                for c in p.outgoing:
                    s, target = self._synapses(c), self.plan.connections[c].target
                    arrival = t + s.delay.astype(np.int64)
                    felt = np.where((arrival < T)[:, None], self.g[target][s.post, np.minimum(arrival, T - 1)], 0)
                    np.add.at(e, s.pre, s.weight[:, None] * felt)
                later[p.index] = self._adjoint_step(p, t, later[p.index], e)
        self._gradients = {c.index: self._correlate(c) for c in self.plan.connections}

    def _adjoint_step(self, p: PopulationPlan, t: int, later: dict[str, Array], e: Array) -> dict[str, Array]:
        model, numbers = p.model, self._numbers[p.index]
        assert model is not None
        known = {**numbers, **{s: self.tape[p.index][s][:, t] for s in model.states}}
        known |= {f"L_{s}": later[s] for s in model.states} | {"e": e}
        if model.threshold is not None:
            distance = evaluate(model.threshold.py, known)
            known["S"] = self._spike(distance)
            known["ds"] = evaluate(self.plan.surrogate_code.derivative.py, {"x": distance})
        now = {s: evaluate(model.adjoint[s].py, known) for s in model.states}
        if model.threshold is None:  # the readout's derivative acts on the variable it reads
            now[model.states[model.output]] = now[model.states[model.output]] + e
        self.g[p.index][:, t] = evaluate(model.gradient.py, {**numbers, **{f"l_{s}": now[s] for s in model.states}})
        return now

    def _correlate(self, c: ConnectionPlan) -> Array:
        """dL/dw = <x[pre] shifted by the delay, g[post]>."""
        s, T = self._synapses(c.index), self.plan.time_steps
        x, g = self.x[c.source], self.g[c.target]
        pairs = zip(s.pre, s.post, s.delay.tolist(), strict=True)
        sums = [np.vdot(x[j, : max(T - d, 0)], g[i, min(d, T) :]) for j, i, d in pairs]
        return np.array(sums, dtype=self.dtype)

    # --- learning ----------------------------------------------------------------------------------------------------

    def update(self, step: int, optimisers: dict[int, Optimiser]) -> None:
        for index, optimiser in optimisers.items():
            c = self.plan.connections[index]
            state, rule = self._states[c.index], c.rewiring
            weight: Array = state.synapses.weight
            g: Array = self._gradients[c.index].astype(np.float32)
            sign: Array = np.copysign(np.float32(1), weight)
            if rule is not None:
                g = g + np.float32(rule.l1) * sign
            updated: Array = optimiser.step(weight, g, state.moments, state.age)
            if rule is not None and rule.temperature > 0:
                s = state.synapses
                words = philox(self.plan.training_seed, Purpose.NOISE, c.index, s.pre, s.post, step)
                words = words[s.delay & 3, np.arange(s.delay.size)]
                noise = np.sqrt(2 * optimiser.alpha * rule.temperature) * normal_quantile(words)
                updated = updated + sign * noise.astype(np.float32)
            if rule is not None and rule.signed:
                updated = np.where(updated * sign > 0, updated, np.copysign(np.float32(0), weight))
            weight[:] = updated

    def rewire(self, step: int) -> dict[int, int]:
        rules = [c for c in self.plan.connections if c.rewiring is not None and c.rewiring.due(step)]
        return {c.index: self._rewire(c, step) for c in rules}

    def _rewire(self, c: ConnectionPlan, step: int) -> int:
        """Every pair without a living synapse is written down, and as many as were dropped are chosen."""
        state, rule = self._states[c.index], c.rewiring
        assert rule is not None
        s = state.synapses
        living = ~rule.dropped(s.weight, step)
        dropped = int((~living).sum())
        if dropped == 0:
            return 0
        pair = s.post.astype(np.int64) * c.num_pre + s.pre
        empty = np.setdiff1d(np.arange(c.num_pre * c.num_post), pair[living])
        chosen = empty[sample_distinct(dropped, empty.size, self.plan.training_seed, Purpose.GROWTH, c.index, step)]
        pre, post = (chosen % c.num_pre).astype(np.int32), (chosen // c.num_pre).astype(np.int32)

        home = home_words(pre, post, 0, self.plan.network_seed, c.index)
        negative = home[0] < c.sign_threshold if c.pre_sign is None else c.pre_sign[pre] < 0
        delay_words = home[1]
        if rule.growth_delay == "redraw":
            delay_words = philox(self.plan.training_seed, Purpose.GROWTH_DELAY, c.index, pre, post, step)[0]
        grown = Synapses(
            pre,
            post,
            c.connection.connectivity.delay_initializer.from_words(delay_words),
            np.where(negative, -1e-12, 1e-12).astype(np.float32),
        )
        columns = [np.concatenate([getattr(s, f)[living], getattr(grown, f)]) for f in Synapses._fields]
        order = np.lexsort((columns[0], columns[1]))
        zero = np.zeros(dropped, np.float32)
        moments = [np.concatenate([m[living], zero])[order] for m in state.moments]
        age = np.concatenate([state.age[living], zero.astype(np.uint16)])[order]
        self._states[c.index] = ConnectionState(Synapses(*(column[order] for column in columns)), moments, age)
        return dropped

    # --- reading and writing -----------------------------------------------------------------------------------------

    def _synapses(self, connection: int) -> Synapses:
        return self._states[connection].synapses

    def output(self, population: int) -> npt.NDArray[np.float32]:
        return self.z[population].T.copy()

    def gradient(self, connection: int) -> Array:
        return self._gradients[connection].copy()

    def variable(self, population: int, name: str) -> Array:
        return self.tape[population][name].copy()

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        return np.asarray(self.x[population] != 0)

    def spike_count(self, population: int) -> int:
        return int(np.count_nonzero(self.x[population]))

    def state(self, connection: int) -> ConnectionState:
        return self._states[connection].copy()

    def set_state(self, connection: int, state: ConnectionState) -> None:
        copy = state.copy()
        if self.dtype == np.float64:  # finite differences want weights that float32 cannot hold
            copy.synapses = copy.synapses._replace(weight=copy.synapses.weight.astype(np.float64))
        self._states[connection] = copy
