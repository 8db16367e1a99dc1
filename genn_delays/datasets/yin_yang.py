"""Yin-Yang: points of three regions, each a handful of spike times. Small, and not solved by a linear classifier."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ..random import Purpose, philox, uniform
from .dataset import Dataset, Events

YIN_YANG_TIMESTEPS = 40
"""Length of an example in ms. The last spike falls before 20 ms, so there are 20 ms left to answer."""

T_EARLY, T_BIAS, T_LATE = 1.5, 9.0, 20.0
"""Spike times of a value of 0, of the bias and of a value of 1, in ms."""

R_BIG, R_SMALL = 0.5, 0.1
"""Radius of the figure, whose centre is (1/2, 1/2), and of its two dots."""

NUM_TRAIN, NUM_TEST = 5000, 1000

_STREAM = 0  # owner of the random numbers; every generated data set has its own


def load_yin_yang(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """The Yin-Yang task as spike times: 5,000 training and 1,000 test points, drawn here and the same everywhere.

    A point is drawn uniformly from a region of the figure of radius 1/2 around (1/2, 1/2), see :func:`which_region`.
    Classes come in turn (0, 1, 2, 0, ...), so they are balanced. Inputs 0 to 3 have the values x, y, 1 - x, 1 - y, and
    input 4 is the bias; each spikes once, at

        t = t_early + value (t_late - t_early)  [ms]    and    t_bias,    (t_early, t_bias, t_late) = (1.5, 9, 20) ms.

    The figure, radii, mirrored values and sizes are those of Kriener et al. (whose validation set of 1,000 is not made:
    hold it out of the training examples). The times are those of Göltz et al. 2021 (arXiv 1912.11443), 0.15, 0.9 and
    2 synaptic time constants in an example of 4, for a time constant of 10 ms; Mészáros et al. 2025 (arXiv 2501.07331)
    have the same 1.5 and 20 ms, without a bias. Others: 10 to 40 ms, bias at 20 (Wunderlich & Pehle 2021), and 0 to 30,
    bias at 0 (mlGeNN's example). The points are ours: the published ones come from NumPy's generator and PyTorch.

    Args:
        data_dir: not needed: the data is generated.

    Returns:
        Spikes of 5 neurons, 40 ms, 3 classes (0 and 1: the two halves, 2: the dots); times are float64.

    Source:
        L. Kriener, J. Göltz, M. A. Petrovici: The Yin-Yang dataset. NICE 2022, arXiv 2102.08211.
    """
    y = np.arange(NUM_TRAIN + NUM_TEST, dtype=np.int64) % 3
    x = latency_code(sample_points(y))
    return Dataset(
        name="yin_yang",
        citation="Kriener, Göltz & Petrovici 2022, The Yin-Yang dataset, arXiv 2102.08211",
        licence="none: generated",
        num_inputs=5,
        num_classes=3,
        example_timesteps=YIN_YANG_TIMESTEPS,
        x_train=x[:NUM_TRAIN],
        y_train=y[:NUM_TRAIN],
        x_test=x[NUM_TRAIN:],
        y_test=y[NUM_TRAIN:],
    )


def which_region(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The region of every point: -1 outside the figure, 2 in a dot, else 1 or 0 as in the published labels.

    Class 1 is the upper half without the disc of radius 1/4 around the right dot, and the disc around the left one.
    Distances are compared as squares, so that the result does not depend on a square root.
    """
    left, right = (x - 0.5 * R_BIG) ** 2 + (y - R_BIG) ** 2, (x - 1.5 * R_BIG) ** 2 + (y - R_BIG) ** 2
    lobe = (0.5 * R_BIG) ** 2
    first = (left <= lobe) | ((y > R_BIG) & (right > lobe))
    inside = (x - R_BIG) ** 2 + (y - R_BIG) ** 2 <= R_BIG**2
    dot = (left < R_SMALL**2) | (right < R_SMALL**2)
    return np.where(inside, np.where(dot, 2, first), -1).astype(np.int64)


def sample_points(classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A point for every class: ``[examples, 2]``, the first of the example's own draws that lies in its region.

    Draw ``k`` of example ``i`` is a function of ``(i, k)`` alone, so more examples leave the first ones as they are.
    """
    points = np.empty((len(classes), 2))
    left = np.arange(len(classes))
    draw = 0
    while left.size:
        drawn = uniform(philox(0, Purpose.EXAMPLE, _STREAM, left, draw)[:2]).T
        hit = which_region(drawn[:, 0], drawn[:, 1]) == classes[left]
        points[left[hit]] = drawn[hit]
        left, draw = left[~hit], draw + 1
    return points


def latency_code(points: npt.NDArray[Any]) -> list[Events]:
    """One spike of each of the five inputs.

    Args:
        points: ``[examples, 2]``, coordinates 0 .. 1.

    Returns:
        The events of every example, sorted by time, then by neuron.
    """
    values = np.concatenate([points, 1.0 - points], axis=1)
    bias = np.full((len(points), 1), T_BIAS)
    times = np.concatenate([T_EARLY + values * (T_LATE - T_EARLY), bias], axis=1)
    order = np.argsort(times, axis=1, kind="stable")
    return [Events(row[rank], rank.astype(np.int64)) for row, rank in zip(times, order, strict=True)]
