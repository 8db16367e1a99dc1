"""From the plan of a simulation to source text, the same text for the same plan.

The text depends on equations, kinds of synapses and drives, on which parameters are one number for all neurons, and on
wiring; on no other size.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bodies.functions import NORMAL_QUANTILE, PHILOX
from ..derive.names import code_name
from ..derive.printed import Printed, words_of
from ..neurons.neuron import REFRACTORY_STATE, RISING_STATE
from ..plan.simulation import CurrentPlan, Recording, SimulatedPopulation, SimulationPlan
from ..random import Purpose
from ..version import __version__
from .bodies import CPU, Printer, functions
from .elementary import bodies_of_steps
from .environment import environment

TILE = 256
"""Neurons that are computed together, a multiple of 64."""
AHEAD = 8
"""Spikes by which rows are fetched into the cache ahead."""
_INPUTS = {"poisson": "poisson_input", "spikes": "given_spikes"}


def limits(plan: SimulationPlan) -> dict[str, int]:
    """Sizes of the fixed arrays in the generated structures."""
    several = plan.populations
    return {
        "max_vars": max([1, *(len(p.states) for p in several)]),
        "max_pars": max([1, *(len(p.parameters) for p in several)]),
        "max_receptors": max([1, *(len(p.receptors) for p in several)]),
        "max_drives": max([1, *(len(p.poisson) for p in several)]),
        "max_currents": max([1, *(len(p.currents) for p in several)]),
        "num_populations": len(several),
    }


def emit_simulation_structures(plan: SimulationPlan) -> str:
    """The beginning of the source, with the structures that it is given."""
    template = environment("cpu").get_template("simulation_prelude.cpp.j2")
    return template.render(version=__version__, tile=TILE, **limits(plan))


def emit_simulation(plan: SimulationPlan, recording: Recording) -> str:
    """The C++ source of a simulation."""
    templates = environment("cpu")
    texts = [emit_simulation_structures(plan)]

    def add(template: str, **values: Any) -> None:
        texts.append(templates.get_template(f"{template}.cpp.j2").render(purpose=Purpose, **values))

    noise, stepped = kinds_of_currents(plan)
    needed = [NORMAL_QUANTILE] if noise else []
    needed += bodies_of_steps(p.model for p in plan.populations if p.model is not None)
    add("functions", text=functions(CPU, needed))
    add("pool")
    add("simulation_meeting")
    add("simulation_random", noise=noise, philox=_unrolled(Printer(CPU).block(PHILOX, frozenset(), indent=3)))
    add("simulation_spikes")
    add("simulation_inputs", stepped=stepped)
    kinds, names = kinds_of(plan, recording, _ON_CPU)
    for m, view in enumerate(kinds):
        add("simulation_neurons", m=m, **view)
    size = limits(plan)
    add("simulation_arrivals", ahead=AHEAD, num_populations=size["num_populations"])
    add("simulation_run", functions=names, levels=plan.levels, num_populations=size["num_populations"])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(texts))


def kinds_of_currents(plan: SimulationPlan) -> tuple[bool, bool]:
    """True where there are currents of noise, and where there are some that are given step by step."""
    currents = [c for p in plan.populations for c in p.currents]
    return any(c.sd is not None for c in currents), any(c.steps is not None for c in currents)


def kinds_of(
    plan: SimulationPlan, recording: Recording, text: Written
) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The different kinds of neurons, as :func:`view_of` sees them, and by population the function of its kind."""
    kinds: list[dict[str, Any]] = []
    names: list[tuple[int, str]] = []
    for p in plan.populations:
        if p.kind != "neuron":
            names.append((p.index, _INPUTS[p.kind]))
            continue
        view = view_of(plan, p, recording, text)
        if view not in kinds:
            kinds.append(view)
        names.append((p.index, f"neurons_{kinds.index(view)}"))
    return kinds, names


