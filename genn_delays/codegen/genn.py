"""From a plan to GeNN code: the code strings of GeNN models, from which GeNN itself makes kernels.

Nothing here needs PyGeNN. A population becomes a neuron model, a connection a weight update model; the work between two
examples becomes custom (connectivity) updates. GeNN runs in steps of its own clock, ``t`` = 0, 1, 2, ...; the
step of an example that a population is in is `own_step` (:mod:`genn_delays.backends.genn`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from ..bodies.functions import PHILOX
from ..derive.equations import DiscreteModel
from ..derive.names import code_name, derived_name
from ..derive.printed import C_FUNCTIONS, words_of
from ..derive.transitions import Transitions
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan
from ..plan.schema import SynapseField, synapse_fields
from ..random import Purpose
from .bodies import GENN, Printer
from .environment import environment
from .kept import GENN_TYPES
from .optimisers import genn_around, genn_step
from .rules import rule_code, state_read

_SINGLE = re.compile(rf"\b({'|'.join(sorted(name[:-1] for name in C_FUNCTIONS))})f\(")


@dataclass(frozen=True)
class NeuronCode:
    """A GeNN neuron model, apart from its name and values.

    Attributes:
        sim: code of one step.
        threshold: when it spikes; None for neurons that do not.
        params: whole numbers and numbers that are the same for all neurons, by name their type.
        dynamic: those of them that change from one example to the next.
        numbers: numbers per neuron that the code reads: a parameter where all are equal, else a read-only variable.
        states: variables that it writes, by name their type.
        arrays: extra global parameters, by name the type of their entries and their size for every lane and neuron:
            ``"time"`` T, ``"spike"`` the most spikes that are kept, ``"one"``.
        feedback: whether its spikes' gradients at their targets come in as `time_in`.
    """

    sim: str
    threshold: str | None
    params: dict[str, str]
    dynamic: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    states: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, tuple[str, str]] = field(default_factory=dict)
    feedback: bool = False


@dataclass(frozen=True)
class SynapseCode:
    """A GeNN weight update model: code at a spike, in every step, and at a spike in the backward pass."""

    spike: str | None
    dynamics: str | None
    back_spike: str | None


class Fate(IntEnum):
    """The decision of the host about a synapse at the next rewiring."""

    CANDIDATE = 0  # carries nothing and has a gradient; may be grown
    LIVING = 1
    BORN = 2  # a candidate that was chosen
    DROPPED = 3


def has_fate(c: ConnectionPlan) -> bool:
    """True if the host chooses synapses, as a choice among all of them is needed. A rule that decides about each
    synapse on
    its own, and grows others at random, does not need it."""
    return c.rewiring is not None and (c.rewiring.growth == "gradient" or c.rewiring.score is not None)


def _render(template: str, **values: Any) -> str:
    text = environment("genn").get_template(f"{template}.genn.j2").render(purpose=Purpose, **values)
    for fate in Fate:
        text = re.sub(rf"\b{fate.name}\b", str(int(fate)), text)
    return text


def _code(expression: str) -> str:
    """An expression printed for C in GeNN's language, in which functions are overloaded."""
    return re.sub(r"\bIsyn\b", "arriving", _SINGLE.sub(r"\1(", expression))


def _words(expressions: Iterable[str]) -> list[str]:
    return sorted(set(re.findall(r"[A-Za-z_]\w*", " ".join(expressions))))


def neuron_code(plan: Plan, p: PopulationPlan) -> NeuronCode:
    """The neuron model of a population."""
    adjoint = plan.event_prop is not None
    params = {"T": "int", "first_lane": "int"}
    dynamic = ["first_lane"]
    if adjoint:
        params |= {"deepest": "int", "backward": "int"}
        dynamic.append("backward")
    if p.kind == "real_input":
        sim = _render("real_input", p=p, adjoint=adjoint)
        return NeuronCode(sim, None, params, tuple(dynamic), (), {"x": "scalar"}, {"data": ("float", "time")})
    if p.kind == "spike_input":
        states = {"spike": "uint8_t"} | ({"back": "uint8_t"} if adjoint else {})
        sim = _render("spike_input", p=p, adjoint=adjoint)
        return NeuronCode(sim, "spike", params, tuple(dynamic), (), states, {"data": ("uint32_t", "bit")})
    assert p.model is not None
    return _dynamic_neuron(plan, p, p.model, params, dynamic)


