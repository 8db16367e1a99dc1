"""Losses. A new one is a dataclass with its `ground_truth` and its `body`, registered by a name.

The body is written once: backend ``reference`` computes it with NumPy, and every target's kernels have it printed.

The names are mlGeNN 3's. The `ground_truth` of a loss is what it compares with: class labels or real values, per
example
or per time step. A per-timestep loss reads the output variable itself, the others the readout's z.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..bodies import BodyError, Type, check_class, compute
from ..bodies.over_neurons import OverNeurons, Rank, read_over_neurons
from ..errors import check_real, check_registered, check_switch, keep, unknown
from ..registry import Registry
from .readouts import READOUTS

Array = npt.NDArray[Any]
Truth = npt.NDArray[np.int32] | npt.NDArray[np.float32]
"""Class labels, int32, or targets, float32; see :class:`Loss`."""
GroundTruth = Literal["example_label", "timestep_label", "example_value", "timestep_value"]

FIRST_SPIKE_TIME = "first_spike_time"
_PREDICTED = "predicted"


@dataclass(frozen=True)
class Loss:
    """Base of all losses of one output population, the mean over the batch's examples: frozen dataclasses.

    Their fields are numbers that the body may read.
    """

    registered_name: ClassVar[str]
    ground_truth: ClassVar[GroundTruth]
    """The kind of labels or targets: ``"example_label"`` int32 ``[lane]``; ``"timestep_label"`` the same for all steps,
    or
    ``[lane, time]``; ``"example_value"`` float32 ``[lane, neuron]``; ``"timestep_value"`` float32
    ``[lane, time, neuron]``."""
    body: ClassVar[str]
    """Its formula (:mod:`genn_delays.bodies.over_neurons`): from `z`, what the readout gave of each neuron (real), to
    `loss` of the lane (double) and `dz` of each neuron (real), the derivative of the mean over lanes. A loss of a time
    step has `v`, the output variable of each neuron in the step, gives `dv`, and its losses are summed over steps.

    It may read `is_label` of each neuron (bool), or `target` (real); `num_neurons`, `num_lanes` (the batch's examples)
    and of a time step `num_steps` (int); and the loss's fields by their names (double)."""

    @property
    def labelled(self) -> bool:
        """True if it compares with class labels, so that there are right answers."""
        return self.ground_truth.endswith("label")

    @property
    def stepwise(self) -> bool:
        """True for a per-timestep loss, which reads the output variable in place of the readout's z."""
        return self.ground_truth.startswith("timestep")

    def on(self, readout: str, duration: float) -> Loss | None:
        """The loss as it reads a readout of examples that last `duration` ms; None where it does not fit.

        It may give another loss, which need not be registered, because it is reached through this one.

        By default a loss fits readouts with a derivative by value and, if it is a per-timestep loss, those that read a
        variable.
        """
        kind = READOUTS[readout]
        unread = self.stepwise and kind.reads == "spikes"
        return None if kind.derivative == "time" or unread else self

    def fitting(self) -> list[str]:
        """The readouts that it fits."""
        return [name for name in READOUTS if self.on(name, 1.0) is not None]

    @classmethod
    def examples(cls) -> list[Loss]:
        """Instances that the tests of every loss take: of one whose arguments have defaults, that."""
        return [cls()]

    @classmethod
    def number_names(cls) -> tuple[str, ...]:
        """The names of what :meth:`numbers` gives: the fields that the body reads."""
        read = cls.formula().body.reads()
        return tuple(f.name for f in fields(cls) if f.name in read)

    def numbers(self) -> dict[str, float]:
        """The numbers that the body reads, by name."""
        name = type(self).__name__
        return {n: check_real(f"{name} {n}", getattr(self, n)) for n in self.number_names()}

    @classmethod
    @cache
    def formula(cls, best: Literal["largest", "smallest"] | None = None) -> OverNeurons:
        """The body, read.

        Args:
            best: which of the values is the answer, whose neuron is then `predicted`; None for no answer.
        """
        what = f"body of loss {cls.__name__}"
        stepwise, labelled = cls.ground_truth.startswith("timestep"), cls.ground_truth.endswith("label")
        read = "v" if stepwise else "z"
        inputs = {read: (Type.REAL, Rank.NEURON)}
        inputs |= {"is_label": (Type.BOOL, Rank.NEURON)} if labelled else {"target": (Type.REAL, Rank.NEURON)}
        sizes = ("num_neurons", "num_lanes", *(("num_steps",) if stepwise else ()))
        inputs |= dict.fromkeys(sizes, (Type.INT, Rank.ALL))
        names = [f.name for f in fields(cls)]
        taken = [n for n in names if n in (*inputs, "loss", f"d{read}", _PREDICTED)]
        if taken:
            raise BodyError(f"loss {cls.__name__}: {taken[0]!r} is a name that every loss's body has; rename the field")
        inputs |= dict.fromkeys(names, (Type.DOUBLE, Rank.ALL))
        outputs = {"loss": (Type.DOUBLE, Rank.LANE), f"d{read}": (Type.REAL, Rank.NEURON)}
        text = textwrap.dedent(cls.body).strip("\n")
        if labelled and best is not None:
            outputs[_PREDICTED] = (Type.INT, Rank.LANE)
            text = f"{_PREDICTED} = where_{best}({read})\n{text}"
        return read_over_neurons(what, text, inputs, outputs)

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        name = cls.__name__
        if not isinstance(getattr(cls, "body", None), str) or not is_dataclass(cls):
            raise BodyError(f"loss {name} must be a dataclass with a `body`, the text of its formula")
        if getattr(cls, "ground_truth", None) not in get_args(GroundTruth):
            kinds = ", ".join(repr(kind) for kind in get_args(GroundTruth))
            raise BodyError(f"loss {name} must have a `ground_truth`, one of {kinds}")
        fixed = ("evaluate", "formula", "number_names", "numbers", "labelled", "stepwise")
        check_class(f"loss {name}", cls, Loss, fixed)
        cls.formula("largest")

    def evaluate(self, z: Array, truth: Truth) -> tuple[Array, Array]:
        """Loss of every lane, ``[lane]``, and the derivative of their mean, dL/dz; by the body.

        Args:
            z: of the readout ``[neuron, lane]``, or for a per-timestep loss the variable ``[neuron, time, lane]``. The
                derivative has the same shape.
            truth: see `ground_truth`.
        """
        read = "v" if self.stepwise else "z"
        values: dict[str, Any] = {read: z, "num_neurons": z.shape[0], "num_lanes": z.shape[-1], **self._fields()}
        values["num_steps"] = z.shape[1]
        if self.labelled:
            neurons = np.arange(z.shape[0]).reshape(-1, *(1,) * (z.ndim - 1))
            values["is_label"] = np.broadcast_to(neurons == truth.T, z.shape)
        else:
            values["target"] = truth.T
        found = compute(self.formula().body, values, z.dtype)
        losses = np.broadcast_to(found["loss"], z.shape[1:])
        return losses.sum(axis=0) if self.stepwise else losses, np.broadcast_to(found[f"d{read}"], z.shape).copy()

    def _fields(self) -> dict[str, Any]:
        """Its fields, 0 for those that the body does not read."""
        return {f.name: 0.0 for f in fields(self)} | self.numbers()


LOSSES: Registry[Loss] = Registry("loss", Loss)


@LOSSES.register("sparse_categorical_crossentropy")
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

    ground_truth = "example_label"
    body = """
        share = label_smoothing / double(num_neurons)
        rest = 1 - label_smoothing
        top = largest(z)
        shifted = double(z - top)
        e = exp(shifted)
        total = sum(e)
        expected = sum((share + (rest if is_label else 0)) * shifted)
        loss = log(total) - expected
        dz = real((e / total - share - (rest if is_label else 0)) / double(num_lanes))
        """

    def __post_init__(self) -> None:
        keep(self, label_smoothing=check_real("label_smoothing", self.label_smoothing, 0.0, 1.0, open_high=True))
        check_switch("per_timestep", self.per_timestep)
        temperature = check_real("softmax_temperature", self.softmax_temperature, 0.0, open_low=True)
        keep(self, softmax_temperature=temperature, ttfs_alpha=check_real("ttfs_alpha", self.ttfs_alpha, 0.0))

    @classmethod
    def examples(cls) -> list[Loss]:
        return [cls(), cls(label_smoothing=0.1, softmax_temperature=2.0, ttfs_alpha=0.5), cls(0.2, per_timestep=True)]

    def on(self, readout: str, duration: float) -> Loss | None:
        if self.per_timestep:
            fits = readout in ("avg_var", "sum_var", "var")
            return TimestepCrossentropy(self.label_smoothing) if fits else None
        if readout == FIRST_SPIKE_TIME:
            return FirstSpikeCrossentropy(self.label_smoothing, self.softmax_temperature, self.ttfs_alpha, duration)
        return self


@dataclass(frozen=True)
class TimestepCrossentropy(Loss):
    """``1/T sum_t`` of the cross-entropy of ``softmax(v[t])`` with the label of the example, or of the step."""

    label_smoothing: float

    ground_truth = "timestep_label"
    body = """
        share = label_smoothing / double(num_neurons)
        rest = 1 - label_smoothing
        mean = 1 / real(num_lanes * num_steps)
        top = largest(v)
        shifted = v - top
        e = exp_negative(shifted)
        total = sum(e)
        shifts = sum(shifted)
        own = at_label(shifted)
        entropy = log(double(total)) - share * double(shifts) - rest * double(own)
        loss = entropy / double(num_steps)
        spread = (e / total - real(share)) * mean
        dv = spread - real(rest) * mean if is_label else spread
        """


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

    ground_truth = "example_label"
    body = """
        scale = 1 / softmax_temperature
        share = label_smoothing / double(num_neurons)
        rest = 1 - label_smoothing
        earliest = smallest(z)
        own = at_label(z)
        left = 1.01 * duration - double(own)
        shifted = double(earliest - z) * scale
        e = exp(shifted)
        total = sum(e)
        expected = sum((share + (rest if is_label else 0)) * shifted)
        loss = log(total) - expected + ttfs_alpha / left
        slope = (share - e / total) * scale
        sooner = rest * scale + ttfs_alpha / (left * left)
        dz = real((slope + sooner if is_label else slope) / double(num_lanes))
        """


@LOSSES.register("mean_square_error")
@dataclass(frozen=True)
class MeanSquareError(Loss):
    """Mean square of what the readout gives less the target, over neurons; mlGeNN 3's of the same name.

    Readout ``"var"`` gives the variable itself, so that targets are ``[example, time, neuron]`` and the mean is over
    time steps too. All other readouts give one number an example: targets are ``[example, neuron]``, see
    :class:`PerNeuronMeanSquareError`. mlGeNN takes half the sum over neurons.
    """

    ground_truth = "timestep_value"
    body = """
        count = double(num_steps * num_neurons)
        error = double(v) - double(target)
        loss = sum(error * error / count)
        dv = real(2 * error / (count * double(num_lanes)))
        """

    def on(self, readout: str, duration: float) -> Loss | None:
        return self if readout == "var" else PerNeuronMeanSquareError()


@LOSSES.register("per_neuron_mean_square_error")
@dataclass(frozen=True)
class PerNeuronMeanSquareError(Loss):
    """``1/N sum_i (z_i - y_i)^2`` for targets y ``[example, neuron]``, whatever the readout; mlGeNN 3's name.

    With readout ``"first_spike_time"`` targets are times in ms.
    """

    ground_truth = "example_value"
    body = """
        error = double(z) - double(target)
        squares = sum(error * error)
        loss = squares / double(num_neurons)
        dz = real(2 * error / double(num_neurons * num_lanes))
        """

    def on(self, readout: str, duration: float) -> Loss | None:
        return self


@LOSSES.register("relative_mean_square_error")
@dataclass(frozen=True)
class RelativeMeanSquareError(Loss):
    """The label's neuron should spike `delta` ms before every other one; of first spike times t::

        L = 1/(N - 1) sum over k != l of (t_k - t_l - delta)^2

    mlGeNN takes half the sum, and of a batch the sum of its examples.

    Args:
        delta: in ms, at least 0.
    """

    delta: float

    ground_truth = "example_label"
    body = """
        others = double(max(num_neurons - 1, 1))
        own = at_label(z)
        error = 0 if is_label else double(z) - double(own) - delta
        squares = sum(error * error)
        slope = 2 * error / (others * double(num_lanes))
        slopes = sum(slope)
        loss = squares / others
        dz = real(0 - slopes if is_label else slope)
        """

    def __post_init__(self) -> None:
        keep(self, delta=check_real("delta", self.delta, 0.0))

    @classmethod
    def examples(cls) -> list[Loss]:
        return [cls(2.0)]

    def on(self, readout: str, duration: float) -> Loss | None:
        return self if readout == FIRST_SPIKE_TIME else None


def as_loss(value: Any) -> Loss:
    """A registered name or a loss as a loss."""
    if isinstance(value, Loss):
        check_registered("loss", value, LOSSES).numbers()
        return value
    if not isinstance(value, str) or value not in LOSSES:
        raise unknown("loss", value, LOSSES)
    return as_loss(LOSSES.by_default("loss", value))


def as_losses(value: Any) -> Loss | dict[Any, Loss]:
    """One loss for all outputs, or one for each in a dict by output population."""
    return {key: as_loss(loss) for key, loss in value.items()} if isinstance(value, Mapping) else as_loss(value)
