"""Dropout of whole neurons: who is left out, for how long, and that the mean of what arrives stays."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    CPU,
    Connection,
    Dense,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
)
from genn_delays.plan.exchanged import Pass
from genn_delays.training.data import prepare_inputs

T, LANES, SIZE = 6, 33, 300


def described(dropout):
    """So strong an input that every neuron spikes in every step: whoever is silent is left out."""
    network = Network(seed=1)
    with network:
        a = Population(Input(), 2, name="in")
        h = Population(LeakyIntegrateFire(), SIZE, name="hidden", dropout=dropout)
        o = Population(LeakyIntegrate(tau_mem=1.0, readout="sum_var"), 3, name="out")
        Connection(a, h, Dense(weight=9.0))
        Connection(h, o, Dense(weight=Uniform(0.0, 0.1)))
    return network


def loaded(backend, dropout=0.4, rng_seed=0):
    """A compiled network with a batch of ones loaded."""
    compiled = SurrogateCompiler(T, LANES, backend=backend, rng_seed=rng_seed).compile(described(dropout))
    inputs, _ = prepare_inputs(compiled.network, {"in": np.ones((LANES, T, 2), np.float32)}, T, 1.0)
    compiled.engine.load(inputs, np.arange(LANES))
    return compiled


def kept(compiled, step, training=True):
    """Who spikes in a pass, ``[neuron, time, lane]``."""
    compiled.engine.forward(Pass(training=training, step=step))
    return compiled.engine.spikes(1)


@pytest.mark.parametrize("dropout", [0.1, 0.4, 0.9])
def test_as_many_as_asked_are_left_out(dropout, backend):
    """Of 9,900 neurons of examples, within four standard deviations; the same ones for a whole example."""
    spikes = kept(loaded(backend, dropout), 3)
    np.testing.assert_array_equal(spikes, np.broadcast_to(spikes[:, :1], spikes.shape))
    count = SIZE * LANES
    assert abs((~spikes[:, 0]).sum() - count * dropout) < 4 * np.sqrt(count * dropout * (1 - dropout))


def test_every_neuron_example_and_step_has_a_draw_of_its_own(backend):
    """Rows, columns and steps agree as often as independent draws do; the same step gives the same mask again."""
    compiled = loaded(backend)
    one, two = kept(compiled, 3)[:, 0], kept(compiled, 4)[:, 0]
    np.testing.assert_array_equal(kept(compiled, 3)[:, 0], one)
    by_chance = 0.4**2 + 0.6**2
    for a, b in ((one, two), (one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one[:, 4:], one[:, :-4])):
        assert (a == b).mean() == pytest.approx(by_chance, abs=0.03)
    other_seed = kept(loaded(backend, rng_seed=1), 3)[:, 0]
    assert (one == other_seed).mean() == pytest.approx(by_chance, abs=0.03)


def test_evaluation_has_all(backend):
    compiled = loaded(backend)
    assert kept(compiled, 3, training=False).all()
    everything = compiled.engine.output(2)
    with loaded(backend, 0.0) as without:
        assert kept(without, 3).all()
        np.testing.assert_array_equal(without.engine.output(2), everything)


def test_the_mean_of_what_arrives_stays(backend):
    """Spikes of those that are left count 1 / (1 - dropout) as much: over many masks the mean is evaluation's."""
    compiled = loaded(backend)
    kept(compiled, 0, training=False)
    whole = compiled.engine.variable(2, "v")[:, -1, 0]
    sums = []
    for step in range(40):
        kept(compiled, step)
        sums.append(compiled.engine.variable(2, "v")[:, -1])
    found = np.stack(sums)
    assert found.std() > 0.03 * whole.mean()
    np.testing.assert_allclose(found.mean(axis=(0, 2)), whole, rtol=0.005)


def test_masks_are_the_same_everywhere(monkeypatch):
    """On every backend, with any number of threads, and when a batch is computed in several tiles."""
    expected = [kept(loaded("reference"), step) for step in range(3)]
    for threads in (1, 2):
        for step, spikes in enumerate(expected):
            np.testing.assert_array_equal(kept(loaded(CPU(threads=threads)), step), spikes)
    monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
    compiled = loaded("cpu")
    assert compiled.engine._net.tile == 16
    for step, spikes in enumerate(expected):
        np.testing.assert_array_equal(kept(compiled, step), spikes)


def test_what_is_left_out_is_not_learned(backend):
    """Synapses of a neuron that no example of the batch has get no gradient; those of the others do."""
    compiled = SurrogateCompiler(T, 2, backend=backend).compile(described(0.6))
    _, gradients = compiled.gradients({"in": np.ones((2, T, 2), np.float32)}, {"out": [0, 1]})
    present = compiled.engine.spikes(1).any(axis=(1, 2))
    assert 20 < (~present).sum() < SIZE - 20
    first, second = compiled.network.connections
    assert not gradients[second][~present[second.synapses.pre]].any()
    assert gradients[second][present[second.synapses.pre]].all()
    assert not gradients[first][~present[first.synapses.post]].any()


@pytest.mark.parametrize("dropout", [1.0, -0.1, 1.5, float("nan"), "half", True])
def test_bad_shares(dropout):
    with Network(), refused("dropout of population 'h'", "[0, 1)", str(dropout)):
        Population(LeakyIntegrateFire(), 3, name="h", dropout=dropout)


@pytest.mark.parametrize(
    "neuron", [Input(), SpikeInput(), LeakyIntegrate(readout="sum_var")], ids=lambda n: repr(n)[:9]
)
def test_only_spiking_neurons_can_be_left_out(neuron):
    with Network(), refused("dropout 0.5", "'p'", "spiking neurons"):
        Population(neuron, 3, name="p", dropout=0.5)
