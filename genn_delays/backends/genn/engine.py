"""A plan on GeNN: the host's work between GeNN's steps.

A batch runs in rounds of as many examples as GeNN runs at once: all of them on a GPU, one on GeNN's CPU backend. What
an output gives over time is fetched, and the host evaluates the loss by its definition; the backward pass starts
from its derivative. So every readout and loss works here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.bodies import mangled
from ...codegen.elementary import bodies_of_neurons
from ...derive.names import code_name, derived_name
from ...errors import InvalidValueError
from ...learning.losses import Truth
from ...learning.optimisers import L1, Optimisers
from ...neurons.batch_norm import factor_and_offset
from ...plan.exchanged import ConnectionState, DenseData, InputData, Pass, Rewired
from ...plan.finite import not_finite
from ...plan.foresight import foresee
from ...plan.limits import check_spikes
from ...plan.outcome import direct, outcome, phantom_push
from ...plan.plan import Plan, PopulationPlan
from ...plan.populations import PopulationState
from . import ragged
from .describe import Numbers, num_candidates, row_room
from .model import GeNNModel
from .rewiring import dropped, first_candidates
from .states import gradient, read_state, write_state

Array = npt.NDArray[Any]


class GeNNEngine:
    """See :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        model: the GeNN model that runs.
    """

    runs_ahead = False
    learner = None
    finder = None
    one_pass = None

    def __init__(self, plan: Plan, backend: str, lanes: int) -> None:
        self._trains = plan.event_prop is not None
        plan = checked(plan)
        foresee(plan, {}, copies=2)  # GeNN has its own
        self.plan, self._backend, self._lanes_at_once = plan, backend, lanes
        self.lanes = 0
        self.z: dict[int, Array] = {}
        self._dz: dict[int, Array] = {}
        self._recorded: dict[int, list[Array]] = {}
        self._kept: set[int] = set()
        self._no_number: set[int] = set()
        self._values: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
        self._numbers = {p.index: _numbers(p) for p in plan.populations}
        self._states = [ConnectionState.new(c.initial_synapses(), c) for c in plan.connections]
        self._rooms = [0 for _ in plan.connections]
        for p in plan.populations:
            self._take_values(p, PopulationState.new(p).values)
        self._closed = False
        self._build()

    def _build(self, grown: Iterable[int] = ()) -> None:
        """A model for the numbers and states that there are now.

        Args:
            grown: connections that get candidates for growth later.
        """
        growths = []
        for c, state in zip(self.plan.connections, self._states, strict=True):
            length = np.bincount(state.synapses.pre, minlength=c.num_pre)
            if num_candidates(c) and c.index not in grown:
                growths.append(first_candidates(c, length, self.plan.training_seed))
                length = growths[-1].length
            self._rooms[c.index] = max(self._rooms[c.index], row_room(c, int(length.max(initial=0))))
        synapses = [s.synapses for s in self._states]
        self.model = GeNNModel(self.plan, self._backend, self._lanes_at_once, self._numbers, synapses, self._rooms)
        for c, state in zip(self.plan.connections, self._states, strict=True):
            write_state(self.model, c, state)
        for growth in growths:
            growth.run(self.model)
        for index in self._kept:
            self.model.record(self.plan.populations[index])

    def _rebuild(self, grown: Iterable[int] = ()) -> None:
        """Build the model again, with all states as GeNN has them."""
        self._states = [self.state(c.index) for c in self.plan.connections]
        self.model.close()
        self._build(grown)

    @property
    def source(self) -> str:
        """The folder of the code that GeNN generated."""
        return str(self.model.folder)

    def close(self) -> None:
        if not self._closed:
            self._states = [self.state(c.index) for c in self.plan.connections]
            self._closed = True
            self.model.close()

    @property
    def survives_fork(self) -> bool:
        return self._backend == "single_threaded_cpu"

    def after_fork(self) -> None:
        """GeNN's CPU backend has no threads."""

    def check_learning(self, *, training: bool) -> None:
        if not self._trains:
            raise InvalidValueError(
                "backend 'genn' has gradients with EventPropCompiler (in a model file compiler kind 'eventprop'); with "
                "SurrogateCompiler it evaluates and predicts, and backend 'cpu' trains"
            )

    # --- forwards ----------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.lanes, steps = len(examples), self.plan.time_steps
        for index, data in inputs.items():
            size = self.plan.populations[index].size
            if isinstance(data, DenseData):
                view = self.model.array(index, "data", -1, steps, size)
                view[: self.lanes], view[self.lanes :] = data.values[examples], 0
            else:
                view = self.model.array(index, "data", -1, steps, (size + 31) // 32)
                view[...] = 0
                for lane, example in enumerate(examples.tolist()):
                    here = slice(data.start[example], data.start[example + 1])
                    neuron, step = data.neuron[here], data.step[here]
                    bit = np.left_shift(np.uint32(1), (neuron % 32).astype(np.uint32))
                    np.bitwise_or.at(view[lane], (step, neuron // 32), bit)
            self.model.push(index, "data")

    def forward(self, how: Pass) -> None:
        for p in self.plan.populations:
            if p.batch_norm:
                self._refresh_norm(p)
                self._push_numbers(p, ("factor", "offset"))
        self._recorded = {p.index: [] for p in self.plan.populations if p.spiking}
        self.model.set_param("backward", 0)
        for _ in self._rounds():
            self.model.run()
            self._no_number |= {p.index for p in self.plan.populations if not_finite(self._variables(p))}
            if self._recorded:
                self.model.genn.pull_recording_buffers_from_device()
            for index, rounds in self._recorded.items():
                rounds.append(self.model.recorded(index))
        for p in self.plan.populations:
            if self.plan.max_spikes is not None and p.kind == "neuron" and p.spiking:
                check_spikes(p, self.spikes(p.index).sum(axis=1).max(axis=1), self.plan.max_spikes)
        for p in self.plan.outputs:
            self.z[p.index] = p.reading.forward(self._read(p), p.dt)

    def _variables(self, p: PopulationPlan) -> dict[str, Array]:
        """A population's state variables as a round left them."""
        group, found = self.model.parts.neurons[p.index], {}
        for name in p.model.states if p.model else ():
            group.vars[code_name(name)].pull_from_device()
            found[name] = np.asarray(group.vars[code_name(name)]._view)
        return found

    def not_finite(self) -> tuple[int, ...]:
        found, self._no_number = self._no_number, set()
        return tuple(sorted(found))

    def _rounds(self) -> Iterator[int]:
        """The first lanes of all rounds of a batch, one after the other; the model knows of them."""
        self.model.set_param("live", self.lanes)
        for first in range(0, self.lanes, self.model.lanes):
            self.model.set_param("first_lane", first)
            yield first

    def _read(self, p: PopulationPlan) -> Array:
        """The activity that a readout reads, ``[neuron, time, lane]``."""
        if p.reading.reads == "spikes":
            return self.spikes(p.index).astype(np.float32)
        assert p.model is not None
        return self.variable(p.index, p.model.states[p.model.output])

    def loss(self, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        results = {}
        for p in self.plan.outputs:
            loss, right, self._dz[p.index] = outcome(p, self._read(p), self.z[p.index], labels[p.index])
            results[p.index] = (loss, right)
        return results

    # --- backwards and learning --------------------------------------------------------------------------------------

    def backward(self) -> None:
        for p in self.plan.outputs:
            felt = direct(p, self._read(p), self._dz[p.index])
            view = self.model.array(p.index, "direct", -1, self.plan.time_steps, p.size)
            view[: self.lanes], view[self.lanes :] = felt.transpose(2, 1, 0), 0
            if p.has_phantoms:  # for neurons without a spike, which have no other gradient
                view[: self.lanes, -1] += phantom_push(p, self._read(p), self._dz[p.index]).T
            self.model.push(p.index, "direct")
        self.model.genn.custom_update("zero")
        self.model.set_param("backward", 1)
        for _ in self._rounds():
            self.model.run()
        if self.model.lanes > 1:
            self.model.genn.custom_update("sum")

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        for index, learned in optimisers.items():
            group, rule = self.model.parts.updates[index], self.plan.connections[index].rewiring
            self.model.set_number(group, "scale", scale)
            for kind, optimiser in zip(("weight", "delay"), learned, strict=True):
                for name, value in optimiser.numbers().items() if optimiser else ():
                    self.model.set_number(group, f"{kind}_{mangled(name)}", value)
            if learned.weight is not None:
                self.model.set_number(group, "weight_decay", learned.weight.weight_decay)
            l1 = L1.of(learned.weight, rule)
            self.model.set_number(group, "l1", l1.gradient)
            self.model.set_number(group, "l1_drift", l1.drift)
        if optimisers:
            self.model.genn.custom_update("update")

    def rewire(self, step: int, drops: dict[int, int]) -> dict[int, Rewired]:
        rewired, growths = {}, []
        for index, count in drops.items():
            rewired[index], planned = dropped(self.model, self.plan.connections[index], step, count)
            growths += planned
        longest = {g.connection: int(g.length.max(initial=0)) for g in growths}  # per connection the last
        if any(length > self._rooms[index] for index, length in longest.items()):
            for index, length in longest.items():
                self._rooms[index] = max(self._rooms[index], row_room(self.plan.connections[index], length))
            self._rebuild(grown=longest)
        for growth in growths:
            growth.run(self.model)
        return rewired

    # --- reading and writing -----------------------------------------------------------------------------------------

    def output(self, population: int) -> npt.NDArray[np.float32]:
        return self.z[population].T.astype(np.float32)

    def gradient(self, connection: int, variable: str = "weight") -> npt.NDArray[np.float32]:
        c = self.plan.connections[connection]
        return gradient(self.model, c, "dw" if variable == "weight" else "dd")

    def population_gradients(self, population: int) -> dict[str, npt.NDArray[np.float32]]:
        """None: EventProp learns nothing of populations."""
        return {}

    def batch_statistics(self, population: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        raise InvalidValueError("backend 'genn' evaluates networks with batch norm and does not train them")

    def spike_totals(self, population: int) -> npt.NDArray[np.float64]:
        return np.asarray(self.spikes(population).sum(axis=(1, 2)), dtype=np.float64)

    def set_drive(self, population: int, drive: npt.NDArray[np.float64]) -> None:
        self._numbers[population]["drive"] = drive.astype(np.float32)
        self._push_numbers(self.plan.populations[population], ("drive",))

    def set_values(self, population: int, values: dict[str, npt.NDArray[np.float32]]) -> None:
        p = self.plan.populations[population]
        self._take_values(p, values)
        group = self.model.parts.neurons[population]
        if p.sets_coefficients(values):
            names = [name for name in p.coefficients(values) if name in group.vars]
            if len(names) < len(p.coefficients(values)):
                self._rebuild()  # some of them are literals in the code
            else:
                self._push_numbers(p, tuple(names))

    def _take_values(self, p: PopulationPlan, values: dict[str, npt.NDArray[np.float32]]) -> None:
        self._values[p.index] = {name: array.copy() for name, array in values.items()}
        if p.sets_coefficients(values):
            self._numbers[p.index] |= {n: v.astype(np.float32) for n, v in p.coefficients(values).items()}
        if p.batch_norm:
            self._refresh_norm(p)

    def _refresh_norm(self, p: PopulationPlan) -> None:
        """Factor and offset of batch norm out of its running averages."""
        assert p.batch_norm is not None
        values = self._values[p.index]
        scale, shift, mean, var = (values[f"batch_norm_{name}"] for name in ("scale", "shift", "mean", "var"))
        factor, offset = factor_and_offset(scale, shift, mean, var, p.batch_norm.epsilon)
        self._numbers[p.index] |= {"factor": factor, "offset": offset}

    def _push_numbers(self, p: PopulationPlan, names: tuple[str, ...]) -> None:
        group = self.model.parts.neurons[p.index]
        for name in names:
            group.vars[name].values = self._numbers[p.index][name]
            group.vars[name].push_to_device()

    def keep_variables(self, population: int) -> None:
        p = self.plan.populations[population]
        if p.model is not None:
            self._kept.add(population)
            self.model.record(p)

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        p = self.plan.populations[population]
        if p.readout is None and population not in self._kept:
            raise InvalidValueError(f"variables of population {p.name!r} are not kept: keep_variables() asks for them")
        tape = self.model.pull(
            population, derived_name("tape", name), -1, self.plan.time_steps, self.plan.populations[population].size
        )
        return np.ascontiguousarray(tape[: self.lanes].transpose(2, 1, 0))

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        p = self.plan.populations[population]
        if self._recorded.get(population):
            words = np.concatenate(self._recorded[population], axis=1)[:, : self.lanes]
            return np.ascontiguousarray(ragged.unpacked(words, p.size).transpose(2, 0, 1))
        return np.zeros((p.size, self.plan.time_steps, self.lanes), dtype=np.bool_)

    def spike_count(self, population: int) -> int:
        return int(np.count_nonzero(self.spikes(population)))

    def state(self, connection: int) -> ConnectionState:
        known = self._states[connection]
        return known.copy() if self._closed else read_state(self.model, self.plan.connections[connection], known)

    def set_state(self, connection: int, state: ConnectionState) -> None:
        c = self.plan.connections[connection]
        length = np.bincount(state.synapses.pre, minlength=c.num_pre)
        growth = first_candidates(c, length, self.plan.training_seed) if num_candidates(c) else None
        if int((length if growth is None else growth.length).max(initial=0)) > self._rooms[connection]:
            self._states = [self.state(other.index) for other in self.plan.connections]
            self._states[connection] = state.copy()
            self.model.close()
            self._build()
            return
        self._states[connection] = state.copy()
        write_state(self.model, c, state)
        if growth is not None:
            growth.run(self.model)


def _numbers(p: PopulationPlan) -> Numbers:
    """The numbers per neuron that a population's code reads."""
    found = {code_name(name): values.astype(np.float32) for name, values in p.parameters.items()}
    if p.bias is not None:
        found["bias"] = p.bias.astype(np.float32)
    if p.regularised:
        found["drive"] = np.zeros(p.size, np.float32)
    return found


def checked(plan: Plan) -> Plan:
    """The plan as it runs here: without rewiring if nothing can be learned.

    Raises:
        InvalidValueError: a rewiring rule asks for what GeNN cannot do.
    """
    if bodies_of_neurons(plan):
        functions = ", ".join(body.name for body in bodies_of_neurons(plan))
        raise InvalidValueError(
            f"backend 'genn' has no {functions}, which nonlinear equations of this network call so as to round alike "
            "everywhere; backends 'cpu', 'cuda' and 'reference' have"
        )
    if plan.event_prop is None:
        return replace(plan, connections=tuple(replace(c, rewiring=None) for c in plan.connections))
    for c in plan.connections:
        rule = c.rewiring
        if rule is None:
            continue
        what = f"rewiring of connection {c.name!r}: backend 'genn'"
        if rule.growth_delay == "best":
            raise InvalidValueError(f"{what} has no growth_delay 'best'; allowed are 'pair' and 'redraw'")
        if rule.temperature > 0:
            raise InvalidValueError(f"{what} has no noise; temperature must be 0, got {rule.temperature:g}")
        if c.capacity > 1:
            raise InvalidValueError(f"{what} rewires connections of kernel_count 1, got {c.capacity}")
    return plan
