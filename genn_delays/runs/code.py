"""The generated source of a model, with a legend: the source knows populations and connections by number only."""

from __future__ import annotations

from ..codegen.emit import emit
from .build import plan_of, validate
from .config import Config


def annotated_source(config: Config) -> str:
    """What the cpu backend compiles for a model, after a comment that names populations and connections."""
    validate(config)
    plan = plan_of(config)
    p_lines = [f"    p[{p.index}]  {p.name}: {_population(config, p.index)}" for p in plan.populations]
    c_lines = [
        f"    c[{c.index}]  {c.name}: {plan.populations[c.source].name} -> {plan.populations[c.target].name}"
        for c in plan.connections
    ]
    legend = [
        f"Model {config.model.name}. Populations (forward_1 is p[1]'s) and connections by their numbers in the code:",
        *p_lines,
        *c_lines,
        "Sizes, time steps and batch are run-time arguments: networks that differ only in them share this source.",
    ]
    return "".join(f"// {line}\n" for line in legend) + "\n" + emit(plan)


def _population(config: Config, index: int) -> str:
    p = config.populations[index]
    return f"{p.size} x {p.neuron['neuron']}"
