"""A network that is trained spikes the same in a simulation, for weights on the binary grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import NEURONS
from simulated import BACKENDS

from genn_delays import (
    Connection,
    Exponential,
    LeakyIntegrate,
    Network,
    Population,
    SimulationCompiler,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
)

STEPS = 60


def network(neuron: str, synapse: Any, seed: int) -> Network:
    """Three layers with a connection that jumps one; delays from 0."""
    draw = np.random.default_rng(seed)
    found = Network(seed=seed)
    with found:
        source = Population(SpikeInput(), 20, "source")
        a = Population(NEURONS[neuron], 70, "a", bias=Uniform(0.0, 0.05))
        b = Population(NEURONS[neuron], 40, "b")
        out = Population(LeakyIntegrate(readout="sum_var"), 3, "out", bias=0.01)
        for p, q in ((source, a), (a, b), (source, b), (b, out)):
            count = 6 * q.size
            weight = draw.integers(-96, 160, count) / 256
            pre, post = draw.integers(0, p.size, count), draw.integers(0, q.size, count)
            delay = draw.integers(0, 26, count)
            Connection(p, q, Sparse(pre, post, weight, delay, multapses=True), synapse)
    return found


@pytest.mark.parametrize("synapse", ["delta", Exponential(4.0)], ids=str)
@pytest.mark.parametrize("neuron", ["plain", "exact", "refractory", "adaptive", "user"])
def test_spikes_and_variables_of_predict(neuron: str, synapse: Any) -> None:
    draw = np.random.default_rng(1)
    order = np.argsort(draw.random(400))
    times, neurons = draw.uniform(0, STEPS, 400)[order], draw.integers(0, 20, 400)
    with SurrogateCompiler(STEPS, backend="reference").compile(network(neuron, synapse, 3), optimisers={}) as trained:
        trained.predict({"source": [(times, neurons)]})
        engine = trained.engine
        expected = {p.name: engine.spikes(p.index)[:, :, 0] for p in trained.network.populations}
        potential = engine.variable(3, "v")[:, :, 0]
    for name in ("reference", "cpu 2"):
        record = {"source": "spikes", "a": "spikes", "b": "spikes", "out": "v"}
        compiler = SimulationCompiler(1.0, backend=BACKENDS[name])
        with compiler.compile(network(neuron, synapse, 3), record) as simulation:
            simulation.run(float(STEPS), {"source": (times, neurons)})
            for p in ("source", "a", "b"):
                raster = np.zeros_like(expected[p])
                steps, cells = simulation.spikes(p)
                raster[cells, steps.astype(int)] = True
                assert raster.any()
                assert np.array_equal(raster, expected[p]), p
            assert np.array_equal(simulation.trace("out", "v")[1].T, potential)