def _dynamic_neuron(
    plan: Plan, p: PopulationPlan, model: DiscreteModel, params: dict[str, str], dynamic: list[str]
) -> NeuronCode:
    adjoint, spiking, transitions = plan.event_prop is not None, model.threshold is not None, model.transitions
    params |= {"depth": "int", "record": "int"}
    dynamic.append("record")
    numbers = [*map(code_name, p.parameters), *(["bias"] if p.bias is not None else [])]
    numbers += ["factor", "offset"] if p.batch_norm else []
    states = dict.fromkeys(map(code_name, model.states), "scalar") | ({"spike": "uint8_t"} if spiking else {})
    arrays = {derived_name("tape", s): ("float", "time") for s in model.states}
    arriving = "Isyn + bias" if p.bias is not None else "Isyn"
    if p.batch_norm:
        arriving = f"factor * ({arriving}) + offset"
    reads = p.reads if adjoint else None
    kept = p.kept_values if adjoint else ()
    if adjoint:
        states |= {derived_name("lambda", s): "scalar" for s in model.states}
        states |= {"gradient": "scalar", "arrival": "scalar"}
        arrays |= {"direct": ("float", "time")} if reads else {}
    if adjoint and spiking:
        states |= {"back": "uint8_t", "spikes_left": "int"}
        params |= {"capacity": "int", "step_ms": "scalar", "grad_limit": "scalar", "live": "int"}
        dynamic.append("live")
        numbers += ["drive"] if p.regularised else []
        arrays |= {"spike_step": ("int", "spike"), "spike_number": ("int", "one")}
        arrays |= {derived_name("kept", name): ("float", "spike") for name in kept}
    sim = _render(
        "neuron", p=p, model=model, transitions=transitions, adjoint=adjoint, reads=reads, kept=kept, code=_code,
        released=[name for name in kept if name.startswith(derived_name("released", ""))], arriving=arriving,
        at_spike=_at_spike(transitions), at_release=_at_release(transitions),
    )  # fmt: skip
    threshold = "spike" if spiking else None
    return NeuronCode(sim, threshold, params, tuple(dynamic), tuple(numbers), states, arrays, adjoint and spiking)


def _at_spike(transitions: Transitions | None) -> list[str]:
    if transitions is None or transitions.spike_time is None:
        return []
    return sorted(words_of([transitions.spike_time, *transitions.jump.values()]))


def _at_release(transitions: Transitions | None) -> list[str]:
    return [] if transitions is None or transitions.release is None else sorted(words_of([transitions.release]))


def synapse_code(plan: Plan, c: ConnectionPlan) -> SynapseCode:
    """The weight update model of a connection."""
    adjoint = plan.event_prop is not None
    source, fates = plan.populations[c.source], adjoint and has_fate(c)
    if source.kind == "real_input":
        dynamics = _render("gather_dense", adjoint=adjoint, delays=c.real_delays, fates=fates)
        return SynapseCode(None, dynamics, None)
    back = source.kind == "neuron"
    correlate = _render("correlate", delays=c.real_delays, back=back) if adjoint else None
    return SynapseCode(_render("gather", fates=fates), None, correlate)


def _variable_fields(plan: Plan, c: ConnectionPlan) -> dict[str, SynapseField]:
    """The variables that GeNN keeps of a synapse besides its ends, by GeNN's names; weight and delay if nothing is
    learned."""
    learns = plan.event_prop is not None and c.learned
    kept = {name: f for name, f in synapse_fields(c).items() if learns or f.when == "always"}
    return {variable_name(name, f): f for name, f in kept.items() if name not in ("pre", "post")}


def variable_name(name: str, field: SynapseField) -> str:
    """GeNN's name for an array of a connection's state."""
    if field.several:
        return f"{field.rule}_moment{name.removeprefix(field.name)}"
    return {"weight": "g", "delay": "d"}.get(name, name)


