"""The grid on which simulations add up what arrives: as fine as it can be, and no sum overflows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genn_delays.plan.grid import FINEST, MOST, finest_exponent, on_grid
from genn_delays.plan.grid import grid_exponent as exponent_of


def grid_exponent(size: int, synapses: list[Any], events: Any = ()) -> int:
    """That of a population's synapses ``(post, weight)`` and drives ``(weight, most events)``."""
    sizes = [float(np.abs(w).max(initial=0.0)) for _, w in synapses] + [float(w.max()) for w, _ in events]
    finest = finest_exponent(max(sizes, default=0.0))
    total, number = np.zeros(size), np.zeros(size, np.int64)
    for post, weight in synapses:
        total += np.bincount(post, np.ceil(np.ldexp(np.abs(weight.astype(np.float64)), finest)), size)
        number += np.bincount(post, minlength=size)
    return exponent_of(finest, total, number, events)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("sign", [0, 1])
def test_the_largest_sum_just_fits(scale: float, sign: int) -> None:
    """All synapses at once, and drives at their most, stay in 32 bits; on a grid four times as fine they would not."""
    draw = np.random.default_rng(3)
    post = draw.integers(0, 20, 3000).astype(np.int32)
    weight = (draw.normal(0, scale, 3000) if sign else np.full(3000, scale)).astype(np.float32)
    drive = draw.uniform(0, 5 * scale, 20)
    e = grid_exponent(20, [(post, weight)], [(drive, 12)])
    sums = np.bincount(post, np.abs(on_grid(weight, e)), 20) + 12 * np.abs(on_grid(drive, e).astype(np.float64))
    assert sums.max() <= MOST
    assert 4 * sums.max() > MOST
    assert np.abs(on_grid(weight, e) * 2.0**-e - weight.astype(np.float64)).max() <= 2.0 ** -(e + 1)


def test_the_order_of_synapses_and_of_connections_does_not_matter() -> None:
    draw = np.random.default_rng(4)
    post, weight = draw.integers(0, 9, 500).astype(np.int32), draw.normal(0, 1, 500).astype(np.float32)
    order = draw.permutation(500)
    one = grid_exponent(9, [(post, weight)])
    assert one == grid_exponent(9, [(post[order][:100], weight[order][:100]), (post[order][100:], weight[order][100:])])


def test_weights_on_a_binary_grid_are_exact() -> None:
    weight = (np.arange(-4096, 4096) / 256).astype(np.float32)
    e = grid_exponent(1, [(np.zeros(8192, np.int32), weight)])
    assert np.array_equal(on_grid(weight, e) * 2.0**-e, weight)


def test_nothing_and_next_to_nothing() -> None:
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    assert grid_exponent(4, []) == grid_exponent(4, [none]) == 0
    assert grid_exponent(1, [(np.zeros(1, np.int32), np.full(1, 1e-45, np.float32))]) == FINEST
