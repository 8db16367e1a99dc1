"""Which pairs are connected: counts, order, independence, memory, and what is refused."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from refused import refused
from scipy import stats

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
    Population,
    Sparse,
    Synapses,
    Uniform,
    UniformInt,
)
from genn_delays.connectivity import CONNECTIVITY, home_words, ordinals, row_start, sort_order
from genn_delays.delays import MAX_DELAY
from genn_delays.random import uniform

DELAY = UniformInt(0, 24)


def sample(connectivity, num_pre=30, num_post=20, seed=1, owner=0) -> Synapses:
    return connectivity.sample(num_pre, num_post, seed, owner)


def rows(synapses: Synapses) -> list[tuple[int, int, int]]:
    return list(zip(synapses.post.tolist(), synapses.pre.tolist(), synapses.delay.tolist(), strict=True))


def equal(a: Synapses, b: Synapses) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


GENERATED = [Dense(delay=DELAY), FixedProbability(0.2, delay=DELAY), FixedNumber(sparsity=0.8, delay=DELAY)]


@pytest.mark.parametrize("connectivity", GENERATED, ids=lambda c: type(c).__name__)
def test_form(connectivity):
    """Types, range, order and that no pair comes twice."""
    synapses = sample(connectivity)
    assert [a.dtype for a in synapses] == [np.int32, np.int32, np.uint16, np.float32]
    assert len({a.shape for a in synapses}) == 1
    assert synapses.pre.min() >= 0
    assert synapses.pre.max() < 30
    assert synapses.post.min() >= 0
    assert synapses.post.max() < 20
    assert synapses.delay.max() <= 24
    assert rows(synapses) == sorted(rows(synapses))
    assert len(set(zip(synapses.pre.tolist(), synapses.post.tolist(), strict=True))) == synapses.pre.size
    assert np.isfinite(synapses.weight).all()


@pytest.mark.parametrize("connectivity", GENERATED, ids=lambda c: type(c).__name__)
def test_seeds(connectivity):
    """The same seed and connection give the same synapses; another seed or connection gives others."""
    assert equal(sample(connectivity), sample(connectivity))
    for other in (sample(connectivity, seed=2), sample(connectivity, owner=1)):
        assert not np.array_equal(other.weight, sample(connectivity).weight)
        if not isinstance(connectivity, Dense):
            assert rows(other) != rows(sample(connectivity))


def test_dense():
    synapses = sample(Dense(delay=3, weight=0.5), 4, 3)
    assert rows(synapses) == [(post, pre, 3) for post in range(3) for pre in range(4)]
    assert set(synapses.weight.tolist()) == {0.5}


@settings(deadline=None)
@given(st.decimals(0, "0.9999", places=4), st.integers(1, 60), st.integers(1, 60))
def test_fixed_number_counts(sparsity, num_pre, num_post):
    """The published formula to the letter, and never a synapse away from what it is on paper."""
    expected = int((1 - float(sparsity)) * num_pre * num_post)
    assume(expected > 0)
    assert 0 <= (1 - Fraction(sparsity)) * num_pre * num_post - expected <= 1
    synapses = sample(FixedNumber(sparsity=float(sparsity)), num_pre, num_post)
    assert synapses.pre.size == expected
    assert len(set(rows(synapses))) == expected


@pytest.mark.parametrize(("sparsity", "count"), [(0.0, 10_240), (0.5, 5120), (0.875, 1280), (0.9, 1023), (0.998, 20)])
def test_fixed_number_at_published_sizes(sparsity, count):
    assert sample(FixedNumber(sparsity=sparsity), 40, 256).pre.size == count


def test_fixed_number_takes_every_pair_as_often():
    """6 of 24 pairs, 2,000 seeds: each pair a quarter of the time (largest of 24 deviations, in standard errors)."""
    counts = Counter(pair for seed in range(2000) for pair in rows(sample(FixedNumber(sparsity=0.75), 6, 4, seed)))
    assert len(counts) == 24
    error = np.sqrt(2000 * 0.25 * 0.75)
    assert max(abs(count - 500) for count in counts.values()) < 4 * error


def test_fixed_probability_is_binomial():
    """The number of pairs over 1,000 seeds against the binomial distribution, and every pair as often."""
    drawn = [sample(FixedProbability(0.3), 6, 4, seed) for seed in range(1000)]
    sizes = np.array([s.pre.size for s in drawn])
    assert abs(sizes.mean() - 7.2) < 4 * np.sqrt(24 * 0.3 * 0.7 / 1000)
    inner = np.arange(4, 11)
    law = stats.binom(24, 0.3)
    observed = [(sizes < 4).sum(), *((sizes == n).sum() for n in inner), (sizes > 10).sum()]
    expected = [law.cdf(3), *law.pmf(inner), law.sf(10)]
    assert stats.chisquare(observed, 1000 * np.array(expected)).pvalue > 1e-3
    counts = Counter(pair for s in drawn for pair in rows(s))
    assert max(abs(count - 300) for count in counts.values()) < 4 * np.sqrt(1000 * 0.3 * 0.7)


def test_probability_one_is_dense_and_a_tiny_one_is_empty():
    assert rows(sample(FixedProbability(1.0), 5, 4)) == rows(sample(Dense(), 5, 4))
    empty = sample(FixedProbability(1e-12), 5, 4)
    assert [a.shape for a in empty] == [(0,)] * 4


@pytest.mark.parametrize("weight", [Normal(0.1, 1), KaimingUniform(), Uniform(-1, 2)], ids=repr)
def test_pairs_keep_their_home(weight):
    """Weight, sign and delay belong to the pair, whatever else is connected: so they need no memory when it regrows."""
    dense = sample(Dense(weight=weight, delay=DELAY))
    table = {(post, pre): (d, w) for (post, pre, d), w in zip(rows(dense), dense.weight.tolist(), strict=True)}
    few = sample(FixedNumber(sparsity=0.875, weight=weight, delay=DELAY))
    assert few.pre.size == 75
    for (post, pre, delay), value in zip(rows(few), few.weight.tolist(), strict=True):
        assert table[post, pre] == (delay, value)
    words = home_words(few.pre, few.post, 0, 1, 0)
    assert np.array_equal(DELAY.from_words(words[1]), few.delay)
    threshold = FixedNumber(sparsity=0.875, weight=weight).home_sign_threshold(30)
    assert np.array_equal(words[0] < threshold, few.weight < 0)


def test_weights_follow_the_dense_fan_in():
    """The bound is that of 30 inputs, though only 3 of them are connected."""
    synapses = sample(FixedNumber(sparsity=0.9, weight=KaimingUniform()), 30, 2000)
    assert 0.97 * np.sqrt(6 / 30) < np.abs(synapses.weight).max() <= np.sqrt(6 / 30)


@pytest.mark.parametrize(
    "connectivity",
    [FixedNumber(sparsity=0.9999, delay=DELAY), FixedProbability(1e-4, delay=DELAY)],
    ids=lambda c: type(c).__name__,
)
def test_memory_follows_the_synapses(connectivity):
    """20,000 x 20,000 at 99.99 %: 40,000 synapses. The peak is some 100 numbers a synapse, not 400 million."""
    sample(connectivity, 10, 1000)  # imports, which are no memory of ours
    tracemalloc.start()
    synapses = sample(connectivity, 20_000, 20_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert abs(synapses.pre.size - 40_000) < 1000
    assert peak < 32e6
    assert rows(synapses) == sorted(set(rows(synapses)))


def build(first, seed: int = 3) -> Network:
    network = Network(seed)
    with network:
        a, b = Population(Input(), 30), Population(Input(), 12)
        out = Population(LeakyIntegrate(readout="sum_var"), 20)
        Connection(a, out, first)
        Connection(b, out, FixedNumber(sparsity=0.5, weight=Normal(), delay=DELAY))
    return network


def test_connections_do_not_depend_on_each_other():
    """What one connection holds, and which is drawn first, changes nothing in another."""
    one, two = build(Dense()), build(FixedNumber(sparsity=0.875, delay=3))
    assert two.connections[0].synapses.pre.size == 75
    assert equal(one.connections[1].synapses, two.connections[1].synapses)
    assert not equal(one.connections[1].synapses, build(Dense(), seed=4).connections[1].synapses)


# --- explicit synapses -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=40, unique=True).flatmap(
        lambda pairs: st.tuples(
            st.just(pairs),
            st.lists(st.integers(0, MAX_DELAY), min_size=len(pairs), max_size=len(pairs)),
            st.lists(st.floats(-5, 5, width=32), min_size=len(pairs), max_size=len(pairs)),
        )
    )
)
def test_sparse_sorts_what_it_is_given(data):
    pairs, delays, weights = data
    pre, post = zip(*pairs, strict=True)
    found = sample(Sparse(pre, post, weights, delays), 10, 7)
    expected = sorted(zip(post, pre, delays, weights, strict=True))
    assert [(*row, w) for row, w in zip(rows(found), found.weight.tolist(), strict=True)] == expected


def test_sparse_keeps_several_synapses_a_pair():
    found = sample(Sparse([1, 1, 0, 1], [2, 2, 2, 2], [0.1, 0.2, 0.3, 0.4], [5, 3, 9, 5], multapses=True), 2, 3)
    assert rows(found) == [(2, 0, 9), (2, 1, 3), (2, 1, 5), (2, 1, 5)]
    np.testing.assert_allclose(found.weight, [0.3, 0.2, 0.1, 0.4], rtol=1e-6)  # equal delays keep their order


def test_sparse_draws_weights_and_delays():
    """Initialisers in Sparse give a pair what any other connectivity would; a pair's second synapse is another draw."""
    pre, post = np.array([7, 3, 3, 0]), np.array([2, 4, 1, 1])
    dense = sample(Dense(weight=Normal(), delay=DELAY), 10, 5)
    table = {(post, pre): (d, w) for (post, pre, d), w in zip(rows(dense), dense.weight.tolist(), strict=True)}
    found = sample(Sparse(pre, post, Normal(), DELAY), 10, 5)
    for (i, j, delay), weight in zip(rows(found), found.weight.tolist(), strict=True):
        assert table[i, j] == (delay, weight)

    several = sample(Sparse(np.zeros(50, int), np.zeros(50, int), Normal(), DELAY, multapses=True), 1, 1)
    assert rows(several) == sorted(rows(several))
    words = home_words(0, 0, np.arange(50), 1, 0)
    delays, weights = DELAY.from_words(words[1]), Normal().quantile(uniform(words[0]), 1).astype(np.float32)
    assert sorted(zip(delays.tolist(), weights.tolist(), strict=True)) == sorted(
        zip(several.delay.tolist(), several.weight.tolist(), strict=True)
    )
    assert len(set(several.weight.tolist())) == 50


