"""Sequence detection: which of two inputs spiked first. Delays solve it; with equal weights nothing else does."""

from __future__ import annotations

from os import PathLike

import numpy as np
import numpy.typing as npt

from ..random import Purpose, philox, uniform
from .dataset import Dataset, Events

SEQUENCE_DETECTION_TIMESTEPS = 40
"""Length of an example in ms: the last spike falls before 17 ms, is delayed by up to 15, and is answered in 8 more."""

INTERVAL = 10.0
"""From the first spike to the second, in ms, in the published examples."""

JITTER = 2.0
"""The interval here is uniform in ``INTERVAL`` -/+ ``JITTER``, in ms."""

ONSET = 5.0
"""The first spike is uniform in 0 .. ``ONSET`` ms."""

NUM_TRAIN, NUM_TEST = 400, 100

_STREAM = 1  # owner of the random numbers; every generated data set has its own


def load_sequence_detection(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Two inputs spike once each: class 0 is input 0 before input 1, class 1 the other order.

    Every input spikes once in both classes. With equal weights and equal delays all outputs see the same; with equal
    weights only delays that differ can tell. An output finds its class where its delays let the two spikes of that
    order arrive together: the delay of the class's first input has to become about 10 ms longer than the other's.

    Published (the code of the paper, ``sequence_detection.py`` of github.com/mbalazs98/deventprop): the two orders, the
    first spike at 0 ms and the second at 10 ms, both examples twice; two leaky integrators (tau_mem 10 ms, tau_syn
    5 ms, readout ``max_var``) with all weights 1, of which nothing but the delays is learned, from 0 up to 15 ms.
    Ours: the first spike comes at 0 to 5 ms and the second 8 to 12 ms after it, uniformly, so that no two examples are
    alike and there is something to test on. :func:`sequences` makes the published examples too.

    Args:
        data_dir: not needed: the data is generated.

    Returns:
        Spikes of 2 neurons, 40 ms, 2 classes in turn, 400 training and 100 test examples; times are float64.

    Source:
        B. Mészáros, J. C. Knight, T. Nowotny: Efficient event-based delay learning in spiking neural networks. Nature
        Communications 2025, doi 10.1038/s41467-025-65394-8, arXiv 2501.07331.
    """
    count = NUM_TRAIN + NUM_TEST
    y = np.arange(count, dtype=np.int64) % 2
    onset, shift = uniform(philox(0, Purpose.EXAMPLE, _STREAM, np.arange(count))[:2])
    x = sequences(y, ONSET * onset, INTERVAL + JITTER * (2.0 * shift - 1.0))
    return Dataset(
        name="sequence_detection",
        citation="Mészáros, Knight & Nowotny 2025, doi 10.1038/s41467-025-65394-8 (the task); times drawn here",
        licence="none: generated",
        num_inputs=2,
        num_classes=2,
        example_timesteps=SEQUENCE_DETECTION_TIMESTEPS,
        x_train=x[:NUM_TRAIN],
        y_train=y[:NUM_TRAIN],
        x_test=x[NUM_TRAIN:],
        y_test=y[NUM_TRAIN:],
    )


def sequences(
    classes: npt.NDArray[np.int64], onset: npt.NDArray[np.float64], interval: npt.NDArray[np.float64]
) -> list[Events]:
    """Both inputs once, in the order of the class; with ``onset`` 0 and ``interval`` 10 the published examples.

    Args:
        classes: ``[examples]``, 0 or 1: the input that spikes first.
        onset: ``[examples]``, time of the first spike in ms.
        interval: ``[examples]``, from the first spike to the second, in ms, above 0.
    """
    times = np.stack([onset, onset + interval], axis=1)
    neurons = np.stack([classes, 1 - classes], axis=1)
    return [Events(t, n) for t, n in zip(times, neurons, strict=True)]
