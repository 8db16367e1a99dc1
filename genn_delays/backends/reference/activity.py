"""The results of a forward pass, as the adjoint, rewiring and users read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...derive.expressions import evaluate
from ...derive.names import derived_name
from ...plan.exchanged import Pass
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan

Array = npt.NDArray[Any]


class Activity:
    """Activity of all populations, ``[neuron, time, lane]`` by index.

    Attributes:
        plan, dtype: the plan, and the precision of its numbers.
        smooth: spikes are the surrogate's smooth ones.
        how, lanes: the purpose of the pass, and its number of examples.
        x: activity that a population sends.
        spiked: its spikes before dropout.
        tape: its variables before the jumps, by name.
        g: dL/dIsyn.
        h: dL/d(time of arrival) of an impulse (EventProp).
        own_numbers: numbers per neuron that its kernels read, ``[neuron, 1]``, by name.
        frozen_resets: spikes (before dropout) by population, ``[neuron, time, lane]``: where given, they decide the
            resets in place of the run's own. With smooth spikes and those of the unperturbed run, finite differences of
            the loss are the gradient with a detached reset.
    """

    def __init__(self, plan: Plan, dtype: str, smooth: bool) -> None:
        self.plan, self.dtype, self.smooth = plan, np.dtype(dtype), smooth
        self.how, self.lanes = Pass(), 0
        self.x: dict[int, Array] = {}
        self.spiked: dict[int, Array] = {}
        self.tape: dict[int, dict[str, Array]] = {}
        self.g: dict[int, Array] = {}
        self.h: dict[int, Array] = {}
        self.frozen_resets: dict[int, Array] = {}
        self.own_numbers = {
            p.index: {name: values.astype(np.float32).astype(dtype)[:, None] for name, values in p.parameters.items()}
            for p in plan.populations
        }

    def gain(self, source: int) -> Any:
        """Inverted dropout: the factor of the neurons that remain."""
        p = self.plan.populations[source]
        return self.dtype.type(1.0 / (1.0 - p.dropout) if p.dropout and self.how.training else 1.0)

    def numbers(self, population: int) -> dict[str, Array]:
        """The numbers per neuron that its kernels read, ``[neuron, 1]`` each."""
        return self.own_numbers[population]

    def initial(self, p: PopulationPlan) -> dict[str, Array]:
        assert p.model is not None
        numbers = self.own_numbers[p.index]
        return {s: np.broadcast_to(numbers[derived_name("initial", s)], (p.size, self.lanes)) for s in p.model.states}

    def reset(self, p: PopulationPlan, t: int) -> Array:
        """The spikes that decide the resets of step t."""
        return self.frozen_resets.get(p.index, self.spiked[p.index])[:, t]

    def jumped(self, p: PopulationPlan, now: dict[str, Array], spike: Array) -> dict[str, Array]:
        """The variables after a spike's jumps."""
        model, numbers = p.model, self.own_numbers[p.index]
        assert model is not None
        jumped = {s: evaluate(jump.py, {**numbers, **now}) for s, jump in model.jump.items()}
        if self.smooth:
            return {s: now[s] + spike * (jumped[s] - now[s]) if s in jumped else now[s] for s in model.states}
        # a jump to a number written in the equations must not widen the state
        reset = {s: np.where(spike == 1, value, now[s]).astype(self.dtype) for s, value in jumped.items()}
        return {s: reset.get(s, now[s]) for s in model.states}

    def before(self, p: PopulationPlan, t: int) -> dict[str, Array]:
        """The variables with which step t began, after the jumps of the step before."""
        assert p.model is not None
        if t == 0:
            return self.initial(p)
        tape = {s: self.tape[p.index][s][:, t - 1] for s in p.model.states}
        return tape if p.model.threshold is None else self.jumped(p, tape, self.reset(p, t - 1))

    def correlogram(
        self, c: ConnectionPlan, pre: Array, post: Array, lag: Array, rows: dict[int, Array] | None = None
    ) -> Array:
        """``C[n] = <x[pre] delayed by n, g[post]>`` for one lag n a synapse; `rows` is g where not given."""
        x, g, T = self.x[c.source], (self.g if rows is None else rows)[c.target], self.plan.time_steps
        triples = zip(pre, post, lag.tolist(), strict=True)
        return np.array([np.vdot(x[j, : max(T - n, 0)], g[i, min(n, T) :]) for j, i, n in triples], dtype=self.dtype)