def test_sparse_shares_nothing_with_its_caller():
    pre, post = np.array([0, 1]), np.array([0, 1])
    weight, delay = np.array([1.0, 2.0], dtype=np.float32), np.array([3, 4], dtype=np.uint16)
    connectivity = Sparse(pre, post, weight, delay)
    for array in (pre, post, weight, delay):
        array[:] = 0
    found = sample(connectivity, 2, 2)
    assert rows(found) == [(0, 0, 3), (1, 1, 4)]
    assert found.weight.tolist() == [1.0, 2.0]
    found.weight[:] = 9
    assert sample(connectivity, 2, 2).weight.tolist() == [1.0, 2.0]


def test_sparse_grows_from_the_given_delays():
    connectivity = Sparse([0, 1, 2], [0, 0, 0], 1.0, [4, 4, 9])
    words = np.arange(0, 2**32, 2**20, dtype=np.uint64).astype(np.uint32)
    assert set(connectivity.delay_initializer.from_words(words).tolist()) == {4, 9}


def test_signs_of_explicit_weights_are_open():
    assert Sparse([0], [0], [1.0]).home_sign_threshold(3) == 2**31
    assert Sparse([0], [0], Uniform(0, 1)).home_sign_threshold(3) == 0
    assert Sparse([0], [0], [1.0]).explicit_weights
    assert not Sparse([0], [0], 1.0).explicit_weights


