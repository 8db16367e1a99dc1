"""Sequence detection: two spikes in either order, told apart by delays and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from fingerprint import fingerprint

from genn_delays.datasets import Dataset, load_dataset
from genn_delays.datasets.sequence_detection import sequences


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("sequence_detection")


def peaks(data: Dataset, delays: list[list[float]]) -> np.ndarray:
    """``[examples, 2]``: the largest voltage of two leaky integrators (10 ms), weights 1, ``delays[input][output]``.

    Of two spikes that arrive ``gap`` apart the second ends the higher: ``1 + exp(-gap / 10)``.
    """
    highest = []
    for times, neurons in [*data.x_train, *data.x_test]:
        arrivals = times[:, None] + np.array(delays)[neurons]
        highest.append(1 + np.exp(-np.abs(arrivals[0] - arrivals[1]) / 10.0))
    return np.array(highest)


def test_sizes(data: Dataset) -> None:
    assert (data.kind, data.num_inputs, data.num_classes, data.example_timesteps) == ("spikes", 2, 2, 40)
    assert np.bincount(data.y_train).tolist() == [200, 200]
    assert np.bincount(data.y_test).tolist() == [50, 50]


def test_it_is_the_same_for_ever(data: Dataset) -> None:
    assert fingerprint(data) == "7452beb0e5bc4de0"
    assert data.x_train[0].times.tolist() == [0.5663909396389499, 10.944639775087126]


def test_both_inputs_spike_once_in_the_order_of_the_class(data: Dataset) -> None:
    labels = [*data.y_train, *data.y_test]
    for events, label in zip([*data.x_train, *data.x_test], labels, strict=True):
        assert events.times.dtype == np.float64
        assert events.neurons.tolist() == [label, 1 - label]
        assert 0 <= events.times[0] < 5
        assert 8 < events.times[1] - events.times[0] < 12
    assert len({tuple(events.times) for events in [*data.x_train, *data.x_test]}) == 500


def test_delays_of_the_interval_tell(data: Dataset) -> None:
    """Output 0 delays input 0 by 10 ms, output 1 input 1: every example is classified, as the paper's network ends."""
    found = peaks(data, [[10.0, 0.0], [0.0, 10.0]]).argmax(axis=1)
    assert np.array_equal(found, [*data.y_train, *data.y_test])


def test_the_published_examples() -> None:
    first, second = sequences(np.array([0, 1]), np.zeros(2), np.full(2, 10.0))
    assert (first.times.tolist(), first.neurons.tolist()) == ([0, 10], [0, 1])
    assert (second.times.tolist(), second.neurons.tolist()) == ([0, 10], [1, 0])
