"""A plan as a GeNN model: populations, synapse groups, and custom updates for what happens between two examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen import genn as code
from ...codegen.genn import NeuronCode
from ...compilers.plan import ConnectionPlan, Plan, PopulationPlan
from ...connectivity import Synapses
from . import build, packages, ragged
from .clock import Clock

Array = npt.NDArray[Any]
Numbers = dict[str, npt.NDArray[np.float32]]

CHANGING = ("factor", "offset", "drive")
"""What the code reads per neuron that changes while training or loading, and so is never written into the code."""


_DTYPES = {"float": np.float32, "int": np.int32, "uint32_t": np.uint32}


@dataclass
class Parts:
    """A built model's groups, by index of the population or connection; `words` are all that its code consists of."""

    neurons: dict[int, Any] = field(default_factory=dict)
    synapses: dict[int, Any] = field(default_factory=dict)
    updates: dict[int, Any] = field(default_factory=dict)
    sums: dict[int, Any] = field(default_factory=dict)
    drops: dict[int, Any] = field(default_factory=dict)
    grows: dict[int, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def synapse_order(s: Synapses) -> npt.NDArray[np.int64]:
    """What sorts synapses by rows of GeNN, (pre, post); several of a pair keep their order."""
    return np.lexsort((s.post, s.pre))


def row_room(c: ConnectionPlan, longest: int) -> int:
    """Synapses that a row of a connection gets room for; where it is rewired that is twice as many as there are."""
    return max(1, min(2 * longest + 8, c.num_post) if c.rewiring is not None else longest)


def num_candidates(c: ConnectionPlan) -> int:
    """Pairs without a synapse whose gradient is known: as many as there are synapses, where not given."""
    if c.rewiring is None or c.rewiring.growth != "gradient":
        return 0
    return min(c.rewiring.candidates or c.size, c.num_pre * c.num_post - c.size)


class GeNNModel:
    """A plan's GeNN model, built and loaded.

    Attributes:
        genn: PyGeNN's model.
        lanes: examples that GeNN runs at once.
        folder: where its generated code is.
        clock: when populations run.
        recorded: the populations whose spikes are recorded.
    """

    def __init__(
        self, plan: Plan, backend: str, lanes: int, numbers: dict[int, Numbers], synapses: list[Synapses],
        rooms: list[int],
    ) -> None:  # fmt: skip
        self.pygenn = packages.load("pygenn")
        self.plan, self.lanes, self.clock, self.rooms = plan, lanes, Clock(plan), rooms
        self.genn = self.pygenn.GeNNModel("float", "model", backend=backend)
        self.genn.dt = 1.0  # time is counted in steps, which single precision does exactly
        self.genn.batch_size = lanes
        self.genn.fuse_postsynaptic_models = False
        self.parts = Parts(words=[backend, str(lanes), self.pygenn.__version__, *build.CPU_FLAGS])
        self._codes: dict[int, NeuronCode] = {}
        for p in plan.populations:
            self._add_population(p, numbers[p.index])
        for c in plan.connections:
            self._add_connection(c, synapses[c.index])
        self.folder = build.folder_for("\0".join(self.parts.words))
        try:
            build.build(self.genn, self.folder)
            self.genn.load(num_recording_timesteps=self.clock.steps)
        except BaseException:
            build.release(self.folder)
            raise
        for p in plan.populations:
            self._allocate(p)
        self._recordings = {
            p.index: ragged.recording(self.parts.neurons[p.index]) for p in plan.populations if p.spiking
        }
        self._set: dict[tuple[Any, str], float] = {}

    # --- describing --------------------------------------------------------------------------------------------------

    def _add_population(self, p: PopulationPlan, numbers: Numbers) -> None:
        g, c = self.pygenn, code.neuron_code(self.plan, p)
        self._codes[p.index] = c
        fixed = {n: v for n, v in numbers.items() if n not in CHANGING and v.size and (v == v[0]).all()}
        per_neuron = [n for n in c.numbers if n not in fixed]
        params = c.params | dict.fromkeys(fixed, "scalar")
        model = g.create_neuron_model(
            f"neuron_{p.index}", sim_code=c.sim, threshold_condition_code=c.threshold, params=list(params.items()),
            vars=[*c.states.items(), *((n, "scalar", g.VarAccess.READ_ONLY) for n in per_neuron)],
            extra_global_params=[(name, f"{kind}*") for name, (kind, _) in c.arrays.items()],
            additional_input_vars=[("time_in", "scalar", 0.0)] if c.feedback else [],
            auto_refractory_required=False,
        )  # fmt: skip
        values = {name: self._whole(name, p) for name in c.params} | {n: float(fixed[n][0]) for n in fixed}
        initial = dict.fromkeys(c.states, 0) | {n: numbers[n] for n in per_neuron}
        name = f"population_{p.index}"
        group = self.genn.add_neuron_population(name, p.size, model, values, initial)
        for param in c.dynamic:
            group.set_param_dynamic(param)
        group.spike_recording_enabled = c.threshold is not None
        self.parts.neurons[p.index] = group
        self.parts.words += [c.sim, str(p.size), str(sorted(values.items()))]

    def _whole(self, name: str, p: PopulationPlan) -> float:
        """The value of a parameter that is not one of the neurons' numbers."""
        steps = self.plan.time_steps
        values: dict[str, float] = {
            "T": steps, "depth": self.clock.depth[p.index], "deepest": self.clock.deepest, "capacity": self.capacity,
            "step_ms": p.dt, "grad_limit": self.plan.event_prop.grad_limit if self.plan.event_prop else 0.0,
        }  # fmt: skip
        return values.get(name, 0)

    @property
    def capacity(self) -> int:
        """Spikes of a neuron and example that are kept for the way back."""
        return min(self.plan.max_spikes or self.plan.time_steps, self.plan.time_steps)

    def _add_connection(self, c: ConnectionPlan, s: Synapses) -> None:
        g, plan, source = self.pygenn, self.plan, self.plan.populations[c.source]
        texts, adjoint = code.synapse_code(plan, c), plan.event_prop is not None
        pre, post = self.parts.neurons[c.source], self.parts.neurons[c.target]
        pre_refs: dict[str, Any] = {}
        post_refs: dict[str, Any] = {}
        if source.kind == "real_input":
            pre_refs["x_pre"] = ("scalar", g.create_var_ref(pre, "x"))
        elif adjoint:
            pre_refs["back_pre"] = ("uint8_t", g.create_var_ref(pre, "back"))
        if adjoint:
            post_refs["gradient_post"] = ("scalar", g.create_var_ref(post, "gradient"))
            post_refs["arrival_post"] = ("scalar", g.create_var_ref(post, "arrival"))
        params = {"last": "int", "way": "int"}
        params |= {"backward": "int", "first": "int", "step_ms": "scalar"} if adjoint else {}
        shared = g.VarAccess.READ_ONLY  # the same in all lanes
        kinds = {name: (name, kind, shared) for name, kind in self.variables(c).items()}
        sums = [(name, "scalar") for name in self.gradients(c)]
        model = g.create_weight_update_model(
            f"synapse_{c.index}", params=list(params.items()), vars=[*kinds.values(), *sums],
            pre_spike_syn_code=texts.spike, synapse_dynamics_code=texts.dynamics,
            pre_event_threshold_condition_code="back_pre" if texts.back_spike else None,
            pre_event_syn_code=texts.back_spike,
            pre_neuron_var_refs=[(name, kind) for name, (kind, _) in pre_refs.items()],
            post_neuron_var_refs=[(name, kind) for name, (kind, _) in post_refs.items()],
        )  # fmt: skip
        depth = self.clock.depth[c.source]
        values: dict[str, float] = {
            "last": plan.time_steps + depth, "first": self.clock.deepest - depth, "way": self.clock.way(c),
            "backward": 0, "step_ms": source.dt,
        }  # fmt: skip
        order = synapse_order(s)
        group = self.genn.add_synapse_population(
            f"connection_{c.index}", "SPARSE", pre, post,
            g.init_weight_update(
                model, {name: values[name] for name in params}, dict.fromkeys([*kinds, *self.gradients(c)], 0),
                pre_var_refs={name: ref for name, (_, ref) in pre_refs.items()},
                post_var_refs={name: ref for name, (_, ref) in post_refs.items()},
            ),
            g.init_postsynaptic("DeltaCurr"),
        )  # fmt: skip
        if adjoint:
            group.set_wu_param_dynamic("backward")
        if source.kind == "neuron" and adjoint:
            group.pre_target_var = "time_in"
        group.set_sparse_connections(s.pre[order], s.post[order])
        group.max_connections = self.rooms[c.index]
        lag = min(c.max_delay, plan.time_steps - 1) + self.clock.way(c)
        group.max_dendritic_delay_timesteps = max(lag, 0) + 1
        self.parts.synapses[c.index] = group
        self.parts.words += [*(text or "" for text in (texts.spike, texts.dynamics, texts.back_spike)), str(values)]
        self.parts.words += [str(lag), str(self.rooms[c.index]), str(c.size), str(self.variables(c))]
        self._add_updates(c, group)

    def variables(self, c: ConnectionPlan) -> dict[str, str]:
        """What a connection keeps for every synapse, by name the type; the names are those of its state's arrays."""
        kept = {"g": "scalar", "d": "uint16_t"}
        if self.plan.event_prop is None or not c.learned:
            return kept
        kept |= {"fate": "uint8_t"} if code.has_fate(c) else {}
        kept |= {"age": "uint16_t"} | ({"position": "scalar"} if c.real_delays else {})
        kept |= {f"weight_moment{m}": "scalar" for m in range(c.num_moments)}
        return kept | {f"delay_moment{m}": "scalar" for m in range(c.num_delay_moments)}

    def gradients(self, c: ConnectionPlan) -> list[str]:
        """The variables that gather a connection's gradients."""
        if self.plan.event_prop is None:
            return []
        return ["dw", "dd"] if c.real_delays else ["dw"]

    def _add_updates(self, c: ConnectionPlan, group: Any) -> None:
        """Custom updates of a connection, each run by the name ``<what>_<index>`` or together by ``<what>``."""
        g = self.pygenn
        if self.plan.event_prop is None:
            return
        names = self.gradients(c)
        refs = {name: g.create_wu_var_ref(group, name) for name in names}
        zero = g.create_custom_update_model(
            "zero", var_refs=[(name, "scalar") for name in names], update_code=code.zero_code(c)
        )
        self.genn.add_custom_update(f"zero_{c.index}", "zero", zero, var_refs=refs)
        if self.lanes > 1:
            summed = g.create_custom_update_model(
                "sum_lanes", vars=[(f"{n}_sum", "scalar", g.CustomUpdateVarAccess.REDUCE_BATCH_SUM) for n in names],
                var_refs=[(n, "scalar", g.VarAccessMode.READ_ONLY) for n in names], update_code=code.sum_code(c),
            )  # fmt: skip
            self.parts.sums[c.index] = self.genn.add_custom_update(
                f"sum_{c.index}", "sum", summed, vars={f"{n}_sum": 0.0 for n in names}, var_refs=refs
            )
            refs = {f"{n}_sum": g.create_wu_var_ref(self.parts.sums[c.index], f"{n}_sum") for n in names}
        if c.learned:
            self._add_optimiser(c, group, refs)
        if c.rewiring is not None:
            self._add_rewiring(c, group)

    def _add_optimiser(self, c: ConnectionPlan, group: Any, gradient_refs: dict[str, Any]) -> None:
        g, params = self.pygenn, {"scale": "double", "l1": "double"}
        if c.real_delays:
            params |= {"min_delay": "int", "max_delay": "int"}
        for kind, optimiser in (("weight", c.optimiser), ("delay", c.delay_optimiser)):
            params |= {f"{kind}_{name}": "double" for name in (optimiser.numbers() if optimiser else ())}
        kinds, text = self.variables(c), code.update_code(c, self.lanes > 1)
        read_only = g.VarAccessMode.READ_ONLY
        model = g.create_custom_update_model(
            "update", params=list(params.items()), update_code=text,
            var_refs=[*kinds.items(), *((n, "scalar", read_only) for n in gradient_refs)],
        )  # fmt: skip
        values = dict.fromkeys(params, 0.0) | {"scale": 1.0}
        if c.real_delays:
            values |= {"min_delay": c.min_delay, "max_delay": c.max_delay}
        refs = {name: g.create_wu_var_ref(group, name) for name in kinds} | gradient_refs
        update = self.genn.add_custom_update(f"update_{c.index}", "update", model, values, {}, refs)
        for name in params:
            if name not in ("min_delay", "max_delay"):
                update.set_param_dynamic(name)
        self.parts.updates[c.index] = update
        self.parts.words += [text, str(values)]

    def _add_rewiring(self, c: ConnectionPlan, group: Any) -> None:
        g, kinds = self.pygenn, self.variables(c)
        fate = ["fate"] if code.has_fate(c) else []
        names, text = ["g", *fate], code.drop_code(c)
        drop = g.create_custom_connectivity_update_model(
            "drop", pre_vars=[("num_dropped", "unsigned int")], var_refs=[(name, kinds[name]) for name in names],
            row_update_code=text,
        )  # fmt: skip
        self.parts.drops[c.index] = self.genn.add_custom_connectivity_update(
            f"drop_{c.index}", f"drop_{c.index}", group, drop, pre_vars={"num_dropped": 0},
            var_refs={name: g.create_wu_var_ref(group, name) for name in names},
        )  # fmt: skip
        self.parts.words.append(text)
        names, text = ["g", "d", *(["position"] if c.real_delays else []), *fate], code.grow_code(self.plan, c)
        pre_vars = {"rank_begin": "int", "rank_end": "int"} | ({"dale": "int8_t"} if c.pre_sign is not None else {})
        params = {"step": "unsigned int", "born_as": "unsigned int"}
        grow = g.create_custom_connectivity_update_model(
            "grow", params=list(params.items()), pre_vars=list(pre_vars.items()),
            var_refs=[(name, kinds[name]) for name in names], row_update_code=text,
            extra_global_params=[("rank", "uint32_t*"), ("threshold", "uint32_t*")],
        )  # fmt: skip
        update = self.genn.add_custom_connectivity_update(
            f"grow_{c.index}", f"grow_{c.index}", group, grow, dict.fromkeys(params, 0), {},
            {"rank_begin": 0, "rank_end": 0} | ({"dale": c.pre_sign} if c.pre_sign is not None else {}),
            var_refs={name: g.create_wu_var_ref(group, name) for name in names},
        )  # fmt: skip
        for name in params:
            update.set_param_dynamic(name)
        most = max(c.size, num_candidates(c), 1)
        update.extra_global_params["rank"].set_init_values(np.zeros(most, np.uint32))
        thresholds = c.connection.connectivity.delay_initializer.thresholds
        update.extra_global_params["threshold"].set_init_values(np.append(thresholds, np.uint32(0)))
        self.parts.grows[c.index] = update
        self.parts.words.append(text)

    def _allocate(self, p: PopulationPlan) -> None:
        """Memory for what a population reads and writes of every lane; variables' tapes where somebody wants them."""
        for name, (kind, extent) in self._codes[p.index].arrays.items():
            if not name.startswith("tape_"):
                ragged.allocate(self.parts.neurons[p.index], name, np.zeros(self._extent(p, extent), _DTYPES[kind]))
        if p.readout is not None and p.model is not None:
            self.record(p)

    def record(self, p: PopulationPlan) -> None:
        """From now on a population's variables are kept."""
        assert p.model is not None
        group = self.parts.neurons[p.index]
        for s in p.model.states:
            if group.extra_global_params[f"tape_{s}"]._view is None:
                ragged.allocate(group, f"tape_{s}", np.zeros(self._extent(p, "time"), np.float32))
        group.set_dynamic_param_value("record", 1)  # for good

    def _extent(self, p: PopulationPlan, extent: str) -> int:
        per_lane = {
            "time": self.plan.time_steps * p.size,
            "spike": self.capacity * p.size,
            "one": p.size,
            "bit": self.plan.time_steps * ((p.size + 31) // 32),
        }
        # GeNN's last round may have lanes that no example is in
        rounds = -(-self.plan.batch_size // self.lanes)
        return rounds * self.lanes * per_lane[extent]

    # --- running -----------------------------------------------------------------------------------------------------

    def set_param(self, name: str, value: int) -> None:
        """Set a parameter that changes from one example to the next, wherever there is one of the name."""
        for index, group in self.parts.neurons.items():
            if name in self._codes[index].dynamic:
                self.set_number(group, name, value)
        if name == "backward" and self.plan.event_prop is not None:
            for group in self.parts.synapses.values():
                self.set_number(group, name, value)

    def set_number(self, group: Any, name: str, value: float) -> None:
        """Set a parameter of a group that may change, if it does."""
        if self._set.get((group, name)) != value:
            group.set_dynamic_param_value(name, value)
            self._set[group, name] = value

    def recorded(self, population: int) -> Array:
        """Spikes of the round that just ran, 32 neurons a word, ``[time, lane, word]``."""
        words = self._recordings[population].reshape(self.clock.steps, self.lanes, -1)
        depth = self.clock.depth[population]
        return words[depth : depth + self.plan.time_steps].copy()

    def run(self) -> None:
        """All steps of a round of examples, forwards or backwards."""
        self.genn.timestep = 0
        for _ in range(self.clock.steps):
            self.genn.step_time()

    def array(self, population: int, name: str, *shape: int) -> Array:
        """The host's view of an extra global parameter of a population."""
        return np.asarray(self.parts.neurons[population].extra_global_params[name].view).reshape(shape)

    def push(self, population: int, name: str) -> None:
        """Bring an extra global parameter to the device."""
        self.parts.neurons[population].extra_global_params[name].push_to_device()

    def pull(self, population: int, name: str, *shape: int) -> Array:
        """Fetch an extra global parameter from the device."""
        self.parts.neurons[population].extra_global_params[name].pull_from_device()
        return self.array(population, name, *shape)

    def close(self) -> None:
        """Give back its memory and its folder."""
        if self.genn is not None:
            self.genn.unload()
            self.genn = None
            build.release(self.folder)
