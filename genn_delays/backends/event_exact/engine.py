"""A network in continuous time: every neuron of every example runs from event to event, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from ...errors import InvalidValueError, unknown
from ...learning.losses import Truth
from ...learning.optimisers import Optimisers
from ...plan.exchanged import ConnectionState, DenseData, InputData, Pass, Rewired
from ...plan.foresight import foresee
from ...plan.outcome import direct as felt_directly
from ...plan.outcome import outcome, phantom_push
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.populations import PopulationState
from .dynamics import Array, Dynamics
from .trajectory import Adjoint, Arrival, Spike, Trajectory


class _Synapse(NamedTuple):
    """A synapse of a neuron: its connection and number there, the neuron it leads to, delay in time steps, weight."""

    connection: int
    number: int
    target: int
    post: int
    delay: float
    weight: float


class EventExactEngine:
    """See :class:`~genn_delays.plan.protocol.Engine`.

    Populations on a cycle run in windows shorter than the shortest delay between them, so that nothing within a window
    depends on the window's own spikes; the same holds for the backward pass.
    """

    runs_ahead = False
    learner = None
    survives_fork = True
    finder = None
    one_pass = None

    def __init__(self, plan: Plan) -> None:
        _check(plan)
        foresee(plan, {})
        self.plan, self.lanes = plan, 0
        self.z: dict[int, Array] = {}  # the readouts' z
        self.dz: dict[int, Array] = {}
        self._states: dict[int, ConnectionState] = {}
        for c in plan.connections:
            self.set_state(c.index, ConnectionState.new(c.initial_synapses(), c))
        self._values = {p.index: PopulationState.new(p).values for p in plan.populations}
        self._gradients: dict[tuple[int, str], Array] = {}
        self._sent: dict[int, list[list[tuple[int, int, float]]]] = {}  # of inputs by lane: step, neuron, value
        self._runs: dict[int, list[list[Trajectory]]] = {}  # by population, lane, neuron
        self._outgoing: dict[tuple[int, int], list[_Synapse]] = {}  # by population, neuron

    def close(self) -> None:
        """Nothing to free."""

    def after_fork(self) -> None:
        """Nothing to do: it has no threads."""

    def check_learning(self, *, training: bool) -> None:
        if training:
            _no_trainer()

    # --- forwards ----------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.lanes = len(examples)
        self._sent = {index: [_sent(data, int(example)) for example in examples] for index, data in inputs.items()}

    def forward(self, how: Pass) -> None:
        self._outgoing = {}
        for c in self.plan.connections:
            s, delay = self._states[c.index].synapses, self._delay(c).tolist()
            columns = (s.pre.tolist(), s.post.tolist(), delay, s.weight.tolist())
            for index, (pre, post, d, weight) in enumerate(zip(*columns, strict=True)):
                synapse = _Synapse(c.index, index, c.target, post, d, weight)
                self._outgoing.setdefault((c.source, pre), []).append(synapse)
        self._runs = {p.index: self._started(p) for p in self.plan.populations if p.kind == "neuron"}
        for population, lanes in self._sent.items():
            for lane, events in enumerate(lanes):
                for step, neuron, value in events:
                    self._send(population, neuron, lane, step, value)
        for group in self.plan.groups:
            for until in self._windows(group):
                for population, lane, neuron, run in self._each(group):
                    for spike in run.run(until):
                        self._send(population, neuron, lane, spike.time / self._dt, 1.0, spike)
        for p in self.plan.outputs:
            self.z[p.index] = self._readout(p)

    @property
    def _dt(self) -> float:
        return self.plan.populations[0].dt

    def _started(self, p: PopulationPlan) -> list[list[Trajectory]]:
        """The neurons of a population at time 0, by lane; a bias is an impulse at every step."""
        neurons = [Dynamics(p, self._values[p.index], neuron) for neuron in range(p.size)]
        lanes = [[Trajectory(d, self.plan.time_steps, p.dt) for d in neurons] for _ in range(self.lanes)]
        if p.bias is not None:
            for runs in lanes:
                for run, bias in zip(runs, p.bias.tolist(), strict=True):
                    for k in range(self.plan.time_steps):
                        run.receive(Arrival(k * p.dt, bias, 1.0))
        return lanes

    def _windows(self, group: tuple[int, ...]) -> list[float]:
        """The ends of the windows of time in which a group runs; the last one holds all that is left."""
        inside = [c for c in self.plan.connections if c.source in group and c.target in group]
        if not inside:
            return [np.inf]
        for c in inside:
            if (self._delay(c) <= 0).any():
                raise InvalidValueError(
                    f"connection {c.name!r} lies on a cycle, where delays must be above 0 steps, got "
                    f"{self._delay(c).min():g}"
                )
        width = min(float(self._delay(c).min(initial=self.plan.time_steps)) for c in inside) / 2 * self._dt
        count = int((self.plan.time_steps - 1) * self._dt / width)
        return [*(width * (n + 1) for n in range(count)), np.inf]

    def _each(self, group: tuple[int, ...]) -> Iterator[tuple[int, int, int, Trajectory]]:
        """Population, lane, neuron and run of everything in a group."""
        for population in group:
            for lane, runs in enumerate(self._runs[population]):
                for neuron, run in enumerate(runs):
                    yield population, lane, neuron, run

    def _delay(self, c: ConnectionPlan) -> Array:
        """Delays in time steps, real-valued where there are such."""
        state = self._states[c.index]
        return np.asarray(state.position if state.position.size else state.synapses.delay, dtype=np.float64)

    def _send(
        self, population: int, neuron: int, lane: int, step: float, sent: float, source: Spike | None = None
    ) -> None:
        """Something leaves a neuron at a time in steps, and arrives where its synapses lead."""
        for s in self._outgoing.get((population, neuron), ()):
            if step + s.delay <= self.plan.time_steps - 1:
                arrival = Arrival((step + s.delay) * self._dt, s.weight, sent, s.connection, s.number, source)
                self._runs[s.target][lane][s.post].receive(arrival)

    def _read(self, p: PopulationPlan) -> Array:
        """The output variable at the steps, ``[neuron, time, lane]``."""
        assert p.model is not None
        return self.variable(p.index, p.model.states[p.model.output])

    def _readout(self, p: PopulationPlan) -> Array:
        """The readout's z of an example, ``[neuron, lane]``."""
        readout = p.reading
        if readout.derivative == "value":
            return readout.forward(self._read(p), p.dt)
        duration = self.plan.time_steps * p.dt
        return np.array([[min(t, default=duration) for t in lanes] for lanes in self.spike_times(p.index)])

    def not_finite(self) -> tuple[int, ...]:
        """None: the solution is in closed form, so that no step can make a variable infinite."""
        return ()

    def loss(self, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        results = {}
        for p in self.plan.outputs:
            # without a readout of a variable nothing is read over time
            by_value = p.reading.derivative == "value"
            read = self._read(p) if by_value else self.z[p.index][:, None]
            loss, right, self.dz[p.index] = outcome(p, read, self.z[p.index], labels[p.index])
            results[p.index] = (loss, right)
        return results

    # --- backwards ---------------------------------------------------------------------------------------------------

    def backward(self) -> None:
        """Gradients of all synapses. A spike's gradient is the sum over its synapses of its arrivals' gradients."""
        for c in self.plan.connections:
            for variable in ("weight", "delay"):
                self._gradients[c.index, variable] = np.zeros(self._states[c.index].synapses.pre.size)
        for group in reversed(self.plan.groups):
            direct = {p: self._direct(self.plan.populations[p]) for p in group}
            adjoints = [(p, lane, n, Adjoint(run)) for p, lane, n, run in self._each(group)]
            phantoms = {p: self._phantoms(self.plan.populations[p]) for p in group}
            for population, lane, neuron, adjoint in adjoints:
                adjoint.push(self._dt, float(phantoms[population][neuron, lane]))
            for _ in self._windows(group):
                for population, lane, neuron, adjoint in adjoints:
                    for arrival, impulse, time in adjoint.run(direct[population][neuron, :, lane]):
                        self._account(arrival, impulse, time)

    def _direct(self, p: PopulationPlan) -> Array:
        """dL/d(output variable) at the steps, ``[neuron, time, lane]``; a loss of spike times acts on those spikes."""
        none = np.zeros((p.size, self.plan.time_steps, self.lanes))
        if p.loss is None:
            return none
        if p.loss.stepwise or p.reading.derivative == "value":
            return felt_directly(p, self._read(p), self.dz[p.index])
        for lane, runs in enumerate(self._runs[p.index]):
            for run, dz in zip(runs, self.dz[p.index][:, lane], strict=True):
                if run.spikes:
                    run.spikes[0].felt = float(dz)
        return none

    def _phantoms(self, p: PopulationPlan) -> Array:
        """dL/d(output variable) at the end of the example by phantom spikes, ``[neuron, lane]``."""
        if not p.has_phantoms:
            return np.zeros((p.size, self.lanes))
        spiked = np.array([[times.size > 0 for times in lanes] for lanes in self.spike_times(p.index)], dtype=float)
        return phantom_push(p, spiked[:, None], self.dz[p.index])

    def _account(self, arrival: Arrival, impulse: float, time: float) -> None:
        """Add an arrival's gradients, by its impulse and by its time, to its synapse and to its spike."""
        if arrival.connection is None:
            return
        felt = arrival.weight * arrival.sent * time
        self._gradients[arrival.connection, "weight"][arrival.synapse] += arrival.sent * impulse
        self._gradients[arrival.connection, "delay"][arrival.synapse] += self._dt * felt
        if arrival.source is not None:
            arrival.source.felt += felt

    # --- not for training --------------------------------------------------------------------------------------------

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        _no_trainer()

    def rewire(self, step: int, drops: dict[int, int]) -> dict[int, Rewired]:
        _no_trainer()

    def set_drive(self, population: int, drive: Array) -> None:
        _no_trainer()

    def batch_statistics(self, population: int) -> tuple[Array, Array]:
        _no_trainer()

    def population_gradients(self, population: int) -> dict[str, npt.NDArray[np.float32]]:
        """None: populations learn nothing here."""
        return {}

    # --- reading and writing -----------------------------------------------------------------------------------------

    def output(self, population: int) -> npt.NDArray[Any]:
        return self.z[population].T.copy()

    def gradient(self, connection: int, variable: str = "weight") -> npt.NDArray[Any]:
        """dL/dweight, or dL/ddelay per time step, ``[synapse]``, of all connections, learned or not."""
        return self._gradients[connection, variable].copy()

    def keep_variables(self, population: int) -> None:
        """Nothing to do: they are always kept."""

    def variable(self, population: int, name: str) -> npt.NDArray[Any]:
        """A variable at the times of the steps, ``[neuron, time, lane]``."""
        states = self._runs[population][0][0].dynamics.states
        if name not in states:
            raise unknown(f"variable of population {self.plan.populations[population].name!r}", name, states)
        recorded = [[run.recorded[:, states.index(name)] for run in runs] for runs in self._runs[population]]
        return np.asarray(recorded).transpose(1, 2, 0)

    def spike_times(self, population: int) -> list[list[Array]]:
        """The times of all spikes in ms, by neuron and lane."""
        lanes = [[np.array([s.time for s in run.spikes]) for run in runs] for runs in self._runs[population]]
        return [list(times) for times in zip(*lanes, strict=True)]

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        """Spikes in the first step that is not before them, as on the grid, ``[neuron, time, lane]``."""
        p = self.plan.populations[population]
        found = np.zeros((p.size, self.plan.time_steps, self.lanes), dtype=bool)
        if p.kind != "neuron":
            for lane, events in enumerate(self._sent[population]):
                for step, neuron, _ in events:
                    found[neuron, step, lane] = True
            return found
        for neuron, lanes in enumerate(self.spike_times(population)):
            for lane, times in enumerate(lanes):
                found[neuron, np.minimum(np.ceil(times / self._dt).astype(int), self.plan.time_steps - 1), lane] = True
        return found

    def spike_totals(self, population: int) -> Array:
        return np.array([float(sum(times.size for times in lanes)) for lanes in self.spike_times(population)])

    def spike_count(self, population: int) -> int:
        if self.plan.populations[population].kind != "neuron":
            return int(np.count_nonzero(self.spikes(population)))
        return int(self.spike_totals(population).sum())

    def set_values(self, population: int, values: dict[str, npt.NDArray[Any]]) -> None:
        self._values[population] = {name: array.copy() for name, array in values.items()}

    def state(self, connection: int) -> ConnectionState:
        return self._states[connection].copy()

    def set_state(self, connection: int, state: ConnectionState) -> None:
        """Take over a connection's state; its weights and real-valued delays may be in double precision."""
        copy = state.copy()
        copy.synapses = copy.synapses._replace(weight=copy.synapses.weight.astype(np.float64))
        copy.position = copy.position.astype(np.float64)
        self._states[connection] = copy


def _sent(data: InputData, example: int) -> list[tuple[int, int, float]]:
    """The events of an example's input: step, neuron, value."""
    if not isinstance(data, DenseData):
        events = slice(data.start[example], data.start[example + 1])
        return [(k, n, 1.0) for k, n in zip(data.step[events].tolist(), data.neuron[events].tolist(), strict=True)]
    steps, neurons = np.nonzero(data.values[example])
    values = data.values[example][steps, neurons].tolist()
    return list(zip(steps.tolist(), neurons.tolist(), values, strict=True))


def _check(plan: Plan) -> None:
    """Raise one clear error for a network whose gradient does not exist in continuous time, or is not implemented
    here."""
    needs = "the backend 'event_exact' needs"
    for p in plan.populations:
        what = f"population {p.name!r}"
        if p.batch_norm is not None or p.dropout > 0:
            raise InvalidValueError(f"{what}: {needs} populations without batch_norm and dropout")
        if p.learned:
            raise InvalidValueError(
                f"{what}: {needs} optimisers for weights and delays only, got one for {', '.join(p.learned)}"
            )
        if p.model is not None and p.model.transitions is None:
            raise InvalidValueError(f"{what}: {needs} exponential synapses onto it, got 'delta'")
        readout = None if p.readout is None else p.reading
        if readout is not None and readout.reads == "spikes" and readout.derivative == "value":
            raise InvalidValueError(f"{what}: {needs} a readout of a variable or of spike times, got {p.readout!r}")
    for c in plan.connections:
        if c.synapse != "exponential":
            raise InvalidValueError(f"connection {c.name!r}: {needs} exponential synapses, got {c.synapse!r}")
        if c.kernel is not None:
            raise InvalidValueError(
                f"connection {c.name!r}: {needs} connections without a delay_kernel, got {c.kernel!r}"
            )
    if plan.regularisation is not None:
        raise InvalidValueError(f"{needs} a loss without regularised spike counts, got {plan.regularisation!r}")


def _no_trainer() -> NoReturn:
    raise InvalidValueError(
        "the backend 'event_exact' gives gradients to check others against and does not train; allowed are "
        "gradients(), evaluate() and predict()"
    )
