"""A small network for EventProp, any part of which a test can replace."""

from __future__ import annotations

from typing import Any

from genn_delays import (
    Connection,
    Exponential,
    FixedNumber,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Sparse,
    SpikeInput,
    UniformInt,
)


def small(
    hidden: Any = None, output: Any = None, synapse: Any = None, connectivity: Any = None, source: Any = None,
    names: tuple[str, str] = ("hidden", "out"), delay_kernel: Any = None, **arguments: Any,
) -> Network:  # fmt: skip
    """A recurrent network as mlGeNN's EventProp takes it, unless it is told otherwise."""
    network, synapse = Network(seed=2), Exponential(20.0) if synapse is None else synapse
    with network:
        a = Population(source or SpikeInput(), 7, name="in")
        b = Population(hidden or LeakyIntegrateFire(tau_mem=15.0, scale_i=True), 5, name=names[0], **arguments)
        c = Population(output or LeakyIntegrate(tau_mem=30.0, scale_i=True, readout="avg_var"), 3, name=names[1])
        sparse = FixedNumber(sparsity=0.5, weight=Normal(1.0, 0.5), delay=UniformInt(1, 9))
        Connection(a, b, connectivity or sparse, synapse, delay_kernel=delay_kernel)
        Connection(
            b, b, Sparse([0, 1, 2, 0], [1, 2, 0, 1], [0.1, 0.2, 0.3, 0.4], [3, 1, 2, 8], multapses=True), synapse
        )
        Connection(b, c, sparse, synapse, "to the output", 12)
    return network
