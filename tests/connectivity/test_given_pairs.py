"""Weights and delays that are given for every pair, for any connectivity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refused import refused

import genn_delays as gd
from genn_delays.connectivity import Connectivity

PRE, POST = 6, 5
random = np.random.default_rng(0)
DELAYS = random.integers(1, 7, (PRE, POST))
WEIGHTS = random.normal(0.0, 0.5, (PRE, POST))
KINDS: list[Any] = [
    lambda **a: gd.Dense(**a),
    lambda **a: gd.FixedNumber(sparsity=0.5, **a),
    lambda **a: gd.FixedProbability(p=0.5, **a),
    lambda **a: gd.FixedInDegree(n=3, **a),
    lambda **a: gd.FixedOutDegree(n=3, **a),
    lambda **a: gd.FixedTotalNumber(n=12, **a),
    lambda **a: gd.FixedTotalNumber(n=25, multapses=True, **a),
    lambda **a: gd.DistanceDependent(np.arange(PRE), np.arange(POST), sigma=2.0, **a),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_has_its_own(kind: Any) -> None:
    plain, given = kind(weight=1.0), kind(weight=WEIGHTS, delay=DELAYS.tolist())
    assert given.explicit_weights and not plain.explicit_weights
    found, other = given.sample(PRE, POST, 3, 0), plain.sample(PRE, POST, 3, 0)
    assert found.pre.tolist() == other.pre.tolist() and found.post.tolist() == other.post.tolist()
    assert np.array_equal(found.delay, DELAYS[found.pre, found.post])
    assert np.array_equal(found.weight, WEIGHTS.astype(np.float32)[found.pre, found.post])
    assert (given.delay_initializer.low, given.delay_initializer.high) == (DELAYS.min(), DELAYS.max())


def test_one_to_one() -> None:
    found = gd.OneToOne(weight=WEIGHTS[:, 0], delay=DELAYS[:, 0]).sample(PRE, PRE, 3, 0)
    assert np.array_equal(found.delay, DELAYS[:, 0])
    assert np.array_equal(found.weight, WEIGHTS[:, 0].astype(np.float32))


def test_with_a_speed_the_distance_comes_on_top() -> None:
    place = {"sigma": 2.0, "speed": 0.5}
    given = gd.DistanceDependent(np.arange(PRE), np.arange(POST), delay=DELAYS, **place).sample(PRE, POST, 3, 0)
    whole = gd.DistanceDependent(np.arange(PRE), np.arange(POST), delay=0, **place).sample(PRE, POST, 3, 0)
    pairs = dict(zip(zip(whole.pre.tolist(), whole.post.tolist(), strict=True), whole.delay.tolist(), strict=True))
    for i, j, d in zip(given.pre.tolist(), given.post.tolist(), given.delay.tolist(), strict=True):
        assert d == DELAYS[i, j] + pairs[i, j]


def described(connectivity: Connectivity) -> gd.Network:
    network = gd.Network(1)
    with network:
        x, h = gd.Population(gd.SpikeInput(), PRE, "x"), gd.Population(gd.LeakyIntegrateFire(), POST, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 3, "o")
        gd.Connection(x, h, connectivity)
        gd.Connection(h, o, gd.Dense(weight=gd.Normal(0.0, 0.5)))
    return network


def test_a_network_trains_with_them(backend: Any) -> None:
    """As from the list of its synapses, on every backend; regrown delays are among the given ones."""
    drawn = described(gd.FixedNumber(sparsity=0.4, weight=WEIGHTS, delay=DELAYS))
    s = drawn.connections[0].synapses
    listed = described(gd.Sparse(s.pre, s.post, s.weight, s.delay))
    x = {"x": (random.random((8, 20, PRE)) < 0.3).astype(np.float32)}
    y, found = {"o": np.arange(8) % 3}, []
    for network in (drawn, listed):
        compiled = gd.SurrogateCompiler(20, 4, backend=backend).compile(
            network, optimisers={"all_connections": gd.Adam(0.1)}, rewiring={"x_h": gd.DeepR(l1=0.1)}
        )
        metrics, _ = compiled.train(x, y, 3, callbacks=[])
        trained = compiled.synapses("x_h")
        assert set(trained.delay.tolist()) <= set(DELAYS.ravel().tolist())
        found.append((metrics.loss, metrics.rewirings["x_h"], trained.pre.tolist(), trained.weight.tolist()))
    # regrown delays are drawn from the delays of all pairs there, of the listed ones here
    assert found[0][1] > 0 and found[1][1] > 0 and found[0][0] == pytest.approx(found[1][0], rel=0.5)


def test_a_network_is_simulated_with_them() -> None:
    """Their rows are built from the list of synapses on ``cpu`` too."""
    found = []
    for backend in ("reference", "cpu"):
        network = gd.Network(1)
        with network:
            a = gd.Population(gd.PoissonInput(200.0), PRE, "a")
            b = gd.Population(gd.LeakyIntegrateFire(tau_mem=10.0), POST, "b")
            gd.Connection(a, b, gd.Dense(weight=np.abs(WEIGHTS) * 40, delay=DELAYS), gd.Exponential(5.0))
        compiler = gd.SimulationCompiler(dt=1.0, backend=backend)
        with compiler.compile(network, {"a": "spikes", "b": "spikes"}) as simulation:
            simulation.run(100.0, progress=False)
            found.append([part.tolist() for p in ("a", "b") for part in simulation.spikes(p)])
    assert found[0] == found[1] and min(map(len, found[0])) > 20


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: gd.Dense(weight=WEIGHTS.T), ("weight of Dense", "(6, 5)", "(5, 6)")),
        (lambda: gd.FixedNumber(0.5, delay=DELAYS.ravel()), ("delay", "[source, target]")),
        (lambda: gd.FixedNumber(sparsity=0.5, delay=DELAYS[:, :4]), ("delay of FixedNumber", "(6, 5)", "(6, 4)")),
        (lambda: gd.Dense(delay=DELAYS + 0.5), ("delay", "whole numbers", "float64")),
        (lambda: gd.Dense(delay=-DELAYS), ("delay", "[0, 65535]")),
        (lambda: gd.Dense(delay=[]), ("delay", "[source, target]", "[]")),
        (lambda: gd.Dense(weight=np.full((PRE, POST), np.inf)), ("weight", "finite")),
        (lambda: gd.Dense(delay=DELAYS, kernel_count=2), ("kernel_count", "got 2")),
    ],
)
def test_arrays_that_do_not_fit_are_refused(make: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        described(make())
