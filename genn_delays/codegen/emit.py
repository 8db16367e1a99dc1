"""From a plan to source text. The text depends on equations, rules and wiring, never on sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2

from .. import __version__
from ..compilers.plan import Plan, PopulationPlan
from ..random import Purpose
from .equations import Printed

MAX_MOMENTS = 2


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

    add("prelude", **limits(plan))
    for name in (
        "pool",
        "random",
        "gather_dense",
        "gather_event",
        "backgather_dense",
        "backgather_event",
        "correlate_dense",
        "correlate_event",
        "spikes",
    ):
        add(name)
    add("surrogate", surrogate=plan.surrogate_code)
    models = _models(plan)
    for m, p in enumerate(models):
        model = p.model
        assert model is not None
        distance = [] if model.threshold is None else [model.threshold]
        reads = [*model.update.values(), *model.jump.values(), *distance]
        initial = [f"{s}_initial" for s in model.states]
        add("membrane", m=m, model=model, parameters=_used(p, reads, initial))
        add("adjoint", m=m, model=model, parameters=_used(p, [*model.adjoint.values(), model.gradient, *distance]))
        if distance and plan.surrogate.support is not None:
            support = f"{float(plan.surrogate.support)}f"
            add("active", m=m, model=model, parameters=_used(p, distance), support=support)
    views = [_view(plan, p, models) for p in plan.populations]
    groups = [[views[i] for i in group] for group in plan.groups]
    for view in (view for group in groups for view in group):
        add("population", p=view, training=plan.training)
    outputs = [views[p.index] for p in plan.outputs]
    for number, view in enumerate(outputs):
        add(
            f"readout_{view['readout']}",
            p=view,
            first=not any(v["readout"] == view["readout"] for v in outputs[:number]),
        )
        add(f"loss_{plan.loss}", p=view)
    add("load_dense")
    add("load_events")
    connections = [{"index": c.index, "optimiser": c.optimiser and c.optimiser.template} for c in plan.connections]
    for optimiser in sorted({c["optimiser"] for c in connections if c["optimiser"]}):
        add(str(optimiser))
    for c in connections:
        if c["optimiser"]:
            add("update", c=c)
    for name in ("sample_distinct", "deep_r", "rebuild"):
        add(name)
    add("network", groups=groups, outputs=outputs, connections=connections, training=plan.training)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


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
