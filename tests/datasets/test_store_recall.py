"""Store and recall: the layout of an example, and that the classes differ in nothing but the order."""

from __future__ import annotations

import numpy as np
import pytest
from fingerprint import fingerprint

from genn_delays.datasets import Dataset, load_dataset


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("store_recall")


@pytest.fixture(scope="module")
def counts(data: Dataset) -> np.ndarray:
    """Spikes ``[examples, 25 slots, 4 groups]`` of all examples."""
    found = np.zeros((1250, 25, 4), dtype=int)
    for count, (times, neurons) in zip(found, [*data.x_train, *data.x_test], strict=True):
        np.add.at(count, (times // 20, neurons // 10), 1)
    return found


@pytest.fixture(scope="module")
def labels(data: Dataset) -> np.ndarray:
    return np.concatenate([data.y_train, data.y_test])


def test_sizes(data: Dataset) -> None:
    assert (data.kind, data.num_inputs, data.num_classes, data.example_timesteps) == ("spikes", 40, 2, 500)
    assert np.bincount(data.y_train).tolist() == [500, 500]
    assert np.bincount(data.y_test).tolist() == [125, 125]


def test_it_is_the_same_for_ever(data: Dataset) -> None:
    assert fingerprint(data) == "4a8055b4fce305d5"
    times, neurons = data.x_train[0]
    assert list(zip(times[:5].tolist(), neurons[:5].tolist(), strict=True)) == [(2, 1), (2, 9), (3, 7), (4, 0), (4, 5)]


def test_events(data: Dataset) -> None:
    """Sorted by time, then by neuron; at most one spike of a neuron in a ms."""
    for times, neurons in [*data.x_train, *data.x_test]:
        assert times.dtype == neurons.dtype == np.int64
        assert (np.diff(times * 40 + neurons) > 0).all()


def test_layout(counts: np.ndarray, labels: np.ndarray) -> None:
    """Slot by slot: which groups spike (an active one is silent with a chance of 1e-9)."""
    active = counts > 0
    rows = np.arange(1250)
    assert active[:, [5, 19], 2].all(), "STORE twice"
    assert active[rows, 5, labels].all(), "with the symbol of the class first"
    assert active[rows, 19, 1 - labels].all(), "and the other one last"
    assert active[:, 12, 3].all()
    assert not active[:, 12, :3].any(), "RECALL alone"
    assert not np.delete(active, [5, 19], axis=1)[:, :, 2].any()
    assert not np.delete(active, 12, axis=1)[:, :, 3].any()
    assert (active[:, :, :2].sum(axis=2) == (np.arange(25) != 12)).all(), "one symbol a slot"


def test_rate(counts: np.ndarray) -> None:
    """An active group: 200 chances of 0.1 each; the mean is within 5 standard errors of 20, the variance near 18."""
    active = counts[counts > 0]
    assert abs(active.mean() - 20) < 5 * np.sqrt(18 / active.size)
    assert abs(active.var() - 18) < 0.5


def test_distractors_do_not_tell(counts: np.ndarray, labels: np.ndarray) -> None:
    """In every slot without a command both symbols are about as frequent in both classes (5 standard errors)."""
    symbol = counts[:, :, 1] > 0
    free = np.setdiff1d(np.arange(25), [5, 12, 19])
    for label in (0, 1):
        share = symbol[labels == label][:, free].mean(axis=0)
        assert (np.abs(share - 0.5) < 5 * 0.5 / np.sqrt(625)).all()


def test_inputs_of_a_group_spike_by_themselves(data: Dataset) -> None:
    """Correlation of any two inputs while RECALL is active: none (5 standard errors)."""
    raster = np.zeros((1250, 20, 10))
    for row, (times, neurons) in zip(raster, [*data.x_train, *data.x_test], strict=True):
        here = neurons >= 30
        row[times[here] - 240, neurons[here] - 30] = 1
    between = np.corrcoef(raster.reshape(-1, 10).T) - np.eye(10)
    assert np.abs(between).max() < 5 / np.sqrt(25_000)
