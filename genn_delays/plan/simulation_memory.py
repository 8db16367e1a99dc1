"""Memory that a simulation needs in this process, known before anything is drawn or allocated."""

from __future__ import annotations

from ..memory import NEURON, SAMPLING, SYNAPSE, check_host
from ..network import Network

ROW = 8
"""Bytes of a synapse in its row: weight and place in the ring."""
SPIKE = 8
"""Bytes of a spike on its way to the rows, or in a recording."""


def foresee_simulation(network: Network) -> None:
    """Raise an error if this process has not the memory.

    Raises:
        OutOfMemoryError: it names the largest parts, their bytes and the available memory.
    """
    needs = {(f"population {p.name!r}", "the neurons"): (NEURON + 4 * SPIKE) * p.size for p in network.populations}
    fresh = [c for c in network.connections if "synapses" not in vars(c)]
    for c in network.connections:
        needs[f"connection {c.name!r}", "the rows of synapses"] = ROW * c.num_synapses
    for c in fresh:  # kept until their rows are built
        needs[f"connection {c.name!r}", "the synapses as sampled"] = SYNAPSE * c.num_synapses
    if fresh:  # one after the other
        largest = max(fresh, key=lambda c: c.num_synapses)
        more = (SAMPLING - SYNAPSE) * largest.num_synapses
        needs[f"connection {largest.name!r}", "temporary arrays while it is sampled"] = more
    longest = max((int(c.connectivity.delay_initializer.high) for c in network.connections), default=0) + 1
    for p in network.populations:
        if not p.neuron.is_input:
            kinds = len({repr(c.synapse) for c in p.incoming}) or 1
            needs[f"population {p.name!r}", f"what is on its way for {longest} steps"] = 4 * longest * p.size * kinds
    check_host(needs)
