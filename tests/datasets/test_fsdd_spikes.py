"""Spoken digits as spikes: the frames of the Free Spoken Digit Dataset, encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genn_delays.datasets import Dataset, load_dataset


def test_they_are_the_frames_of_fsdd(real: Dataset, real_place: Path) -> None:
    """Every band has spiked, up to every frame, as often as its drive says; labels and order are those of `fsdd`."""
    spikes = load_dataset("fsdd_spikes", real_place)
    assert (spikes.name, spikes.kind, spikes.num_inputs, spikes.num_classes) == ("fsdd_spikes", "spikes", 40, 10)
    assert spikes.example_timesteps == real.example_timesteps == 80
    assert np.array_equal(spikes.y_train, real.y_train)
    assert np.array_equal(spikes.y_test, real.y_test)
    for part, frames in ((spikes.x_train, real.x_train), (spikes.x_test, real.x_test)):
        assert len(part) == len(frames)
        for events, example in zip(part, frames, strict=True):
            raster = np.zeros((80, 40))
            raster[events.times, events.neurons] = 1
            drive = (np.asarray(example, dtype=np.float64) / 1.6) ** 2
            assert np.abs(raster.cumsum(axis=0) - drive.cumsum(axis=0)).max() <= 0.5 + 1e-6


def test_spikes_per_example(real_place: Path) -> None:
    """Not to the last digit: the features come from an FFT, which rounds differently elsewhere."""
    spikes = load_dataset("fsdd_spikes", real_place)
    count = np.array([len(events.times) for events in spikes.x_train])
    assert abs(count.mean() - 637.5) < 0.5
    assert count.min() > 200
