"""Every synapse delivers after its delay, whatever it was before, and nothing of one batch reaches the next."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Case
from rewired import rewire

from genn_delays import (
    Connection,
    DeepR,
    Dense,
    Input,
    LeakyIntegrate,
    Network,
    Population,
    Sparse,
    SurrogateCompiler,
    UniformInt,
)


def test_a_grown_synapse_delivers_after_its_new_delay(backend):
    """Spikes must not be lost when a delay changes (brian2cuda 302)."""
    network = Network(seed=3)
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=5.0, readout="sum_var"), 2, name="out")
        Connection(a, o, Sparse([0], [0], [1.0], UniformInt(2, 7)))
    compiler = SurrogateCompiler(10, 1, backend=backend)
    rule = DeepR(growth_delay="redraw")
    seen = set()
    with compiler.compile(network, rewiring={"all_connections": rule}) as compiled:
        x = np.zeros((1, 10, 1), np.float32)
        x[0, 1] = 1.0
        for step in range(30):
            state = compiled.engine.state(0)
            state.synapses.weight[:] = 0
            compiled.engine.set_state(0, state)
            rewire(compiled.engine, step)
            state = compiled.engine.state(0)
            state.synapses.weight[:] = 1
            compiled.engine.set_state(0, state)
            compiled.predict({"in": x})
            post, delay = int(state.synapses.post[0]), int(state.synapses.delay[0])
            arrival = np.flatnonzero(compiled.engine.variable(1, "v")[post, :, 0])
            assert arrival[0] == 1 + delay if delay < 9 else arrival.size == 0
            seen.add(delay)
    assert len(seen) >= 4


def test_one_trial_leaves_nothing_for_the_next(backend):
    """A, B, A gives A twice (ml_genn 104, 115)."""
    case = Case.numbered(5)
    assert case.recurrent
    x, y = case.data()
    a = {"in": x["in"][: case.batch_size]}, {"out": y["out"][: case.batch_size]}
    b = {"in": 5 * x["in"][case.batch_size :]}, {"out": y["out"][case.batch_size :]}
    with case.compile(backend) as compiled:
        first, _, again = (compiled.gradients(*data) for data in (a, b, a))
    assert first[0] == again[0]
    for g, h in zip(first[1].values(), again[1].values(), strict=True):
        np.testing.assert_array_equal(g, h)


@pytest.mark.parametrize("largest", [0, 1, 24, 300])
def test_a_delay_at_the_maximum_arrives(largest, any_backend):
    """No buffer is one slot short (ml_genn 137, lava-dl 226), and no backend ignores a delay (brian2genn 49)."""
    network = Network()
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=1000.0, readout="sum_var"), 3, name="out")
        delays = [0, largest, max(largest - 1, 0)]
        Connection(a, o, Sparse([0, 0, 0], [0, 1, 2], [1.0, 1.0, 1.0], delays), max_delay_steps=largest)
    x = np.zeros((1, largest + 2, 1), np.float32)
    x[0, 0] = x[0, 1] = 1.0
    with SurrogateCompiler(largest + 2, 1, backend=any_backend).compile(network) as compiled:
        compiled.predict({"in": x})
        v = compiled.engine.variable(1, "v")[:, :, 0]
    for row, delay in zip(v, delays, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), np.arange(delay, largest + 2))


def test_delays_beyond_the_example_never_arrive(backend):
    network = Network()
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 1, name="out")
        Connection(a, o, Sparse([0], [0], [1.0], [65_535]))
    with SurrogateCompiler(5, 1, backend=backend).compile(network) as compiled:
        data = {"in": np.ones((1, 5, 1), np.float32)}, {"out": np.array([0])}
        _, gradients = compiled.gradients(*data)
        assert not compiled.engine.variable(1, "v").any()
    assert gradients[network.connections[0]] == [0.0]


def test_dense_connections_train():
    """Sparsity 0 is a network like any other; only rewiring has nowhere to go."""
    network = Network()
    with network:
        a = Population(Input(), 3, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, o, Dense(weight=0.1, delay=UniformInt(0, 2)))
    x, y = np.random.default_rng(0).random((4, 6, 3)).astype(np.float32), np.array([0, 1, 0, 1])
    with SurrogateCompiler(6, 2).compile(network) as compiled:
        first, _ = compiled.train({"in": x}, {"out": y}, 1, callbacks=())
        last, _ = compiled.train({"in": x}, {"out": y}, 30, callbacks=())
    assert last.loss < first.loss
