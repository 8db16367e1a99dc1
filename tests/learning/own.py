"""Losses and readouts of a user: each is one class, and nothing else of the library knows it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import own_classes

from genn_delays.learning.losses import Loss
from genn_delays.learning.readouts import Readout


@dataclass(frozen=True)
class Margin(Loss):
    """``1/2 sum over k != l of (weight max(0, margin + z_k - z_l))^2``, l the label: a loss with two numbers."""

    margin: float = 1.0
    weight: float = 0.5

    ground_truth = "example_label"
    body = """
        own = at_label(z)
        over = 0 if is_label else weight * max(margin + double(z) - double(own), 0)
        squares = sum(over * over)
        loss = squares / 2
        slope = weight * over
        slopes = sum(slope)
        dz = real((0 - slopes if is_label else slope) / double(num_lanes))
        """

    @classmethod
    def examples(cls) -> list[Loss]:
        return [cls(), cls(2.0, 0.25)]


@dataclass(frozen=True)
class StepHuber(Loss):
    """``1/(T N) sum of width^2 (sqrt(1 + (error / width)^2) - 1)`` at every step."""

    width: float = 0.5

    ground_truth = "timestep_value"
    body = """
        error = (double(v) - double(target)) / width
        root = sqrt(1 + error * error)
        count = double(num_steps * num_neurons)
        loss = sum(width * width * (root - 1) / count)
        dv = real(width * error / root / (count * double(num_lanes)))
        """


@dataclass(frozen=True)
class LastMaximum(Readout):
    """``z_i = max_t v_i[t]``; the derivative acts in the last step that has it."""

    begin = """
        top = real(0)
        place = int(0)
        """
    each = """
        new = t == 0 or v >= top
        place = t if new else place
        top = v if new else top
        """
    end = "z = top"
    back = "dv = dz if t == place else 0"


@dataclass(frozen=True)
class Discounted(Readout):
    """``z_i = sum_t exp(-rate t dt) v_i[t]``, `rate` per ms."""

    rate: float = 0.05

    begin = "sum = real(0)"
    each = """
        weight = real(exp(-rate * double(t) * dt))
        sum = sum + weight * v
        """
    end = "z = sum"
    back = """
        weight = real(exp(-rate * double(t) * dt))
        dv = weight * dz
        """

    @classmethod
    def examples(cls) -> list[Readout]:
        return [cls(), cls(0.2)]


@dataclass(frozen=True)
class SquaredShare(Readout):
    """``z_i = 1/T (sum_t q_i[t])^2`` of ``q[t] = softmax(v[t])``: the way back needs what was carried."""

    reads = "softmax"
    begin = "share = real(0)"
    each = "share = share + v"
    end = "z = share * share / real(num_steps)"
    back = "dv = 2 * share * dz / real(num_steps)"


@dataclass(frozen=True)
class LateSpikes(Readout):
    """``z_i = sum of t / T`` over its spikes: the derivative by a spike depends on its step."""

    reads = "spikes"
    begin = "late = real(0)"
    each = "late = late + real(t) / real(num_steps)"
    end = "z = late"
    back = "dv = dz * (real(t) / real(num_steps))"


OWN: dict[str, Any] = {
    "margin": Margin, "step_huber": StepHuber, "last_maximum": LastMaximum, "discounted": Discounted,
    "squared_share": SquaredShare, "late_spikes": LateSpikes,
}  # fmt: skip


def registered() -> AbstractContextManager[None]:
    """All of them registered, while the block is open."""
    return own_classes.registered(OWN)
