"""Memory that a network needs in this process on every backend, known before anything is sampled or allocated."""

from __future__ import annotations

from ..memory import NEURON, SAMPLING, Needs, check_host
from ..network import Connection, Network
from .plan import ConnectionPlan, Plan
from .schema import synapse_bytes


def foresee_sampling(network: Network) -> None:
    """Raise an error if this process has not the memory to sample a network; connections sampled already do not count.

    Raises:
        OutOfMemoryError: it names the largest parts, their bytes and the available memory.
    """
    fresh = [c for c in network.connections if "synapses" not in vars(c)]
    needs = {(f"population {p.name!r}", "the parameters"): NEURON * p.size for p in network.populations}
    if fresh:  # connections are sampled one after the other
        largest = max(fresh, key=lambda c: c.num_synapses)
        needs[_owner(largest), "the synapses as sampled"] = SAMPLING * largest.num_synapses
    check_host(needs)


def foresee(plan: Plan, needs: Needs, copies: int = 1) -> None:
    """Raise an error if this process has not the memory for a plan.

    Args:
        needs: of the backend itself.
        copies: further copies of the state of every synapse.

    Raises:
        OutOfMemoryError: as above.
    """
    kept = {}
    fresh = [c for c in plan.connections if not c.first.drawn()]
    if fresh:  # connections are sampled one after the other
        largest = max(fresh, key=lambda c: c.size)
        kept[_owner(largest), "the synapses as sampled"] = SAMPLING * largest.size
    for c in plan.connections:
        if copies:
            kept[_owner(c), "the synapses' state"] = copies * synapse_bytes(c) * c.size
    check_host({**kept, **needs})


def _owner(c: Connection | ConnectionPlan) -> str:
    return f"connection {c.name!r}"
