"""Batch normalisation of a population's input current, over all examples and time steps of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_real, keep, shown
from .neuron import check_parameter

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BatchNorm:
    """Batch norm (Ioffe & Szegedy 2015, arXiv 1502.03167) over batch and time, one pair of parameters a neuron::

        I'[t] = scale (I[t] - mean) / sqrt(var + epsilon) + shift

    During training `mean` and `var` are those of the batch; otherwise they are running averages,
    ``running = (1 - momentum) running + momentum batch``, with the unbiased variance (PyTorch's ``BatchNorm1d``).

    Args:
        epsilon: above 0, in the unit of the squared input current.
        momentum: weight of the newest batch in the running averages, in (0, 1].
        scale, shift: initial values: a number, an array ``[neuron]`` or an initialiser. They are learned where
            ``optimisers`` name the population's ``"batch_norm"``.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1
    scale: Any = 1.0
    shift: Any = 0.0

    def __post_init__(self) -> None:
        keep(self, epsilon=check_real("BatchNorm epsilon", self.epsilon, 0.0, open_low=True))
        keep(self, momentum=check_real("BatchNorm momentum", self.momentum, 0.0, 1.0, open_low=True))
        keep(self, scale=check_parameter("BatchNorm scale", self.scale))
        keep(self, shift=check_parameter("BatchNorm shift", self.shift))


def as_batch_norm(value: Any) -> BatchNorm | None:
    """True, False, None or a :class:`BatchNorm` as a batch norm or None."""
    if value is None or value is False:
        return None
    if value is True:
        return BatchNorm()
    if isinstance(value, BatchNorm):
        return value
    raise InvalidValueError(f"batch_norm must be true, false or a BatchNorm, got {shown(value)}")


def factor_and_offset(
    scale: Array, shift: Array, mean: Array, var: Array, epsilon: float, dtype: Any = np.float32
) -> tuple[Array, Array]:
    """Batch norm as ``factor I + offset``, numbers per neuron; computed in double precision and rounded once."""
    factor = scale.astype(np.float64) * (1.0 / np.sqrt(var.astype(np.float64) + epsilon))
    offset = shift.astype(np.float64) - mean.astype(np.float64) * factor
    return factor.astype(dtype), offset.astype(dtype)
