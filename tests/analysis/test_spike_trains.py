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
    assert found.correlation == pytest.approx(1.0) and found.rhythm == 50.0


def test_correlation_is_the_mean_over_all_pairs():
    """Of a common process and independent ones, as NumPy has it; a silent neuron belongs to no pair."""
    draws = np.random.default_rng(2)
    neurons = np.r_[draws.integers(0, 20, 4000), np.tile(np.arange(20), 100)]
    times = np.r_[draws.uniform(5, 2005, 4000), np.repeat(draws.uniform(5, 2005, 100), 20)]
    found = spike_trains(times, neurons, 21, 2005.0, start=5.0)
    counts = [np.histogram(times[neurons == n], np.arange(5, 2006, 2))[0] for n in range(20)]
    pairs = np.corrcoef(counts)[np.triu_indices(20, 1)]
    assert found.correlation == pytest.approx(pairs.mean()) and found.correlation > 0.2
    assert abs(spike_trains(times[:4000], neurons[:4000], 21, 2005.0, start=5.0).correlation) < 0.01
    assert np.isnan(spike_trains(times[neurons == 3], neurons[neurons == 3], 21, 2005.0).correlation)


def test_a_rhythm_is_found_where_there_is_one():
    """Spikes whose rate goes up and down 30 times a second; independent and drifting ones have none."""
    draws = np.random.default_rng(3)
    times, kept = draws.uniform(0, 5000, 20_000), draws.uniform(0, 2, 20_000)
    neurons = draws.integers(0, 100, 20_000)

    def rhythm(rate):
        some = kept < rate
        return spike_trains(times[some], neurons[some], 100, 5000.0).rhythm

    assert rhythm(1 + 0.5 * np.sin(2 * np.pi * 30 * times / 1000)) == 30.0
    assert np.isnan(rhythm(1.0)) and np.isnan(rhythm(times / 5000))
    every = np.arange(2.0, 500.0, 3.0)  # neurons of the half second that there is, all in each period of 3 ms
    assert spike_trains(np.repeat(every, 9), np.tile(np.arange(9), every.size), 9, 500.0).rhythm == 334.0


def test_no_spikes():
    found = spike_trains([], np.zeros(0, np.int32), 3, 10.0)
    assert found.rate == 0 and found.silent == 3
    assert np.isnan([found.cv, found.synchrony, found.correlation, found.rhythm]).all()


def test_what_is_refused():
    with refused("neurons of spikes must be from 0 to 2", "3"):
        spike_trains([1.0], [3], 3, 10.0)
    with refused("as many times as neurons", "(2,)", "(1,)"):
        spike_trains([1.0, 2.0], [0], 3, 10.0)
    with refused("stop", "5"):
        spike_trains([1.0], [0], 3, 5.0, start=5.0)
    with refused("size", "0"):
        spike_trains([1.0], [0], 0, 5.0)
