"""The costs of a dense network of the same populations: every pair has a synapse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..plan.plan import Plan


class Dense(NamedTuple):
    """Multiply-accumulates of one example forward.

    Attributes:
        one_delay: a weight a pair, at one of the delays that its connection draws (the mean over them).
        convolution: a weight a pair and delay: a convolution over time, as dense implementations of delays have it.
    """

    one_delay: float
    convolution: float


def dense_forward(plan: Plan) -> Dense:
    """See :class:`Dense`."""
    one = every = 0.0
    for c in plan.connections:
        arrive = np.maximum(plan.time_steps - np.arange(c.max_delay + 1), 0)
        pairs = c.num_pre * c.num_post
        one += pairs * c.capacity * float(arrive[c.delay_low : c.delay_high + 1].mean())
        every += pairs * float(arrive[c.min_delay :].sum())
    return Dense(one, every)
