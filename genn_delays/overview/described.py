"""The overview of a network as it is described: nothing is sampled for it."""

from __future__ import annotations

from typing import Any

from ..connectivity import Connectivity
from ..memory import SYNAPSE
from .overview import Column, Overview, Table, bytes_text, counted

POPULATIONS = (Column("population"), Column("neurons", True), Column("model"), Column("role"), Column("with"))
CONNECTIONS = (
    Column("connection"), Column("source"), Column("target"), Column("synapses", True), Column("sparsity", True),
    Column("delays (steps)"), Column("model"), Column("while training"), Column("bytes", True),
)  # fmt: skip


def overview_of(network: Any) -> Overview:
    """Populations and connections of a :class:`~genn_delays.Network`; synapses are counted, not drawn.

    Numbers of synapses are known from the network's seed. Of a connectivity of the user's own that does not say its
    number, they are known once the connection's synapses were drawn.
    """
    counts = [_count(c) for c in network.connections]
    known = [n for n in counts if n is not None]
    title = (
        f"network of seed {network.seed}: {counted(len(network.populations), 'population')}, "
        f"{counted(len(counts), 'connection')}, "
    )
    if len(known) < len(counts):
        title += f"at least {counted(sum(known), 'synapse')}"
    else:
        title += f"{counted(sum(known), 'synapse')}, {bytes_text(SYNAPSE * sum(known))} as drawn"
    return Overview(
        title,
        (
            Table.of(POPULATIONS, [population_row(p) for p in network.populations]),
            Table.of(CONNECTIONS, [_row(c, n) for c, n in zip(network.connections, counts, strict=True)]),
        ),
    )


def population_row(p: Any) -> tuple[str, ...]:
    """The row of a :class:`~genn_delays.Population`."""
    readout = p.neuron.readout
    role = "input" if p.neuron.is_input else "" if readout is None else f"output by {readout!r}"
    parts = ["batch norm"] if p.batch_norm is not None else []
    parts += [f"dropout {p.dropout:g}"] if p.dropout else []
    parts += ["bias"] if p.bias is not None else []
    return p.name, f"{p.size:,}", type(p.neuron).__name__, role, ", ".join(parts)


def sparsity_text(synapses: int, places: int) -> str:
    """The share of the places for synapses without one, in percent."""
    return f"{100 * (1 - synapses / places):.4g} %"


def range_text(low: float, high: float) -> str:
    """Delays from the shortest to the longest."""
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def synapse_text(synapse: Any) -> str:
    """A synapse model, where it is not the plain one."""
    return "" if type(synapse).__name__ == "Delta" else type(synapse).__name__


def _count(c: Any) -> int | None:
    """The number of synapses of a connection; None where only drawing them tells."""
    if "synapses" in vars(c):
        return int(c.synapses.pre.size)
    connectivity = c.connectivity
    if "num_synapses" not in vars(c) and type(connectivity).num_synapses is Connectivity.num_synapses:
        return None  # the base's own draws all pairs
    return int(connectivity.num_synapses(c.source.size, c.target.size, c.network.seed, c.index))


def _row(c: Any, count: int | None) -> tuple[str, ...]:
    delays = c.connectivity.delay_initializer
    size, sparsity, held = "not drawn", "", ""
    if count is not None:
        size, held = f"{count:,}", bytes_text(SYNAPSE * count)
        sparsity = sparsity_text(count, c.num_pairs * c.connectivity.synapses_per_pair())
    kernel = "" if c.delay_kernel is None else f"spread by {type(c.delay_kernel).__name__}"
    return (
        c.name, c.source.name, c.target.name, size, sparsity, range_text(delays.low, delays.high),
        synapse_text(c.synapse), kernel, held,
    )  # fmt: skip
