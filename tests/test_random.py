"""Philox against its published answers, and what is made of its words against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri

from genn_delays.random import (
    Purpose,
    first_true,
    normal_quantile,
    permutation,
    philox,
    sample_distinct,
    scale64,
    uniform,
)

WORD = st.integers(0, 2**32 - 1)
FULL = 0xFFFFFFFF


def philox_by_hand(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 in Python integers, as the paper writes it."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([FULL] * 4, [FULL] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_known_answers(counter, key, answer):
    """The three of Random123's kat_vectors."""
    assert philox_by_hand(counter, key) == answer
    words = philox(key[0] | key[1] << 32, counter[3] >> 24, counter[3] & 0xFFFFFF, *counter[:3])
    assert words.dtype == np.uint32
    assert words.tolist() == answer


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.sampled_from(Purpose), st.integers(0, 2**24 - 1), WORD, WORD, WORD)
def test_counter_layout(seed, purpose, owner, a, b, step):
    expected = philox_by_hand([a, b, step, int(purpose) << 24 | owner], [seed & FULL, seed >> 32])
    assert philox(seed, purpose, owner, a, b, step).tolist() == expected


def test_arrays_broadcast():
    a, b = np.arange(5)[:, None], np.arange(3)
    words = philox(7, Purpose.HOME, 2, a, b, 9)
    assert words.shape == (4, 5, 3)
    for i in range(5):
        for j in range(3):
            assert words[:, i, j].tolist() == philox(7, Purpose.HOME, 2, i, j, 9).tolist()


def test_purposes_are_apart():
    """Every purpose draws numbers of its own, and the numbers that stand in generated code do not change."""
    draws = {purpose: philox(1, purpose, 0, np.arange(100)).tobytes() for purpose in Purpose}
    assert len(set(draws.values())) == len(Purpose)
    assert [int(purpose) for purpose in Purpose] == list(range(1, len(Purpose) + 1))


def test_uniform_is_open():
    words = np.array([0, 2**31, 2**32 - 1], dtype=np.uint32)
    assert uniform(words).tolist() == [2.0**-33, 0.5 + 2.0**-33, 1 - 2.0**-33]
    numbers = uniform(philox(3, Purpose.HOME, 0, np.arange(20_000)).ravel())
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


@settings(deadline=None)
@given(WORD, WORD, st.integers(1, 2**63))
def test_scale64_is_exact(low, high, total):
    words = np.array([[low], [high], [0], [0]], dtype=np.uint32)
    assert int(scale64(words, total)[0]) == (low | high << 32) * total >> 64


@pytest.mark.parametrize("total", [1, 2, 2**32 - 1, 2**32, 2**32 + 1, 2**63])
def test_scale64_at_the_ends(total):
    ends = np.array([[0, FULL], [0, FULL]], dtype=np.uint32)
    assert scale64(ends, total).tolist() == [0, total - 1]


def sample_by_hand(count: int, total: int, seed: int, step: int) -> list[int]:
    """The definition, one draw after the other."""
    if 2 * count > total:
        return sorted(set(range(total)) - set(sample_by_hand(total - count, total, seed, step)))
    found: list[int] = []
    k = 0
    while len(found) < count:
        low, high, *_ = philox(seed, Purpose.GROWTH, 5, k & FULL, k >> 32, step).tolist()
        value = (low | high << 32) * total >> 64
        if value not in found:
            found.append(value)
        k += 1
    return sorted(found)


@settings(deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), WORD, st.integers(0, 3))
def test_sample_distinct_is_its_definition(sizes, seed, step):
    count, total = sizes
    found = sample_distinct(count, total, seed, Purpose.GROWTH, 5, step)
    assert found.dtype == np.int64
    assert found.tolist() == sample_by_hand(count, total, seed, step)


@pytest.mark.parametrize(("count", "total"), [(0, 0), (0, 7), (7, 7), (5, 10), (6, 10), (1000, 10**15), (9_000, 9_999)])
def test_sample_distinct(count, total):
    found = sample_distinct(count, total, 11, Purpose.CONNECTIVITY, 3)
    assert found.shape == (count,)
    assert (np.diff(found) > 0).all()
    if count:
        assert 0 <= found[0] <= found[-1] < total


@pytest.mark.parametrize("count", [3, 7], ids=["drawn", "left out"])
def test_every_subset_is_as_likely(count):
    """All 120 subsets of 3 (or of 7) out of 10, from 2,400 seeds."""
    seen: dict[bytes, int] = {}
    for seed in range(2400):
        key = sample_distinct(count, 10, seed, Purpose.CONNECTIVITY, 0).tobytes()
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 120
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


@pytest.mark.parametrize(("count", "total"), [(-1, 5), (6, 5)])
def test_sample_distinct_refuses(count, total):
    with pytest.raises(ValueError, match=f"cannot choose {count} of {total}"):
        sample_distinct(count, total, 0, Purpose.GROWTH, 0)


def test_permutation():
    order = permutation(1000, seed=4, epoch=2)
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert np.array_equal(order, permutation(1000, seed=4, epoch=2))
    for other in (permutation(1000, 5, 2), permutation(1000, 4, 3)):
        assert (order != other).mean() > 0.9
    words = philox(4, Purpose.ORDER, 0, np.arange(1000), 0, 2).astype(object)
    assert order.tolist() == sorted(range(1000), key=lambda i: (words[0][i], words[1][i]))
    assert permutation(0, 0, 0).size == 0


def test_permutation_places_are_as_likely():
    """Where example 0 and example 9 of 10 come, over 1,000 epochs."""
    orders = np.array([permutation(10, 0, epoch) for epoch in range(1000)])
    for example in (0, 9):
        counts = np.bincount(np.argmax(orders == example, axis=1), minlength=10)
        assert stats.chisquare(counts).pvalue > 1e-3


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 200))
def test_first_true(border, high):
    assert first_true(lambda n: n >= border, high) == min(border, high)


def test_normal_quantile_is_ndtri():
    random = np.random.default_rng(0)
    edges = np.array([0.02425, 0.97575]) * 2.0**32  # where the approximation changes its form
    near = [np.arange(int(edge) - 50, int(edge) + 50) for edge in edges]
    ends = [np.arange(1000), 2**32 - 1 - np.arange(1000), 2**31 + np.arange(-50, 50)]
    words = np.concatenate([*near, *ends, random.integers(0, 2**32, 200_000)]).astype(np.uint32)
    exact = ndtri(uniform(words))
    assert np.abs(normal_quantile(words) / exact - 1).max() < 1e-8


def test_normal_quantile_rises_and_is_odd():
    words = np.sort(np.random.default_rng(1).integers(0, 2**32, 100_000)).astype(np.uint32)
    z = normal_quantile(words)
    assert (np.diff(z) >= 0).all()
    assert np.array_equal(normal_quantile(2**32 - 1 - words), -z)


def test_normal_quantile_moments():
    z = normal_quantile(philox(9, Purpose.NOISE, 1, np.arange(250_000)).ravel())
    assert abs(z.mean()) < 4e-3
    assert abs(z.var() - 1) < 6e-3
    assert abs((z**4).mean() - 3) < 0.04
    assert stats.kstest(z[:50_000], "norm").pvalue > 1e-3
