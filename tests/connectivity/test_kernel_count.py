"""Several synapses a pair: how many, how strong, with which delays, and the same pairs as with one."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    Connection,
    Dense,
    FixedNumber,
    FixedProbability,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    Network,
    Normal,
    NormalInt,
    Population,
    UniformInt,
)
from genn_delays.connectivity import ordinals

KINDS = [Dense, lambda **k: FixedNumber(sparsity=0.8, **k), lambda **k: FixedProbability(0.3, **k)]


def synapses(make, count, seed=0, delay=None, **arguments):
    network = Network(seed=seed)
    with network:
        a, o = Population(Input(), 20, name="in"), Population(LeakyIntegrate(readout="sum_var"), 15, name="out")
        delay = UniformInt(0, 9) if delay is None else delay
        return Connection(a, o, make(kernel_count=count, delay=delay, **arguments)).synapses


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("make", KINDS, ids=["dense", "fixed_number", "fixed_probability"])
def test_every_pair_has_as_many(make, count):
    """The pairs are those of one synapse a pair, each as often as asked, sorted by (post, pre, delay)."""
    found, single = synapses(make, count), synapses(make, 1)
    np.testing.assert_array_equal(found.pre, np.repeat(single.pre, count))
    np.testing.assert_array_equal(found.post, np.repeat(single.post, count))
    key = (found.post.astype(int) * 20 + found.pre) * 10 + found.delay
    assert np.all(np.diff(key) >= 0)
    assert ordinals(found.pre, found.post).max() == count - 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_bound_of_kaiming_counts_all_synapses(count):
    """Uniform within sqrt(6 / (n_pre m)): a target's input is as strong, however many synapses carry it."""
    weight = np.concatenate([synapses(Dense, count, seed=s, weight=KaimingUniform()).weight for s in range(20)])
    bound = np.sqrt(6 / (20 * count))
    assert np.abs(weight).max() <= bound
    assert np.abs(weight).max() > 0.99 * bound
    assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_synapses_of_a_pair_are_drawn_apart():
    """Weights and delays of a pair's synapses are as unlike as those of two pairs."""
    found = synapses(Dense, 2, weight=Normal(0.0, 1.0))
    one, two = found.weight[::2], found.weight[1::2]
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.2
    same = (found.delay[::2] == found.delay[1::2]).mean()
    assert same == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("count", "delay"),
    [(2, UniformInt(0, 9)), (10, UniformInt(0, 9)), (3, UniformInt(4, 6)), (4, NormalInt(5.0, 2.0, 0, 9))],
)
def test_distinct_delays_are_distinct(count, delay):
    """Even where all possible delays are needed; no other pair, and no delay out of the distribution's range."""
    found = synapses(Dense, count, delay=delay, distinct_delays=True)
    delays = found.delay.reshape(-1, count)
    assert np.all(np.diff(delays.astype(int), axis=1) > 0)
    assert found.delay.min() == delay.low and found.delay.max() == delay.high
    free = synapses(Dense, count, delay=delay)
    assert (np.diff(free.delay.reshape(-1, count).astype(int), axis=1) == 0).any(), "chance alone does repeat delays"
    np.testing.assert_array_equal(found.pre, free.pre)


@pytest.mark.parametrize("make", KINDS[:2], ids=["dense", "sparse"])
def test_as_many_synapses_as_lags_are_a_convolution(make):
    """25 different delays out of 25: every pair has a weight at every lag, the baseline of the delay benchmarks."""
    found = synapses(make, 25, delay=UniformInt(0, 24), distinct_delays=True, weight=Normal(0.0, 1.0))
    np.testing.assert_array_equal(found.delay.reshape(-1, 25), np.tile(np.arange(25), (found.delay.size // 25, 1)))
    assert len(set(found.weight.tolist())) == found.weight.size


def test_distinct_delays_are_all_as_likely():
    """Drawing again until they differ is drawing without replacement."""
    from scipy.stats import chisquare

    delays = [synapses(Dense, 3, seed=s, delay=UniformInt(0, 4), distinct_delays=True).delay for s in range(20)]
    assert chisquare(np.bincount(np.concatenate(delays))).pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel_count": 0}, ("kernel_count", "1", "0")),
        ({"kernel_count": 1.5}, ("kernel_count", "whole number", "1.5")),
        ({"kernel_count": 70_000}, ("kernel_count", "65535", "70000")),
        ({"kernel_count": 5, "delay": UniformInt(2, 5), "distinct_delays": True}, ("kernel_count", "at most 4", "5")),
        ({"kernel_count": 2, "delay": 3, "distinct_delays": True}, ("kernel_count", "at most 1", "2")),
        ({"distinct_delays": 1}, ("distinct_delays", "true or false", "1")),
    ],
)
def test_bad_counts(arguments, words):
    with refused(*words):
        Dense(**arguments)


def test_delays_that_are_too_unlikely_to_differ(monkeypatch):
    """One clear error, not a search without end."""
    monkeypatch.setattr("genn_delays.connectivity.connectivity._ATTEMPTS", 200)
    delay = NormalInt(5.0, 0.12, 0, 9)
    assert delay.num_possible >= 3
    with refused("distinct_delays", "3 different delays a pair", "wider distribution or a smaller kernel_count"):
        synapses(lambda **k: FixedNumber(sparsity=0.99, **k), 3, delay=delay, distinct_delays=True)
