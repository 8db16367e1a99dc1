"""The number of numbers that a network learns, a paper's number of parameters."""

from __future__ import annotations

from .plan import Plan


def num_learned(plan: Plan) -> dict[str, int]:
    """The numbers that a plan's optimisers change, by what they are: ``weights``, ``delays``, ``batch norm`` (a scale
    and a shift a neuron) and ``others`` of populations, as time constants; 0 where there are none.

    Synapses that rewiring moves count once: their number stays the same.
    """
    found = {"weights": 0, "delays": 0, "batch norm": 0, "others": 0}
    for c in plan.connections:
        found["weights"] += c.size if c.optimiser is not None else 0
        found["delays"] += c.size if c.delay_optimiser is not None else 0
    for p in plan.populations:
        norm = len(p.learned_norm)
        found["batch norm"] += norm * p.size
        found["others"] += (len(p.learned) - norm) * p.size
    return found
