"""Encoders: what they promise of the spikes, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from genn_delays.datasets import Dataset, encoded, integrate_and_fire, load_dataset
from genn_delays.errors import InvalidValueError

X = arrays.arrays(np.float32, (2, 20, 3), elements=st.floats(-1, 3, width=32))


@given(X, st.floats(0.5, 4), st.integers(1, 3))
def test_as_many_spikes_as_the_drive_says(x: np.ndarray, full_scale: float, exponent: int) -> None:
    """Up to every step: the sum of the drive, rounded; sorted, one spike a step at most."""
    drive = (np.clip(x.astype(np.float64), 0, full_scale) / full_scale) ** exponent
    for events, example in zip(integrate_and_fire(x, full_scale, exponent), drive, strict=True):
        assert events.times.dtype == events.neurons.dtype == np.int64
        assert (np.diff(events.times * 3 + events.neurons) > 0).all()
        raster = np.zeros((20, 3))
        raster[events.times, events.neurons] = 1
        assert np.abs(raster.cumsum(axis=0) - example.cumsum(axis=0)).max() <= 0.5 + 1e-9


def test_spikes() -> None:
    """Half of full scale: every other step; full scale and above: every step; 0 and below: never."""
    x = np.tile(np.array([0.8, 1.6, 5.0, 0.0, -1.0], dtype=np.float32), (1, 6, 1))
    times = {n: [] for n in range(5)}
    for time, neuron in zip(*integrate_and_fire(x, 1.6)[0], strict=True):
        times[neuron].append(time)
    assert times == {0: [0, 2, 4], 1: list(range(6)), 2: list(range(6)), 3: [], 4: []}


def test_exponent() -> None:
    (events,) = integrate_and_fire(np.full((1, 16, 1), 0.5), 1.0, exponent=3)
    assert events.times.tolist() == [3, 11]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 3)), 1.0), r"x must be real numbers of shape \(examples, time, neuron\), got float64"),
        ((np.zeros((1, 2, 3), dtype=int), 1.0), "x must be real numbers .*, got int64"),
        ((np.full((1, 2, 3), np.nan), 1.0), "x must be finite"),
        ((np.full((1, 2, 3), np.inf), 1.0), "x must be finite"),
        ((np.zeros((1, 2, 3)), 0.0), r"full_scale must lie in \(0, inf\), got 0.0"),
        ((np.zeros((1, 2, 3)), 1.0, 0), "exponent must be from 1 to 8, got 0"),
        ((np.zeros((1, 2, 3)), 1.0, 1.5), "exponent must be a whole number from 1 to 8, got 1.5"),
    ],
)
def test_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        integrate_and_fire(*arguments)  # type: ignore[arg-type]


def test_encoded() -> None:
    x, y = np.linspace(0, 1, 2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4), np.array([0, 1])
    dense = Dataset("small", "nobody", "none", 4, 2, 3, x, y, x[:1], y[:1])
    spikes = encoded(dense, "small_spikes", lambda x: integrate_and_fire(x, 1.0))
    assert (spikes.name, spikes.kind, spikes.num_inputs, spikes.example_timesteps) == ("small_spikes", "spikes", 4, 3)
    assert (len(spikes.x_train), len(spikes.x_test)) == (2, 1)
    assert np.array_equal(spikes.x_train[0].times, integrate_and_fire(x, 1.0)[0].times)
    assert spikes.y_train is dense.y_train


def test_spikes_are_not_encoded_again() -> None:
    with pytest.raises(InvalidValueError, match="data set sequence_detection must have dense inputs to be encoded"):
        encoded(load_dataset("sequence_detection"), "again", lambda x: integrate_and_fire(x, 1.0))
