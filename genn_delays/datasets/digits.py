"""Handwritten digits as spike latencies: small, offline, and solved by timing."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Dataset, Events, stratified_split

DIGITS_TIMESTEPS = 30
"""Length of an example in ms. Spikes fall in 0 .. 15 ms, so delays of up to 10 or so still arrive within it."""

BRIGHTEST = 16
"""The largest value of a pixel: it counts the inked points in a block of 4 x 4."""

THRESHOLD = 1
"""The least value that spikes: one inked point in the block. Only wholly empty blocks are silent."""

_TEST_FRACTION = 0.2
_SPLIT_SEED = 0  # one split for everybody: a run's own seed must not move examples between training and test


def load_digits(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """The 1,797 digits that scikit-learn carries (8 x 8 pixels), one input neuron per pixel, one spike at most.

    Latency code: a pixel of value ``p`` (0 .. 16) spikes once, at

        t = 16 - p  [ms]    if p >= 1,    never if p = 0,

    so the brightest pixels spike first, at 0 ms, and the faintest at 15 ms. Pixels count from the top left, row by
    row. Each example's events are sorted by time, then by neuron.

    The data has no official split; a stratified 80/20 split is fixed here, whatever the seed of a run.

    Args:
        data_dir: not needed: the data is part of scikit-learn.

    Returns:
        Spikes of 64 neurons, 30 ms, 10 classes; times and neurons are int64.

    Source:
        E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998,
        doi 10.24432/C50P49. scikit-learn carries the test part of it.
    """
    images, y = _bundled()
    x = latency_code(images)
    train, test = stratified_split(y, _TEST_FRACTION, _SPLIT_SEED)
    return Dataset(
        name="digits",
        citation="Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, doi 10.24432/C50P49",
        licence="CC BY 4.0",
        num_inputs=images.shape[1],
        num_classes=10,
        example_timesteps=DIGITS_TIMESTEPS,
        x_train=[x[i] for i in train],
        y_train=y[train],
        x_test=[x[i] for i in test],
        y_test=y[test],
    )


def _bundled() -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """scikit-learn's images ``[example, pixel]`` and labels.

    Its file is read directly where it is where it has always been: importing scikit-learn takes over a second.
    """
    import gzip
    from importlib.util import find_spec
    from pathlib import Path

    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            with gzip.open(path, "rt") as file:
                table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    return np.asarray(images), np.asarray(labels, dtype=np.int64)


def latency_code(images: npt.NDArray[Any]) -> list[Events]:
    """One spike per pixel that is not dark, ``16 - value`` ms after the start.

    Args:
        images: ``[examples, pixels]``, whole numbers 0 .. 16.

    Returns:
        The events of every example, sorted by time, then by neuron.
    """
    coded = []
    for image in images:
        neurons = np.flatnonzero(image >= THRESHOLD).astype(np.int64)
        times = (BRIGHTEST - image[neurons]).astype(np.int64)
        order = np.argsort(times, kind="stable")
        coded.append(Events(times[order], neurons[order]))
    return coded
