"""Learned values of populations, one number a neuron each: batch norm's parameters and statistics, and time constants.

There are only O(neurons) of them. Their state is kept on the host: an engine gives gradients and takes new values. An
engine that learns some of them itself, as ``cuda`` does batch norms, brings them to the host when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..learning.optimisers import Optimiser
from .plan import PopulationPlan
from .schema import neuron_fields

F32 = npt.NDArray[np.float32]


@dataclass
class PopulationState:
    """All that a population carries from one training step to the next, ``[neuron]`` each.

    Attributes:
        values: learned and normalising values, by name; `batch_norm_mean` and `batch_norm_var` are running averages.
        moments: the optimisers', by name of the value.
        age: training steps so far.
    """

    values: dict[str, F32]
    moments: dict[str, list[F32]] = field(default_factory=dict)
    age: int = 0

    @classmethod
    def new(cls, p: PopulationPlan) -> PopulationState:
        """The state of a population that has never been trained."""
        fields = neuron_fields(p)
        moments = {
            name: [np.zeros(p.size, np.float32) for _ in range(f.moments)]
            for name, f in fields.items()
            if f.moments is not None
        }
        return cls({name: f.birth for name, f in fields.items()}, moments)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays by name, as a checkpoint keeps them."""
        found: dict[str, npt.NDArray[Any]] = dict(self.values)
        for name, moments in self.moments.items():
            found |= {f"{name}.moment{m}": values for m, values in enumerate(moments)}
        return found

    def step(self, p: PopulationPlan, optimisers: dict[str, Optimiser], gradients: dict[str, F32]) -> None:
        """One step of every optimiser, in place."""
        self.age += 1
        age = np.full(p.size, min(self.age, 65_535), dtype=np.uint16)
        for name, optimiser in optimisers.items():
            value = optimiser.step(self.values[name], gradients[name], self.moments[name], age)
            self.values[name] = np.maximum(value, np.float32(p.lowest(name)))

    def average(
        self, p: PopulationPlan, mean: npt.NDArray[np.float64], var: npt.NDArray[np.float64], count: int
    ) -> None:
        """Let a batch of `count` values a neuron enter the running averages; its variance is made unbiased first."""
        assert p.batch_norm is not None
        new, old = p.batch_norm.momentum, 1.0 - p.batch_norm.momentum
        unbiased = var * (count / max(count - 1, 1))
        for name, batch in (("batch_norm_mean", mean), ("batch_norm_var", unbiased)):
            self.values[name] = (old * self.values[name].astype(np.float64) + new * batch).astype(np.float32)
