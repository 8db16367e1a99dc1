"""Elementary functions: their accuracy in single precision, and the same bits in NumPy and in printed code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bodies.test_printed_bodies import assert_same_bits

from genn_delays.bodies import compute
from genn_delays.bodies.elementary import ELEMENTARY, exprel, exprel_slope

EXACT: dict[str, Any] = {
    "exp": np.exp, "exprel": exprel, "exprel_slope": exprel_slope, "log": np.log, "tanh": np.tanh, "cosh": np.cosh,
    "sinh": np.sinh, "sin": np.sin, "cos": np.cos,
}  # fmt: skip
ULPS = {"exprel": 2, "exprel_slope": 7, "tanh": 2, "cosh": 2, "sinh": 2}
"""Errors in units in the last place; 1 of all others."""
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 88.7, 88.8, 89.5, -87.0, -200.0, 1e-30, 0.5, 0.625, 0.75, 1]


def arguments() -> Any:
    random = np.random.default_rng(0)
    parts = [np.linspace(-86, 88, 20_001), np.linspace(-3, 3, 20_001), random.normal(size=5000) * 1e-3, [0.0]]
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_accuracy(name: str) -> None:
    x = np.abs(arguments()) if name == "log" else arguments()
    with np.errstate(all="ignore"):
        found, exact = compute(ELEMENTARY[name], {"x": x})["y"], EXACT[name](x.astype(np.float64))
        usual = np.isfinite(exact) & (np.abs(exact) > 1e-37) & (np.abs(exact) < 3e38) & np.isfinite(found)
        ulps = np.abs(found - exact)[usual] / np.spacing(np.abs(exact[usual]).astype(np.float32))
    assert usual.mean() > 0.95
    assert ulps.max() < ULPS.get(name, 1)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_printed_code_has_the_same_bits(name: str) -> None:
    x = np.concatenate([arguments(), np.array(SPECIAL, np.float32), np.geomspace(1e-37, 3e38, 999, dtype=np.float32)])
    with np.errstate(all="ignore"):
        assert_same_bits(ELEMENTARY[name], {"x": x.astype(np.float32)})


def test_ends_of_the_exponential() -> None:
    """It overflows to infinity, stays above 0, and NaN stays NaN."""
    x = np.array([88.7, 88.8, np.inf, -87.0, -np.inf, np.nan, 0.0], np.float32)
    with np.errstate(all="ignore"):
        y = compute(ELEMENTARY["exp"], {"x": x})["y"]
    assert np.isfinite(y[0]) and np.isposinf(y[1:3]).all() and (y[3:5] > 1.6e-38).all() and (y[3:5] < 1.7e-38).all()
    assert np.isnan(y[5]) and y[6] == 1


def test_log_at_and_below_zero() -> None:
    with np.errstate(all="ignore"):
        y = compute(ELEMENTARY["log"], {"x": np.array([0.0, -0.0, -1.0, np.inf], np.float32)})["y"]
    assert np.isneginf(y[:2]).all() and np.isnan(y[2]) and np.isposinf(y[3])


def test_double_precision_is_numpys() -> None:
    """Finite differences of backend `reference` need it."""
    x = np.linspace(0.1, 5, 99)
    for name, body in ELEMENTARY.items():
        np.testing.assert_array_equal(compute(body, {"x": x}, np.float64)["y"], EXACT[name](x))
