"""Memory that a simulation needs in this process, known before anything is drawn or allocated."""

from __future__ import annotations

from ..memory import NEURON, SAMPLING, SYNAPSE, Needs, check_host
from ..network import Network
from .receptors import receptors_of

ROW = 8
"""Bytes of a synapse in its row on `cpu`: weight, and delay with target."""
REFERENCE_ROW = 24
"""Bytes of a synapse in its row on `reference`, temporary arrays of sorting included."""
SPIKES = 40
"""Bytes a neuron for its spikes in a block, and for where its row begins."""


def foresee_simulation(network: Network, *, reference: bool) -> None:
    """Raise an error if this process has not the memory.

    Args:
        reference: for `reference`, which keeps a ring of all future input.

    Raises:
        OutOfMemoryError: it names the largest parts, their bytes and the available memory.
    """
    check_host(simulation_needs(network, reference=reference))


def simulation_needs(network: Network, *, reference: bool) -> Needs:
    """Bytes by owner and part, while the network is built; later the synapses that `reference` samples are gone. What
    `cpu` needs for a while as it draws its rows is foreseen when it begins."""
    needs = {(f"population {p.name!r}", "the neurons"): (NEURON + SPIKES) * p.size for p in network.populations}
    fresh = [c for c in network.connections if reference and "synapses" not in vars(c)]
    for c in network.connections:
        needs[f"connection {c.name!r}", "the rows of synapses"] = (REFERENCE_ROW if reference else ROW) * c.num_synapses
    for c in fresh:  # kept until their rows are built
        needs[f"connection {c.name!r}", "the synapses as sampled"] = SYNAPSE * c.num_synapses
    if fresh:  # one after the other
        largest = max(fresh, key=lambda c: c.num_synapses)
        more = (SAMPLING - SYNAPSE) * largest.num_synapses
        needs[f"connection {largest.name!r}", "temporary arrays while it is sampled"] = more
    steps = max((int(c.connectivity.delay_initializer.high) for c in network.connections), default=0) + 1
    for p in network.populations if reference else ():
        if not p.neuron.is_input:
            kinds = len(receptors_of(p)) or 1
            needs[f"population {p.name!r}", f"what arrives in the next {steps} steps"] = 4 * steps * p.size * kinds
    return needs
