"""What surrounds an optimiser's step, against formulas in plain NumPy and double precision."""

from __future__ import annotations

import numpy as np
from scipy import stats

from genn_delays.bodies import compute
from genn_delays.learning.updates import BEFORE, DELAY, DRIFT, KEEP_SIGN, NOISE

RANDOM = np.random.default_rng(0)
W, G, NEW = (RANDOM.normal(size=500).astype(np.float32) for _ in range(3))
W[:40:2], W[1:40:2] = 0.0, -0.0
SIGN = np.where(np.signbit(W), -1.0, 1.0)


def test_the_gradient_is_scaled_and_gets_penalties() -> None:
    found = compute(BEFORE, {"w": W, "g": G, "scale": 0.3, "l1": 0.2, "weight_decay": 0.1})
    expected = 0.3 * G.astype(float) + 0.2 * SIGN + 0.1 * W.astype(float)
    np.testing.assert_allclose(found["g"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["sign"], SIGN)
    plain = compute(BEFORE, {"w": W, "g": G, "scale": 1.0, "l1": 0.0, "weight_decay": 0.0})["g"]
    np.testing.assert_array_equal(plain, G)


def test_l1_apart_from_the_optimiser_is_a_drift_towards_zero() -> None:
    for alpha, drift in ((0.1, 0.5), (1e-3, 2.0), (0.1, 0.0)):
        found = compute(DRIFT, {"new": NEW, "sign": SIGN, "alpha": alpha, "drift": drift})["new"]
        np.testing.assert_allclose(found, NEW.astype(float) - alpha * drift * SIGN, rtol=1e-5, atol=1e-7)


def test_noise_is_normal_along_the_sign() -> None:
    word = RANDOM.integers(0, 2**32, 500, dtype=np.uint32)
    found = compute(NOISE, {"new": NEW, "sign": SIGN, "noise": 0.02, "word": word})["new"]
    expected = NEW + SIGN * 0.02 * stats.norm.ppf((word + 0.5) / 2.0**32)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_signs_never_flip_and_what_is_no_number_stays() -> None:
    new = NEW.copy()
    new[100:106] = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan]
    with np.errstate(invalid="ignore"):
        found = compute(KEEP_SIGN, {"new": new, "sign": SIGN, "w": W})["new"]
    for k in range(500):
        theta = SIGN[k] * float(new[k])
        if np.isfinite(theta) and theta <= 0:
            assert found[k] == 0 and np.signbit(found[k]) == (SIGN[k] < 0)
        else:
            np.testing.assert_array_equal(found[k], new[k])


def test_delays_stay_in_range_and_act_rounded() -> None:
    new = np.array([-3.0, 0.4, 0.5, 1.5, 2.5, 7.49, 7.51, 8.0, 9.0, np.inf, -np.inf], np.float32)
    found = compute(DELAY, {"new": new, "min_delay": 1, "max_delay": 8})
    assert found["position"].tolist() == [1, 1, 1, 1.5, 2.5, np.float32(7.49), np.float32(7.51), 8, 8, 8, 1]
    assert found["steps"].tolist() == [1, 1, 1, 2, 2, 7, 8, 8, 8, 8, 1], "halves go to the even number"
