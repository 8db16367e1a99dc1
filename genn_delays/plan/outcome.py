"""A loss and its derivative on the host, for engines without kernels of their own for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..learning.losses import Truth
from ..learning.readouts import answers
from .plan import PHANTOM, PopulationPlan

Array = npt.NDArray[Any]


def outcome(p: PopulationPlan, read: Array, z: Array, truth: Truth) -> tuple[float, int, Array]:
    """The summed loss of an output, how many answers were right, and the derivative of the mean loss.

    Args:
        p: the output population.
        read: activity that its readout reads, ``[neuron, time, lane]``.
        z: of its readout, ``[neuron, lane]``.
        truth: labels or targets; see :class:`~genn_delays.learning.losses.Loss`.

    Returns:
        The derivative is by `z`, or by `read` for a per-timestep loss.
    """
    assert p.loss is not None
    losses, derivative = p.loss.evaluate(read if p.loss.stepwise else z, truth)
    right = 0
    if p.loss.labelled:
        right = int((answers(p.reading, z, read, truth.ndim == 2) == truth.T).sum())
    return float(losses.sum()), right, derivative


def direct(p: PopulationPlan, read: Array, derivative: Array) -> Array:
    """The derivative of the loss by the activity that an output's readout reads, ``[neuron, time, lane]``."""
    assert p.loss is not None
    return derivative if p.loss.stepwise else p.reading.backward(read, derivative, p.dt)


def phantom_push(p: PopulationPlan, read: Array, derivative: Array) -> Array:
    """dL/d(output variable) at the end of an example by phantom spikes, ``[neuron, lane]``; None without them."""
    if not p.has_phantoms:
        return np.zeros_like(read[:, 0])
    inverse_slope = p.parameters[PHANTOM].astype(np.float32).astype(read.dtype)
    return p.reading.phantom_push(read, derivative, inverse_slope, p.dt)
