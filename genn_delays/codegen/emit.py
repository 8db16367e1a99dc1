"""From a plan to source text. The text depends on equations, rules and wiring, and on few lanes having other forms; on
no other size."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..bodies.functions import NORMAL_QUANTILE, PHILOX, SCALED
from ..derive.equations import DiscreteModel
from ..derive.integration import transition
from ..derive.names import derived_name
from ..derive.printed import Printed, words_of
from ..learning.optimisers import number_names
from ..neurons.neuron import REFRACTORY_STATE
from ..plan.plan import PHANTOM, ConnectionPlan, Plan, PopulationPlan
from ..random import Purpose
from ..rewiring.rule import EXACT_CANDIDATES, SAMPLED_PER_DROPPED
from ..version import __version__
from .bodies import CPU, Printer, functions, mangled
from .delay_kernels import bodies_of_kernels, delay_kernel_code
from .elementary import bodies_of_neurons
from .environment import environment
from .few import FEW_LANES, NEURONS, any_few, few_backward, few_forward, scatters, scatters_back, skipping
from .kept import kept_on_cpu
from .losses import bodies_of_outputs, loss_code, output_members
from .optimisers import around_code, bodies_of, optimiser_code, sorted_kinds
from .parts import parts
from .readouts import readout_code
from .rules import bodies_of_rules, rule_code, rule_numbers, rules_of

_STEPS = derived_name("steps", REFRACTORY_STATE)
"""The number of steps of a refractory period, per neuron."""


SPAN = 128
"""Offsets of a row that are smoothed by a delay kernel and scored at once."""
SLOT_PIECE = 1 << 16
"""Free slots that are scored at once at most."""
MOST_LEAVES = 16
"""Partial sums that a tile has at most."""


def limits(plan: Plan) -> dict[str, int]:
    """Sizes of the fixed arrays in the generated structures, shared with the code that fills them."""
    return {
        "max_vars": max((len(p.model.states) for p in plan.populations if p.model), default=1),
        "max_pars": max((len(p.parameters) for p in plan.populations), default=1) or 1,
        "num_populations": len(plan.populations),
        "num_connections": len(plan.connections),
        "max_moments": max(plan.most_moments, 1),
        "span": SPAN,
        "most_leaves": MOST_LEAVES,
    }


def emit(plan: Plan) -> str:
    """The C++ source of a plan's kernels, the same text for the same plan."""
    templates = environment("cpu")
    texts: list[str] = []

    def add(template: str, **values: Any) -> None:
        texts.append(
            templates.get_template(f"{template}.cpp.j2").render(version=__version__, purpose=Purpose, **values)
        )

    models = models_of(plan)
    views = [_view(plan, p, models) for p in plan.populations]
    groups = [[views[i] for i in group] for group in plan.groups]
    outputs = [views[p.index] for p in plan.outputs]
    inputs = [views[p.index] for p in plan.populations if p.kind == "real_input"]
    _add_passes(add, plan)
    if skipping(plan):
        add("heard", populations=skipping(plan))
    for m, p in enumerate(models):
        _add_model(add, plan, m, p)
    for name, wanted in (("batch_norm", any(p.batch_norm for p in plan.populations)),
                         ("dropout", any(p.dropout for p in plan.populations))):  # fmt: skip
        if wanted:
            add(name)
    for view in (view for group in groups for view in group):
        add("few_population" if view["few"] else "population", p=view)
        back = "few_backward" if view["few_back"] else "backward"
        add(f"{back}_event_prop" if plan.event_prop else "backward", p=view)
    for view in outputs:
        add("readout", p=view)
        add("loss", p=view)
    kinds = {p.kind for p in plan.populations}
    if "real_input" in kinds:
        add("load_dense")
    if "spike_input" in kinds:
        if any_few(plan):
            add("few_load_events")
        add("load_events", few=any_few(plan))
    _add_learning(add, plan)
    learned = [_learned(plan, c) for c in plan.connections]
    add("network", **parts(inputs, groups, outputs), outputs=outputs, connections=learned, hearings=skipping(plan))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(texts))


def structure_values(plan: Plan) -> dict[str, Any]:
    """The values that the template of the structures reads."""
    numbers = [mangled(name) for name in number_names(plan.every_optimiser)]
    named = {"optimiser_numbers": numbers, "rule_numbers": rule_numbers(plan), "output_numbers": output_members(plan)}
    return {**named, "kept": kept_on_cpu(), "pieces": plan.forward_only, **limits(plan)}


def emit_structures(plan: Plan) -> str:
    """The beginning of a plan's source, with the structures that kernels get."""
    return environment("cpu").get_template("prelude.cpp.j2").render(version=__version__, **structure_values(plan))