def test_registry():
    assert set(CONNECTIVITY) == {
        "dense", "fixed_probability", "fixed_number", "sparse", "fixed_in_degree", "fixed_out_degree",
        "fixed_total_number", "one_to_one", "distance_dependent",
    }  # fmt: skip


# --- ragged form -----------------------------------------------------------------------------------------------------

SMALL = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), max_size=40)


@settings(deadline=None)
@given(SMALL)
def test_ragged_form(synapses):
    post, pre, delay = np.array(synapses, dtype=int).reshape(-1, 3).T
    order = sort_order(post, pre, delay)
    assert order.tolist() == sorted(range(len(synapses)), key=lambda k: synapses[k])
    post, pre = post[order], pre[order]
    start = row_start(post, 5)
    assert start.tolist() == [int((post < i).sum()) for i in range(6)]
    pairs = list(zip(post, pre, strict=True))
    assert ordinals(pre, post).tolist() == [pairs[:k].count(pair) for k, pair in enumerate(pairs)]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: FixedNumber(sparsity=1.0), ("sparsity", "[0, 1)", "1.0")),
        (lambda: FixedNumber(sparsity=-0.1), ("sparsity", "[0, 1)", "-0.1")),
        (lambda: FixedNumber(sparsity=float("nan")), ("sparsity", "[0, 1)", "nan")),
        (lambda: FixedNumber(sparsity="0.5"), ("sparsity", "number", "'0.5'")),
        (lambda: FixedNumber(sparsity=None), ("sparsity", "number", "None")),
        (lambda: FixedProbability(0), ("FixedProbability p", "(0, 1]", "got 0")),
        (lambda: FixedProbability(1.01), ("FixedProbability p", "(0, 1]", "1.01")),
        (lambda: Dense(weight="normall"), ("weight", "'normall'", "normal")),
        (lambda: Dense(weight=[1.0]), ("weight", "[1.0]")),
        (lambda: Dense(delay=-1), ("delay", "from 0 to 65535", "-1")),
        (lambda: Dense(delay=65_536), ("delay", "from 0 to 65535", "65536")),
        (lambda: Dense(delay=1.0), ("delay", "whole number", "1.0")),
        (lambda: Dense(delay=[1, 2]), ("delay", "whole number", "[1, 2]")),
        (lambda: Sparse([], []), ("Sparse", "at least one synapse", "none")),
        (lambda: Sparse([0, 1], [0]), ("pre and post", "2 and 1")),
        (lambda: Sparse([0.0], [0]), ("Sparse pre", "whole numbers", "float64")),
        (lambda: Sparse([[0]], [[0]]), ("Sparse pre", "one-dimensional", "(1, 1)")),
        (lambda: Sparse([0], ["a"]), ("Sparse post", "whole numbers", "<U1")),
        (lambda: Sparse([True], [0]), ("Sparse pre", "whole numbers", "bool")),
        (lambda: Sparse([0], None), ("Sparse post", "whole numbers")),
        (lambda: Sparse([[0], [1, 2]], [0, 1]), ("Sparse pre", "different lengths")),
        (lambda: Sparse([-1], [0]), ("Sparse pre", "[0, ", "-1")),
        (lambda: Sparse([0], [2**40]), ("Sparse post", str(2**31 - 1), str(2**40))),
        (lambda: Sparse([0], [0], [1.0, 2.0]), ("Sparse weight", "(1,)", "(2,)")),
        (lambda: Sparse([0, 1], [0, 1], [1.0, np.inf]), ("Sparse weight", "finite", "inf")),
        (lambda: Sparse([0], [0], [np.nan]), ("Sparse weight", "finite", "nan")),
        (lambda: Sparse([0], [0], [1e300]), ("Sparse weight", "single precision", "1e+300")),
        (lambda: Sparse([0], [0], ["a"]), ("Sparse weight", "real numbers", "<U1")),
        (lambda: Sparse([0], [0], [1j]), ("Sparse weight", "real numbers", "complex128")),
        (lambda: Sparse([0], [0], None), ("weight", "number", "None")),
        (lambda: Sparse([0], [0], delay=[1, 2]), ("Sparse delay", "1 whole numbers", "got 2")),
        (lambda: Sparse([0], [0], delay=[1.0]), ("Sparse delay", "whole numbers", "float64")),
        (lambda: Sparse([0], [0], delay=[-1]), ("Sparse delay", "[0, 65535]", "-1")),
        (lambda: Sparse([0], [0], delay=[65_536]), ("Sparse delay", "[0, 65535]", "65536")),
        (lambda: Sparse([0], [0], delay=65_536), ("delay", "from 0 to 65535", "65536")),
    ],
)
def test_bad_values(make, parts):
    with refused(*parts):
        make()


@pytest.mark.parametrize(
    ("connectivity", "parts"),
    [
        (FixedNumber(sparsity=0.9999), ("sparsity 0.9999", "30 x 20", "below 0.998333")),
        (Sparse([30], [0]), ("Sparse pre", "below 30", "got 30")),
        (Sparse([0], [20]), ("Sparse post", "below 20", "got 20")),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_written(connectivity, parts):
    network = Network()
    with network:
        a, b = Population(Input(), 30), Population(LeakyIntegrate(readout="sum_var"), 20)
        with refused(*parts):
            Connection(a, b, connectivity)
    assert network.connections == a.outgoing == b.incoming == []


def test_a_pair_given_twice():
    with refused("pre 3", "post 4", "twice", "multapses=True"):
        sample(Sparse([0, 3, 3], [0, 4, 4], 1.0, [1, 1, 2]))
