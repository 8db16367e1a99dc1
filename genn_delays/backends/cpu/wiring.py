"""The synapses of a simulation on this machine's processor: rows, built from rules."""

from __future__ import annotations

import numpy as np

from ...errors import InvalidValueError, OutOfMemoryError
from ...plan.simulation import Places
from .rows import MOST_PARTS, Layout, Rows, build_rows

ALIGNED = 64
"""Parts of populations begin at multiples of this: random numbers are drawn for so many neurons at once."""
MOST_PLACES = (1 << 32) - 1
"""Delays times columns, which synapses number by 32 bits."""

CPUWiring = Rows


def connect(places: Places, threads: int, parts_of_network: int | None = None) -> Rows:
    """The rows of a network, every thread's part those onto its neurons. Synapses that a connection has already, drawn
    or given, are taken as they are.

    Args:
        places: where neurons and what arrives at them are.
        threads: that work.
        parts_of_network: as many as threads where not given.

    Raises:
        OutOfMemoryError: they do not fit, or cannot be numbered.
    """
    network, number = places.network, parts_of_network or threads
    if number > MOST_PARTS:
        raise InvalidValueError(f"threads of a simulation must be at most {MOST_PARTS}, got {threads}")
    numbered = (places.longest + 2 * places.block) * places.columns
    if numbered > MOST_PLACES:
        raise OutOfMemoryError(
            f"delays of up to {places.longest:,} steps onto {places.columns:,} inputs of neurons are {numbered:,} "
            f"places where a spike may arrive, allowed are at most {MOST_PLACES:,}: use shorter delays or fewer neurons"
        )
    bounds = [[part_of(p.size, k, number) for p in network.populations] for k in range(number)]
    parts = np.array(bounds, np.int64).reshape(number, len(network.populations), 2)
    layout = Layout(
        places.first, places.neurons, places.column, places.columns, places.longest + 1, parts[:, :, 0], parts[:, :, 1]
    )
    given = {c.index: c.synapses for c in network.connections if "synapses" in vars(c)}
    return build_rows(network, layout, threads, given)


def part_of(size: int, number: int, threads: int) -> tuple[int, int]:
    """The neurons of a population that a thread owns."""
    blocks = -(-size // ALIGNED)
    low, high = (blocks * k // threads * ALIGNED for k in (number, number + 1))
    return min(low, size), min(high, size)
