"""Rates, CVs of inter-spike intervals and synchrony of known spike trains."""

import numpy as np
import pytest
from refused import refused

from genn_delays.analysis import spike_trains


def test_statistics_of_spikes_counted_by_hand():
    """Neuron 0 has intervals of 1, 2 and 3 ms, neuron 1 is a clock, neuron 2 has two spikes, neuron 3 none."""
    times = np.array([10.0, 11.0, 13.0, 16.0, 10.0, 14.0, 18.0, 12.0, 19.0, 2.0, 25.0])
    neurons = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
    order = np.random.default_rng(0).permutation(times.size)
    found = spike_trains(times[order], neurons[order], 4, 20.0, start=5.0, population="e")
    assert found.counts.tolist() == [4, 3, 2, 0] and found.silent == 1 and found.population == "e"
    np.testing.assert_allclose(found.rates, [4000 / 15, 200.0, 2000 / 15, 0.0])
    assert found.rate == pytest.approx(9000 / 15 / 4)
    np.testing.assert_allclose(found.cv_isi, [np.std([1, 2, 3]) / 2, 0.0, np.nan, np.nan])
    assert found.cv == pytest.approx(np.std([1, 2, 3]) / 4)
    counts = np.array([0, 4, 2, 2, 1])  # in 5-8, 8-11, 11-14, 14-17, 17-20 ms
    counts = np.histogram(times, np.arange(5, 21, 3))[0]
    assert found.synchrony == pytest.approx(counts.var() / counts.mean())


def test_poisson_processes_have_a_cv_and_a_synchrony_of_one():
    draws = np.random.default_rng(1)
    neurons = draws.integers(0, 100, 400_000)
    found = spike_trains(draws.uniform(0, 60_000, neurons.size), neurons, 100, 60_000)
    assert found.cv == pytest.approx(1.0, abs=0.01) and found.synchrony == pytest.approx(1.0, abs=0.05)
    assert found.rate == pytest.approx(400_000 / 100 / 60)


def test_neurons_that_spike_together_are_synchronous():
    times = np.repeat(np.arange(10.0, 1000.0, 20.0), 50)
    found = spike_trains(times, np.tile(np.arange(50), 50), 50, 1000.0)
    assert found.synchrony > 40 and found.cv == pytest.approx(0.0, abs=1e-12)


def test_no_spikes():
    found = spike_trains([], np.zeros(0, np.int32), 3, 10.0)
    assert found.rate == 0 and np.isnan(found.cv) and np.isnan(found.synchrony) and found.silent == 3


def test_what_is_refused():
    with refused("neurons of spikes must be from 0 to 2", "3"):
        spike_trains([1.0], [3], 3, 10.0)
    with refused("as many times as neurons", "(2,)", "(1,)"):
        spike_trains([1.0, 2.0], [0], 3, 10.0)
    with refused("stop", "5"):
        spike_trains([1.0], [0], 3, 5.0, start=5.0)
    with refused("size", "0"):
        spike_trains([1.0], [0], 0, 5.0)
