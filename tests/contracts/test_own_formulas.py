"""The formulas of the user's classes once more, in plain NumPy and double precision."""

from __future__ import annotations

import numpy as np
from own_classes import Cauchy, FadingSum, Geometric, Laplace, ThirdMoment, TiltedError, WeakAndOld
from scipy import stats

RANDOM = np.random.default_rng(0)


def test_optimiser_of_three_moments() -> None:
    gradients = RANDOM.normal(size=(15, 40)).astype(np.float32)
    start, moments = RANDOM.normal(size=40).astype(np.float32), [np.zeros(40, np.float32) for _ in range(3)]
    w, age = start, np.ones(40, np.uint16)
    m = v = third = np.zeros(40)
    expected = start.astype(float)
    for g in gradients:
        w = ThirdMoment(0.1).step(w, g, moments, age)
        m, v, third = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2.0, 0.99 * third + 0.01 * np.abs(g) ** 3.0
        expected = expected - 0.1 * m / (np.sqrt(v) + 0.5 * third + 0.01)
    np.testing.assert_allclose(w, expected, rtol=1e-4, atol=1e-5)


def test_loss_of_two_numbers() -> None:
    z, target = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(6, 4))

    def formula(values: np.ndarray) -> np.ndarray:
        error = values - target.T
        return (2.0 * np.where(error > 0, 5.0, 1.0) * error**2).mean(axis=0)

    losses, dz = TiltedError(2.0, 5.0).evaluate(z, target)
    np.testing.assert_allclose(losses, formula(z))
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = 1e-6
        slope = (formula(z + step).mean() - formula(z - step).mean()) / 2e-6
        np.testing.assert_allclose(dz[index], slope, rtol=1e-5, atol=1e-7)


def test_readout() -> None:
    v, dz = RANDOM.normal(size=(3, 9, 2)), RANDOM.normal(size=(3, 2))
    weight = np.exp(-0.2 * 0.5 * np.arange(9))
    np.testing.assert_allclose(FadingSum(0.2).forward(v, 0.5), np.einsum("itl,t->il", v, weight))
    np.testing.assert_allclose(FadingSum(0.2).backward(v, dz, 0.5), dz[:, None] * weight[:, None])


def test_criterion_of_a_rule() -> None:
    w, age = RANDOM.normal(size=60).astype(np.float32), RANDOM.integers(0, 9, 60)
    worth = np.abs(w.astype(float)) * (1 + 2.0 / np.maximum(age, 1))
    gone = WeakAndOld().dropped(w, 12, age)
    assert set(np.flatnonzero(gone)) == set(np.argsort(worth)[:12])


def test_kernel() -> None:
    x, h = np.linspace(-5, 5, 41), 1e-6
    e, slope = Cauchy().shape(x, np.float64(1.7))
    np.testing.assert_allclose(e, 1 / (1 + (x / 1.7) ** 2))
    expected = (1 / (1 + ((x - h) / 1.7) ** 2) - 1 / (1 + ((x + h) / 1.7) ** 2)) / (2 * h)
    np.testing.assert_allclose(slope, expected, atol=1e-8)


def test_distributions() -> None:
    u = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(Laplace(0.3).quantile(u, 1), stats.laplace.ppf(u, scale=0.3))
    words = RANDOM.integers(0, 2**32, 60_000, dtype=np.uint32)
    share = np.bincount(Geometric(1, 6, 0.5).from_words(words), minlength=7)[1:] / words.size
    np.testing.assert_allclose(share, 0.5 ** np.arange(6) / (0.5 ** np.arange(6)).sum(), atol=0.01)
