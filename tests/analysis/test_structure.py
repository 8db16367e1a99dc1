"""Histograms of synapses and fans, held against counting."""

import numpy as np
import pytest

from genn_delays import (
    Adam,
    Connection,
    FixedNumber,
    Input,
    LeakyIntegrate,
    Network,
    Population,
    Sparse,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)
from genn_delays.analysis import ages_by_sign, delays_by_sign, fans, weights_by_sign
from genn_delays.errors import InvalidValueError


def five():
    """Five synapses: two inputs onto three neurons, the last pair twice."""
    network = Network()
    with network:
        a = Population(Input(), 2, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 3, name="out")
        pre, post = [0, 1, 1, 0, 0], [0, 0, 2, 2, 2]
        several = Sparse(pre, post, [1.0, -0.5, 0.25, 0.0, -2.0], [0, 3, 3, 1, 2], multapses=True)
        Connection(a, o, several, max_delay_steps=4)
    return network


def test_delays():
    found = delays_by_sign(five(), "in_out")
    assert np.array_equal(found.edges, [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5])
    assert {sign: n.tolist() for sign, n in found.counts.items()} == {
        "excitatory": [1, 0, 0, 1, 0],
        "inhibitory": [0, 0, 1, 1, 0],
        "zero": [0, 1, 0, 0, 0],
    }
    assert (found.total, found.connection, found.of) == (5, "in_out", "delay (time steps)")


def test_weights():
    found = weights_by_sign(five(), "in_out", bins=4)
    assert np.array_equal(found.edges, [-2, -1, 0, 1, 2])
    assert {sign: n.tolist() for sign, n in found.counts.items()} == {
        "excitatory": [0, 0, 1, 1],
        "inhibitory": [1, 1, 0, 0],
        "zero": [0, 0, 1, 0],
    }


def test_weights_of_zero_alone():
    network = Network()
    with network:
        a, o = Population(Input(), 1), Population(LeakyIntegrate(readout="sum_var"), 1)
        c = Connection(a, o, Sparse([0], [0], 0.0))
    found = weights_by_sign(network, c)
    assert found.total == found.counts["zero"].sum() == 1


def test_fans():
    found = fans(five(), "in_out")
    assert found.fan_in.tolist() == [2, 0, 3]
    assert found.fan_out.tolist() == [3, 2]


def test_every_synapse_is_in_every_histogram():
    network = Network(1)
    with network:
        a, o = Population(Input(), 30), Population(LeakyIntegrate(readout="sum_var"), 20)
        c = Connection(a, o, FixedNumber(0.5, weight=Uniform(-0.3, 0.7), delay=UniformInt(2, 9)))
    size = c.num_synapses
    for bins in (2, 6, 40):
        assert weights_by_sign(network, c, bins).total == size
    assert delays_by_sign(network, c).total == size
    assert fans(network, c).fan_in.sum() == fans(network, c).fan_out.sum() == size


def trained(steps, learned=True):
    network = five()
    compiler = SurrogateCompiler(example_timesteps=4, batch_size=2, backend="reference")
    optimisers = {"all_connections": {"weight": Adam(1e-3)}} if learned else {}
    compiled = compiler.compile(network, optimisers=optimisers)
    if learned:
        x = np.ones((2 * steps, 4, 2), np.float32)
        compiled.train({"in": x}, {"out": np.zeros(2 * steps, np.int64)}, 1, callbacks=())
    return compiled


def test_ages():
    with trained(3) as compiled:
        state = compiled.engine.state(0)
        assert state.age.tolist() == [3] * 5
        state.age = np.array([3, 0, 3, 1, 3], np.uint16)
        compiled.engine.set_state(0, state)
        found = ages_by_sign(compiled, "in_out")
        assert np.array_equal(found.edges, [-0.5, 0.5, 1.5, 2.5, 3.5])
        assert sum(found.counts.values()).tolist() == [1, 1, 0, 3]
        two = ages_by_sign(compiled, "in_out", bins=2)
        assert np.array_equal(two.edges, [-0.5, 1.5, 3.5])
        assert sum(two.counts.values()).tolist() == [2, 3]
        assert delays_by_sign(compiled, "in_out").total == 5  # a compiled network's synapses


def test_no_ages_where_nothing_is_learned():
    with (
        trained(0, learned=False) as compiled,
        pytest.raises(InvalidValueError, match="'in_out' have no age, as no optimiser"),
    ):
        ages_by_sign(compiled, "in_out")


@pytest.mark.parametrize("of", [delays_by_sign, weights_by_sign, fans])
def test_what_does_not_fit_is_named(of):
    network = five()
    with pytest.raises(InvalidValueError, match=r"unknown connection 'in_outt'.*Did you mean 'in_out'"):
        of(network, "in_outt")
    with pytest.raises(InvalidValueError, match="is no connection of this network"):
        of(network, five().connections[0])
    with pytest.raises(InvalidValueError, match="a Network or a CompiledNetwork is needed, got None"):
        of(None, "in_out")


def test_bins_and_ages_that_do_not_fit():
    with pytest.raises(InvalidValueError, match="bins must be an even number"):
        weights_by_sign(five(), "in_out", bins=3)
    with pytest.raises(InvalidValueError, match="ages are a compiled network's"):
        ages_by_sign(five(), "in_out")
