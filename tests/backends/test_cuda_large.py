"""More than 2^31 elements in a buffer: the last neuron computes what the first does, which has the same synapses."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost

from genn_delays import (
    CUDA,
    SGD,
    Connection,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
)
from genn_delays.backends.cuda.buffers import population_shapes
from genn_delays.errors import OutOfMemoryError

STEPS, LANES = 1024, 1024
"""Of the large network: with 2,100 neurons their potentials are 2.2 * 10^9 numbers."""


def network(neurons):
    """The first and the last of so many hidden neurons have synapses, the same ones; all others are silent."""
    weight, delay = np.float32([0.7, 0.5, 0.6, 0.4]), np.array([0, 3, 7, 1])
    ends = np.array([0] * 4 + [neurons - 1] * 4)
    network = Network(seed=0)
    with network:
        x = Population(SpikeInput(), 4, name="x")
        h = Population(LeakyIntegrateFire(tau_mem=10.0), neurons, name="h")
        y = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_var"), 2, name="y")
        Connection(x, h, Sparse(np.tile(np.arange(4), 2), ends, np.tile(weight, 2), np.tile(delay, 2)), name="x_h")
        both = np.array([0, neurons - 1])
        Connection(h, y, Sparse(np.repeat(both, 2), np.tile([0, 1], 2), np.tile([0.3, -0.2], 2), 2), name="h_y")
    return network


def learned(neurons, steps, lanes, backend):
    """Weights of both connections, ``[post, pre]`` of the ends, loss and spikes, after a training step."""
    compiler = SurrogateCompiler(steps, lanes, backend=backend)
    random = np.random.default_rng(0)
    x = []
    for _ in range(lanes):
        times, neuron = np.nonzero(random.random((steps, 4)) < 0.1)
        x.append((times.astype(float), neuron))
    y = random.integers(0, 2, lanes)
    with compiler.compile(network(neurons), optimisers={"all_connections": {"weight": SGD(1.0)}}) as compiled:
        metrics, _ = compiled.train({"x": x}, {"y": y}, 1, callbacks=())
        x_h, h_y = (compiled.synapses(name) for name in ("x_h", "h_y"))
        spikes = int(compiled.engine.spike_count(1))
    return x_h.weight.reshape(2, 4), h_y.weight.reshape(2, 2), metrics["y"].loss, spikes


def check(neurons, steps, lanes, backend):
    """First and last neuron learn the same to the last bit, and what they learn in a network of their own."""
    into, out, loss, spikes = learned(neurons, steps, lanes, backend)
    alone = learned(2, steps, lanes, backend)
    assert spikes == alone[3] > lanes
    assert np.abs(into[0] - np.float32([0.7, 0.5, 0.6, 0.4])).min() > 0  # something was learned
    np.testing.assert_array_equal(into[0], into[1])
    np.testing.assert_array_equal(out[:, 0], out[:, 1])
    for found, expected in zip((into, out), alone[:2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loss == alone[2]


@pytest.mark.parametrize("backend", ["cpu", CUDAOnHost.name])
def test_first_and_last_neuron_learn_the_same(backend):
    check(70, 40, 33, CUDAOnHost() if backend == CUDAOnHost.name else backend)


def test_the_large_network_is_foreseen():
    """Its numbers are more than 2^31 and its bytes counted right, without touching any."""
    compiler = SurrogateCompiler(STEPS, LANES, backend="reference")
    plan = compiler.plan(network(2100))
    shapes = population_shapes(plan, plan.populations[1], False)
    assert prod(shapes["tape"][0]) == prod(shapes["current"][0]) == 2100 * STEPS * LANES > 2**31
    with pytest.raises(OutOfMemoryError, match="current of population 'h' 8,808 MB, tape"):
        CUDAOnHost(memory=1 << 30).build(plan)


@pytest.mark.cuda
def test_more_elements_than_2_31_in_a_network_s_buffers():
    if not CUDA().availability().available:
        pytest.skip(CUDA().availability().detail)
    try:
        check(2100, STEPS, LANES, "cuda")
    except OutOfMemoryError as error:
        pytest.skip(str(error))
