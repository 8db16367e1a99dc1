"""From the plan of a simulation to CUDA C++, the same text for the same plan.

The text depends on what that of `cpu` depends on (:mod:`.simulation`), and on no size.
"""

from __future__ import annotations

import re
from typing import Any

from ..bodies.functions import NORMAL_QUANTILE, PHILOX, SCALED
from ..plan.simulation import Recording, SimulationPlan
from ..random import Purpose
from ..version import __version__
from .bodies import CUDA, Printer, functions
from .elementary import bodies_of_steps
from .environment import environment
from .simulation import Written, kinds_of, kinds_of_currents, limits

BLOCK = 128
"""Threads of a block of neurons, all of one population."""
PIECE = 128
"""Synapses of a row that a warp adds before it looks for others: four a thread, loaded together."""
_WRITTEN = Written(
    arrived="(float)arrived_{k} * p->scale[{k}]",
    bias="p->bias[i]",
    mean="p->current[{k}].mean[i]",
    expression=lambda e: e.c,
)


def emit_cuda_simulation_structures(plan: SimulationPlan) -> str:
    """The beginning of the source, with the structures that it is given."""
    template = environment("cuda").get_template("simulation_prelude.cu.j2")
    return template.render(version=__version__, block=BLOCK, piece=PIECE, **limits(plan))


def emit_cuda_simulation(plan: SimulationPlan, recording: Recording) -> str:
    """The CUDA source of a simulation."""
    templates = environment("cuda")
    texts = [emit_cuda_simulation_structures(plan)]

    def add(template: str, **values: Any) -> None:
        texts.append(templates.get_template(f"{template}.cu.j2").render(purpose=Purpose, **values))

    noise, stepped = kinds_of_currents(plan)
    needed = [SCALED, *([NORMAL_QUANTILE] if noise else [])]
    needed += bodies_of_steps(p.model for p in plan.populations if p.model is not None)
    add("functions", text=functions(CUDA, needed))
    add("random", philox=Printer(CUDA).block(PHILOX, frozenset()))
    add("simulation_neuron", noise=noise, stepped=stepped)
    kinds, names = kinds_of(plan, recording, _WRITTEN)
    for m, view in enumerate(kinds):
        add("simulation_neurons", m=m, **view)
    add("simulation_inputs", inputs={name for _, name in names})
    add("simulation_step", functions=names)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(texts))
