"""One number for a whole data set of spikes, so that a test sees any change of it."""

from __future__ import annotations

import hashlib

import numpy as np

from genn_delays.datasets import Dataset


def fingerprint(data: Dataset) -> str:
    """SHA-256 of every label, time and neuron in order, as little-endian 64-bit numbers; the first 16 digits."""
    assert isinstance(data.x_train, list)
    assert isinstance(data.x_test, list)
    total = hashlib.sha256()
    for events, label in zip([*data.x_train, *data.x_test], [*data.y_train, *data.y_test], strict=True):
        total.update(np.array([label, len(events.times)], dtype="<i8").tobytes())
        total.update(events.times.astype(events.times.dtype.newbyteorder("<")).tobytes())
        total.update(events.neurons.astype("<i8").tobytes())
    return total.hexdigest()[:16]
