"""Yin-Yang: the figure, the points, the latency code."""

from __future__ import annotations

import numpy as np
import pytest
from fingerprint import fingerprint
from hypothesis import given
from hypothesis import strategies as st

from genn_delays.datasets import Dataset, Events, load_dataset
from genn_delays.datasets.yin_yang import latency_code, sample_points, which_region


@pytest.fixture(scope="module")
def yin_yang() -> Dataset:
    return load_dataset("yin_yang")


def examples(data: Dataset) -> list[tuple[Events, int]]:
    return list(zip([*data.x_train, *data.x_test], [*data.y_train, *data.y_test], strict=True))


def test_sizes(yin_yang: Dataset) -> None:
    assert (yin_yang.kind, yin_yang.num_inputs, yin_yang.num_classes, yin_yang.example_timesteps) == (
        "spikes",
        5,
        3,
        40,
    )
    assert np.bincount(yin_yang.y_train).tolist() == [1667, 1667, 1666]
    assert np.bincount(yin_yang.y_test).tolist() == [333, 333, 334]


def test_it_is_the_same_for_ever(yin_yang: Dataset) -> None:
    assert fingerprint(yin_yang) == "6191b2cc11b42334"
    times, neurons = yin_yang.x_train[0]
    assert neurons.tolist() == [1, 4, 0, 2, 3]
    assert times.tolist() == [6.599788780382369, 9.0, 9.600039296259638, 11.899960703740362, 14.900211219617631]


def test_every_input_spikes_once_at_its_value(yin_yang: Dataset) -> None:
    """The point can be read from the spikes, its mirror image is there too, and it lies in its region."""
    for events, label in examples(yin_yang):
        assert events.times.dtype == np.float64
        assert events.neurons.dtype == np.int64
        assert (np.diff(events.times) >= 0).all()
        assert sorted(events.neurons) == [0, 1, 2, 3, 4]
        time = dict(zip(events.neurons.tolist(), events.times.tolist(), strict=True))
        assert time[4] == 9.0
        x, y = (time[0] - 1.5) / 18.5, (time[1] - 1.5) / 18.5
        assert abs(time[0] + time[2] - 21.5) < 1e-9
        assert abs(time[1] + time[3] - 21.5) < 1e-9
        assert which_region(np.array(x), np.array(y)) == label


def test_points_fill_their_regions(yin_yang: Dataset) -> None:
    """Uniform: as many points of a class left of the middle as its area there says (within 4 standard errors)."""
    grid = (np.arange(1000) + 0.5) / 1000
    region = which_region(*np.meshgrid(grid, grid))
    for label in range(3):
        points = [events for events, y in examples(yin_yang) if y == label]
        left = np.mean([events.times[events.neurons == 0][0] < 10.75 for events in points])
        expected = (region[:, :500] == label).sum() / (region == label).sum()
        assert abs(left - expected) < 4 * 0.5 / np.sqrt(len(points))


def test_no_point_twice(yin_yang: Dataset) -> None:
    assert len({tuple(events.times) for events, _ in examples(yin_yang)}) == 6000


@pytest.mark.parametrize(
    ("x", "y", "region"),
    [
        (0.25, 0.5, 2),
        (0.75, 0.5, 2),
        (0.25, 0.61, 1),
        (0.25, 0.39, 1),
        (0.75, 0.61, 0),
        (0.75, 0.39, 0),
        (0.5, 0.9, 1),
        (0.5, 0.1, 0),
        (0.05, 0.05, -1),
        (0.99, 0.9, -1),
        (0.5, 1.0, 1),
    ],
)
def test_regions(x: float, y: float, region: int) -> None:
    assert which_region(np.array(x), np.array(y)) == region


@given(st.floats(0, 1), st.floats(0, 1))
def test_half_a_turn_swaps_the_halves(x: float, y: float) -> None:
    """The figure is point-symmetric but for its colours; only points on a border may differ."""
    here, there = (int(which_region(np.array(a), np.array(b))) for a, b in ((x, y), (1 - x, 1 - y)))
    border = [0.25, 0.1]
    from_left, from_right = np.hypot(x - 0.25, y - 0.5), np.hypot(x - 0.75, y - 0.5)
    near = [abs(d - r) for d in (from_left, from_right) for r in border] + [abs(np.hypot(x - 0.5, y - 0.5) - 0.5)]
    if min([*near, abs(y - 0.5)]) > 1e-9:
        assert there == {-1: -1, 0: 1, 1: 0, 2: 2}[here]


def test_more_examples_leave_the_first() -> None:
    labels = np.arange(60, dtype=np.int64) % 3
    assert np.array_equal(sample_points(labels)[:20], sample_points(labels[:20]))


def test_latency_code() -> None:
    (events,) = latency_code(np.array([[0.0, 1.0]]))
    assert events.times.tolist() == [1.5, 1.5, 9.0, 20.0, 20.0]
    assert events.neurons.tolist() == [0, 3, 4, 1, 2]
