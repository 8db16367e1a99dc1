"""The synapses of a simulation on this machine's processor: rows, built from rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import InvalidValueError, OutOfMemoryError
from ...plan.simulation import Places
from .rows import MOST_PARTS, Layout, Rows, build_rows

ALIGNED = 64
"""Parts of populations begin at multiples of this: random numbers are drawn for so many neurons at once."""
MOST_PLACES = (1 << 32) - 1
"""Delays times columns, which synapses number by 32 bits."""

VISIT = 64
"""Synapses that a spike should find when it comes to its row. Fewer cost more to find than to add up: at 10,000 neurons
with 1,000 synapses of delays 1 to 250, 306 million events a second with 4, 806 with 32, 884 with 64, 810 with 128."""
WINDOW_BYTES = 1 << 23
"""Of what arrives in a window, at most: the last cache should hold them."""
SYNAPSES_A_LINE = 8
"""Of a cache line of 64 bytes."""
MOST_LINES = 12
"""Cache lines of a row that are fetched ahead, at most: a processor waits for a limited number of them."""


@dataclass
class CPUWiring(Rows):
    """Rows, and how often a spike comes to its row.

    Attributes:
        window: time steps whose arrivals are added up at once, a multiple of ``places.block``.
        lines: cache lines of a row that are fetched ahead.
    """

    window: int = 1
    lines: int = 1


def connect(places: Places, threads: int, parts_of_network: int | None = None) -> CPUWiring:
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
    window, lines = window_of(places, number)
    numbered = (places.longest + 2 * window) * places.columns
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
    rows = build_rows(network, layout, threads, given)
    return CPUWiring(**vars(rows), window=window, lines=lines)


def window_of(places: Places, parts: int) -> tuple[int, int]:
    """Steps of a window, and cache lines of a row that are fetched ahead.

    A spike shall find :data:`VISIT` synapses in a window, as far as the caches hold what arrives in it; a window is not
    longer than the longest delay.
    """
    total = weighted = 0.0
    for p in places.network.populations:  # synapses that a spike finds in a step, on average over all synapses
        synapses = sum(c.num_synapses for c in p.outgoing)
        spans = [c.connectivity.delay_initializer.high - c.connectivity.delay_initializer.low + 1 for c in p.outgoing]
        found = sum(c.num_synapses / span for c, span in zip(p.outgoing, spans, strict=True)) / (p.size * parts)
        total += synapses
        weighted += synapses * found
    found = weighted / total if total else 0.0
    fit = WINDOW_BYTES // (4 * max(places.columns, 1))
    steps = min(VISIT / found if found else 1.0, fit, places.longest)
    window = max(1, round(steps / places.block)) * places.block
    lines = 1 + math.ceil(1.1 * found * window / SYNAPSES_A_LINE)
    return window, min(lines, MOST_LINES)


def part_of(size: int, number: int, threads: int) -> tuple[int, int]:
    """The neurons of a population that a thread owns."""
    blocks = -(-size // ALIGNED)
    low, high = (blocks * k // threads * ALIGNED for k in (number, number + 1))
    return min(low, size), min(high, size)