def _add_passes(add: Callable[..., None], plan: Plan) -> None:
    """The code that every network needs, and the passes over synapses in the forms that this one has."""
    kinds = {p.kind for p in plan.populations}
    spiking = any(p.spiking for p in plan.populations)
    compact = _support(plan) is not None and any(p.kind == "neuron" and p.spiking for p in plan.populations)
    kernels = {c.kernel.code_name: c.kernel for c in plan.connections if c.kernel}
    taps = sorted({c.gradient_taps for c in plan.connections if c.gradient_taps})
    forms = sorted({c.gradient_form or "" for c in plan.connections})
    add("prelude", **structure_values(plan))
    if any_few(plan):
        add("few", neurons=NEURONS, lanes=FEW_LANES)
    add("sums", most_leaves=MOST_LEAVES)
    add("tile", learns=True, **limits(plan))
    learning = [o for c in plan.connections for o in (c.optimiser, c.delay_optimiser) if o is not None]
    needed = [*bodies_of_outputs(plan), *bodies_of_kernels(kernels.values()), *bodies_of(learning)]
    needed += [*([NORMAL_QUANTILE] if learning else []), SCALED, *bodies_of_rules(rules_of(plan))]
    needed += bodies_of_neurons(plan)
    add("functions", text=functions(CPU, needed))
    add("random", philox=Printer(CPU).block(PHILOX, frozenset()))
    for name, wanted in (
        ("rooms", True), ("pool", True), ("gather_dense", True), ("gather_event", True),
        ("lags", bool(kernels)), ("gather_lags", bool(kernels)),
    ):  # fmt: skip
        if wanted:
            add(name)
    for name in taps:
        if name in kernels:
            add("taps", kernel=delay_kernel_code(kernels[name], CPU, 2))
        else:
            add(f"taps_{name}")
    for kernel in (None, *sorted(kernels)):
        back = any(
            (c.kernel.code_name if c.kernel else None) == kernel and plan.populations[c.source].kind == "neuron"
            for c in plan.connections
        )
        real, exact = "real_input" in kinds, plan.event_prop is not None
        add(
            "gather", kernel=kernel, real=real, spikes=spiking, back=back and not exact, compact=back and compact,
            exact=back and exact,
        )  # fmt: skip
    add("correlate_dense")
    add("correlate_event")
    for form in forms:
        add("correlate", taps=form or None)
    limited = plan.max_spikes is not None
    add("spikes", regularised=any(p.regularised for p in plan.populations), limited=limited, few=any_few(plan))
    if any_few(plan):
        exact = any(p.kept_values and few_backward(plan, p) for p in plan.populations)
        add("few_passes", exact=exact)
    if plan.surrogate_code is not None:
        add("surrogate", surrogate=plan.surrogate_code)


def _support(plan: Plan) -> float | None:
    """The half width of the surrogate's support; None if it is not bounded, or without a surrogate."""
    return None if plan.surrogate is None else plan.surrogate.support


def _add_learning(add: Callable[..., None], plan: Plan) -> None:
    """Optimisers and rewiring."""
    used = [o for c in plan.connections for o in (c.optimiser, c.delay_optimiser) if o is not None]
    codes = {kind.registered_name: optimiser_code(kind, CPU) for kind in sorted_kinds(used)}
    add("optimisers", optimisers=list(codes.values()))
    for weight, delay in sorted({update_of(c) for c in plan.connections if c.learned}):
        add("update", weight=codes.get(weight), delay=codes.get(delay), **around_code(CPU, 3))
    rules = [c.rewiring for c in plan.connections if c.rewiring]
    if rules:
        add("sample_distinct")
        if any(rule.score is not None or rule.uses_gradient for rule in rules):
            add("select")
        grown = {rule.registered_name for rule in rules if rule.uses_gradient}
        add("rules", rules=[rule_code(kind, CPU) for kind in rules_of(plan)], grown=grown)
        add("slots", random=any(rule.growth == "random" for rule in rules))
    if any(rule.uses_gradient for rule in rules):
        scored = {c.kernel.code_name if c.kernel else "" for c in plan.connections if _score_of(c) is not None}
        if any(scored):
            add("score_sources")
        for kernel in sorted(scored):
            add("score", kernel=kernel or None)
        add(
            "choose_gradient", exact=EXACT_CANDIDATES, sampled=SAMPLED_PER_DROPPED, piece=SLOT_PIECE,
            kernels=any(scored),
        )  # fmt: skip
    if any(rule.growth_delay == "best" for rule in rules):
        add("choose_delays")
    most = max(plan.most_moments, 1)
    if rules:
        kept = kept_on_cpu()
        add("grow", max_moments=most, kept=kept, num_arrays=sum(most if f.rule else 1 for f in kept))
    add("rebuild")


