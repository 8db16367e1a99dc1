"""Readouts: how a loss reads a population over time. Each has a kernel template ``readout_<name>`` per target.

The functions here are the definition. Shapes: what is read, ``v``, and its derivative ``[neuron, time, lane]``, ``z``
and its derivative ``[neuron, lane]``. What is read is the output variable, or the spikes (as 0 and 1) of spiking
neurons. `dt` is the length of a time step in ms.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Readout(Protocol):
    """A readout and its derivative.

    Attributes:
        derivative: what `backward` gives: dL/dv by value, or dL/dt (per ms) of the time of the spikes that are read.
        best: which z is the answer.
    """

    reads: Literal["variable", "spikes"]
    derivative: Literal["value", "time"]
    best: Literal["largest", "smallest"]

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        """z for the variable over time."""

    def backward(self, v: Array, dz: Array) -> Array:
        """dL/dv for dL/dz."""


class OfVariable:
    """Base of what reads the output variable."""

    reads: Literal["variable", "spikes"] = "variable"
    derivative: Literal["value", "time"] = "value"
    best: Literal["largest", "smallest"] = "largest"


class SumVar(OfVariable):
    """``z_i = sum_t v_i[t]``."""

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        return np.asarray(v.sum(axis=1))

    def backward(self, v: Array, dz: Array) -> Array:
        return np.broadcast_to(dz[:, None], v.shape).copy()


class SumSoftmax(OfVariable):
    """``z_i = sum_t q_i[t]`` with ``q[t] = softmax(v[t])`` over the population's neurons.

    Source: Hammouamri et al. 2023 (arXiv 2306.17670).
    """

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        return np.asarray(softmax(v).sum(axis=1))

    def backward(self, v: Array, dz: Array) -> Array:
        q = softmax(v)
        return np.asarray(q * (dz[:, None] - (q * dz[:, None]).sum(axis=0)))


def softmax(v: Array) -> Array:
    """exp(v) over its sum along the first axis."""
    q = np.exp(v - v.max(axis=0))
    return np.asarray(q / q.sum(axis=0))


class AvgVar(OfVariable):
    """``z_i = 1/T sum_t v_i[t]``."""

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        return np.asarray(v.sum(axis=1) / v.dtype.type(v.shape[1]))

    def backward(self, v: Array, dz: Array) -> Array:
        return np.broadcast_to(dz[:, None] / v.dtype.type(v.shape[1]), v.shape).copy()


class MaxVar(OfVariable):
    """``z_i = max_t v_i[t]``; the derivative acts in the first step that has the maximum."""

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        return np.asarray(v.max(axis=1))

    def backward(self, v: Array, dz: Array) -> Array:
        first = np.expand_dims(v.argmax(axis=1), 1)
        dv = np.zeros_like(v)
        np.put_along_axis(dv, first, dz[:, None], axis=1)
        return dv


class AvgVarExpWeight(OfVariable):
    """``z_i = 1/T sum_t exp(-t / T) v_i[t]``, t = 0, 1, ...: early steps count more; mlGeNN's of the same name."""

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        return np.asarray((self._weight(v) * v).sum(axis=1))

    def backward(self, v: Array, dz: Array) -> Array:
        return np.asarray(self._weight(v) * dz[:, None])

    @staticmethod
    def _weight(v: Array) -> Array:
        steps = v.shape[1]
        return np.asarray((np.exp(-np.arange(steps) / steps) / steps).astype(v.dtype)[:, None])


class Var(OfVariable):
    """The variable itself: losses of a time step read it at every step, all others at the end, ``z_i = v_i[T - 1]``."""

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        return v[:, -1].copy()

    def backward(self, v: Array, dz: Array) -> Array:
        dv = np.zeros_like(v)
        dv[:, -1] = dz
        return dv


class EndVar(Var):
    """``z_i = v_i[T - 1]``, the variable at the end of the example; mlGeNN 3's name."""


class SpikeCount(SumVar):
    """``z_i = sum_t S_i[t]``, the number of spikes of an output neuron."""

    reads: Literal["variable", "spikes"] = "spikes"


class FirstSpikeTime:
    """``z_i``, the time in ms of neuron i's first spike, ``t dt``; without one the example's length, ``T dt``.

    The earliest is the answer. mlGeNN's of the same name gives the negative time. The derivative acts on the time of
    that spike, in its step. Where there is no spike there is nothing to move, so that a neuron that has become silent
    would never be heard again. Under EventProp it is pushed by a phantom spike (:meth:`phantom_push`).
    """

    reads: Literal["variable", "spikes"] = "spikes"
    derivative: Literal["value", "time"] = "time"
    best: Literal["largest", "smallest"] = "smallest"

    def forward(self, v: Array, dt: float = 1.0) -> Array:
        spiked = v != 0
        steps = np.where(spiked.any(axis=1), spiked.argmax(axis=1), v.shape[1])
        return np.asarray((steps * dt).astype(v.dtype))

    def backward(self, v: Array, dz: Array) -> Array:
        first = (v != 0) & (np.cumsum(v != 0, axis=1) == 1)
        return np.where(first, dz[:, None], 0).astype(v.dtype)

    def phantom_push(self, v: Array, dz: Array, inverse_slope: Array) -> Array:
        """dL/d(potential) at the end of the example, ``[neuron, lane]``, of neurons that did not spike in it.

        Such a neuron is taken to have spiked at the end, where `z` has it, its potential rising by a unit in
        `inverse_slope` ms (``[neuron]``). A higher potential would then have made it spike earlier, at a spike's own
        rule (Wunderlich & Pehle 2021)::

            dL/dv(T dt) = -inverse_slope max(dL/dz, 0)

        None is pushed to be more silent still. Source: mlGeNN's EventProp compiler. Its version 2 has this for the
        label's neuron under cross-entropy, ``LambdaV += ttfs_alpha / (0.01 T dt)^2 / batch_size``: the last term of the
        derivative at the end and, as its ``LambdaV`` is ``-dL/dv / tau_mem``, an inverse slope of `tau_mem`. Version 3
        takes the whole derivative, as here, but the slope that the potential happens to have, which may be negative.
        """
        silent = ~(v != 0).any(axis=1)
        return np.where(silent, -inverse_slope[:, None] * np.maximum(dz, 0), 0).astype(v.dtype)


READOUTS: dict[str, Readout] = {
    "sum_var": SumVar(),
    "sum_softmax": SumSoftmax(),
    "avg_var": AvgVar(),
    "avg_var_exp_weight": AvgVarExpWeight(),
    "max_var": MaxVar(),
    "var": Var(),
    "end_var": EndVar(),
    "spike_count": SpikeCount(),
    "first_spike_time": FirstSpikeTime(),
}
"""By name; a new one is a class, a kernel template of its name per target, and a line here."""


def answers(readout: str, z: Array, v: Array, every_step: bool) -> Array:
    """The class that each lane decides for, ``[lane]``; or the largest v at every step, ``[time, lane]``."""
    if every_step:
        return np.asarray(v.argmax(axis=0))
    return np.asarray((z if READOUTS[readout].best == "largest" else -z).argmax(axis=0))
