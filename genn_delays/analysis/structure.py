"""Synapses in figures: delays, weights and ages by sign, and how many synapses neurons have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from ..errors import InvalidValueError, check_count, shown
from ..network import Connection, Network
from ..training.compiled_network import CompiledNetwork

Counts = npt.NDArray[np.int64]

SIGNS = ("excitatory", "inhibitory", "zero")
"""Synapses of a weight above 0, below 0, and of 0."""


@dataclass(frozen=True)
class Histogram:
    """Numbers of synapses by a value of theirs, and by sign.

    Attributes:
        of: the value, with its unit.
        connection: the synapses' connection.
        edges: of the bins, float64 ``[bin + 1]``; a bin has its lower edge, the last one its upper edge too.
        counts: by sign (``"excitatory"``, ``"inhibitory"``, ``"zero"``) int64 ``[bin]``.
    """

    of: str
    connection: str
    edges: npt.NDArray[np.float64]
    counts: Mapping[str, Counts]

    @property
    def total(self) -> int:
        """Synapses of all signs."""
        return int(sum(int(counts.sum()) for counts in self.counts.values()))


@dataclass(frozen=True)
class Fans:
    """Numbers of synapses of neurons.

    Attributes:
        connection: the synapses' connection.
        fan_in: of every target neuron, int64 ``[post]``.
        fan_out: of every source neuron, int64 ``[pre]``.
    """

    connection: str
    fan_in: Counts
    fan_out: Counts


def delays_by_sign(network: Network | CompiledNetwork, connection: Connection | str) -> Histogram:
    """Delays of synapses, a bin for every whole time step from 0 to the connection's largest.

    Args:
        network: as described, or compiled: the synapses as they are now, learned delays rounded.
        connection: of the network, or its name.
    """
    c, synapses = _of(network, connection)
    edges = np.arange(c.max_delay_steps + 2) - 0.5
    return _histogram("delay (time steps)", c, synapses, synapses.delay.astype(np.float64), edges)


def weights_by_sign(network: Network | CompiledNetwork, connection: Connection | str, bins: int = 40) -> Histogram:
    """Weights of synapses, in bins of one width around 0, which is an edge between two of them.

    Args:
        network, connection: see :func:`delays_by_sign`.
        bins: how many, an even number.
    """
    c, synapses = _of(network, connection)
    bins = check_count("bins", bins, 2)
    if bins % 2:
        raise InvalidValueError(f"bins must be an even number, as 0 lies between two of them, got {bins}")
    largest = float(np.abs(synapses.weight).max(initial=0.0)) or 1.0
    return _histogram(
        "weight", c, synapses, synapses.weight.astype(np.float64), np.linspace(-largest, largest, 1 + bins)
    )


def ages_by_sign(compiled: CompiledNetwork, connection: Connection | str, bins: int = 40) -> Histogram:
    """Ages of synapses: optimiser steps since they were grown, or since training began. 65,535 stands for more.

    Args:
        compiled: the compiled network.
        connection, bins: see :func:`weights_by_sign`; any number of bins of whole steps, at most this many.

    Raises:
        InvalidValueError: nothing of the connection is learned, so its synapses have no age.
    """
    if not isinstance(compiled, CompiledNetwork):
        raise InvalidValueError(f"ages are a compiled network's, got {shown(compiled)}")
    c, synapses = _of(compiled, connection)
    age = compiled.engine.state(c.index).age
    if age.size != synapses.pre.size:
        raise InvalidValueError(f"synapses of connection {c.name!r} have no age, as no optimiser learns them")
    oldest = int(age.max(initial=0))
    width = -(-(oldest + 1) // check_count("bins", bins))
    edges = np.arange(-(-(oldest + 1) // width) + 1) * float(width) - 0.5
    return _histogram("age (training steps)", c, synapses, age.astype(np.float64), edges)


def fans(network: Network | CompiledNetwork, connection: Connection | str) -> Fans:
    """Numbers of synapses that neurons receive and send through a connection; several of a pair count each.

    Args:
        network, connection: see :func:`delays_by_sign`.
    """
    c, synapses = _of(network, connection)
    fan_in = np.bincount(synapses.post, minlength=c.target.size)
    return Fans(c.name, fan_in, np.bincount(synapses.pre, minlength=c.source.size))


def _of(network: Network | CompiledNetwork, connection: Connection | str) -> tuple[Connection, Synapses]:
    described = network.network if isinstance(network, CompiledNetwork) else network
    if not isinstance(described, Network):
        raise InvalidValueError(f"a Network or a CompiledNetwork is needed, got {shown(network)}")
    c = described.find("connection", connection) if isinstance(connection, str) else connection
    if not isinstance(c, Connection) or c not in described.connections:
        raise InvalidValueError(f"connection {shown(connection)} is no connection of this network")
    return c, network.synapses(c) if isinstance(network, CompiledNetwork) else c.draw()


def _histogram(
    of: str, c: Connection, synapses: Synapses, values: npt.NDArray[np.float64], edges: npt.NDArray[np.floating[Any]]
) -> Histogram:
    sign = np.sign(synapses.weight)
    parts = zip(SIGNS, (1, -1, 0), strict=True)
    counts = {name: np.histogram(values[sign == which], edges)[0].astype(np.int64) for name, which in parts}
    return Histogram(of, c.name, edges.astype(np.float64), counts)
