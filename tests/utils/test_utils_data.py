"""Spikes under mlGeNN's names: what each function gives, against its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refused import refused

from genn_delays.datasets.yin_yang import which_region
from genn_delays.utils import data


def test_linear_latency() -> None:
    images = np.array([[[255, 0], [51, 1]]], dtype=np.uint8)
    ((times, neurons),) = data.linear_latency_encode_data(images, 18.0, 2.0)
    assert neurons.tolist() == [0, 2] and times.tolist() == [2.0, 2.0 + 0.8 * 16.0]
    assert data.linear_latency_encode_data(images, 18.0, 2.0, thresh=0)[0].neurons.tolist() == [0, 2, 3]


def test_log_latency() -> None:
    ((times, neurons),) = data.log_latency_encode_data(np.array([[102, 51, 255]], dtype=np.uint8), 20.0, 51)
    assert neurons.tolist() == [0, 2]
    assert np.allclose(times, 20.0 * np.log([2.0, 1.25]))


def test_spikes_are_sorted_by_neuron_and_time() -> None:
    times, neurons = data.preprocess_spikes(np.array([3.0, 1.0, 2.0]), np.array([1, 1, 0]), 2)
    assert times.tolist() == [2.0, 1.0, 3.0] and neurons.tolist() == [0, 1, 1]
    examples = [data.preprocess_spikes([], [], 4), data.preprocess_spikes([1.5, 4.0], [0, 0], 4)]
    assert (data.calc_max_spikes(examples), data.calc_latest_spike_time(examples)) == (2, 4.0)


EVENTS = np.array(
    [(1000, 1, 0, 1), (2500, 0, 1, 0), (2600, 0, 1, 0)],
    dtype=[("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "i1")],
)


def test_events_of_tonic() -> None:
    times, neurons = data.preprocess_tonic_spikes(EVENTS, ("t", "x", "y", "p"), (3, 2, 2))
    assert neurons.tolist() == [3, 6, 6] and times.tolist() == [1.0, 2.5, 2.6]
    one = data.preprocess_tonic_spikes(EVENTS, ("t", "x", "p"), (3, 1, 1))
    assert one.neurons.tolist() == [0, 0, 1]
    busy = data.preprocess_tonic_spikes(EVENTS, ("t", "x", "y", "p"), (3, 2, 2), dt=1.0, histogram_thresh=2)
    assert (busy.neurons.tolist(), busy.times.tolist()) == ([6], [2.0])


def test_yin_yang_at_other_times() -> None:
    spikes, labels = data.generate_yin_yang_dataset(30, 20.0, 2.0)
    assert [s.neurons.tolist() for s in spikes[:2]] == [[0, 1, 2, 3, 4]] * 2 and spikes[0].times[0] == 2.0
    points = (np.array([s.times[1:3] for s in spikes]) - 2.0) / 20.0
    assert np.array_equal(which_region(*points.T), labels)
    assert len(data.generate_yin_yang_dataset(3, 20.0, bias=False)[0][0].times) == 4


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: data.preprocess_spikes([1.0], [3], 3), ("[0, 3)", "got 3")),
        (lambda: data.preprocess_spikes([1.0], [0, 1], 3), ("one length", "(1,)", "(2,)")),
        (lambda: data.preprocess_spikes([1.0], [0.5], 3), ("whole numbers", "float64")),
        (lambda: data.preprocess_tonic_spikes(EVENTS, ("t", "x"), (3, 2, 2)), ("ordering", "without p")),
        (lambda: data.preprocess_tonic_spikes(EVENTS, ("t", "x", "p"), (3, 2, 2), dt=1.0), ("given together",)),
        (lambda: data.linear_latency_encode_data(np.zeros(3), 5.0), ("[example, ...]", "(3,)")),
        (lambda: data.linear_latency_encode_data(np.zeros((1, 3)), 1.0, 2.0), ("max_time", "1")),
        (lambda: data.log_latency_encode_data(np.zeros((1, 3)), 0.0, 5), ("tau_eff", "0")),
    ],
)  # fmt: skip
def test_bad_input(make: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        make()
