"""Spoken digits as spikes: the mel bands of the Free Spoken Digit Dataset through an integrate-and-fire encoder."""

from __future__ import annotations

from os import PathLike

from .dataset import Dataset
from .encoders import encoded, integrate_and_fire
from .fsdd import load_fsdd

FULL_SCALE = 1.6
"""The loudest band of the loudest frame of every recording has this value, and spikes."""

EXPONENT = 2


def load_fsdd_spikes(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Free Spoken Digit Dataset 1.0.9 as spikes, with its official split; see :func:`.fsdd.load_fsdd` for the data.

    Each of the 40 mel bands drives one neuron of :func:`.encoders.integrate_and_fire` with ``(x / 1.6) ** 2``, where
    1.6 is the recording's maximum and 0 lies 80 dB below it. A frame of 10 ms of sound is a time step of 1 ms here, so
    an example has the 80 steps of `fsdd` and costs as much. The encoder is ours.

    Args:
        data_dir: where the recordings are; the same as for `fsdd`.

    Returns:
        Spikes of 40 neurons, 80 ms, 10 classes, 2,250 training and 250 test examples; times and neurons are int64.
    """
    return encoded(load_fsdd(data_dir), "fsdd_spikes", lambda x: integrate_and_fire(x, FULL_SCALE, EXPONENT))
