"""Gradients of coefficients, out of which those of learned parameters are made, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...derive.equations import DiscreteModel
from ...derive.integration import transition
from ...derive.names import derived_name
from ...neurons.neuron import REFRACTORY_STATE

Array = npt.NDArray[Any]


def add_slopes(
    totals: dict[str, Array], model: DiscreteModel, now: dict[str, Array], before: dict[str, Array], current: Array
) -> None:
    """dL/dcoefficient grows by lambda[t] times what the coefficient is multiplied by in step t, in place.

    Args:
        totals: by coefficient, ``[neuron]``.
        now: lambda of step t by state, ``[neuron, lane]``.
        before: the states with which the step began.
        current: its input current.
    """
    factor = {transition(s, r): (s, before[r]) for s in model.states for r in model.states}
    factor |= {derived_name("b", s): (s, current) for s in model.states}
    factor |= {derived_name("c", s): (s, np.ones_like(before[s])) for s in model.states}
    for c, total in totals.items():
        s, value = factor[c]
        if s in model.held:
            value = np.where(before[REFRACTORY_STATE] > 0, 0, value)
        total += (now[s] * value).sum(axis=1, dtype=np.float64)
