"""A program may ask NumPy to raise errors of floating point; the library computes as it does otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Case

from genn_delays import Connection, Dense, Input, LeakyIntegrate, Network, Population, SurrogateCompiler
from genn_delays.datasets import load_dataset


def trained(case, backend):
    """Weights, outputs and gradients after two epochs."""
    x, y = case.data()
    with case.compile(backend) as compiled:
        compiled.train(x, y, 2, callbacks=())
        found = [compiled.synapses(c).weight for c in compiled.network.connections]
        found += compiled.predict(x)[0].values()
        return found + list(compiled.gradients(x, y)[1].values())


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("case", [Case.numbered(1), Case.published(2), Case.current_based(1)], ids=["1", "2", "3"])
def test_the_same_bits_whatever_numpy_is_asked_to_raise(case, backend):
    """Training, prediction and gradients."""
    expected = trained(case, backend)
    with np.errstate(all="raise"):
        found = trained(case, backend)
        assert set(np.geterr().values()) == {"raise"}
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("readout", ["sum_softmax", "sum_var", "avg_var_exp_weight"])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_softmax_may_underflow(backend, readout):
    """Variables thousands apart: the smaller one's share is 0."""
    network = Network()
    with network:
        a = Population(Input(), 2, name="a")
        b = Population(LeakyIntegrate(readout=readout), 2, name="b")
        Connection(a, b, Dense(weight=1.0))
    network.connections[0].synapses.weight.flags.writeable = True
    network.connections[0].synapses.weight[:] = [900.0, 0.0, -900.0, 0.0]
    with np.errstate(all="raise"), SurrogateCompiler(5, 4, backend=backend).compile(network) as compiled:
        x, y = np.ones((4, 5, 2), np.float32), np.arange(4) % 2
        compiled.train({a: x}, {b: y}, 2, callbacks=())
        assert np.isfinite(compiled.predict({a: x})[0][b]).all()


def test_data_sets_that_are_computed_here():
    """They are read or generated as always."""
    for name in ("digits", "yin_yang", "sequence_detection", "store_recall"):
        with np.errstate(all="raise"):
            load_dataset(name)
