"""What a training step does after the backward pass: regularise, clip, step every optimiser, rewire."""

from __future__ import annotations

import math

import numpy as np

from ..backends.protocol import Engine, Optimisers
from ..learning.schedules import Progress, Schedule
from .plan import Plan
from .populations import PopulationState


class Learner:
    """Learns with an engine.

    Attributes:
        populations: what populations have learned, and batch norm's running averages.
    """

    def __init__(self, plan: Plan, engine: Engine) -> None:
        self.plan, self.engine = plan, engine
        self.populations = [PopulationState.new(p) for p in plan.populations]

    def schedules(self) -> list[Schedule]:
        """Those of every optimiser."""
        optimisers = [o for c in self.plan.connections for o in (c.optimiser, c.delay_optimiser) if o is not None]
        optimisers += [o for p in self.plan.populations for o in p.learned.values()]
        return [o.schedule for o in optimisers if o.schedule is not None]

    def regularise(self, lanes: int) -> float:
        """What hidden neurons' spike counts cost; the backward pass will know of it."""
        total = 0.0
        for p in self.plan.populations:
            if p.regularised and self.plan.regularisation is not None:
                counts = self.engine.spike_totals(p.index) / lanes
                total += self.plan.regularisation.penalty(counts)
                self.engine.set_drive(p.index, self.plan.regularisation.drive(counts, lanes))
        return total

    def step(self, step: int, now: Progress, lanes: int) -> dict[int, int]:
        """One step of every optimiser and rewiring rule, after the backward pass of a batch of `lanes` examples.

        Args:
            step: training step, from 0.
            now: where training stands.

        Returns:
            How many synapses were replaced, by connection that was due.
        """
        optimisers = {
            c.index: Optimisers(*(o and o.at(now) for o in (c.optimiser, c.delay_optimiser)))
            for c in self.plan.connections
            if c.learned
        }
        scale = self._gradient_scale()
        self.engine.update(step, optimisers, scale)
        for p, state in zip(self.plan.populations, self.populations, strict=True):
            if p.batch_norm:
                state.average(p, *self.engine.batch_statistics(p.index), lanes * self.plan.time_steps)
            if p.learned:
                gradients = {k: np.float32(scale) * g for k, g in self.engine.population_gradients(p.index).items()}
                state.step(p, {name: o.at(now) for name, o in p.learned.items()}, gradients)
            if p.learned or p.batch_norm:
                self.engine.set_values(p.index, state.values)
        drops = {
            c.index: c.rewiring.num_dropped(c.size, now)
            for c in self.plan.connections
            if c.rewiring is not None and c.rewiring.due(step, now)
        }
        return self.engine.rewire(step, drops)

    def _gradient_scale(self) -> float:
        """What all gradients are multiplied by, so that their norm is at most ``clip_norm``; L1 is not in them."""
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
