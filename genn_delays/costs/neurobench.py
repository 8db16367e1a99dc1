"""The complexity metrics of NeuroBench for a network that is evaluated.

Definitions: Yik et al. 2025, doi 10.1038/s41467-025-56739-4, and the project's documentation. `connection_sparsity` is
the share of weights that are zero, of all that a dense network has; `activation_sparsity` the share of neuron-steps at
which a neuron's output is 0, over all neurons of the model's layers (inputs are none); `synaptic_operations` are a mean
an example: `dense` counts every pair at every step, effective ones leave out zero activations and weights, as
accumulates where activations are 0 or 1 and as multiply-accumulates otherwise. Here an operation counts where what is
sent arrives before the example ends, and a pair counts once, as there is one delay a synapse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..connectivity import Synapses
from ..plan.plan import Plan
from .activity import Activity
from .count import arrivals, lags_of


@dataclass(frozen=True)
class NeuroBench:
    """See the module.

    Attributes:
        footprint: bytes of weights, delays and indices of synapses, and of neurons' numbers.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    effective_macs: float
    effective_acs: float
    dense: float


def neurobench(plan: Plan, synapses: Mapping[int, Synapses], activity: Activity) -> NeuroBench:
    """The metrics of a plan with these synapses, for this activity."""
    slots = sum(c.num_pre * c.num_post * c.capacity for c in plan.connections)
    living = sum(int(np.count_nonzero(synapses[c.index].weight)) for c in plan.connections)
    neurons = [p for p in plan.populations if p.model is not None and p.spiking]
    sent = sum(int(activity.active[p.index].sum()) for p in neurons)
    chances = sum(p.size for p in neurons) * plan.time_steps * activity.examples
    macs = acs = 0.0
    for c in plan.connections:
        s = synapses[c.index]
        alive = s.weight != 0
        kept = Synapses(*(values[alive] for values in s))
        arrived = arrivals(lags_of(c, kept, None), activity.active[c.source]) / activity.examples
        spikes = plan.populations[c.source].spiking
        macs, acs = macs + (0.0 if spikes else arrived), acs + (arrived if spikes else 0.0)
    numbers = sum(4 * p.size * len(p.parameters) for p in plan.populations if p.model is not None)
    return NeuroBench(
        footprint=sum((4 + 2 + 4) * c.size + 8 * (c.num_post + 1) for c in plan.connections) + numbers,
        connection_sparsity=1.0 - living / slots if slots else 0.0,
        activation_sparsity=1.0 - sent / chances if chances else 0.0,
        effective_macs=macs,
        effective_acs=acs,
        dense=float(slots * plan.time_steps),
    )