def synapse_variables(plan: Plan, c: ConnectionPlan) -> dict[str, str]:
    """The types of the variables that GeNN keeps for every synapse of a connection, by name."""
    fields = _variable_fields(plan, c)
    fate = {"fate": "uint8_t"} if len(fields) > 2 and has_fate(c) else {}
    return {name: GENN_TYPES[field.dtype] for name, field in fields.items()} | fate


def born_variables(plan: Plan, c: ConnectionPlan) -> dict[str, str]:
    """The variables that do not begin with 0 at newborn synapses, with their first values, in the order of
    assignment."""
    born = {}
    for name, f in sorted(_variable_fields(plan, c).items(), key=lambda item: item[1].birth != "weight"):
        if f.birth == "weight":
            born[name] = "copysign(size, sign)"
        elif f.birth == "delay":
            born[name] = "delay" if f.dtype is np.uint16 else f"({GENN_TYPES[f.dtype]})delay"
    return born | ({"fate": "born_as"} if has_fate(c) else {})


def gradient_variables(plan: Plan, c: ConnectionPlan) -> list[str]:
    """The variables, one for each lane, that gather a connection's gradients."""
    if plan.event_prop is None:
        return []
    return ["dw", "dd"] if c.real_delays else ["dw"]


def zero_code(c: ConnectionPlan) -> str:
    """Custom update that sets a connection's gradients to 0."""
    return _render("zero", delays=c.real_delays)


def sum_code(c: ConnectionPlan) -> str:
    """Custom update that sums a connection's gradients over the lanes that GeNN runs at once."""
    return _render("sum_lanes", delays=c.real_delays)


def update_code(c: ConnectionPlan, summed: bool) -> str:
    """Custom update of a connection: one step of its optimisers; the gradients may be `summed` over lanes before."""
    dw, dd = ("dw_sum", "dd_sum") if summed else ("dw", "dd")
    return _render(
        "update", c=c, dw=dw, dd=dd, fates=has_fate(c),
        weight=c.optimiser and genn_step(c.optimiser, "weight"),
        delay=c.delay_optimiser and genn_step(c.delay_optimiser, "delay"), around=genn_around("weight"),
        signed=c.rewiring is not None and c.rewiring.signed,
    )  # fmt: skip


def drop_code(c: ConnectionPlan) -> str:
    """Custom connectivity update that drops synapses."""
    assert c.rewiring is not None
    return _render("drop", fates=has_fate(c), rule=rule_code(type(c.rewiring), GENN))


def drop_variables(c: ConnectionPlan) -> list[str]:
    """The synapses' variables that the update that drops them reads or writes."""
    assert c.rewiring is not None
    if has_fate(c):
        return ["g", "age", "fate"]
    moments = [name for name in state_read(type(c.rewiring)) if name not in ("weight", "age")]
    return ["g", "age", *(f"weight_{name}" for name in moments)]


def drop_numbers(c: ConnectionPlan) -> dict[str, float]:
    """The numbers of its rule that the same update reads, as it calls them."""
    assert c.rewiring is not None
    numbers = zip(rule_code(type(c.rewiring), GENN).numbers, c.rewiring.drop_numbers(), strict=True)
    return {} if has_fate(c) else dict(numbers)


def grow_code(plan: Plan, c: ConnectionPlan) -> str:
    """Custom connectivity update that grows synapses in empty pairs of given ranks."""
    assert c.rewiring is not None
    if c.pre_sign is not None:
        negative = "dale < 0"
    elif c.sign_threshold >= 1 << 32:
        negative = "true"
    else:
        negative = f"home0 < {c.sign_threshold}u"
    return _render(
        "grow", c=c, negative=negative,
        home=_words_drawn("home", plan.network_seed, Purpose.HOME, c.index, "0u"),
        fresh=_words_drawn("fresh", plan.training_seed, Purpose.GROWTH_DELAY, c.index, "(uint32_t)step"),
        redraw=c.rewiring.growth_delay == "redraw", num_thresholds=c.delay_thresholds.size, lowest_delay=c.delay_low,
        born=born_variables(plan, c).values(), fates=has_fate(c),
    )  # fmt: skip


