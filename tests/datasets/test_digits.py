"""The bundled digits: sizes, split, and the latency code."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits as load_images

from genn_delays.datasets import DIGITS_TIMESTEPS, Dataset, load_dataset
from genn_delays.datasets.digits import latency_code


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def test_sizes(digits: Dataset) -> None:
    assert (digits.kind, digits.num_inputs, digits.num_classes) == ("spikes", 64, 10)
    assert digits.example_timesteps == DIGITS_TIMESTEPS == 30
    assert (len(digits.x_train), len(digits.x_test)) == (1438, 359)
    for label, images in zip(*np.unique(load_images().target, return_counts=True), strict=True):
        held_out = int((digits.y_test == label).sum())
        assert held_out == round(0.2 * images)
        assert held_out + int((digits.y_train == label).sum()) == images


def test_split_is_fixed(digits: Dataset) -> None:
    again = load_dataset("digits")
    assert np.array_equal(digits.y_test, again.y_test)
    assert digits.y_test[:10].tolist() == [9, 1, 5, 0, 4, 6, 7, 9, 0, 9]


def test_every_image_is_on_one_side(digits: Dataset) -> None:
    coded = {tuple(map(tuple, events)) for events in latency_code(load_images().data)}
    here = [tuple(map(tuple, events)) for events in [*digits.x_train, *digits.x_test]]
    assert len(here) == 1797
    assert set(here) == coded


def test_brighter_spikes_earlier() -> None:
    image = np.array([[0, 16, 1, 8, 16]])
    (events,) = latency_code(image)
    assert events.neurons.tolist() == [1, 4, 3, 2]
    assert events.times.tolist() == [0, 0, 8, 15]


def test_spikes_are_the_image(digits: Dataset) -> None:
    """Nothing is lost: the image can be drawn from its spikes."""
    images = load_images().data
    for image, events in zip(images[:50], latency_code(images[:50]), strict=True):
        drawn = np.zeros(64)
        drawn[events.neurons] = 16 - events.times
        assert np.array_equal(drawn, image)
        assert len(set(events.neurons)) == len(events.neurons)
        assert (np.diff(events.times) >= 0).all()
        assert events.times.dtype == events.neurons.dtype == np.int64


def test_the_bundled_file_is_what_scikit_learn_loads():
    from sklearn.datasets import load_digits as theirs

    from genn_delays.datasets.digits import _bundled

    for mine, expected in zip(_bundled(), theirs(return_X_y=True), strict=True):
        np.testing.assert_array_equal(mine, expected)
