"""Neurons that are heard: those whose spikes reach a loss by way of synapses.

A neuron without a synapse to a neuron that is heard changes no loss. Its adjoint and the gradients of all synapses onto
it are 0, and kernels need not compute them. The sparser a network, the more of its neurons are not heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from .plan import Plan, PopulationPlan


class Hearing(NamedTuple):
    """A way to find out which neurons of a population are heard.

    Attributes:
        population: index.
        through: of each outgoing connection, its index, and the target whose heard neurons count; None where all of the
            target's neurons do.
    """

    population: int
    through: tuple[tuple[int, int | None], ...]


def always_heard(p: PopulationPlan) -> bool:
    """True if more depends on every neuron than what its synapses carry: a readout or the number of its spikes reads
    it, or its own parameters are learned."""
    return p.kind != "neuron" or p.readout is not None or not p.spiking or p.regularised or bool(p.slopes)


def hearings(plan: Plan) -> list[Hearing]:
    """The populations that are not always heard, targets before sources. On a cycle, every target on it counts."""
    found: list[Hearing] = []
    for group in reversed(plan.groups):
        for p in (plan.populations[index] for index in group):
            if always_heard(p):
                continue
            targets = [(k, plan.connections[k].target) for k in p.outgoing]
            open_ = [always_heard(plan.populations[t]) or t in group for _, t in targets]
            through = tuple((k, None if o else t) for (k, t), o in zip(targets, open_, strict=True))
            found.append(Hearing(p.index, through))
    return found


def heard(plan: Plan, synapses: Mapping[int, Synapses]) -> dict[int, npt.NDArray[np.bool_]]:
    """True for each neuron that is heard, by population, with synapses (by connection) as they are."""
    found = {p.index: np.ones(p.size, np.bool_) for p in plan.populations}
    for population, through in hearings(plan):
        found[population][:] = False
        for k, target in through:
            pre, post = synapses[k].pre, synapses[k].post
            found[population][pre if target is None else pre[found[target][post]]] = True
    return found
