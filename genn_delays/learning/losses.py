"""Losses, with a kernel template ``loss_<name>`` per target. The functions here are the definition."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import unknown
from .readouts import softmax

Array = npt.NDArray[Any]


class Loss(Protocol):
    """A loss of one readout."""

    def evaluate(self, z: Array, labels: npt.NDArray[np.int32]) -> tuple[Array, Array]:
        """Loss of every lane, ``[lane]``, and the derivative of their mean, dL/dz ``[neuron, lane]``."""


class SparseCategoricalCrossentropy:
    """Cross-entropy of ``softmax(z)`` with a class label, the mean over the batch's live lanes."""

    def evaluate(self, z: Array, labels: npt.NDArray[np.int32]) -> tuple[Array, Array]:
        lanes = np.arange(labels.size)
        shifted = z.astype(np.float64) - z.max(axis=0)
        losses = np.log(np.exp(shifted).sum(axis=0)) - shifted[labels, lanes]
        dz = softmax(z.astype(np.float64))
        dz[labels, lanes] -= 1.0
        return losses, (dz / labels.size).astype(z.dtype)


LOSSES: dict[str, Loss] = {"sparse_categorical_crossentropy": SparseCategoricalCrossentropy()}


def as_loss(value: Any) -> str:
    """The name of a registered loss."""
    name = "sparse_categorical_crossentropy" if isinstance(value, SparseCategoricalCrossentropy) else value
    if not isinstance(name, str) or name not in LOSSES:
        raise unknown("loss", value, LOSSES)
    return str(name)
