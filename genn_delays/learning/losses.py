"""Losses, with a kernel template ``loss_<template>`` per target. The functions here are the definition.

The names are mlGeNN 3's. What a loss compares with is its `ground_truth`: class labels or real values, one set an
example or one a time step. A loss of a time step reads the output variable itself, the others what the readout gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_real, check_registered, check_switch, keep, unknown
from .readouts import READOUTS, softmax

Array = npt.NDArray[Any]
Truth = npt.NDArray[np.int32] | npt.NDArray[np.float32]
"""Class labels, int32, or targets, float32; see :class:`Loss`."""
GroundTruth = Literal["example_label", "timestep_label", "example_value", "timestep_value"]

FIRST_SPIKE_TIME = "first_spike_time"


class Loss(ABC):
    """A loss of one output population, the mean over the batch's live lanes.

    Attributes:
        template: name of the kernel template.
        ground_truth: what it compares with: ``"example_label"`` int32 ``[lane]``; ``"timestep_label"`` the same for all
            steps, or ``[lane, time]``; ``"example_value"`` float32 ``[lane, neuron]``; ``"timestep_value"`` float32
            ``[lane, time, neuron]``.
    """

    template: ClassVar[str]
    ground_truth: ClassVar[GroundTruth]

    @property
    def labelled(self) -> bool:
        """Whether it compares with class labels, so that there are right answers."""
        return self.ground_truth.endswith("label")

    @property
    def stepwise(self) -> bool:
        """Whether it compares every time step, and so reads the output variable in place of the readout's z."""
        return self.ground_truth.startswith("timestep")

    def on(self, readout: str, duration: float) -> Loss | None:
        """The loss as it reads a readout of examples that last `duration` ms; None where it does not fit."""
        return None if readout == FIRST_SPIKE_TIME else self

    def fitting(self) -> list[str]:
        """The readouts that it fits."""
        return [name for name in READOUTS if self.on(name, 1.0) is not None]

    def numbers(self) -> dict[str, float]:
        """What its kernel reads, by name."""
        return {}

    @abstractmethod
    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        """Loss of every lane, ``[lane]``, and the derivative of their mean, dL/dz.

        Args:
            z: what the readout gave ``[neuron, lane]``, or of a loss of a time step the variable
                ``[neuron, time, lane]``. The derivative has the same shape.
            truth: see `ground_truth`.
        """


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of ``softmax(z)`` with a class label.

    With readout ``"first_spike_time"`` it is that of ``softmax(-z / softmax_temperature)`` with a term that draws the
    right neuron's spike to the front: see :class:`FirstSpikeCrossentropy`.

    Args:
        label_smoothing: this share of the target is spread evenly over all classes (Szegedy et al. 2016, arXiv
            1512.00567; PyTorch's ``label_smoothing``), in [0, 1).
        per_timestep: of ``softmax(v[t])`` at every time step instead, the mean over time (mlGeNN's
            ``per_timestep_loss``). It fits ``"avg_var"``, ``"sum_var"`` and ``"var"``; the readout then only says what
            is predicted and whose largest is the answer: the mean over time, or the last step.
        softmax_temperature: of first spike times, in ms, above 0.
        ttfs_alpha: strength of the term that draws the right neuron's first spike to the front, in ms, at least 0.
    """

    label_smoothing: float = 0.0
    per_timestep: bool = False
    softmax_temperature: float = 1.0
    ttfs_alpha: float = 0.01

    template = "sparse_categorical_crossentropy"
    ground_truth = "example_label"

    def __post_init__(self) -> None:
        keep(self, label_smoothing=check_real("label_smoothing", self.label_smoothing, 0.0, 1.0, open_high=True))
        check_switch("per_timestep", self.per_timestep)
        temperature = check_real("softmax_temperature", self.softmax_temperature, 0.0, open_low=True)
        keep(self, softmax_temperature=temperature, ttfs_alpha=check_real("ttfs_alpha", self.ttfs_alpha, 0.0))

    def on(self, readout: str, duration: float) -> Loss | None:
        if self.per_timestep:
            fits = readout in ("avg_var", "sum_var", "var")
            return TimestepCrossentropy(self.label_smoothing) if fits else None
        if readout == FIRST_SPIKE_TIME:
            return FirstSpikeCrossentropy(self.label_smoothing, self.softmax_temperature, self.ttfs_alpha, duration)
        return self

    def numbers(self) -> dict[str, float]:
        return {"label_smoothing": self.label_smoothing}

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        losses, dz = _crossentropy(z.astype(np.float64), truth, self.label_smoothing)
        return losses, (dz / truth.size).astype(z.dtype)


def _crossentropy(z: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
    """Cross-entropies of softmax(z), ``[...]``, and their derivatives, for z ``[neuron, ...]`` and labels ``[...]``."""
    shifted = z - z.max(axis=0)
    target = np.full(z.shape, smoothing / z.shape[0])
    target[(labels, *np.indices(labels.shape))] += 1.0 - smoothing
    return np.log(np.exp(shifted).sum(axis=0)) - (target * shifted).sum(axis=0), softmax(z) - target


@dataclass(frozen=True)
class TimestepCrossentropy(Loss):
    """``1/T sum_t`` of the cross-entropy of ``softmax(v[t])`` with the label of the example, or of the step."""

    label_smoothing: float

    template = "timestep_crossentropy"
    ground_truth = "timestep_label"

    def numbers(self) -> dict[str, float]:
        return {"label_smoothing": self.label_smoothing}

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        labels = np.broadcast_to(truth.T, z.shape[1:])
        losses, dv = _crossentropy(z.astype(np.float64), labels, self.label_smoothing)
        return losses.mean(axis=0), (dv / labels.size).astype(z.dtype)


@dataclass(frozen=True)
class FirstSpikeCrossentropy(Loss):
    """Of first spike times t, with l the label and D the example's length, all in ms::

        L = crossentropy(softmax(-t / softmax_temperature), l) + ttfs_alpha / (1.01 D - t_l)

    Both terms are those whose derivatives mlGeNN's EventProp compiler drives its outputs with. There the temperature is
    left out of the softmax itself, and a neuron that does not spike has no share in it, here it has t = D: the two
    agree where the temperature is 1 and all neurons spike.
    """

    label_smoothing: float
    softmax_temperature: float
    ttfs_alpha: float
    duration: float

    template = "first_spike_crossentropy"
    ground_truth = "example_label"

    def numbers(self) -> dict[str, float]:
        names = ("label_smoothing", "softmax_temperature", "ttfs_alpha")
        return {name: getattr(self, name) for name in names}

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        lanes = np.arange(truth.size)
        losses, ds = _crossentropy(-z.astype(np.float64) / self.softmax_temperature, truth, self.label_smoothing)
        left = 1.01 * self.duration - z[truth, lanes].astype(np.float64)
        dz = -ds / self.softmax_temperature
        dz[truth, lanes] += self.ttfs_alpha / left**2
        return losses + self.ttfs_alpha / left, (dz / truth.size).astype(z.dtype)


@dataclass(frozen=True)
class MeanSquareError(Loss):
    """Mean square of what the readout gives less the target, over neurons; mlGeNN 3's of the same name.

    Readout ``"var"`` gives the variable itself, so that targets are ``[example, time, neuron]`` and the mean is over
    time steps too. All other readouts give one number an example: targets are ``[example, neuron]``, see
    :class:`PerNeuronMeanSquareError`. mlGeNN takes half the sum over neurons.
    """

    template = "mean_square_error"
    ground_truth = "timestep_value"

    def on(self, readout: str, duration: float) -> Loss | None:
        return self if readout == "var" else PerNeuronMeanSquareError()

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        error = z.astype(np.float64) - truth.transpose(2, 1, 0)
        return (error**2).mean(axis=(0, 1)), (2.0 * error / error.size).astype(z.dtype)


@dataclass(frozen=True)
class PerNeuronMeanSquareError(Loss):
    """``1/N sum_i (z_i - y_i)^2`` for targets y ``[example, neuron]``, whatever the readout; mlGeNN 3's name.

    With readout ``"first_spike_time"`` targets are times in ms.
    """

    template = "per_neuron_mean_square_error"
    ground_truth = "example_value"

    def on(self, readout: str, duration: float) -> Loss | None:
        return self

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        error = z.astype(np.float64) - truth.T
        return (error**2).mean(axis=0), (2.0 * error / error.size).astype(z.dtype)


@dataclass(frozen=True)
class RelativeMeanSquareError(Loss):
    """The label's neuron should spike `delta` ms before every other one; of first spike times t::

        L = 1/(N - 1) sum over k != l of (t_k - t_l - delta)^2

    mlGeNN takes half the sum, and of a batch the sum of its examples.

    Args:
        delta: in ms, at least 0.
    """

    delta: float

    template = "relative_mean_square_error"
    ground_truth = "example_label"

    def __post_init__(self) -> None:
        keep(self, delta=check_real("delta", self.delta, 0.0))

    def on(self, readout: str, duration: float) -> Loss | None:
        return self if readout == FIRST_SPIKE_TIME else None

    def numbers(self) -> dict[str, float]:
        return {"delta": self.delta}

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        lanes, others = np.arange(truth.size), max(z.shape[0] - 1, 1)
        error = z.astype(np.float64) - z[truth, lanes] - self.delta
        error[truth, lanes] = 0.0
        dz = 2.0 * error / (others * truth.size)
        dz[truth, lanes] = -dz.sum(axis=0)
        return (error**2).sum(axis=0) / others, dz.astype(z.dtype)


LOSSES: dict[str, type[Loss]] = {
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "mean_square_error": MeanSquareError,
    "per_neuron_mean_square_error": PerNeuronMeanSquareError,
    "relative_mean_square_error": RelativeMeanSquareError,
}


def as_loss(value: Any) -> Loss:
    """A registered name or a loss as a loss."""
    if isinstance(value, Loss):
        return check_registered("loss", value, LOSSES)
    if not isinstance(value, str) or value not in LOSSES:
        raise unknown("loss", value, LOSSES)
    kind: Any = LOSSES[value]
    needed = [f.name for f in fields(kind) if f.default is MISSING]
    if needed:
        raise InvalidValueError(f"loss {value!r} needs {', '.join(needed)}: give {kind.__name__}({needed[0]}=...)")
    loss: Loss = kind()
    return loss


def as_losses(value: Any) -> Loss | dict[Any, Loss]:
    """One loss for all outputs, or one for each in a dict by output population."""
    return {key: as_loss(loss) for key, loss in value.items()} if isinstance(value, Mapping) else as_loss(value)
