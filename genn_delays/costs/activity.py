"""Activity, as far as costs depend on it: how often every neuron is active at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..plan.exchanged import DenseData, EventData, InputData
from ..plan.plan import Plan
from ..plan.protocol import Engine

Counts = npt.NDArray[Any]


@dataclass(frozen=True)
class Activity:
    """Activity of some examples.

    Attributes:
        examples: how many.
        active: by index of a population, in how many examples a neuron sends something other than 0 at a step,
            ``[neuron, time]``; a mean where it is not of whole examples.
    """

    examples: int
    active: Mapping[int, Counts]

    def rate(self, population: int) -> float:
        """Share of neuron-steps at which something is sent."""
        counts = self.active[population]
        return float(counts.sum() / (counts.size * self.examples)) if counts.size else 0.0

    def scaled(self, examples: int) -> Activity:
        """The same activity of another number of examples."""
        factor = examples / self.examples
        return Activity(examples, {i: counts * factor for i, counts in self.active.items()})

    def __add__(self, other: Activity) -> Activity:
        return Activity(self.examples + other.examples, {i: n + other.active[i] for i, n in self.active.items()})


def measured(plan: Plan, engine: Engine, inputs: Mapping[int, InputData], examples: npt.NDArray[np.int64]) -> Activity:
    """The activity of the batch that an engine has just computed."""
    active = {
        p.index: input_activity(inputs[p.index], examples, p.size, plan.time_steps)
        if p.model is None
        else engine.spikes(p.index).sum(axis=2, dtype=np.int64)
        for p in plan.populations
    }
    return Activity(examples.size, active)


def input_activity(data: InputData, examples: npt.NDArray[np.int64], size: int, time_steps: int) -> Counts:
    """In how many examples an input is other than 0, ``[neuron, time]``."""
    if isinstance(data, DenseData):
        found: Any = np.count_nonzero(data.values[examples], axis=0).T
        return np.ascontiguousarray(found, dtype=np.int64)
    assert isinstance(data, EventData)
    counts = np.zeros((size, time_steps), np.int64)
    for x in examples:
        own = slice(int(data.start[x]), int(data.start[x + 1]))
        np.add.at(counts, (data.neuron[own], data.step[own]), 1)
    return counts
