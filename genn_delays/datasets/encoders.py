"""Dense data as spikes: at most one spike of each neuron in each time step, the number of steps as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_count, check_real
from .dataset import Dataset, Events

Encoder = Callable[[npt.NDArray[np.float32]], list[Events]]


def integrate_and_fire(x: npt.NDArray[np.float32], full_scale: float, exponent: int = 1) -> list[Events]:
    """Every value drives a neuron without leak, which spikes where its integral has grown by one.

        v[t] = v[t-1] - s[t-1] + (clip(x[t], 0, full_scale) / full_scale) ** exponent,    s[t] = (v[t] >= 1),

    beginning at v = 1/2, so that up to any step a neuron has spiked as often as the sum of its drive says, rounded, and
    a value at full scale spikes in every step. An exponent above 1 leaves more of a contrast: what is faint hardly
    spikes. Nothing is random, and only additions, multiplications and one division are made, so the same values give
    the same spikes everywhere.

    Args:
        x: ``[examples, time, neuron]``, finite.
        full_scale: the value that spikes in every step, above 0.
        exponent: a whole number from 1 to 8.

    Returns:
        The events of every example, sorted by time, then by neuron; the time of step ``t`` is ``t`` ms, int64.

    Raises:
        InvalidValueError: an argument is not that.

    Example:
        >>> integrate_and_fire(np.array([[[0.4], [0.4], [0.4], [0.4]]]), full_scale=1.0)[0].times
        array([1, 3])
    """
    full_scale = check_real("full_scale", full_scale, 0, open_low=True)
    exponent = check_count("exponent", exponent, high=8)
    values = np.asarray(x)
    if values.ndim != 3 or not np.issubdtype(values.dtype, np.floating):
        raise InvalidValueError(
            f"x must be real numbers of shape (examples, time, neuron), got {values.dtype} of shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise InvalidValueError("x must be finite, got values that are infinite or no number")
    potential = np.full((values.shape[0], values.shape[2]), 0.5)
    spikes = np.zeros(values.shape, dtype=bool)
    for t in range(values.shape[1]):
        share = np.clip(values[:, t].astype(np.float64), 0.0, full_scale) / full_scale
        drive = share
        for _ in range(exponent - 1):  # not `**`: the power function of a C library is not the same everywhere
            drive = drive * share
        potential += drive
        spikes[:, t] = potential >= 1.0
        potential -= spikes[:, t]
    return [Events(*np.nonzero(example)) for example in spikes]


def encoded(dataset: Dataset, name: str, encoder: Encoder) -> Dataset:
    """The data set with its dense inputs as spikes; a frame is a time step of 1 ms, and an example as long as before.

    Args:
        dataset: its inputs are dense.
        name: of the result.
        encoder: from ``[examples, time, neuron]`` to the events of every example, for example
            ``lambda x: integrate_and_fire(x, full_scale=1.0)``.

    Raises:
        InvalidValueError: the inputs are spikes already.
    """
    if isinstance(dataset.x_train, list) or isinstance(dataset.x_test, list):
        raise InvalidValueError(f"data set {dataset.name} must have dense inputs to be encoded, it has spikes")
    return replace(dataset, name=name, x_train=encoder(dataset.x_train), x_test=encoder(dataset.x_test))