def _unrolled(text: str) -> str:
    """A loop of rounds written out by the compiler, so that the loop around it becomes vectors."""
    return re.sub(r"^( *)(for \(int round)", r"\1#pragma GCC unroll 10\n\1\2", text, flags=re.MULTILINE)


@dataclass(frozen=True)
class Written:
    """The text of a target that reads the numbers of the neuron it computes.

    Attributes:
        arrived: what arrives through a receptor `k`, scaled.
        bias: its bias current.
        mean: a current `k`, or its mean.
        expression: an expression of its equations.
    """

    arrived: str
    bias: str
    mean: str
    expression: Callable[[Printed], str]


def view_of(plan: SimulationPlan, p: SimulatedPopulation, recording: Recording, text: Written) -> dict[str, Any]:
    """A population as the template of its neurons sees it."""
    model = p.model
    assert model is not None
    distance = [] if model.threshold is None else [model.threshold]
    words = words_of([*model.steps.values(), *model.update.values(), *model.jump.values(), *distance])
    used = [(place, name) for place, name in enumerate(p.parameters) if name in words]
    same = {name for _, name in used if _one_number(p, name)}
    receptors = [plan.receptors[r] for r in p.receptors]
    arrived = [text.arrived.format(k=k) for k in range(len(receptors))]
    terms = [arrived[k] for k, r in enumerate(receptors) if r.variable is None]
    terms += [text.bias] if p.bias is not None and p.biased is None else []
    constant = [text.mean.format(k=k) for k in range(len(p.currents))]
    traces = [(k, t.variable) for k, t in enumerate(recording.traces) if t.population == p.index]
    return {
        "model": model,
        "constants": [(place, name) for place, name in used if name in same],
        "numbers": [(place, name) for place, name in used if name not in same],
        "receptors": [
            {
                "number": k,
                "variable": r.variable,
                "arriving": f"({arrived[k]} + {text.bias})" if p.biased == k and p.bias is not None else arrived[k],
            }
            for k, r in enumerate(receptors)
        ],
        "drives": [d.receptor for d in p.poisson],
        "currents": [_kind(c) for c in p.currents],
        "noisy": any(c.sd is not None for c in p.currents),
        "stepped": any(c.steps is not None for c in p.currents),
        "base": " + ".join(terms) or "0.0f",
        "isyn": " + ".join([*terms, *constant]) or "0.0f",
        "steps": {name: text.expression(e) for name, e in model.steps.items()},
        "update": {s: text.expression(e) for s, e in model.update.items()},
        "threshold": None if model.threshold is None else text.expression(model.threshold),
        "traced": sorted({s for _, s in traces}),
        "traces": traces,
    }  # fmt: skip


def _kind(c: CurrentPlan) -> str:
    return "noise" if c.sd is not None else "steps" if c.steps is not None else "constant"


def _straight(text: str) -> str:
    """An expression of a refractory or rising neuron without branches: compilers do not make vectors of ``?`` between a
    constant and a variable, nor of fmaxf (the counter is never NaN)."""
    counter = code_name(REFRACTORY_STATE)
    if text == f"fmaxf({counter} - 1.0f, 0.0f)":
        return f"larger({counter} - 1.0f, 0.0f)"
    for condition in (f"{counter} > 0.0f", f"{code_name(RISING_STATE)} > 0.0f"):
        bare = text
        if text.startswith(f"({condition} ? ") and text.endswith(")"):
            bare = text[1:-1]
        held, colon, otherwise = bare.removeprefix(f"{condition} ? ").partition(" : ")
        if bare.startswith(f"{condition} ? ") and colon:
            return f"chosen({condition}, {held}, {_straight(otherwise)})"
    return text


_ON_CPU = Written(
    arrived="(float)arrived_{k}[i] * scale_{k}",
    bias="p->bias[first + i]",
    mean="p->current[{k}].mean[first + i]",
    expression=lambda e: _straight(e.c),
)


def _one_number(p: SimulatedPopulation, name: str) -> bool:
    values = p.parameters[name].astype(np.float32)
    return bool((values == values[0]).all())
