"""A plan trained by mlGeNN's EventProp compiler, with our training loop, losses and checkpoints around its kernels.

Gradients are mlGeNN's times a constant, and then those of the stated loss: its readouts drive the adjoint with
1 / tau_mem (``avg_var``, ``avg_var_exp_weight``) or 1 / (tau_mem T) (``sum_var``, ``max_var``) of the derivative, for T
time steps, and its derivative by a delay is per ms in place of per step. Its optimiser is given gradients in our units,
so that `epsilon`, moments and ``clip_norm`` mean the same as on every other backend. There is no limit on the inverse
slope of a potential at its threshold, as ``grad_limit`` is elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ....bodies import compute
from ....connectivity import Synapses, sort_order
from ....errors import InvalidValueError
from ....learning.losses import Truth
from ....learning.optimisers import Optimiser, Optimisers
from ....learning.updates import BEFORE
from ....plan.exchanged import ConnectionState, DenseData, InputData, Pass, Rewired
from ....plan.foresight import foresee
from ....plan.limits import check_spikes
from ....plan.outcome import outcome
from ....plan.plan import ConnectionPlan, Plan
from .. import ragged
from ..describe import synapse_order
from .checks import check_plan, share
from .model import MLGeNNModel
from .network import weight_factor

Array = npt.NDArray[Any]


class MLGeNNEngine:
    """See :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        model: mlGeNN's model that runs.
    """

    runs_ahead = False
    learner = None
    finder = None
    one_pass = None

    def __init__(self, plan: Plan, backend: str, lanes: int) -> None:
        check_plan(plan, backend, lanes)
        foresee(plan, {}, copies=2)  # GeNN has its own
        self.plan, self._backend, self._lanes_at_once = plan, backend, lanes
        self.lanes = 0
        self._events: dict[int, list[tuple[Array, Array]]] = {}
        self._spikes: dict[int, Array] = {}
        self._z: dict[int, Array] = {}
        self._gradients: dict[tuple[int, str], Array] = {}
        self._states = [ConnectionState.new(c.initial_synapses(), c) for c in plan.connections]
        self._ages = [0 for _ in plan.connections]
        assert plan.network is not None
        targets = [(plan.network.populations[c.target], plan.populations[c.target]) for c in plan.connections]
        self._factors = [weight_factor(described, p.values) for described, p in targets]
        self._weights: dict[int, Array] = {}  # in our unit, row by row, where mlGeNN's is another
        self._closed = False
        self._build()

    def _build(self) -> None:
        """A model with the states that there are now."""
        synapses = [state.synapses for state in self._states]
        delays = [_delays(c, state) for c, state in zip(self.plan.connections, self._states, strict=True)]
        self.model = MLGeNNModel(self.plan, self._backend, self._lanes_at_once, synapses, delays)
        for c, state in zip(self.plan.connections, self._states, strict=True):
            self._write_state(c, state)

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
        """Every plan that was compiled can be learned."""

    # --- forwards ----------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.lanes = len(examples)
        for index, data in inputs.items():
            p = self.plan.populations[index]
            dense = np.zeros((p.size, self.plan.time_steps, self.lanes), dtype=np.bool_)
            for lane, example in enumerate(examples.tolist()):
                if isinstance(data, DenseData):
                    dense[:, :, lane] = data.values[example].T != 0
                else:
                    here = slice(data.start[example], data.start[example + 1])
                    dense[data.neuron[here], data.step[here], lane] = True
            self._spikes[index] = dense
            if self.plan.max_spikes is not None:  # so long is mlGeNN's tape
                check_spikes(p, dense.sum(axis=1).max(axis=1), self.plan.max_spikes)
            # a spike of the last step has no effect
            lanes = [np.nonzero(dense[:, :-1, lane]) for lane in range(self.lanes)]
            self._events[index] = [(step, neuron) for neuron, step in lanes]

    def forward(self, how: Pass) -> None:
        self.model.forward(self._events)
        for p in self.plan.populations:
            if p.kind == "neuron" and p.spiking:
                self._spikes[p.index] = self.model.spikes(p, self.lanes)
                if self.plan.max_spikes is not None:
                    check_spikes(p, self._spikes[p.index].sum(axis=1).max(axis=1), self.plan.max_spikes)
        for p in self.plan.outputs:
            self._z[p.index] = self.model.read(p.index)[: self.lanes].T

    def not_finite(self) -> tuple[int, ...]:
        """None: mlGeNN's own state is not checked."""
        return ()

    def loss(self, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        results = {}
        for p in self.plan.outputs:
            nothing = np.empty((p.size, 0, self.lanes), np.float32)  # the losses that there are read z alone
            loss, right, _ = outcome(p, nothing, self._z[p.index], labels[p.index])
            results[p.index] = (loss, right)
            self.model.set_labels(p, labels[p.index])
        return results

    # --- backwards and learning --------------------------------------------------------------------------------------

    def backward(self) -> None:
        hidden = [p for p in self.plan.populations if p.kind == "neuron" and p.spiking]
        last = {p.index: np.zeros((self._lanes_at_once, p.size), np.int32) for p in hidden}
        for index, spiked in last.items():
            spiked[: self.lanes] = self._spikes[index][:, -1].T
        self.model.backward(last)
        # mlGeNN's loss is the mean over all lanes, live or not
        scale = self._lanes_at_once / (self.lanes * share(self.plan))
        for index, variable in self.model.updates:
            unit = self._factors[index] if variable == "weight" else self.plan.populations[0].dt
            self._gradients[index, variable] = self.model.gradient(index, variable) * np.float32(scale * unit)

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        if not optimisers:
            return
        for index, variable in self.model.updates:
            learned = optimisers.get(index, Optimisers(None, None))
            optimiser = learned.weight if variable == "weight" else learned.delay
            unit = self._factors[index] if variable == "weight" else 1.0
            alpha = 0.0 if optimiser is None else optimiser.alpha * unit
            self.model.set_step(index, variable, alpha, self._ages[index])
            if optimiser is not None:
                gradient = np.float32(scale) * self._gradients[index, variable]
                if variable == "weight" and (optimiser.l1 or optimiser.weight_decay):
                    gradient = self._penalised(index, optimiser, scale)
                self.model.set_gradient(index, variable, gradient)
        self.model.genn.custom_update("GradientLearn")
        for index in optimisers:
            self._ages[index] += 1
            self._tidy(self.plan.connections[index])

    def _tidy(self, c: ConnectionPlan) -> None:
        """Bring what a connection has learned into the form in which a checkpoint is read."""
        group, factor = self.model.synapses[c.index], np.float32(self._factors[c.index])
        if c.delay_optimiser is not None and c.min_delay > 0:  # mlGeNN's own lowest is 0
            delay = ragged.read(group, ["d"])[2]["d"]
            ragged.write_variable(group, "d", np.maximum(delay, np.float32(c.min_delay)))
        if c.optimiser is not None and c.index in self._weights:
            self._weights[c.index] = (ragged.read(group, ["g"])[2]["g"] / factor).astype(np.float32)
            ragged.write_variable(group, "g", self._weights[c.index] * factor)

    def _penalised(self, connection: int, optimiser: Optimiser, scale: float) -> Array:
        """The scaled gradient of a connection's weights with L1 and weight decay, row by row."""
        known = {"w": self._rows(connection)[2]["g"], "g": self._gradients[connection, "weight"], "scale": scale}
        penalties = {"l1": optimiser.l1, "weight_decay": optimiser.weight_decay}
        return np.asarray(compute(BEFORE, {**known, **penalties})["g"])

    def rewire(self, step: int, drops: dict[int, int]) -> dict[int, Rewired]:
        """Nothing is rewired here."""
        return {}

    # --- reading and writing -----------------------------------------------------------------------------------------

    def output(self, population: int) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(self._z[population].T)

    def gradient(self, connection: int, variable: str = "weight") -> npt.NDArray[np.float32]:
        _, _, _, order = self._rows(connection)
        return np.asarray(self._gradients[connection, variable][order], dtype=np.float32)

    def population_gradients(self, population: int) -> dict[str, npt.NDArray[np.float32]]:
        """EventProp learns nothing of populations."""
        return {}

    def batch_statistics(self, population: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        raise InvalidValueError("trainer 'ml_genn' has no batch norm; EventProp has no adjoint for it")

    def spike_totals(self, population: int) -> npt.NDArray[np.float64]:
        return np.asarray(self._spikes[population].sum(axis=(1, 2)), dtype=np.float64)

    def set_drive(self, population: int, drive: npt.NDArray[np.float64]) -> None:
        raise InvalidValueError("trainer 'ml_genn' does not regularise spike counts; trainer 'own' does")

    def set_values(self, population: int, values: dict[str, npt.NDArray[np.float32]]) -> None:
        """EventProp learns nothing of populations."""

    def keep_variables(self, population: int) -> None:
        raise InvalidValueError(
            f"variables of population {self.plan.populations[population].name!r} cannot be recorded with trainer "
            "'ml_genn', which does not keep them; trainer 'own' does"
        )

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        raise InvalidValueError(f"variable {name!r}: trainer 'ml_genn' keeps no variables; trainer 'own' does")

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        p = self.plan.populations[population]
        if not p.spiking:
            return np.zeros((p.size, self.plan.time_steps, self.lanes), dtype=np.bool_)
        return self._spikes[population].copy()

    def spike_count(self, population: int) -> int:
        return int(np.count_nonzero(self.spikes(population)))

    # --- state -------------------------------------------------------------------------------------------------------

    def _rows(self, connection: int) -> tuple[Array, Array, dict[str, Array], Array]:
        """Source, target, weights and delays of a connection row by row, and the order of its state in them."""
        pre, post, values = ragged.read(self.model.synapses[connection], ["g", "d"])
        values["g"] = self._weights.get(connection, values["g"])
        return pre, post, values, sort_order(post, pre, np.rint(values["d"]).astype(np.uint16))

    def state(self, connection: int) -> ConnectionState:
        c, known = self.plan.connections[connection], self._states[connection]
        if self._closed:
            return known.copy()
        pre, post, values, order = self._rows(connection)
        synapses = Synapses(pre[order], post[order], np.rint(values["d"]).astype(np.uint16)[order], values["g"][order])
        state = ConnectionState.new(synapses, c)
        state.age[:] = min(self._ages[connection], np.iinfo(np.uint16).max)
        if c.delay_optimiser is not None:
            state.position = values["d"][order].astype(np.float32)
            self._take_moments(state, connection, "delay", order)
        if c.optimiser is not None:
            self._take_moments(state, connection, "weight", order)
        return state

    def _take_moments(self, state: ConnectionState, connection: int, variable: str, order: Array) -> None:
        """The moments that mlGeNN's optimiser keeps, which are Adam's, into a state."""
        moments = self.model.moments(connection, variable)
        for own, theirs in zip(state.moments_of(variable), moments, strict=True):
            own[:] = theirs[order]

    def set_state(self, connection: int, state: ConnectionState) -> None:
        c = self.plan.connections[connection]
        if state.age.size and (state.age != state.age[0]).any():
            raise InvalidValueError(
                f"synapses of connection {c.name!r} are of different ages, from {state.age.min()} to "
                f"{state.age.max()} steps; mlGeNN's optimiser has one age for all, trainer 'own' has one for each"
            )
        longest = int(np.bincount(state.synapses.pre, minlength=c.num_pre).max())
        if longest > self.model.synapses[connection].max_connections:
            self._states = [self.state(other.index) for other in self.plan.connections]
            self._states[connection] = state.copy()
            self.model.close()
            self._build()
            return
        self._states[connection] = state.copy()
        self._write_state(c, state)

    def _write_state(self, c: ConnectionPlan, state: ConnectionState) -> None:
        """Give mlGeNN a connection's state, for which its rows have room."""
        order, synapses = synapse_order(state.synapses), state.synapses
        weight = synapses.weight[order].astype(np.float32)
        if self._factors[c.index] != 1:
            self._weights[c.index] = weight
        values = {"g": weight * np.float32(self._factors[c.index]), "d": _delays(c, state)[order]}
        ragged.write(self.model.synapses[c.index], synapses.pre[order], synapses.post[order], values)
        self._ages[c.index] = int(state.age[0]) if state.age.size else 0
        for variable in ("weight", "delay"):
            if moments := state.moments_of(variable):
                self.model.set_moments(c.index, variable, [m[order] for m in moments])


def _delays(c: ConnectionPlan, state: ConnectionState) -> Array:
    """Delays as mlGeNN has them, real numbers where they are learned."""
    return state.position if c.delay_optimiser is not None else state.synapses.delay