def _words_drawn(name: str, seed: int, purpose: Purpose, owner: int, step: str) -> str:
    """Statements that draw the words ``<name>0`` to ``<name>3`` of the pair (id_pre, target)."""
    key, stream = (f"{seed % 2**32}u", f"{seed // 2**32}u"), f"{int(purpose) * 2**24 + owner}u"
    values = {"key0": key[0], "key1": key[1], "stream": stream, "a": "id_pre", "b": "target", "step": step}
    outputs = {output: f"{name}{number}" for number, output in enumerate(PHILOX.outputs)}
    printer = Printer(GENN, lambda word: outputs.get(word) or values.get(word) or f"{name}_{word}_")
    return "\n".join(
        [f"// four random words {name}0 to {name}3, a function of the seed and of their purpose",
         printer.block(PHILOX, frozenset(), indent=0)]
    )  # fmt: skip


_LEGEND = {
    "t": "GeNN's step; own_step is the step of an example that a population is in",
    "depth": "steps by which a population runs behind the inputs, as GeNN delivers a spike one step after it",
    "deepest": "the largest depth",
    "backward": "whether this is the backward pass, in which the inputs come last",
    "layer_offset": "depth(target) - depth(source) - 1 of a connection; GeNN's delay is d + layer_offset",
    "last": "the largest t + d at which what a connection sends still arrives in the example",
    "first": "in the backward pass the largest t - d at which nothing of the example has arrived yet",
    "gradient_post": "dL/dI of the target, so many steps earlier",
    "arrival_post": "dL/d(time of arrival) at the target, so many steps earlier",
    "fate": f"the next rewiring's decision on a synapse: {', '.join(f'{fate} {fate.name.lower()}' for fate in Fate)}",
    "lane": "example of the batch",
    "first_lane": "the example that GeNN's first lane computes",
    "live": "examples of the batch",
    "capacity": "spikes of a neuron and example that are kept for the backward pass",
    "record": "whether variables are kept over time",
}
"""The names in the code and their meanings, in the order of the listing."""


def _described(code: NeuronCode) -> str:
    """A neuron model: its variables and parameters, and its code."""
    kinds: dict[str, Mapping[str, Any]] = {
        "params": code.params,
        "vars": code.states,
        "extra global params": code.arrays,
    }
    told = {kind: ", ".join(f"{_type(of)} {name}" for name, of in names.items()) for kind, names in kinds.items()}
    told["numbers, a param or a var that is only read"] = ", ".join(f"scalar {name}" for name in code.numbers)
    told["spikes where"] = code.threshold or ""
    lines = [f"// {kind}: {names}" for kind, names in told.items() if names]
    return "\n".join([*lines, code.sim.strip()])


def _type(of: Any) -> str:
    return of if isinstance(of, str) else f"{of[0]}*"


def listing(plan: Plan) -> str:
    """All code strings that GeNN is given for a plan."""
    parts: list[tuple[str, str | None]] = []
    for p in plan.populations:
        parts.append((f"population_{p.index} ({p.name}): neuron model", _described(neuron_code(plan, p))))
    for c in plan.connections:
        what, texts = f"connection_{c.index} ({c.name})", synapse_code(plan, c)
        parts += [
            (f"{what}: at a spike", texts.spike),
            (f"{what}: in every step", texts.dynamics),
            (f"{what}: at a spike in the backward pass", texts.back_spike),
        ]
        if plan.event_prop is not None and c.learned:
            parts.append((f"{what}: custom update of its optimisers", update_code(c, False)))
        if plan.event_prop is not None and c.rewiring is not None:
            parts.append((f"{what}: connectivity update that drops", drop_code(c)))
            parts.append((f"{what}: connectivity update that grows", grow_code(plan, c)))
    code = "\n".join(f"// ===== {title}\n{text.strip()}\n" for title, text in parts if text)
    used = set(_words([code]))
    legend = "".join(f"// {word:<14}{what}\n" for word, what in _LEGEND.items() if word in used)
    return f"{legend}\n{code}"