def update_of(c: ConnectionPlan) -> tuple[str, str]:
    """Names of the optimisers of a connection's weights and delays, empty where there is none."""
    weight, delay = (o.registered_name if o else "" for o in (c.optimiser, c.delay_optimiser))
    return weight, delay


def _score_of(c: ConnectionPlan) -> str | None:
    """The kernel that scores a connection's free slots, None where growth is random."""
    if c.rewiring is None or c.rewiring.growth == "random":
        return None
    return f"part_{c.kernel.code_name}" if c.kernel else "part"


def _learned(plan: Plan, c: ConnectionPlan) -> dict[str, Any]:
    """A connection as the network's own functions see it."""
    weight, delay = update_of(c)
    rule = c.rewiring
    return {
        "index": c.index,
        "step": f"{weight or 'none'}_{delay or 'none'}" if c.learned else None,
        "rule": rule.registered_name if rule else None,
        "growth": rule.growth if rule else None,
        "score": _score_of(c),
        "smooth": f"smooth_{c.kernel.code_name}" if c.kernel else "nullptr",
        "best": rule is not None and rule.growth_delay == "best",
        "scatters": scatters(plan, c),
        "moves": c.delay_optimiser is not None,
    }


def _reads_every_row(c: ConnectionPlan) -> bool:
    """True if gradients of target neurons that are not heard are read too."""
    return c.kernel is not None or (c.rewiring is not None and c.rewiring.uses_gradient)


def _suffix(p: PopulationPlan) -> str:
    """The suffix that distinguishes adjoints of one model: by their readout, and by the coefficients' gradients they
    sum."""
    if p.event_prop:
        return ("_read" if _reads_variable(p) else "") + ("_regularised" if p.regularised else "")
    if not p.slopes:
        return ""
    return "_" + "_".join(p.slopes) + ("_normed" if p.batch_norm else "")


def slope_term(model: DiscreteModel, coefficient: str) -> str:
    """lambda[t] times what a coefficient is multiplied by in the update, which held variables do not make."""
    for s in model.states:
        moving = " * moving" if s in model.held else ""
        later = derived_name("l", s)
        if coefficient == derived_name("b", s):
            return f"{later} * Isyn{moving}"
        if coefficient == derived_name("c", s):
            return f"{later}{moving}"
        for r in model.states:
            if coefficient == transition(s, r):
                return f"{later} * {derived_name('was', r)}{moving}"
    raise ValueError(coefficient)


def _add_model(add: Callable[..., None], plan: Plan, m: int, p: PopulationPlan) -> None:
    """The kernels of neuron model number `m`, that of population `p`."""
    model = p.model
    assert model is not None
    distance = [] if model.threshold is None else [model.threshold]
    reads = [*model.steps.values(), *model.update.values(), *model.jump.values(), *distance]
    initial = [derived_name("initial", s) for s in model.states]
    rises = bool(plan.event_prop and distance)
    words = words_of(distance)
    computed: dict[str, Any] = {
        "m": m, "model": model, "parameters": used_numbers(p, reads, initial), "rises": rises,
        "distance_reads": [s for s in model.states if s in words],
    }  # fmt: skip
    same = [q for q in plan.populations if q.model == model]
    if not all(few_forward(plan, q) for q in same):
        add("membrane", **computed)
    if any(few_forward(plan, q) for q in same):
        kept = p.kept_values
        at_spike = [(s, model.states.index(s)) for s in model.transitions.kept] if kept and model.transitions else []
        add("few_membrane", **computed, kept=kept, at_spike=at_spike)
    if plan.event_prop:
        _add_event_prop(add, plan, m, p)
        return
    backward = [*model.back.values(), *model.adjoint.values(), model.gradient, *distance, *filter(None, [model.hold])]
    later = words_of(backward)
    plain = {"suffix": "", "slopes": [], "current": False, "batch_norm": False}
    add("adjoint", m=m, model=model, parameters=used_numbers(p, backward), later=later, **plain)
    learned = {_suffix(q): q for q in plan.populations if q.slopes and q.model == model}
    for suffix, q in sorted(learned.items()):
        add(
            "adjoint", m=m, model=model, suffix=suffix, later=later, batch_norm=q.batch_norm is not None,
            parameters=used_numbers(p, [*backward, *model.jump.values()], initial),
            slopes=[{"name": c, "term": slope_term(model, c)} for c in q.slopes],
            current=any(c.startswith(derived_name("b", "")) for c in q.slopes),
        )  # fmt: skip
    support = _support(plan)
    if distance and support is not None:
        add("active", m=m, model=model, parameters=used_numbers(p, distance), support=f"{float(support)}f")


