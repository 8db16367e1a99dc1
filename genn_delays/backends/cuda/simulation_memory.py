"""Memory that a simulation needs on a device, known before its synapses are drawn."""

from __future__ import annotations

from collections.abc import Mapping

from ...memory import Needs, check
from ...plan.receptors import joined
from ...plan.simulation import Places
from .device import Device

RECORDED = 1 << 20
"""Recorded spikes for which there is room at least, before they are fetched."""
TRACE_BYTES = 1 << 26
"""Samples of traces that are kept before they are fetched, in bytes, if that is a step's at least."""
ROW = 8
"""Bytes of a synapse in its row: weight, and delay with target."""
SPIKE = 8
"""Bytes of a spike in a list."""


def check_simulation_memory(places: Places, device: Device) -> None:
    """Raise an error where a device has not the memory; nothing is allocated.

    Raises:
        OutOfMemoryError: it names the largest parts, their bytes and the free memory.
    """
    check(simulation_needs(places), device.memory().free, f"on {device.name}, which has")


def simulation_needs(places: Places) -> Needs:
    """Bytes by owner and part. Samples of traces, of which the engine makes fewer rather than fail, are not in it."""
    network, slots = places.network, places.longest + 1
    needs: dict[tuple[str, str], int] = {
        ("connection " + repr(c.name), "the rows of synapses"): ROW * c.num_synapses for c in network.connections
    }
    needs["the network", "the starts of rows"] = 8 * (places.neurons + 1)
    needs["the network", f"what arrives in {slots} steps"] = 4 * slots * places.columns
    needs["the network", "spikes of a block"] = SPIKE * places.block * places.neurons
    needs["the network", "recorded spikes"] = SPIKE * max(RECORDED, 2 * places.block * places.neurons)
    for p in network.populations:
        numbers = 2 if p.neuron.is_input else _numbers(joined(p).values)
        needs[f"population {p.name!r}", "variables and parameters"] = 4 * p.size * (numbers + 3 * len(p.drives))
    return needs


def _numbers(values: Mapping[str, object]) -> int:
    """Of a neuron: each parameter, and about as many coefficients."""
    return 2 * len(values) + 2
