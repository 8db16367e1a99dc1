"""A plan compiled by mlGeNN's EventProp compiler, and single trials that leave no state behind.

mlGeNN computes the backward pass of one batch while it runs the next one forwards. Here the next one is empty: each
forward pass is mlGeNN's first trial and each backward pass its second. Two things are corrected for that:

- mlGeNN clears pending input at the beginning of a trial's last step; spikes of the last two steps are delivered
  later, and arrive in the next trial. Here everything is cleared between trials.
- A spike in the last step of a trial is too late to be delivered. mlGeNN's backward pass waits for it for good, and
  so misses all earlier spikes of that neuron. Such spikes are removed from its tape.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ....connectivity import Synapses
from ....learning.optimisers import Adam
from ....plan.plan import Plan, PopulationPlan
from .. import build, packages, ragged
from .network import carry

Array = npt.NDArray[Any]

NAMES = {"weight": ("g", "Gradient"), "delay": ("d", "DelayGradient")}
"""mlGeNN's names of learned variables and of their gradients."""
_RINGS = ("RingWriteOffset", "RingReadOffset", "RingWriteStartOffset", "RingReadEndOffset")
"""mlGeNN's places on the tape of a neuron's spikes. On an empty one all but the first are at its end."""
_SILENT = -1e30
"""A potential at which no neuron spikes, whatever arrives."""


class Update(NamedTuple):
    """mlGeNN's optimiser, its custom update of one connection, and the one that sums gradients over lanes."""

    optimiser: Any
    step: Any
    sums: Any | None


