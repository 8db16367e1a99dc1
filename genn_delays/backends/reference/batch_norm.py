"""Batch norm and its derivative, as equations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...neurons.batch_norm import factor_and_offset

Array = npt.NDArray[Any]


class Norm(NamedTuple):
    """Values that the backward pass needs: the input current ``[neuron, time, lane]``, numbers per neuron, and
    epsilon."""

    current: Array
    mean: Array
    var: Array
    factor: Array
    epsilon: float


def normalised(current: Array, values: dict[str, Array], training: bool, epsilon: float) -> tuple[Norm, Array]:
    """``I' = factor I + offset``, with the batch's own statistics while training and running averages otherwise."""
    mean, var = values["batch_norm_mean"].astype(np.float64), values["batch_norm_var"].astype(np.float64)
    if training:
        count = current[0].size
        mean = current.sum(axis=(1, 2), dtype=np.float64) / count
        var = np.maximum(np.square(current, dtype=np.float64).sum(axis=(1, 2)) / count - mean * mean, 0.0)
    scale, shift = values["batch_norm_scale"], values["batch_norm_shift"]
    factor, offset = factor_and_offset(scale, shift, mean, var, epsilon, current.dtype)
    norm = Norm(current, mean, var, factor, epsilon)
    return norm, np.asarray(factor[:, None, None] * current + offset[:, None, None])


def through_norm(g: Array, norm: Norm) -> tuple[Array, dict[str, Array]]:
    """From dL/dI' to dL/dI, and the gradients of scale and shift::

    dL/dI = factor (g - <g> - (I - mean) <g (I - mean)> / (var + epsilon)),   <>: the mean over batch and time
    """
    current, mean, var, factor, epsilon = norm
    dtype, count, inverse = current.dtype, current[0].size, 1.0 / np.sqrt(var + epsilon)
    wide, centred = g.astype(np.float64), current - mean[:, None, None]
    sum_g, sum_gi = wide.sum(axis=(1, 2)), (wide * centred).sum(axis=(1, 2))
    slope = (-factor * inverse * inverse * sum_gi / count).astype(dtype)
    constant = (-factor * sum_g / count).astype(dtype)
    a, b, c, m = (v[:, None, None] for v in (factor, slope, constant, mean.astype(dtype)))
    slopes = {"batch_norm_scale": (inverse * sum_gi).astype(dtype), "batch_norm_shift": sum_g.astype(dtype)}
    return np.asarray(a * g + b * (current - m) + c), slopes
