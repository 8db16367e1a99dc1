"""From a plan to source text. The text depends on equations, rules and wiring, never on sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jinja2

from .. import __version__
from ..compilers.plan import Plan, PopulationPlan
from ..learning.optimisers import Optimiser
from ..random import Purpose
from .equations import Printed


@cache
def _environment(target: str) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("genn_delays.codegen", f"templates/{target}"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def limits(plan: Plan) -> dict[str, int]:
    """Sizes of the fixed arrays in the generated structures, shared with whoever fills them."""
    return {
        "max_vars": max((len(p.model.states) for p in plan.populations if p.model), default=1),
        "max_pars": max((len(p.parameters) for p in plan.populations), default=1) or 1,
        "num_populations": len(plan.populations),
        "num_connections": len(plan.connections),
    }


def emit(plan: Plan, target: str = "cpu") -> str:
    """The source of a plan's kernels, the same text for the same plan."""
    environment = _environment(target)
    parts: list[str] = []

    def add(template: str, **values: Any) -> None:
        parts.append(
            environment.get_template(f"{template}.cpp.j2").render(version=__version__, purpose=Purpose, **values)
        )

    kinds = {p.kind for p in plan.populations}
    drops = sorted({c.rewiring.template for c in plan.connections if c.rewiring})
    compact = plan.surrogate.support is not None and any(p.kind == "neuron" and p.spiking for p in plan.populations)
    readouts = {p.readout for p in plan.outputs}
    optimisers = sorted({type(c.optimiser) for c in plan.connections if c.optimiser}, key=lambda kind: kind.template)

    add("prelude", **limits(plan))
    add("tile", **limits(plan))
    for name, wanted in (
        ("pool", True), ("random", True), ("gather_dense", True), ("gather_real", "real_input" in kinds),
        ("gather_event", True), ("backgather_dense", True), ("backgather_event", compact), ("correlate_dense", True),
        ("correlate_event", True), ("spikes", True), ("exp", "sum_softmax" in readouts),
    ):  # fmt: skip
        if wanted:
            add(name)
    add("surrogate", surrogate=plan.surrogate_code)
    models = _models(plan)
    for m, p in enumerate(models):
        _add_model(add, m, p, plan.surrogate.support)
    views = [_view(plan, p, models) for p in plan.populations]
    groups = [[views[i] for i in group] for group in plan.groups]
    for view in (view for group in groups for view in group):
        add("population", p=view)
    outputs = [views[p.index] for p in plan.outputs]
    for view in outputs:
        add(f"readout_{view['readout']}", p=view)
        add(f"loss_{plan.loss}", p=view)
    if "real_input" in kinds:
        add("load_dense")
    if "spike_input" in kinds:
        add("load_events")
    if optimisers:
        add("power")
    _add_optimisers(add, optimisers)
    if drops:
        for name in ("sample_distinct", *drops, "grow"):
            add(name)
    add("rebuild", rewiring=bool(drops))
    connections = [{"index": c.index, "optimiser": c.optimiser and c.optimiser.template} for c in plan.connections]
    add("network", groups=groups, outputs=outputs, connections=connections, drops=drops)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def _add_optimisers(add: Callable[..., None], optimisers: list[type[Optimiser]]) -> None:
    """The steps of optimisers: an optimiser's base (AdamW's is Adam) comes before it."""
    added: list[str] = []
    for optimiser in optimisers:
        bases = [vars(base)["template"] for base in reversed(optimiser.__mro__) if "template" in vars(base)]
        for name in bases:
            if name not in added:
                added += [name]
                add(name)
        add("update", optimiser=optimiser.template)


def _add_model(add: Callable[..., None], m: int, p: PopulationPlan, support: float | None) -> None:
    """The kernels of neuron model number `m`, that of population `p`."""
    model = p.model
    assert model is not None
    distance = [] if model.threshold is None else [model.threshold]
    reads = [*model.update.values(), *model.jump.values(), *distance]
    initial = [f"{s}_initial" for s in model.states]
    add("membrane", m=m, model=model, parameters=_used(p, reads, initial))
    add("adjoint", m=m, model=model, parameters=_used(p, [*model.adjoint.values(), model.gradient, *distance]))
    if distance and support is not None:
        add("active", m=m, model=model, parameters=_used(p, distance), support=f"{float(support)}f")


def _models(plan: Plan) -> list[PopulationPlan]:
    """One population for every different neuron model, in order of first use."""
    found: list[PopulationPlan] = []
    for p in plan.populations:
        if p.model is not None and p.model not in [q.model for q in found]:
            found.append(p)
    return found


def _used(p: PopulationPlan, expressions: list[Printed], always: Sequence[str] = ()) -> list[tuple[int, str]]:
    """The per-neuron numbers that expressions read, with their place in the population's list."""
    words = set(re.findall(r"[A-Za-z_]\w*", " ".join(e.c for e in expressions))) | set(always)
    return [(index, name) for index, name in enumerate(p.parameters) if name in words]


def _view(plan: Plan, p: PopulationPlan, models: list[PopulationPlan]) -> dict[str, Any]:
    """What the templates of a population see."""
    connections, populations = plan.connections, plan.populations
    return {
        "index": p.index,
        "model": next((m for m, q in enumerate(models) if q.model == p.model), None) if p.model else None,
        "spiking": p.spiking,
        "readout": p.readout,
        "cyclic": p.cyclic,
        "keeps_gradient": p.keeps_gradient,
        "active": p.spiking and plan.surrogate.support is not None,
        "num_vars": len(p.model.states) if p.model else 0,
        "output": p.model.output if p.model else 0,
        "incoming": [
            {"index": k, "source": connections[k].source, "spiking": populations[connections[k].source].spiking}
            for k in p.incoming
        ],
        "outgoing": [{"index": k, "target": connections[k].target} for k in p.outgoing],
    }
