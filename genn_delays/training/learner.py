"""A training step between the passes: regularise, clip, step every optimiser, rewire."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..learning.schedules import Progress
from ..plan.exchanged import Rewired
from ..plan.plan import Plan
from ..plan.populations import PopulationState
from ..plan.protocol import Engine


class HostLearner:
    """See :class:`~genn_delays.plan.protocol.Learner`; values of populations are learned by NumPy."""

    def __init__(self, plan: Plan, engine: Engine) -> None:
        self.plan, self.engine = plan, engine
        self._states = [PopulationState.new(p) for p in plan.populations]

    @property
    def populations(self) -> list[PopulationState]:
        return self._states

    def set_population(self, index: int, state: PopulationState) -> None:
        self._states[index] = state
        self.engine.set_values(index, state.values)

    def regularise(self, lanes: int) -> Mapping[int, float]:
        penalties = {}
        for p in self.plan.populations:
            if p.regularised and self.plan.regularisation is not None:
                counts = self.engine.spike_totals(p.index) / lanes
                penalties[p.index] = self.plan.regularisation.penalty(counts)
                self.engine.set_drive(p.index, self.plan.regularisation.drive(counts, lanes))
        return penalties

    def step(self, step: int, now: Progress, lanes: int) -> Mapping[int, Rewired]:
        optimisers = self.plan.optimisers(now)
        scale = self._gradient_scale()
        self.engine.update(step, optimisers, scale)
        for p, state in zip(self.plan.populations, self._states, strict=True):
            if p.batch_norm:
                state.average(p, *self.engine.batch_statistics(p.index), lanes * self.plan.time_steps)
            if p.learned:
                gradients = {k: np.float32(scale) * g for k, g in self.engine.population_gradients(p.index).items()}
                state.step(p, self.plan.optimisers_of(p, now), gradients)
            if p.learned or p.batch_norm:
                self.engine.set_values(p.index, state.values)
        return self.engine.rewire(step, self.plan.drops(step, now))

    def _gradient_scale(self) -> float:
        """The factor of all gradients with which their norm is at most ``clip_norm``; L1 is not in them."""
        if self.plan.clip_norm is None:
            return 1.0
        learned = [
            self.engine.gradient(c.index, variable)
            for c in self.plan.connections
            for variable, optimiser in (("weight", c.optimiser), ("delay", c.delay_optimiser))
            if optimiser is not None
        ]
        for p in self.plan.populations:
            learned += [g for name, g in self.engine.population_gradients(p.index).items() if name in p.learned]
        norm = math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in learned))
        return min(1.0, self.plan.clip_norm / norm) if norm > 0 else 1.0
