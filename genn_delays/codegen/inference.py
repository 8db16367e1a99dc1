"""Source text of inference: examples are computed one piece of time after the other.

A row of activity holds the piece and, before it, as many steps as the longest delay reaches back. Between pieces,
variables are carried over as they are between the blocks of a cycle, and the last spikes of a row become its history.
So every number is computed as in a pass over the whole example, and memory does not grow with time.
"""

from __future__ import annotations

import re
from typing import Any

from ..derive.names import derived_name
from ..plan.plan import Plan, PopulationPlan
from ..random import Purpose
from ..version import __version__
from .bodies import CPU, functions
from .elementary import bodies_of_neurons
from .emit import models_of, structure_values, used_numbers
from .environment import environment
from .losses import bodies_of_outputs
from .readouts import readout_code

PIECE = 64
"""Steps of a piece; as many as the longest delay has where that is longer."""


def emit_inference(plan: Plan) -> str:
    """The C++ source of a plan's forward pass in pieces of time, the same text for the same plan."""
    templates = environment("cpu")
    texts: list[str] = []

    def add(template: str, **values: Any) -> None:
        texts.append(
            templates.get_template(f"{template}.cpp.j2").render(version=__version__, purpose=Purpose, **values)
        )

    models, kinds = models_of(plan), {p.kind for p in plan.populations}
    structures = structure_values(plan)
    add("prelude", **structures)
    add("tile", learns=False, num_populations=structures["num_populations"], max_vars=structures["max_vars"])
    add("functions", text=functions(CPU, [*bodies_of_outputs(plan), *bodies_of_neurons(plan)]))
    for name in ("rooms", "pool", "gather_dense", "gather_event"):
        add(name)
    spiking = any(p.spiking for p in plan.populations)
    add("gather", kernel=None, real="real_input" in kinds, spikes=spiking, back=False, compact=False, exact=False)
    add("spikes", regularised=False, limited=False, few=False)
    for m, p in enumerate(models):
        assert p.model is not None
        distance = [] if p.model.threshold is None else [p.model.threshold]
        reads = [*p.model.steps.values(), *p.model.update.values(), *p.model.jump.values(), *distance]
        initial = [derived_name("initial", s) for s in p.model.states]
        add(
            "membrane", m=m, model=p.model, parameters=used_numbers(p, reads, initial), rises=False, distance_reads=[]
        )  # fmt: skip
    views = {p.index: _view(plan, p, models) for p in plan.populations if p.kind == "neuron"}
    for index in (index for group in plan.groups for index in group):
        add("inference_population", p=views[index])
    for p in plan.outputs:
        add("inference_readout", p=views[p.index])
    for kind, name in (("real_input", "load_dense"), ("spike_input", "load_events")):
        if kind in kinds:
            add(name, few=False)
    add(
        "inference",
        groups=[[views[i] for i in group] for group in plan.groups],
        inputs=[p.index for p in plan.populations if p.kind == "real_input"],
        spiking=[p.index for p in plan.populations if p.kind == "neuron" and p.spiking],
        outputs=[views[p.index] for p in plan.outputs],
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(texts))


def _view(plan: Plan, p: PopulationPlan, models: list[PopulationPlan]) -> dict[str, Any]:
    """A population as its templates see it."""
    assert p.model is not None
    incoming = [plan.connections[k] for k in p.incoming]
    return {
        "index": p.index,
        "model": next(m for m, q in enumerate(models) if q.model == p.model),
        "num_vars": len(p.model.states),
        "output": p.model.output,
        "spiking": p.spiking,
        "batch_norm": p.batch_norm is not None,
        "bias": p.bias is not None,
        "code": None if p.readout is None else readout_code(p.reading, CPU, back=False),
        "incoming": [
            {"index": c.index, "source": c.source, "form": _form(plan.populations[c.source])} for c in incoming
        ],
    }


def _form(source: PopulationPlan) -> str:
    return "spikes" if source.spiking else "real"
