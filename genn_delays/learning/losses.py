"""Losses, with a kernel template ``loss_<template>`` per target. The functions here are the definition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import check_real, unknown
from .readouts import softmax

Array = npt.NDArray[Any]


class Loss(ABC):
    """A loss of one readout."""

    template: ClassVar[str]
    """Name of the kernel template."""
    label_smoothing: float = 0.0

    @abstractmethod
    def evaluate(self, z: Array, labels: npt.NDArray[np.int32]) -> tuple[Array, Array]:
        """Loss of every lane, ``[lane]``, and the derivative of their mean, dL/dz ``[neuron, lane]``."""


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of ``softmax(z)`` with a class label, the mean over the batch's live lanes.

    Args:
        label_smoothing: this share of the target is spread evenly over all classes (Szegedy et al. 2016, arXiv
            1512.00567; PyTorch's ``label_smoothing``), in [0, 1).
    """

    label_smoothing: float = 0.0

    template = "sparse_categorical_crossentropy"

    def __post_init__(self) -> None:
        check_real("label_smoothing", self.label_smoothing, 0.0, 1.0, open_high=True)

    def evaluate(self, z: Array, labels: npt.NDArray[np.int32]) -> tuple[Array, Array]:
        lanes, share = np.arange(labels.size), self.label_smoothing
        shifted = z.astype(np.float64) - z.max(axis=0)
        target = np.full(z.shape, share / z.shape[0])
        target[labels, lanes] += 1.0 - share
        losses = np.log(np.exp(shifted).sum(axis=0)) - (target * shifted).sum(axis=0)
        dz = softmax(z.astype(np.float64)) - target
        return losses, (dz / labels.size).astype(z.dtype)


LOSSES: dict[str, type[Loss]] = {"sparse_categorical_crossentropy": SparseCategoricalCrossentropy}


def as_loss(value: Any) -> Loss:
    """A registered name or a loss as a loss."""
    if isinstance(value, Loss):
        return value
    if not isinstance(value, str) or value not in LOSSES:
        raise unknown("loss", value, LOSSES)
    return LOSSES[value]()
