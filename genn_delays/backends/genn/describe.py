"""Describing a plan to PyGeNN: neuron populations, synapse groups and the custom updates of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen import genn as code
from ...codegen.bodies import mangled
from ...codegen.genn import NeuronCode
from ...connectivity import Synapses
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from .clock import Clock

Numbers = dict[str, npt.NDArray[np.float32]]

CHANGING = ("factor", "offset", "drive")
"""Numbers per neuron that training or loading changes, so that they are never literals in the code."""


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
    """The order that sorts synapses into GeNN's rows, by (pre, post); several of a pair keep their order."""
    return np.lexsort((s.post, s.pre))


def row_room(c: ConnectionPlan, longest: int) -> int:
    """Synapses that a row of a connection gets room for; where it is rewired that is twice as many as there are."""
    return max(1, min(2 * longest + 8, c.num_post) if c.rewiring is not None else longest)


def num_candidates(c: ConnectionPlan) -> int:
    """Pairs without a synapse whose gradient is known: as many as there are synapses, where not given."""
    if c.rewiring is None or c.rewiring.growth != "gradient":
        return 0
    return min(c.rewiring.candidates or c.size, c.num_pre * c.num_post - c.size)


class Description:
    """A plan, described to a PyGeNN model that is not built yet.

    Attributes:
        genn: PyGeNN's model.
        parts: its groups.
        codes: of the populations.
    """

    def __init__(self, pygenn: Any, genn: Any, plan: Plan, clock: Clock, rooms: list[int]) -> None:
        self.pygenn, self.genn, self.plan, self.clock, self.rooms = pygenn, genn, plan, clock, rooms
        self.parts, self.codes = Parts(), dict[int, NeuronCode]()
        self._alive: list[Any] = []  # PyGeNN holds weight update models by a pointer until a group has them

    def add_population(self, p: PopulationPlan, numbers: Numbers) -> None:
        """A neuron population with these numbers per neuron."""
        g, c = self.pygenn, code.neuron_code(self.plan, p)
        self.codes[p.index] = c
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
        """Spikes of a neuron and example that are kept for the backward pass."""
        return min(self.plan.max_spikes or self.plan.time_steps, self.plan.time_steps)

    def add_connection(self, c: ConnectionPlan, s: Synapses) -> None:
        """A synapse group of these synapses; its populations are there already."""
        plan, source, adjoint = self.plan, self.plan.populations[c.source], self.plan.event_prop is not None
        depth = self.clock.depth[c.source]
        values: dict[str, float] = {"last": plan.time_steps + depth, "layer_offset": self.clock.layer_offset(c)}
        if adjoint:
            values |= {"backward": 0, "first": self.clock.deepest - depth, "step_ms": source.dt}
        group = self.genn.add_synapse_population(
            f"connection_{c.index}", "SPARSE", self.parts.neurons[c.source], self.parts.neurons[c.target],
            self._weight_update(c, values), self.pygenn.init_postsynaptic("DeltaCurr"),
        )  # fmt: skip
        if adjoint:
            group.set_wu_param_dynamic("backward")
        if adjoint and source.kind == "neuron":
            group.pre_target_var = "time_in"
        order = synapse_order(s)
        group.set_sparse_connections(s.pre[order], s.post[order])
        group.max_connections = self.rooms[c.index]
        longest = min(c.max_delay, plan.time_steps - 1) + self.clock.layer_offset(c)
        group.max_dendritic_delay_timesteps = max(longest, 0) + 1
        self.parts.synapses[c.index] = group
        self.parts.words += [str(longest), str(self.rooms[c.index]), str(c.size)]
        if adjoint:
            self._add_updates(c, group)

    def _weight_update(self, c: ConnectionPlan, values: dict[str, float]) -> Any:
        """The weight update model of a connection; its variables get their values when the model is loaded."""
        g, texts = self.pygenn, code.synapse_code(self.plan, c)
        before, after = self.parts.neurons[c.source], self.parts.neurons[c.target]
        pre: dict[str, tuple[str, Any]] = {}
        post: dict[str, tuple[str, Any]] = {}
        if self.plan.populations[c.source].kind == "real_input":
            pre["x_pre"] = ("scalar", g.create_var_ref(before, "x"))
        elif texts.back_spike:
            pre["back_pre"] = ("uint8_t", g.create_var_ref(before, "back"))
        if self.plan.event_prop is not None:
            post = {f"{n}_post": ("scalar", g.create_var_ref(after, n)) for n in ("gradient", "arrival")}
        kept, sums = code.synapse_variables(self.plan, c), code.gradient_variables(self.plan, c)
        shared = g.VarAccess.READ_ONLY  # the same in all lanes
        params = {name: "scalar" if name == "step_ms" else "int" for name in values}
        model = g.create_weight_update_model(
            f"synapse_{c.index}", params=list(params.items()),
            vars=[*((name, kind, shared) for name, kind in kept.items()), *((name, "scalar") for name in sums)],
            pre_spike_syn_code=texts.spike, synapse_dynamics_code=texts.dynamics,
            pre_event_threshold_condition_code="back_pre" if texts.back_spike else None,
            pre_event_syn_code=texts.back_spike,
            pre_neuron_var_refs=[(name, kind) for name, (kind, _) in pre.items()],
            post_neuron_var_refs=[(name, kind) for name, (kind, _) in post.items()],
        )  # fmt: skip
        self._alive.append(model)
        self.parts.words += [*(text or "" for text in (texts.spike, texts.dynamics, texts.back_spike))]
        self.parts.words += [str(values), str(kept)]
        return g.init_weight_update(
            model, values, dict.fromkeys([*kept, *sums], 0),
            pre_var_refs={name: ref for name, (_, ref) in pre.items()},
            post_var_refs={name: ref for name, (_, ref) in post.items()},
        )  # fmt: skip

    def _add_updates(self, c: ConnectionPlan, group: Any) -> None:
        """Custom updates of a connection, each run by the name ``<what>_<index>`` or together by ``<what>``."""
        g = self.pygenn
        names = code.gradient_variables(self.plan, c)
        refs = {name: g.create_wu_var_ref(group, name) for name in names}
        zero = g.create_custom_update_model(
            "zero", var_refs=[(name, "scalar") for name in names], update_code=code.zero_code(c)
        )
        self.genn.add_custom_update(f"zero_{c.index}", "zero", zero, var_refs=refs)
        if self.genn.batch_size > 1:
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
        g, params = self.pygenn, {"scale": "double", "l1": "double", "l1_drift": "double", "weight_decay": "double"}
        if c.real_delays:
            params |= {"min_delay": "int", "max_delay": "int"}
        for kind, optimiser in (("weight", c.optimiser), ("delay", c.delay_optimiser)):
            params |= {f"{kind}_{mangled(name)}": "double" for name in (optimiser.numbers() if optimiser else ())}
        kinds, text = code.synapse_variables(self.plan, c), code.update_code(c, self.genn.batch_size > 1)
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
        g, kinds = self.pygenn, code.synapse_variables(self.plan, c)
        names, text, counts = code.drop_variables(c), code.drop_code(c), ("num_dropped", "num_newborn")
        numbers = code.drop_numbers(c)
        drop = g.create_custom_connectivity_update_model(
            "drop", params=[("youngest", "unsigned int"), *((n, "double") for n in numbers)],
            pre_vars=[(name, "unsigned int") for name in counts],
            var_refs=[(name, kinds[name]) for name in names], row_update_code=text,
        )  # fmt: skip
        self.parts.drops[c.index] = self.genn.add_custom_connectivity_update(
            f"drop_{c.index}", f"drop_{c.index}", group, drop, {"youngest": 0, **numbers}, {}, dict.fromkeys(counts, 0),
            var_refs={name: g.create_wu_var_ref(group, name) for name in names},
        )  # fmt: skip
        self.parts.drops[c.index].set_param_dynamic("youngest")
        self.parts.words += [text, str(numbers)]
        names, text = list(code.born_variables(self.plan, c)), code.grow_code(self.plan, c)
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
        update.extra_global_params["threshold"].set_init_values(np.append(c.delay_thresholds, np.uint32(0)))
        self.parts.grows[c.index] = update
        self.parts.words.append(text)