class MLGeNNModel:
    """A plan's network as mlGeNN compiled it, built and loaded.

    Attributes:
        genn: PyGeNN's model.
        folder: where its generated code is.
        lanes: examples that run at once.
        synapses: PyGeNN's synapse groups, by connection.
        updates: by connection and what is learned of it; mlGeNN always has one of the weights.
    """

    def __init__(self, plan: Plan, backend: str, lanes: int, synapses: list[Synapses], delays: list[Array]) -> None:
        network = plan.network
        assert network is not None
        described = carry(network, synapses, delays, [p.values for p in plan.populations])
        from ml_genn.compilers import EventPropCompiler

        self.plan, self.lanes = plan, lanes
        self.tape = min(plan.max_spikes or plan.time_steps, plan.time_steps) + 1  # one place always stays empty
        self._populations = [described.populations[p] for p in network.populations]
        for population in self._populations:
            population.record_spikes = True
        connections = [described.connections[c] for c in network.connections]
        compiler = EventPropCompiler(
            plan.time_steps, "sparse_categorical_crossentropy", _optimiser(plan, "weight"), max_spikes=self.tape,
            dt=plan.populations[0].dt, batch_size=lanes, delay_optimiser=_optimiser(plan, "delay"),
            delay_learn_conns=[connections[c.index] for c in plan.connections if c.delay_optimiser], backend=backend,
        )  # fmt: skip
        with _old_syntax():
            self._compiled = compiler.compile(described.network, "network")
        self.genn = self._compiled.genn_model
        self._groups = [self._compiled.neuron_populations[p] for p in self._populations]
        self.synapses = [self._compiled.connection_populations[c] for c in connections]
        self.updates = self._find_updates()
        rooms = [group.max_connections for group in self.synapses]
        self.folder = build.folder_for(f"ml_genn\0{_text(plan, backend, lanes)}\0{rooms}")
        try:
            with _old_syntax():
                build.build(self.genn, self.folder)
            self.genn.load(num_recording_timesteps=plan.time_steps)
        except BaseException:
            build.release(self.folder)
            raise

    def _find_updates(self) -> dict[tuple[int, str], Update]:
        """mlGeNN's custom updates; it numbers those of all connections that learn anything, which all do."""
        optimisers = dict(zip(("weight", "delay"), (o for o, _ in self._compiled.optimisers), strict=False))
        found = {}
        for c in self.plan.connections:
            for variable in ("weight", "delay") if c.delay_optimiser else ("weight",):
                suffix = f"{variable.capitalize()}{c.index}"
                step = self.genn.custom_updates[f"CUGradientLearn{suffix}"]
                sums = self.genn.custom_updates[f"CUBatchReduce{suffix}"] if self.lanes > 1 else None
                found[c.index, variable] = Update(optimisers[variable], step, sums)
        return found

    # --- trials ------------------------------------------------------------------------------------------------------

    def forward(self, events: dict[int, list[tuple[Array, Array]]]) -> None:
        """Run examples forwards.

        Args:
            events: by input population steps and neurons of the spikes of every lane.
        """
        self._begin(0)
        for index, group in enumerate(self._groups):
            if "BackSpike" in group.vars:
                self._write(index, dict.fromkeys(_RINGS, self.tape - 1) | {"RingWriteOffset": 0, "BackSpike": 0})
        self._run(events)
        self.genn.pull_recording_buffers_from_device()

    def backward(self, spiked_last: dict[int, Array]) -> None:
        """Run the backward pass of the examples that were run forwards last; their labels are set.

        Args:
            spiked_last: by hidden population which neurons spiked in the last step, ``[lane, neuron]``.
        """
        for number in (1, 2, 3):
            self.genn.custom_update(f"BatchSoftmax{number}")
        self._begin(1)
        for index, spiked in spiked_last.items():
            offset = self._groups[index].vars["RingReadOffset"]
            offset.pull_from_device()
            place = offset.view.reshape(spiked.shape) - spiked
            self._write(index, {"RingReadOffset": np.where(place < 0, self.tape - 1, place)})
        self.genn.custom_update("ZeroGradient")
        self._run({p.index: [] for p in self.plan.populations if p.kind == "spike_input"})
        if self.lanes > 1:
            self.genn.custom_update("GradientBatchReduce")

    def _begin(self, trial: int) -> None:
        """Reset everything but the state that mlGeNN takes over from its first trial into its second."""
        for p in self.plan.populations:
            if p.kind == "spike_input":
                self._set_input(p.index, [])
            else:
                self._write(p.index, {"V": _SILENT})
        self.genn.timestep = 0
        self.genn.step_time()  # spikes of the last step are delivered now, and no new ones are sent
        self.genn.custom_update("ZeroOutPost")
        self.genn.custom_update("Reset")
        for p in self.plan.outputs:
            self._groups[p.index].set_dynamic_param_value("Trial", trial)

    def _run(self, events: dict[int, list[tuple[Array, Array]]]) -> None:
        for index, lanes in events.items():
            self._set_input(index, lanes)
        self.genn.timestep = 0
        for _ in range(self.plan.time_steps):
            self.genn.step_time()

    def _set_input(self, index: int, lanes: list[tuple[Array, Array]]) -> None:
        from ml_genn.utils.data import preprocess_spikes

        p, group = self.plan.populations[index], self._groups[index]
        # half a step early: GeNN's time is in single precision, and a spike must not be a step late by rounding
        spikes = [preprocess_spikes((step - 0.5) * p.dt, neuron, p.size) for step, neuron in lanes or [_NO_EVENTS]]
        total = sum(len(s.spike_times) for s in spikes)
        if total > group.extra_global_params["SpikeTimes"].view.size:
            ragged.allocate(group, "SpikeTimes", np.zeros(2 * total, np.float32))
        self._compiled.set_input({self._populations[index]: spikes})

    def _write(self, population: int, values: dict[str, Any]) -> None:
        """Set variables of a population, ``[lane, neuron]`` or the same number for all."""
        for name, value in values.items():
            variable = self._groups[population].vars[name]
            variable.view[:] = np.reshape(value, variable.view.shape) if isinstance(value, np.ndarray) else value
            variable.push_to_device()

    # --- what came of them -------------------------------------------------------------------------------------------

    def read(self, population: int) -> Array:
        """The readout's z, ``[lane, neuron]``."""
        return np.array(self._compiled.get_readout(self._populations[population]))

    def spikes(self, p: PopulationPlan, lanes: int) -> npt.NDArray[np.bool_]:
        """Spikes of the last forward pass, ``[neuron, time, lane]``."""
        words = ragged.recording(self._groups[p.index]).reshape(self.plan.time_steps, self.lanes, -1)
        return np.ascontiguousarray(ragged.unpacked(words[:, :lanes], p.size).transpose(2, 0, 1))

    def set_labels(self, p: PopulationPlan, labels: Array) -> None:
        """Tell an output the right answers of the examples."""
        population, group = self._populations[p.index], self._groups[p.index]
        loss = self._compiled.losses[population]
        loss.set_target(group, labels, population.shape, self.lanes, self.plan.time_steps)

    # --- learning ----------------------------------------------------------------------------------------------------

    def gradient(self, connection: int, variable: str) -> Array:
        """mlGeNN's gradient of a connection's synapses, row by row."""
        group, sums = self.synapses[connection], self.updates[connection, variable].sums
        if sums is None:
            name = NAMES[variable][1]
            return np.asarray(ragged.read(group, [name])[2][name])
        return ragged.values_of(sums, "ReducedGradient", ragged.row_length(group), group.max_connections)

    def set_gradient(self, connection: int, variable: str, values: Array) -> None:
        """Replace it, before mlGeNN's optimiser takes it."""
        sums = self.updates[connection, variable].sums
        if sums is None:
            ragged.write_variable(self.synapses[connection], NAMES[variable][1], values)
        else:
            self._write_learning(connection, sums.vars["ReducedGradient"], values)

    def set_step(self, connection: int, variable: str, alpha: float, age: int) -> None:
        """Set the learning rate and the step count of mlGeNN's optimiser of a variable."""
        optimiser, update, _ = self.updates[connection, variable]
        optimiser.alpha = alpha
        optimiser.set_step(update, age)

    def moments(self, connection: int, variable: str) -> list[Array]:
        """Both moments of Adam, row by row."""
        group, update = self.synapses[connection], self.updates[connection, variable].step
        length = ragged.row_length(group)
        return [ragged.values_of(update, name, length, group.max_connections) for name in ("M", "V")]

    def set_moments(self, connection: int, variable: str, moments: list[Array]) -> None:
        """Replace them."""
        for name, values in zip(("M", "V"), moments, strict=True):
            self._write_learning(connection, self.updates[connection, variable].step.vars[name], values)

    def _write_learning(self, connection: int, variable: Any, values: Array) -> None:
        """Replace a variable that a custom update has for every synapse, given row by row."""
        group = self.synapses[connection]
        variable._view[..., ragged.places(ragged.row_length(group), group.max_connections)] = values
        variable.push_to_device()

    def close(self) -> None:
        """Give back its memory and its folder."""
        if self.genn is not None:
            self.genn.unload()
            self.genn = None
            build.release(self.folder)