def _add_event_prop(add: Callable[..., None], plan: Plan, m: int, p: PopulationPlan) -> None:
    """The code that keeps model number `m`'s values at spikes, and its adjoint, once for every way it is used."""
    model = p.model
    assert model is not None
    transitions = model.transitions
    assert transitions is not None
    names, kept = list(p.parameters), p.kept_values
    if model.threshold is not None:
        add(
            "kept_values", m=m, kept=kept,
            at_spike=[(s, model.states.index(s)) for s in transitions.kept],
            released=[(s, model.states.index(s)) for s in transitions.kept_at_release],
            steps=names.index(_STEPS) if model.hold else None,
        )  # fmt: skip
    at_spike = [e for e in (transitions.spike_time, *transitions.jump.values()) if e is not None]
    at_release = [transitions.release] if transitions.release else []
    reads = [*transitions.flow.values(), model.gradient, transitions.arrival, *at_spike, *at_release]
    always = [_STEPS] if model.hold else []
    used = {("few_" if few_backward(plan, q) else "", _suffix(q)): q for q in plan.populations if q.model == model}
    for form, suffix in sorted(used):
        q = used[form, suffix]
        add(
            f"{form}adjoint_event_prop", m=m, model=model, transitions=transitions, suffix=suffix, kept=kept,
            parameters=used_numbers(p, reads, always), reads=_reads_variable(q), regularised=q.regularised,
            used_at_spike=words_of(at_spike), used_at_release=words_of(at_release),
        )  # fmt: skip


def _reads_variable(p: PopulationPlan) -> bool:
    """True if a readout reads a variable of the population."""
    return p.reads == "variable"


def models_of(plan: Plan) -> list[PopulationPlan]:
    """One population for every different neuron model, in order of first use."""
    found: list[PopulationPlan] = []
    for p in plan.populations:
        if p.model is not None and p.model not in [q.model for q in found]:
            found.append(p)
    return found


def used_numbers(p: PopulationPlan, expressions: list[Printed], always: Sequence[str] = ()) -> list[tuple[int, str]]:
    """The per-neuron numbers that expressions read, with their place in the population's list."""
    words = words_of(expressions) | set(always)
    return [(index, name) for index, name in enumerate(p.parameters) if name in words]


def _view(plan: Plan, p: PopulationPlan, models: list[PopulationPlan]) -> dict[str, Any]:
    """A population as its templates see it."""
    connections, populations = plan.connections, plan.populations
    return {
        "index": p.index,
        "model": next((m for m, q in enumerate(models) if q.model == p.model), None) if p.model else None,
        "spiking": p.spiking,
        "readout": p.readout is not None,
        "code": None if p.readout is None else readout_code(p.reading, CPU, not (p.loss and p.loss.stepwise)),
        "loss": loss_code(p.loss, p.reading, CPU) if p.loss else None,
        "stepwise": p.loss is not None and p.loss.stepwise,
        "cyclic": p.cyclic,
        "keeps_gradient": p.keeps_gradient,
        "tells_gradient": p.tells_gradient,
        "batch_norm": p.batch_norm is not None,
        "dropout": p.dropout > 0,
        "regularised": p.regularised,
        "hears": any(p.index == h.population for h in skipping(plan)),
        "zero_rows": p.keeps_gradient
        and (p.batch_norm is not None or any(_reads_every_row(connections[k]) for k in p.incoming)),
        "bias": p.bias is not None,
        "keeps_current": p.keeps_current,
        "suffix": _suffix(p),
        "active": p.spiking and _support(plan) is not None,
        "event_prop": p.event_prop,
        "keeps_time_gradient": p.keeps_time_gradient,
        "rises": bool(p.kept_values),
        "limited": plan.max_spikes is not None,
        "num_lambdas": p.num_lambdas,
        "num_vars": len(p.model.states) if p.model else 0,
        "output": p.model.output if p.model else 0,
        "few": few_forward(plan, p),
        "few_back": few_backward(plan, p),
        "reads_variable": _reads_variable(p),
        "phantom": list(p.parameters).index(PHANTOM) if p.has_phantoms else None,
        "incoming": [
            {
                "index": c.index,
                "source": c.source,
                "form": "spikes" if populations[c.source].spiking else "real",
                "kernel": c.kernel.code_name if c.kernel else None,
                "taps": c.gradient_form,
                "scattered": scatters(plan, c),
                "scattered_back": scatters_back(plan, c),
            }
            for c in (connections[k] for k in p.incoming)
        ],
        "outgoing": [
            {"index": c.index, "target": c.target, "kernel": c.kernel.code_name if c.kernel else None}
            for c in (connections[k] for k in p.outgoing)
        ],
    }
