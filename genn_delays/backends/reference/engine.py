"""A plan in NumPy: the forward pass, its adjoint and the rewiring, written as their equations.

Time runs step by step, so there are no blocks, no lists and no choice of form here. ``np.add.at`` adds one synapse
after the other in the order of the arrays, which is the row order that every backend keeps.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from ...connectivity import Synapses
from ...delays import Taps, difference_taps
from ...derive.expressions import evaluate
from ...derive.names import derived_name, given_name
from ...learning.losses import Truth
from ...learning.optimisers import Optimisers
from ...plan.exchanged import ConnectionState, DenseData, InputData, Pass, Rewired
from ...plan.finite import not_finite
from ...plan.foresight import foresee
from ...plan.limits import check_spikes
from ...plan.outcome import direct as felt_directly
from ...plan.outcome import outcome, phantom_push
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.populations import PopulationState
from ...plan.trainable import check_trainable
from ...random import Purpose, dropout_threshold, philox
from .activity import Activity, Array
from .batch_norm import Norm, normalised, through_norm
from .event_prop import event_prop_step
from .rewiring import rewired_state
from .slopes import add_slopes
from .updates import update_state


class ReferenceEngine(Activity):
    """See :class:`~genn_delays.plan.protocol.Engine`."""

    runs_ahead = False
    learner = None
    survives_fork = True
    finder = None
    one_pass = None

    def __init__(self, plan: Plan, dtype: str, smooth: bool) -> None:
        foresee(plan, _foreseen(plan, np.dtype(dtype).itemsize))
        super().__init__(plan, dtype, smooth)
        self.z: dict[int, Array] = {}  # the readout's z
        self.dz: dict[int, Array] = {}  # dL/dz, or dL/dv of a loss of a time step
        self._states = {c.index: ConnectionState.new(c.initial_synapses(), c) for c in plan.connections}
        self._values: dict[int, dict[str, Array]] = {}
        for p in plan.populations:
            self.set_values(p.index, PopulationState.new(p).values)
        self._gradients: dict[tuple[int, str], Array] = {}
        self._value_gradients: dict[int, dict[str, Array]] = {}
        self._norms: dict[int, Norm] = {}
        self._drive: dict[int, Array] = {}
        self._slopes: dict[int, dict[str, Array]] = {}  # dL/dcoefficient of learned parameters
        self._current_tape: dict[int, Array] = {}
        self._no_number: set[int] = set()

    def close(self) -> None:
        """Nothing to free."""

    def after_fork(self) -> None:
        """Nothing to do: it has no threads."""

    def check_learning(self, *, training: bool) -> None:
        check_trainable(self.plan)

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

    def forward(self, how: Pass) -> None:
        self.how = how
        shape = (self.plan.time_steps, self.lanes)
        acting = [self._acting(c) for c in self.plan.connections]
        for members in self.plan.groups:
            group = [self.plan.populations[i] for i in members]
            for p in group:
                assert p.model is not None
                self.x[p.index] = np.zeros((p.size, *shape), self.dtype)
                self.spiked[p.index] = np.zeros((p.size, *shape), self.dtype)
                self._current_tape[p.index] = np.zeros((p.size, *shape), self.dtype)
                self.tape[p.index] = {s: np.zeros((p.size, *shape), self.dtype) for s in p.model.states}
            after = {p.index: self.initial(p) for p in group}
            normed = {p.index: self._normed(p, acting) for p in group if p.batch_norm}
            for t in range(self.plan.time_steps):
                for p in group:
                    current = normed[p.index][:, t] if p.index in normed else self._current(p, t, acting)
                    self._current_tape[p.index][:, t] = current
                    after[p.index] = self._step(p, t, after[p.index], current)
            self._no_number |= {i for i, state in after.items() if not_finite(state)}
        for p in self.plan.populations:
            if self.plan.max_spikes is not None and p.index in self.spiked:
                check_spikes(p, self.spiked[p.index].sum(axis=1).max(axis=1), self.plan.max_spikes)
        for p in self.plan.outputs:
            self.z[p.index] = p.reading.forward(self._read(p), p.dt)

    def not_finite(self) -> tuple[int, ...]:
        found, self._no_number = self._no_number, set()
        return tuple(sorted(found))

    def _acting(self, c: ConnectionPlan) -> Synapses:
        """Synapses as they act in this pass: one for every lag of a synapse that is spread over several."""
        s, training = self._synapses(c.index), self.how.training
        weight = s.weight * self.gain(c.source)
        if c.kernel is None or not training:
            return s._replace(weight=weight)
        taps = self._kernel_taps(c)
        syn, n = np.nonzero(np.arange(taps.share.shape[1]) < taps.number[:, None])  # a synapse's lags in order
        lag = (taps.first[syn] + n).astype(np.uint16)
        return Synapses(s.pre[syn], s.post[syn], lag, weight[syn] * taps.share[syn, n])

    def _kernel_taps(self, c: ConnectionPlan) -> Taps:
        """The lags at which a connection's correlograms are needed, and its synapses' shares of them."""
        position = self._states[c.index].position
        if c.kernel is not None:
            return c.kernel.taps(position, self.how.widths[c.index], c.min_delay, c.max_delay)
        return difference_taps(position, c.min_delay, c.max_delay)

    def _kept(self, p: PopulationPlan) -> Array:
        """The dropout mask of this pass, True for neurons that an example keeps, ``[neuron, lane]``."""
        if not p.dropout or not self.how.training:
            return np.ones((p.size, self.lanes), dtype=bool)
        neuron, lane = np.arange(p.size)[:, None], np.arange(self.lanes)
        words = philox(self.plan.training_seed, Purpose.DROPOUT, p.index, neuron, lane >> 2, self.how.step)
        return np.asarray(words[lane & 3, neuron, lane] >= dropout_threshold(p.dropout))

    def _current(self, p: PopulationPlan, t: int, acting: list[Synapses]) -> Array:
        """The input current of step t: one synapse after the other is added."""
        current = np.zeros((p.size, self.lanes), self.dtype)
        for c in p.incoming:
            s, source = acting[c], self.plan.connections[c].source
            departure = t - s.delay.astype(np.int64)
            sent = np.where((departure >= 0)[:, None], self.x[source][s.pre, np.maximum(departure, 0)], 0)
            np.add.at(current, s.post, s.weight[:, None] * sent)
        return current if p.bias is None else current + p.bias.astype(np.float32).astype(self.dtype)[:, None]

    def _normed(self, p: PopulationPlan, acting: list[Synapses]) -> Array:
        """The input current of all steps, normalised."""
        assert p.batch_norm is not None
        current = np.stack([self._current(p, t, acting) for t in range(self.plan.time_steps)], axis=1)
        values, training = self._values[p.index], self.how.training
        self._norms[p.index], normed = normalised(current, values, training, p.batch_norm.epsilon)
        return normed

    def _step(self, p: PopulationPlan, t: int, state: dict[str, Array], current: Array) -> dict[str, Array]:
        """One step of a population: variables, spikes, and the variables after a spike's jumps."""
        model, numbers = p.model, self.own_numbers[p.index]
        assert model is not None
        known = {**numbers, **state, "Isyn": current}
        with np.errstate(all="ignore"):  # what overflows is looked for at the end of an example
            for name, step in model.steps.items():
                known[name] = evaluate(step.py, known)
            now = {s: evaluate(model.update[s].py, known) for s in model.states}
        for s, values in now.items():
            self.tape[p.index][s][:, t] = values
        if model.threshold is None:
            return now
        distance = evaluate(model.threshold.py, {**numbers, **now})
        spike = self._spike(distance)
        self.spiked[p.index][:, t] = spike
        self.x[p.index][:, t] = np.where(self._kept(p), spike, 0)
        return self.jumped(p, now, self.reset(p, t))

    def _spike(self, distance: Array) -> Array:
        if self.smooth and self.plan.surrogate_code is not None:
            return evaluate(self.plan.surrogate_code.spike.py, {"x": distance})
        return (distance >= 0).astype(self.dtype)

    def _read(self, p: PopulationPlan) -> Array:
        assert p.model is not None
        if p.reading.reads == "spikes":
            return self.spiked[p.index]
        return self.tape[p.index][p.model.states[p.model.output]]

    def loss(self, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        results = {}
        for p in self.plan.outputs:
            loss, right, self.dz[p.index] = outcome(p, self._read(p), self.z[p.index], labels[p.index])
            results[p.index] = (loss, right)
        return results

    def backward(self) -> None:
        acting = [self._acting(c) for c in self.plan.connections]
        self._slopes = {p.index: {c: np.zeros(p.size) for c in p.slopes} for p in self.plan.populations if p.slopes}
        for members in reversed(self.plan.groups):
            group, later, direct = [self.plan.populations[i] for i in members], {}, {}
            for p in group:
                assert p.model is not None
                self.g[p.index] = np.zeros((p.size, self.plan.time_steps, self.lanes), self.dtype)
                self.h[p.index] = np.zeros_like(self.g[p.index])
                later[p.index] = {s: np.zeros((p.size, self.lanes), self.dtype) for s in p.model.states}
                if p.readout is not None:
                    direct[p.index] = felt_directly(p, self._read(p), self.dz[p.index])
                if p.has_phantoms:
                    push = phantom_push(p, self._read(p), self.dz[p.index])
                    later[p.index][p.model.states[p.model.output]] += push
            for t in reversed(range(self.plan.time_steps)):
                for p in group:
                    e = self._felt(p, t, acting, self.h if p.event_prop else self.g) * self._kept(p)
                    if p.index in direct:
                        e = e + direct[p.index][:, t]
                    drive = np.zeros((p.size, 1), self.dtype)
                    if p.index in self._drive:
                        drive = self._drive[p.index].astype(self.dtype)[:, None]
                    if p.event_prop:
                        later[p.index] = event_prop_step(self, p, t, later[p.index], e, drive)
                    else:
                        later[p.index] = self._adjoint_step(p, t, later[p.index], e + drive)
            for p in group:
                learned = p.parameter_gradients(self._slopes.get(p.index, {}), self._values[p.index])
                self._value_gradients[p.index] = {name: g.astype(self.dtype) for name, g in learned.items()}
                if p.batch_norm:
                    self.g[p.index], slopes = through_norm(self.g[p.index], self._norms[p.index])
                    self._value_gradients[p.index] |= slopes
        for c in self.plan.connections:
            self._correlate(c)

    def _felt(self, p: PopulationPlan, t: int, acting: list[Synapses], rows: dict[int, Array]) -> Array:
        """dL/dspike in step t, out of `rows` of its targets: one synapse after the other is added."""
        e, T = np.zeros((p.size, self.lanes), self.dtype), self.plan.time_steps
        for c in p.outgoing:
            s, target = acting[c], self.plan.connections[c].target
            arrival = t + s.delay.astype(np.int64)
            felt = np.where((arrival < T)[:, None], rows[target][s.post, np.minimum(arrival, T - 1)], 0)
            np.add.at(e, s.pre, s.weight[:, None] * felt)
        return e

    def _adjoint_step(self, p: PopulationPlan, t: int, later: dict[str, Array], e: Array) -> dict[str, Array]:
        model, numbers = p.model, self.own_numbers[p.index]
        assert model is not None
        known = {**numbers, **{s: self.tape[p.index][s][:, t] for s in model.states}}
        known |= {derived_name("L", s): later[s] for s in model.states} | {given_name("e"): e}
        if model.threshold is not None:
            distance = evaluate(model.threshold.py, known)
            known[given_name("S")] = self.reset(p, t)
            assert self.plan.surrogate_code is not None
            known[given_name("ds")] = evaluate(self.plan.surrogate_code.derivative.py, {"x": distance})
        if model.hold is not None:
            known[given_name("hold")] = evaluate(model.hold.py, known).astype(self.dtype)
        with np.errstate(all="ignore"):
            for name, value in model.back.items():
                known[name] = evaluate(value.py, known)
            now = {s: evaluate(model.adjoint[s].py, known) for s in model.states}
        if model.threshold is None:  # the readout's derivative acts on the variable it reads
            now[model.states[model.output]] = now[model.states[model.output]] + e
        if p.slopes:
            add_slopes(self._slopes[p.index], model, now, self.before(p, t), self._current_tape[p.index][:, t])
        lambdas = {derived_name("l", s): now[s] for s in model.states}
        self.g[p.index][:, t] = evaluate(model.gradient.py, {**known, **lambdas})
        return now

    def _correlate(self, c: ConnectionPlan) -> None:
        """dL/dw and, where delays are learned, dL/dd: weighted sums of the synapses' correlograms."""
        s, gain = self._synapses(c.index), self.gain(c.source)
        if c.gradient_taps is None:
            g, h = (self.correlogram(c, s.pre, s.post, s.delay, rows) for rows in (self.g, self.h))
            self._gradients[c.index, "weight"] = gain * g
            if c.gradient_form == "arrival":
                dt = self.dtype.type(self.plan.populations[c.target].dt)
                self._gradients[c.index, "delay"] = s.weight * gain * dt * h
            return
        taps = self._kernel_taps(c)
        weight, delay = np.zeros_like(s.weight), np.zeros_like(s.weight)
        for n in range(taps.share.shape[1]):
            here = np.flatnonzero(n < taps.number)
            sums = self.correlogram(c, s.pre[here], s.post[here], taps.first[here] + n, self.g)
            weight[here] += taps.share[here, n] * sums
            delay[here] += taps.slope[here, n] * sums
        self._gradients[c.index, "weight"] = gain * weight
        self._gradients[c.index, "delay"] = (s.weight * gain) * delay

    # --- learning ----------------------------------------------------------------------------------------------------

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        for index, learned in optimisers.items():
            c, gradient = self.plan.connections[index], partial(self.gradient, index)
            seed = self.plan.training_seed
            update_state(c, self._states[index], learned, gradient, seed=seed, step=step, scale=scale)

    def rewire(self, step: int, drops: dict[int, int]) -> dict[int, Rewired]:
        rewired = {}
        for index, count in drops.items():
            self._states[index], rewired[index] = rewired_state(self, self._states[index], index, step, count)
        return rewired

    # --- reading and writing -----------------------------------------------------------------------------------------

    def _synapses(self, connection: int) -> Synapses:
        return self._states[connection].synapses

    def output(self, population: int) -> npt.NDArray[np.float32]:
        return self.z[population].T.copy()

    def gradient(self, connection: int, variable: str = "weight") -> Array:
        return self._gradients[connection, variable].copy()

    def keep_gradient(self, population: int) -> None:
        """Nothing to do: it is always kept."""

    def current_gradient(self, population: int) -> Array:
        """See :class:`~genn_delays.plan.protocol.TellsGradients`."""
        return self.g[population].copy()

    def population_gradients(self, population: int) -> dict[str, Array]:
        return dict(self._value_gradients.get(population, {}))

    def batch_statistics(self, population: int) -> tuple[Array, Array]:
        return self._norms[population].mean, self._norms[population].var

    def spike_totals(self, population: int) -> Array:
        return np.asarray(self.spiked[population].sum(axis=(1, 2)), dtype=np.float64)

    def set_drive(self, population: int, drive: Array) -> None:
        self._drive[population] = drive

    def set_values(self, population: int, values: dict[str, Array]) -> None:
        self._values[population] = {name: array.copy() for name, array in values.items()}
        p = self.plan.populations[population]
        if p.sets_coefficients(values):
            single = self.dtype if self.dtype == np.float64 else np.float32
            numbers = p.coefficients(values).items()
            self.own_numbers[population] |= {name: v.astype(single)[:, None] for name, v in numbers}

    def keep_variables(self, population: int) -> None:
        """Nothing to do: they are always kept."""

    def variable(self, population: int, name: str) -> Array:
        return self.tape[population][name].copy()

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        return np.asarray(self.x[population] != 0) & self.plan.populations[population].spiking

    def spike_count(self, population: int) -> int:
        return int(np.count_nonzero(self.x[population]))

    def state(self, connection: int) -> ConnectionState:
        return self._states[connection].copy()

    def set_state(self, connection: int, state: ConnectionState) -> None:
        copy = state.copy()
        if self.dtype == np.float64:  # finite differences want weights that float32 cannot hold
            copy.synapses = copy.synapses._replace(weight=copy.synapses.weight.astype(np.float64))
            copy.position = copy.position.astype(np.float64)
        self._states[connection] = copy


def _foreseen(plan: Plan, itemsize: int) -> dict[tuple[str, str], int]:
    """Bytes of rows of activity, and of the temporary arrays of one step over all synapses."""
    row = plan.time_steps * plan.batch_size * itemsize
    needs = {}
    for p in plan.populations:
        rows = 3 + len(p.model.states) if p.model else 1
        rows += 2 if p.model and plan.learns else 0
        needs[f"population {p.name!r}", "the activity"] = rows * row * p.size
    for c in plan.connections:
        needs[f"connection {c.name!r}", "what arrives in a step"] = 2 * c.size * plan.batch_size * itemsize
    return needs