@contextlib.contextmanager
def _old_syntax() -> Iterator[None]:
    """Silence PyGeNN's warning that mlGeNN's readout ``max_var`` has a deprecated syntax."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Legacy \$\(\) syntax", FutureWarning)
        yield


_NO_EVENTS = (np.empty(0), np.empty(0, np.int64))


def _optimiser(plan: Plan, variable: str) -> Any:
    """mlGeNN's Adam for all connections of a plan; learning rates come with every step."""
    from ml_genn.optimisers import Adam as MLGeNNAdam

    return MLGeNNAdam(1.0, *_numbers(plan, variable))


def _numbers(plan: Plan, variable: str) -> tuple[float, float, float]:
    """The numbers that the optimisers of a plan's connections share: beta1, beta2 and epsilon."""
    chosen = [c.optimiser if variable == "weight" else c.delay_optimiser for c in plan.connections]
    adam = next((o for o in chosen if isinstance(o, Adam)), Adam())
    return adam.beta1, adam.beta2, adam.epsilon


def _text(plan: Plan, backend: str, lanes: int) -> str:
    """Everything that the generated code depends on, as a text."""
    populations = [
        (p.kind, p.size, repr(p.readout), p.dt, {n: v.tolist() for n, v in p.values.items()}) for p in plan.populations
    ]
    connections = [(c.source, c.target, c.max_delay, c.delay_optimiser is not None) for c in plan.connections]
    numbers = (plan.time_steps, plan.max_spikes, _numbers(plan, "weight"), _numbers(plan, "delay"))
    versions = (packages.version("pygenn"), packages.version("ml_genn"), build.CPU_FLAGS)
    return repr((versions, backend, lanes, numbers, populations, connections))
