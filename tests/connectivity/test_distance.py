"""Probability and delay by distance: every pair its own coin, on lines, planes and in space, open and periodic."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused
from scipy.spatial.distance import cdist

import genn_delays as gd
from genn_delays import DistanceDependent, UniformInt
from genn_delays.connectivity import distance as module

RNG = np.random.default_rng(5)
DELAY = UniformInt(1, 4)


def positions(dimension, pre=30, post=20):
    return RNG.random((pre, dimension)), RNG.random((post, dimension))


def apart(x, y, period=None):
    """Distances of all pairs; around the borders by looking at all copies of the sources."""
    if period is None:
        return cdist(x, y)
    period = np.broadcast_to(period, (x.shape[1],))
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * x.shape[1])).reshape(x.shape[1], -1).T
    return np.min([cdist(x + shift * period, y) for shift in shifts], axis=0)


@pytest.mark.parametrize(
    ("dimension", "profile", "period"),
    [(1, "gaussian", None), (1, "exponential", 1.0), (2, "gaussian", [1.0, 2.0]), (3, "exponential", None),
     (3, "gaussian", 1.0)],
)  # fmt: skip
def test_every_pair_has_the_probability_of_its_distance(dimension, profile, period):
    """The share of 600 seeds in which each of 600 pairs is connected, in standard errors."""
    x, y = positions(dimension)
    connectivity = DistanceDependent(x, y, sigma=0.2, p_max=0.6, profile=profile, period=period)
    z = apart(x, y, period) / 0.2
    p = 0.6 * np.exp(-z * z / 2 if profile == "gaussian" else -z)
    count = np.zeros(p.shape)
    for seed in range(600):
        pairs = connectivity.pairs(30, 20, seed, 0)
        assert (np.diff(pairs) > 0).all()
        count[pairs % 30, pairs // 30] += 1
    likely = p > 0.02
    errors = ((count - 600 * p) / np.sqrt(600 * p * (1 - p)))[likely]
    assert np.abs(errors).max() < 4.6
    assert 0.85 < errors.std() < 1.15
    assert abs(count[~likely].sum() - 600 * p[~likely].sum()) < 5 * np.sqrt(600 * p[~likely].sum() + 1)


def test_cells_are_many_and_chunks_change_nothing(monkeypatch):
    x = RNG.random((900, 2))
    connectivity = DistanceDependent(x, x, sigma=0.05, allow_self_connections=False, delay=DELAY)
    whole = connectivity.sample(900, 900, 1, 2)
    assert connectivity._cells()[2].prod() > 100
    assert (whole.pre != whole.post).all()
    assert whole.pre.size == connectivity.num_synapses(900, 900, 1, 2)
    assert abs(whole.pre.size / (np.exp(-((apart(x, x) / 0.05) ** 2) / 2).sum() - 900) - 1) < 0.05
    monkeypatch.setattr(module, "CHUNK", 100)
    for a, b in zip(connectivity.sample(900, 900, 1, 2), whole, strict=True):
        assert np.array_equal(a, b)


def test_certain_pairs():
    """Wide profiles connect all; far away populations none."""
    x, y = positions(2)
    assert DistanceDependent(x, y, sigma=1e9).pairs(30, 20, 0, 0).size == 600
    assert DistanceDependent(x, y + 50, sigma=0.1).sample(30, 20, 0, 0).pre.size == 0
    assert DistanceDependent([1.0, 1.0], [1.0], sigma=0.1).pairs(2, 1, 0, 0).tolist() == [0, 1]


@pytest.mark.parametrize("period", [None, 0.5])
def test_delays_grow_with_the_distance(period):
    x, y = positions(2)
    plain = DistanceDependent(x, y, sigma=0.5, period=period, delay=DELAY).sample(30, 20, 3, 1)
    connectivity = DistanceDependent(x, y, sigma=0.5, period=period, delay=DELAY, speed=0.01)
    s = connectivity.sample(30, 20, 3, 1)
    where = (lambda v: v % period) if period else (lambda v: v)
    steps = np.rint(apart(where(x), where(y), period) / 0.01)[s.pre, s.post]
    assert np.array_equal(s.delay, plain.delay + steps)
    assert connectivity.delay_initializer.low == 1
    assert s.delay.max() <= connectivity.delay_initializer.high <= 4 + 1.5 / 0.01
    several = DistanceDependent(x, y, sigma=0.5, kernel_count=3, delay=DELAY, speed=0.01).sample(30, 20, 3, 1)
    keys = list(zip(several.post, several.pre, several.delay, strict=True))
    assert keys == sorted(keys) and len(keys) % 3 == 0


def test_it_is_simulated_and_trained_as_far_as_it_can_be():
    x, y = positions(2, 6, 4)

    def network(**arguments):
        found = gd.Network()
        with found:
            a, b = gd.Population(gd.Input(), 6), gd.Population(gd.LeakyIntegrate(readout="sum_var"), 4)
            gd.Connection(a, b, DistanceDependent(x, y, sigma=1.0, **arguments), name="near")
        return found

    compiler = gd.SurrogateCompiler(example_timesteps=3, backend="reference")
    optimisers = {"all_connections": {"weight": gd.Adam()}}
    with compiler.compile(network(), optimisers=optimisers) as compiled:
        assert compiled.synapses("near").pre.size > 0
    assert network(speed=0.1).connections[0].synapses.delay.max() > 0
    with refused("'near'", "DistanceDependent with a speed", "simulations", "Sparse"):
        compiler.compile(network(speed=0.1), optimisers=optimisers)


def near(x=(0.0, 1.0), y=(0.5,), **arguments):
    return DistanceDependent(x, y, **{"sigma": 1.0, **arguments})


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: near(sigma=0.0), ("DistanceDependent sigma", "(0, inf)", "0.0")),
        (lambda: near(p_max=1.5), ("DistanceDependent p_max", "(0, 1]", "1.5")),
        (lambda: near(profile="box"), ("DistanceDependent profile", "'box'", "gaussian")),
        (lambda: near(np.zeros((2, 4))), ("pre_positions", "1 to 3 dimensions", "(2, 4)")),
        (lambda: near(y=["a"]), ("post_positions", "numbers")),
        (lambda: near([0.0, np.nan]), ("pre_positions", "finite", "nan")),
        (lambda: near(np.zeros((2, 2))), ("as many dimensions", "2 and 1")),
        (lambda: near([]), ("pre_positions", "shape")),
        (lambda: near(period=0), ("DistanceDependent period", "above 0", "got 0")),
        (lambda: near(period=[1.0, 2.0]), ("DistanceDependent period", "1 of them")),
        (lambda: near(speed=-1), ("DistanceDependent speed", "-1")),
        (lambda: near(speed=1e-9), ("DistanceDependent speed", "65535", "1e-09")),
        (lambda: near(speed=1.0, delay=DELAY, distinct_delays=True), ("distinct_delays", "speed")),
        (lambda: near(allow_self_connections=1), ("allow_self_connections", "got 1")),
        (lambda: near().check(3, 1), ("pre_positions must be 3", "got 2")),
        (lambda: near().check(2, 2), ("post_positions must be 2", "got 1")),
    ],
)
def test_bad_input(make, parts):
    with refused(*parts):
        make()
