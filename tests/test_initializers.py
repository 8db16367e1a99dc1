"""Initialisers as quantile functions, and the sign threshold that is read from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import refused
from scipy import stats

from genn_delays import Constant, KaimingUniform, Normal, NormalClipped, Uniform
from genn_delays.initializers import INITIALIZERS, as_initializer, negative_threshold, real_array
from genn_delays.random import Purpose, philox, uniform

ENDS = np.array([0.5, 2**31 - 0.5, 2**31 + 0.5, 2**32 - 0.5]) * 2.0**-32
FAN_IN = 24
NUMBER = st.floats(-100, 100)


def test_quantiles():
    u = np.array([0.125, 0.5, 0.75])
    assert Constant(-2.5).quantile(u, FAN_IN).tolist() == [-2.5, -2.5, -2.5]
    assert Uniform(-1, 3).quantile(u, FAN_IN).tolist() == [-0.5, 1.0, 2.0]
    np.testing.assert_allclose(Normal(1, 2).quantile(u, FAN_IN), stats.norm(1, 2).ppf(u), rtol=1e-12)
    # sqrt(6 / 24) is 1/2
    np.testing.assert_allclose(KaimingUniform().quantile(u, FAN_IN), [-0.375, 0, 0.25], rtol=1e-12)
    np.testing.assert_allclose(KaimingUniform(gain=3).quantile(u, FAN_IN), [-1.125, 0, 0.75], rtol=1e-12)


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"constant"}))
def test_registered_ones_rise_and_keep_the_shape(name):
    """The sign threshold stands on this: a value is a function of its number alone, and rises with it."""
    initializer = as_initializer("weight", name)
    u = uniform(np.sort(np.random.default_rng(2).integers(0, 2**32, (50, 40)), axis=None).astype(np.uint32))
    values = initializer.quantile(u.reshape(50, 40), FAN_IN)
    assert values.shape == (50, 40)
    assert np.isfinite(initializer.quantile(ENDS, FAN_IN)).all()
    assert (np.diff(values.ravel()) >= 0).all()
    assert values.min() < values.max()


def test_distributions():
    u = uniform(philox(5, Purpose.HOME, 0, np.arange(5000)).ravel())
    bound = np.sqrt(6 / FAN_IN)
    assert stats.kstest(KaimingUniform().quantile(u, FAN_IN), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert stats.kstest(Normal(3, 0.5).quantile(u, FAN_IN), stats.norm(3, 0.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("initializer", "threshold"),
    [
        (Constant(-1e-9), 2**32),
        (Constant(0.0), 0),
        (Constant(1.0), 0),
        (KaimingUniform(), 2**31),
        (Normal(0, 1), 2**31),
        (Uniform(0, 1), 0),
        (Uniform(-1, 0), 2**32),
        (Uniform(-1, 3), 2**30),
        (Uniform(-3, 1), 3 * 2**30),
        (Normal(0.3, 0), 0),
    ],
    ids=repr,
)
def test_negative_threshold(initializer, threshold):
    assert negative_threshold(initializer, FAN_IN) == threshold


@settings(deadline=None)
@given(
    st.one_of(
        st.builds(lambda a, b: Uniform(min(a, b), max(a, b)), NUMBER, NUMBER),
        st.builds(Normal, NUMBER, st.floats(0, 100)),
        st.builds(KaimingUniform, st.floats(0.01, 100)),
    ),
    st.integers(1, 10_000),
)
def test_threshold_is_exact_at_the_border(initializer, fan_in):
    """The last negative word and the first that is not lie side by side."""
    threshold = negative_threshold(initializer, fan_in)
    around = np.unique(np.clip(threshold + np.arange(-3, 3), 0, 2**32 - 1)).astype(np.uint32)
    values = initializer.quantile(uniform(around), fan_in)
    assert ((values < 0) == (around < threshold)).all()


def test_as_initializer():
    kept = Normal(1, 2)
    assert as_initializer("weight", kept) is kept
    assert as_initializer("weight", "kaiming_uniform") == KaimingUniform()
    for number in (2, 2.0, np.float32(2), np.int64(2)):
        assert as_initializer("weight", number) == Constant(2.0)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("kaiming_unifrom", ("initializer for weight", "'kaiming_unifrom'", "normal", "mean 'kaiming_uniform'?")),
        ("constant", ("weight", "'constant'", "write the number itself")),
        (None, ("weight", "must be a number", "None")),
        (True, ("weight", "must be a number", "True")),
        (float("nan"), ("weight", "nan", "(-inf, inf)")),
        (float("inf"), ("weight", "inf")),
        (1j, ("weight", "1j")),
        ([1.0], ("weight", "[1.0]")),
    ],
    ids=repr,
)
def test_bad_values(value, parts):
    with refused(*parts):
        as_initializer("weight", value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Constant(float("nan")), ("Constant value", "nan")),
        (lambda: Uniform(1, 0), ("Uniform high", "[1, inf)", "got 0")),
        (lambda: Uniform(low="a"), ("Uniform low", "'a'")),
        (lambda: Normal(0, -1), ("Normal sd", "[0, inf)", "-1")),
        (lambda: Normal(float("inf")), ("Normal mean", "inf")),
        (lambda: KaimingUniform(0), ("KaimingUniform gain", "(0, inf)", "got 0")),
    ],
)
def test_bad_parameters(make, parts):
    with refused(*parts):
        make()


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([1.0, 2.0], ("v", "(3,)", "(2,)")),
        ([[1.0, 2.0, 3.0]], ("v", "(3,)", "(1, 3)")),
        ([[1], [1, 2], 3], ("v", "different lengths")),
        (["a", "b", "c"], ("v", "real numbers", "<U1")),
        ([True, False, True], ("v", "real numbers", "bool")),
        ([1j, 0, 0], ("v", "real numbers", "complex128")),
        ([1, None, 2], ("v", "real numbers", "object")),
        ([1, float("nan"), 2], ("v", "finite", "nan")),
        ([1, 2, -1e39], ("v", "finite in single precision", "-1e+39")),
    ],
)
def test_bad_arrays(values, parts):
    with refused(*parts):
        real_array("v", values, (3,))


def test_arrays_are_copied():
    given = np.array([1.0, -2.0])
    taken = real_array("v", given, (2,))
    given[0] = 9
    assert taken.tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("low", "high"), [(0.0, None), (None, 1.5), (0.5, 1.0), (3.5, None), (-9.0, -2.5)])
def test_normal_clipped_is_the_truncated_normal_distribution(low, high):
    mean, sd = 1.0, 0.5
    u = (np.arange(4000) + 0.5) / 4000
    found = NormalClipped(mean, sd, low, high).quantile(u, 1)
    a, b = (-np.inf if low is None else (low - mean) / sd), (np.inf if high is None else (high - mean) / sd)
    np.testing.assert_allclose(found, stats.truncnorm.ppf(u, a, b, mean, sd), rtol=1e-7, atol=1e-8)
    assert (np.diff(found) >= 0).all()
    assert found.min() >= a * sd + mean and found.max() <= b * sd + mean


def test_normal_clipped_without_borders_or_deviation():
    u = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(NormalClipped(2.0, 3.0).quantile(u, 1), Normal(2.0, 3.0).quantile(u, 1), rtol=1e-8)
    assert NormalClipped(2.0, 0.0, 1.0, 2.0).quantile(u, 1).tolist() == [2.0] * 3


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"low": 2.0, "high": 1.0}, ("NormalClipped high", "2", "1.0")),
        ({"low": 100.0}, ("NormalClipped low and high", "[100.0, None]", "mean 0")),
        ({"low": 1.0, "high": 1.0}, ("NormalClipped low and high", "[1.0, 1.0]")),
        ({"sd": 0.0, "low": 1.0}, ("NormalClipped low and high", "sd 0")),
        ({"sd": -1.0}, ("NormalClipped sd", "-1.0")),
        ({"low": "0"}, ("NormalClipped low", "'0'")),
    ],
)
def test_normal_clipped_refuses(arguments, parts):
    with refused(*parts):
        NormalClipped(**arguments)
