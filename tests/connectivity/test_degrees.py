"""Fixed numbers of synapses by target, by source and in all, with and without multapses; one to one."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import refused
from scipy import stats

from genn_delays import (
    Adam,
    Connection,
    Dense,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
    FixedTotalNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    OneToOne,
    Population,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.chunks import CHUNK
from genn_delays.connectivity import home_words, ordinals
from genn_delays.connectivity.draws import counts_of_sources
from genn_delays.memory import SAMPLING
from genn_delays.random import Purpose, philox, scale64

DELAY = UniformInt(1, 9)
DEGREES = [FixedInDegree, FixedOutDegree]


def pairs_of(connectivity, num_pre=6, num_post=5, seed=1, owner=0):
    s = connectivity.sample(num_pre, num_post, seed, owner)
    assert s.pre.size == connectivity.num_synapses(num_pre, num_post, seed, owner)
    keys = list(zip(s.post.tolist(), s.pre.tolist(), s.delay.tolist(), strict=True))
    assert keys == sorted(keys)
    return list(zip(s.pre.tolist(), s.post.tolist(), strict=True))


def values(row, limit, seed, owner, count):
    """A row's sequence by its definition, one value after the other."""
    found = []
    for k in range(count):
        words = philox(seed, Purpose.CONNECTIVITY, owner, row, k // 2)
        found.append(int(scale64(words[2 * (k % 2) :], limit)))
    return found


@pytest.mark.parametrize("kind", DEGREES)
@pytest.mark.parametrize("allowed", [True, False])
def test_every_row_has_the_first_values_of_its_sequence(kind, allowed):
    """Its first n, or its first n distinct ones; a neuron itself is skipped."""
    for n, multapses in ((3, False), (3, True), (9, True)):
        found = Counter(pairs_of(kind(n, multapses=multapses, allow_self_connections=allowed), 7, 7, 5, 2))
        expected = Counter()
        for row in range(7):
            sequence = values(row, 7 - (not allowed), 5, 2, 60)
            chosen = sequence[:n] if multapses else list(dict.fromkeys(sequence))[:n]
            for value in chosen:
                other = value + (not allowed and value >= row)
                expected[(other, row) if kind is FixedInDegree else (row, other)] += 1
        assert found == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_degrees(num_pre, num_post, data):
    """Exactly n of each, no pair twice; at more than half the sequence names those left out."""
    n = data.draw(st.integers(1, num_pre))
    pairs = pairs_of(FixedInDegree(n), num_pre, num_post)
    assert len(set(pairs)) == len(pairs) == n * num_post
    assert Counter(post for _, post in pairs) == dict.fromkeys(range(num_post), n)
    n = data.draw(st.integers(1, num_post))
    pairs = pairs_of(FixedOutDegree(n), num_pre, num_post)
    assert len(set(pairs)) == len(pairs) == n * num_pre
    assert Counter(pre for pre, _ in pairs) == dict.fromkeys(range(num_pre), n)


def test_chunks_change_nothing(monkeypatch):
    kinds = [
        FixedInDegree(7, delay=DELAY), FixedOutDegree(17, delay=DELAY), FixedOutDegree(30, multapses=True, delay=DELAY),
        FixedTotalNumber(900, multapses=True, delay=DELAY),
    ]  # fmt: skip
    whole = [kind.sample(20, 25, 3, 1) for kind in kinds]
    monkeypatch.setattr("genn_delays.chunks.CHUNK", 64)
    monkeypatch.setattr("genn_delays.connectivity.draws.CHUNK", 64)
    for kind, before in zip(kinds, whole, strict=True):
        for a, b in zip(kind.sample(20, 25, 3, 1), before, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("allowed", [True, False])
def test_sources_and_targets_of_a_total_number_are_independent_and_uniform(allowed):
    connectivity = FixedTotalNumber(40_000, multapses=True, allow_self_connections=allowed)
    counts = np.zeros((6, 6))
    for pair, count in Counter(pairs_of(connectivity, 6, 6)).items():
        counts[pair] = count
    assert (np.diag(counts) == 0).all() == (not allowed)
    observed = counts[counts > 0]
    assert observed.size == (36 if allowed else 30)
    assert stats.chisquare(observed).pvalue > 1e-3


def test_counts_of_sources_are_those_of_single_draws():
    draws = [int(scale64(philox(4, Purpose.CONNECTIVITY, 3, k // 2, 0, 1)[2 * (k % 2) :], 9)) for k in range(200)]
    assert np.array_equal(counts_of_sources(200, 9, 4, 3), np.bincount(draws, minlength=9))


def test_a_total_number_without_multapses():
    for n in (1, 10, 20):
        pairs = pairs_of(FixedTotalNumber(n, allow_self_connections=False), 5, 5)
        assert len(set(pairs)) == n and all(pre != post for pre, post in pairs)
    assert pairs_of(FixedTotalNumber(30)) == pairs_of(Dense())


def test_one_to_one():
    assert pairs_of(OneToOne(delay=2), 4, 4) == [(i, i) for i in range(4)]
    assert len(pairs_of(OneToOne(kernel_count=3, delay=DELAY), 4, 4)) == 12


def test_probability_without_self_connections():
    drawn = [pairs_of(FixedProbability(0.4, allow_self_connections=False), 6, 6, seed) for seed in range(400)]
    assert all(pre != post for pairs in drawn for pre, post in pairs)
    counts = Counter(pair for pairs in drawn for pair in pairs)
    assert len(counts) == 30
    assert max(abs(count - 160) for count in counts.values()) < 4.5 * np.sqrt(400 * 0.4 * 0.6)
    full = pairs_of(FixedProbability(1.0, allow_self_connections=False), 6, 6)
    assert len(full) == 30


@pytest.mark.parametrize("kind", [*DEGREES, FixedTotalNumber])
def test_synapses_of_multapses_have_their_own_home_draws(kind):
    """Weight and delay are functions of the pair and the ordinal, as with kernel_count and Sparse."""
    n = 400 if kind is FixedTotalNumber else 50
    s = kind(n, multapses=True, weight=Normal(), delay=DELAY).sample(6, 5, 1, 0)
    both = sorted(zip(s.post.tolist(), s.pre.tolist(), s.delay.tolist(), s.weight.tolist(), strict=True))
    words = home_words(s.pre, s.post, ordinals(s.pre, s.post), 1, 0)
    weight = Normal().quantile((words[0] + 0.5) / 2**32, 1).astype(np.float32)
    delay = DELAY.from_words(words[1])
    assert both == sorted(zip(s.post.tolist(), s.pre.tolist(), delay.tolist(), weight.tolist(), strict=True))
    assert np.unique(s.weight).size > 0.99 * s.weight.size


def network(connectivity, **arguments):
    found = Network(seed=0)
    with found:
        x, h = Population(Input(), 4), Population(LeakyIntegrateFire(), 4)
        out = Population(LeakyIntegrate(readout="sum_var"), 2)
        Connection(x, h, Dense())
        Connection(h, h, connectivity, name="loop")
        Connection(h, out, Dense())
    return found


def test_what_can_be_trained():
    """All, but multapses, whose number a pair nobody knows before they are drawn."""
    compiler = SurrogateCompiler(example_timesteps=3, backend="reference")
    for good in (FixedInDegree(2, delay=1), OneToOne(delay=1), FixedTotalNumber(5, delay=1, kernel_count=2)):
        with compiler.compile(network(good), optimisers={"all_connections": {"weight": Adam()}}) as compiled:
            assert compiled.synapses("loop").pre.size == good.num_synapses(4, 4, 0, 1)
    for kind in (FixedInDegree, FixedOutDegree, FixedTotalNumber):
        described = network(kind(2, multapses=True, delay=1))
        assert described.connections[1].synapses.pre.size > 0
        with refused("'loop'", kind.__name__, "multapses=True", "simulations", "Sparse"):
            compiler.compile(described, optimisers={"all_connections": {"weight": Adam()}})


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: FixedInDegree(0), ("FixedInDegree n", "from 1", "got 0")),
        (lambda: FixedOutDegree(1.5), ("FixedOutDegree n", "whole number", "1.5")),
        (lambda: FixedTotalNumber(1 << 31), ("FixedTotalNumber n", "2147483647", "2147483648")),
        (lambda: FixedInDegree(2, multapses=1), ("multapses", "true or false", "1")),
        (lambda: FixedInDegree(2, allow_self_connections=None), ("allow_self_connections", "None")),
        (lambda: FixedProbability(0.5, allow_self_connections=0), ("allow_self_connections", "got 0")),
        (lambda: FixedInDegree(2, multapses=True, kernel_count=2), ("FixedInDegree", "kernel_count=2", "multapses")),
        (lambda: FixedInDegree(2, multapses=True, distinct_delays=True, delay=DELAY), ("distinct_delays",)),
        (lambda: FixedInDegree(7).check(6, 9), ("FixedInDegree n", "at most 6", "got 7", "multapses=True")),
        (lambda: FixedOutDegree(9).check(9, 9) or FixedOutDegree(10).check(9, 9), ("at most 9", "got 10")),
        (
            lambda: FixedInDegree(6, allow_self_connections=False).check(6, 6),
            ("at most 5", "other source neurons", "got 6"),
        ),
        (lambda: FixedTotalNumber(31).check(5, 6), ("at most 30", "got 31", "multapses=True")),
        (lambda: FixedTotalNumber(1, multapses=True, allow_self_connections=False).check(1, 1), ("at most 0",)),
        (lambda: FixedInDegree(1, multapses=True, allow_self_connections=False).check(1, 1), ("no pair",)),
        (lambda: OneToOne().check(4, 5), ("OneToOne", "one size", "4 and 5")),
    ],
)
def test_bad_input(make, parts):
    with refused(*parts):
        make()


def test_self_connections_are_of_a_population_with_itself():
    with Network(), refused("'a_b'", "allow_self_connections=False", "two populations"):
        a, b = (Population(LeakyIntegrateFire(), 4, name) for name in "ab")
        Connection(a, b, FixedInDegree(2, allow_self_connections=False))


def test_memory_of_multapses_is_that_which_is_foreseen():
    """500,000 synapses of 100 pairs: as much a synapse as without multapses, though all pairs are repeated."""
    connectivity = FixedTotalNumber(500_000, multapses=True, delay=DELAY)
    connectivity.sample(10, 10, 0, 0)  # imports, which are no memory of ours
    tracemalloc.start()
    found = connectivity.sample(10, 10, 1, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.pre.size == 500_000
    assert peak < (SAMPLING + 3) * 500_000 + 16 * 300 * CHUNK
