"""Delay distributions as tables of thresholds on a random word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import refused
from scipy import stats

from genn_delays import ConstantInt, NormalInt, UniformInt
from genn_delays.delays import MAX_DELAY, EmpiricalInt, as_delay_initializer
from genn_delays.random import Purpose, philox

WORDS = philox(8, Purpose.HOME, 0, np.arange(25_000)).ravel()
ENDS = np.array([0, 2**32 - 1], dtype=np.uint32)


def empirical(*delays: int) -> EmpiricalInt:
    return EmpiricalInt(np.array(delays, dtype=np.uint16))


def name(initializer) -> str:
    return f"{type(initializer).__name__} {initializer.low} {initializer.high}"


def probabilities(initializer) -> np.ndarray:
    return np.diff(np.concatenate([[0.0], initializer.cumulative(), [1.0]]))


@pytest.mark.parametrize(
    "initializer",
    [
        UniformInt(0, 24),
        UniformInt(3, 4),
        UniformInt(0, 6),
        NormalInt(12.3, 4, 0, 24),
        NormalInt(-2, 3, 0, 10),
        NormalInt(100, 5, 90, 105),
        empirical(5, 2, 2, 9, 5, 5),
    ],
    ids=name,
)
def test_distribution(initializer):
    """100,000 fixed words fall as the table says, and the table is the distribution to a word."""
    expected = probabilities(initializer)
    delays = initializer.from_words(WORDS)
    assert delays.dtype == np.uint16
    counts = np.bincount(delays - initializer.low, minlength=expected.size)
    assert counts.size == expected.size
    possible = expected > 0
    assert not counts[~possible].any()
    assert stats.chisquare(counts[possible], expected[possible] * WORDS.size).pvalue > 1e-3
    np.testing.assert_allclose(initializer.thresholds, initializer.cumulative() * 2.0**32, atol=1)


def test_uniform_is_uniform():
    np.testing.assert_allclose(probabilities(UniformInt(2, 9)), 1 / 8, rtol=1e-12)
    assert UniformInt(0, 3).thresholds.tolist() == [2**30, 2**31, 3 * 2**30]


def test_normal_is_rounded_and_its_tails_are_added():
    mean, sd, low, high = 12.3, 4.0, 10, 16
    norm = stats.norm(mean, sd)
    expected = [norm.cdf(d + 0.5) - norm.cdf(d - 0.5) for d in range(low, high + 1)]
    expected[0] = norm.cdf(low + 0.5)
    expected[-1] = norm.sf(high - 0.5)
    np.testing.assert_allclose(probabilities(NormalInt(mean, sd, low, high)), expected, rtol=1e-9)


def test_empirical_draws_only_what_was_given():
    initializer = empirical(7, 7, 7, 40)
    assert (initializer.low, initializer.high) == (7, 40)
    values, counts = np.unique(initializer.from_words(WORDS), return_counts=True)
    assert values.tolist() == [7, 40]
    assert counts[0] / WORDS.size == pytest.approx(0.75, abs=0.005)


@pytest.mark.parametrize(
    ("initializer", "ends"),
    [
        (UniformInt(0, MAX_DELAY), [0, MAX_DELAY]),
        (UniformInt(0, 0), [0, 0]),
        (UniformInt(MAX_DELAY, MAX_DELAY), [MAX_DELAY, MAX_DELAY]),
        (UniformInt(5, 6), [5, 6]),
        (ConstantInt(0), [0, 0]),
        (ConstantInt(MAX_DELAY), [MAX_DELAY, MAX_DELAY]),
        (NormalInt(0, 1e4, 0, MAX_DELAY), [0, MAX_DELAY]),
        (empirical(MAX_DELAY), [MAX_DELAY, MAX_DELAY]),
        (empirical(MAX_DELAY, 0), [0, MAX_DELAY]),
    ],
)
def test_extremes(initializer, ends):
    """The smallest and the largest word give the smallest and the largest delay, 0 and 65,535 included."""
    assert initializer.from_words(ENDS).tolist() == ends
    assert [initializer.low, initializer.high] == ends
    assert initializer.thresholds.dtype == np.uint32
    assert initializer.thresholds.shape == (ends[1] - ends[0],)


def test_every_delay_of_the_widest_range_is_reached():
    words = (np.arange(MAX_DELAY + 1, dtype=np.uint64) << 16).astype(np.uint32)
    assert np.array_equal(UniformInt(0, MAX_DELAY).from_words(words), np.arange(MAX_DELAY + 1))


@settings(max_examples=50, deadline=None)
@given(
    st.one_of(
        st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda x: UniformInt(min(x), max(x))),
        st.tuples(st.floats(-50, 400), st.floats(0.01, 200), st.integers(0, 300), st.integers(0, 300)).map(
            lambda x: NormalInt(x[0], x[1], min(x[2:]), max(x[2:]))
        ),
        st.lists(st.integers(0, 300), min_size=1, max_size=20).map(lambda x: empirical(*x)),
    )
)
def test_thresholds_are_the_definition(initializer):
    """``low + number of thresholds <= word``, in range, rising with the word."""
    words = np.sort(np.concatenate([WORDS[:200], ENDS, initializer.thresholds, initializer.thresholds - np.uint32(1)]))
    assert (np.diff(initializer.thresholds.astype(np.int64)) >= 0).all()
    delays = initializer.from_words(words)
    assert delays.tolist() == [initializer.low + int((initializer.thresholds <= word).sum()) for word in words]
    assert initializer.low <= delays.min() <= delays.max() <= initializer.high
    assert (np.diff(delays.astype(int)) >= 0).all()


def test_as_delay_initializer():
    kept = UniformInt(1, 2)
    assert as_delay_initializer("delay", kept) is kept
    for number in (3, np.uint16(3), np.int64(3)):
        assert as_delay_initializer("delay", number) == ConstantInt(3)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (-1, ("delay", "from 0 to 65535", "-1")),
        (65_536, ("delay", "from 0 to 65535", "65536")),
        (1.5, ("delay", "whole number of time steps", "1.5")),
        (2.0, ("delay", "whole number of time steps", "2.0")),
        (True, ("delay", "whole number", "True")),
        (None, ("delay", "whole number", "None")),
        ("uniform_int", ("delay", "'uniform_int'", "UniformInt(low=..., high=...)")),
        ("unifrom_int", ("delay", "'unifrom_int'", "uniform_int", "Did you mean 'uniform_int'?")),
    ],
    ids=repr,
)
def test_bad_values(value, parts):
    with refused(*parts):
        as_delay_initializer("delay", value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: ConstantInt(-1), ("delay", "from 0 to 65535", "-1")),
        (lambda: ConstantInt(65_536), ("delay", "65536")),
        (lambda: UniformInt(-1, 3), ("UniformInt low", "from 0 to 65535", "-1")),
        (lambda: UniformInt(0, 65_536), ("UniformInt high", "65535", "65536")),
        (lambda: UniformInt(5, 3), ("UniformInt high", "from 5", "got 3")),
        (lambda: UniformInt(0, 2.5), ("UniformInt high", "whole number", "2.5")),
        (lambda: NormalInt(float("nan"), 1, 0, 3), ("NormalInt mean", "nan")),
        (lambda: NormalInt(1, 0, 0, 3), ("NormalInt sd", "(0, inf)", "got 0")),
        (lambda: NormalInt(1, 1, 4, 3), ("NormalInt high", "from 4", "got 3")),
        (lambda: NormalInt(1, 1, -1, 3), ("NormalInt low", "-1")),
    ],
)
def test_bad_parameters(make, parts):
    with refused(*parts):
        make()


def test_normal_int_redrawn_is_the_truncated_normal_distribution():
    """The share of every delay; no tail is added to the ends, as it is without redraw."""
    words = (np.arange(1 << 16, dtype=np.uint64) << 16).astype(np.uint32)
    kept, redrawn = (
        np.bincount(NormalInt(2.0, 1.5, 1, 4, redraw=r).from_words(words), minlength=5) / words.size
        for r in (False, True)
    )
    law = stats.norm(2.0, 1.5)
    inside = law.cdf(np.arange(1, 5) + 0.5) - law.cdf(np.arange(1, 5) - 0.5)
    np.testing.assert_allclose(redrawn[1:], inside / inside.sum(), atol=1e-4)
    assert kept[1] > redrawn[1] + 0.05


def test_normal_int_redrawn_needs_something_to_draw():
    with refused("NormalInt redraw", "low 100 and high 110", "mean 2"):
        NormalInt(2.0, 0.5, 100, 110, redraw=True)
    with refused("NormalInt redraw", "true or false", "got 1"):
        NormalInt(2.0, 0.5, 1, 4, redraw=1)
