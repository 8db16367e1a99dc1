"""The generated source of a model, with a legend: the source knows populations and connections by number only."""

from __future__ import annotations

from pathlib import Path

from ..backends import BACKENDS
from ..codegen.cuda import emit_cuda
from ..codegen.emit import emit
from ..codegen.genn import listing
from ..errors import unknown
from .build import compile_network, plan_of, validate
from .config import Config
from .overrides import Overrides

SHOWN = ("cpu", "cuda", "genn")
"""Backends that generate code."""


def annotated_source(config: Config, backend: str = "cpu") -> str:
    """The source that a backend gets for a model, after a comment that names populations and connections.

    For ``"genn"`` that is GeNN's own language, and where PyGeNN is installed the model is built and the comment tells
    where the code lies that GeNN made of it.
    """
    if backend not in SHOWN:
        raise unknown("backend of show-code", backend, SHOWN)
    validate(config)
    plan = plan_of(config)
    legend = [f"Model {config.model.name}. Populations and connections by their numbers in the code:"]
    legend += [f"    p[{p.index}]  {p.name}: {_population(config, p.index)}" for p in plan.populations]
    legend += [
        f"    c[{c.index}]  {c.name}: {plan.populations[c.source].name} -> {plan.populations[c.target].name}"
        for c in plan.connections
    ]
    if backend == "genn":
        return _commented([*legend, *_where(config)]) + listing(plan)
    sizes = "Sizes, time steps and batch are run-time arguments: networks that differ only in them share this source."
    return _commented([*legend, sizes]) + (emit if backend == "cpu" else emit_cuda)(plan)


def _commented(lines: list[str]) -> str:
    return "".join(f"// {line}\n" for line in lines) + "\n"


def _where(config: Config) -> list[str]:
    """The folder of GeNN's own code for a model, built now if necessary."""
    learns = (
        [] if config.compiler.kind == "eventprop" else ["With a surrogate GeNN evaluates it and does not train it."]
    )
    found = BACKENDS["genn"]().availability()
    if not found.available:
        return [*learns, f"GeNN's code for it is not here: {found.detail}"]
    config = Overrides(backend="genn").apply(config)
    with compile_network(config) as compiled:
        folder = Path(compiled.engine.source)  # type: ignore[attr-defined]
    files = ", ".join(sorted(path.name for path in folder.glob("*_CODE/*.cc")))
    return [*learns, f"GeNN's code for it: {next(folder.glob('*_CODE'))} ({files})"]


def _population(config: Config, index: int) -> str:
    p = config.populations[index]
    return f"{p.size} x {p.neuron['neuron']}"
