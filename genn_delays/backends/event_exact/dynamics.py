"""One neuron in continuous time: the flow of its state, its spike times, and the jumps of the adjoint there.

The equations are those of :mod:`~genn_delays.derive.transitions`, evaluated for one neuron at a time. A state is
``[x, 1]``: with the constant in it, ``dx/dt = A x + c`` is one matrix.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...derive.names import derived_name, given_name
from ...derive.printed import compiled, evaluate
from ...errors import InvalidValueError
from ...neurons.neuron import REFRACTORY_STATE
from ...plan.plan import PopulationPlan
from ...synapses import Exponential

Array = npt.NDArray[np.float64]

TERMS = np.arange(22)
"""Powers of the Taylor series of the exponential: 1 / 22! is below the precision of a double."""
PRECISION = 1e-13
"""Of spike times, in ms."""


class Flow:
    """``exp(M t)`` as a Taylor series, with t divided until it converges fast; M may have no eigenvectors."""

    def __init__(self, matrix: Array) -> None:
        terms = [np.eye(len(matrix))]
        for k in TERMS[1:]:
            terms.append(terms[-1] @ matrix / k)
        self.shape, self.norm = matrix.shape, float(np.abs(matrix).sum(axis=1).max())
        self.terms = np.stack(terms).reshape(TERMS.size, -1)
        self.over = lru_cache(4096)(self._over)

    def _over(self, t: float) -> Array:
        """The matrix that takes a state t ms further."""
        parts = 1 + int(self.norm * t)
        once = ((t / parts) ** TERMS @ self.terms).reshape(self.shape)
        return np.linalg.matrix_power(once, parts) if parts > 1 else once


class Dynamics:
    """A neuron of a population.

    Attributes:
        states: names of its variables; a state has their values and a 1.
        impulse, output: which of them what arrives is added to, and which one a readout reads.
        initial: the state it starts from.
        period: refractory period in ms, rounded to whole time steps as on the grid; 0 for none.
        flows: how the state moves, by whether the neuron is refractory.
    """

    def __init__(self, p: PopulationPlan, values: dict[str, npt.NDArray[Any]], neuron: int) -> None:
        assert p.model is not None and p.model.transitions is not None
        self.population, self.model, self.transitions = p.name, p.model, p.model.transitions
        self.states = tuple(self.transitions.rates)
        self.impulse, self.output = self.states.index(Exponential.current), p.model.output
        known = {name: v.astype(np.float64) for name, v in {**p.values, **values}.items()}
        known |= {name: v + np.zeros(p.size) for name, v in self._coefficients(known).items()}
        self.numbers: dict[str, Any] = {name: float(v[neuron]) for name, v in known.items()}
        self.initial = np.array([*(p.parameters[derived_name("initial", s)][neuron] for s in self.states), 1.0])
        self.period = 0.0
        if p.model.hold is not None:
            self.numbers[REFRACTORY_STATE] = 0.0  # the threshold is not evaluated within the period
            self.period = p.dt * float(p.coefficients(values)[derived_name("steps", REFRACTORY_STATE)][neuron])
        free = self._matrix()
        held = free.copy()
        held[[self.states.index(s) for s in p.model.held]] = 0.0
        self.flows = {False: Flow(free), True: Flow(held)}

    def _coefficients(self, known: dict[str, Array]) -> dict[str, npt.NDArray[Any]]:
        return {name: evaluate(text, known) for name, text in self.transitions.coefficients.items()}

    def _matrix(self) -> Array:
        """The linear rates as a matrix, by putting unit vectors into them."""
        size = len(self.states)

        def rates(x: Array) -> list[float]:
            known = {**self.numbers, **dict(zip(self.states, x, strict=True))}
            return [float(evaluate(text, known)) for text in self.transitions.rates.values()]

        matrix = np.zeros((size + 1, size + 1))
        matrix[:size, size] = rates(np.zeros(size))
        for j, unit in enumerate(np.eye(size)):
            matrix[:size, j] = rates(unit) - matrix[:size, size]
        return matrix

    def _value(self, text: str, x: Array, others: dict[str, float] | None = None) -> float:
        """An expression of the state x and of other names."""
        return float(compiled(text)({**self.numbers, **dict(zip(self.states, x, strict=False)), **(others or {})}))

    # --- forwards ----------------------------------------------------------------------------------------------------

    def distance(self, x: Array) -> float:
        """The threshold function: it reaches 0 from below where the neuron spikes."""
        assert self.model.threshold is not None
        return self._value(self.model.threshold.py, x)

    def slope(self, x: Array) -> float:
        """Its derivative in time, per ms."""
        return self._value(self.transitions.slope, x)

    def spike_within(self, x: Array, t: float) -> float | None:
        """The time of the neuron's spike within the next t ms, from state x and without events; None for no spike.

        The distance has one maximum at most in so short a time (a time step), so either it has come to 0 at the end,
        or at that maximum, or it does not at all.
        """
        from scipy.optimize import brentq  # slow to import and rarely needed

        if self.model.threshold is None:
            return None
        flow = self.flows[False]
        if self.distance(flow.over(t) @ x) < 0:
            if self.slope(x) <= 0 or self.slope(flow.over(t) @ x) >= 0:
                return None
            t = brentq(lambda s: self.slope(flow.over(s) @ x), 0.0, t, xtol=PRECISION)
            if self.distance(flow.over(t) @ x) < 0:
                return None
        return float(brentq(lambda s: self.distance(flow.over(s) @ x), 0.0, t, xtol=PRECISION))

    def jumped(self, x: Array) -> Array:
        """The state after a spike."""
        after = x.copy()
        for s, jump in self.model.jump.items():
            if s != REFRACTORY_STATE:
                after[self.states.index(s)] = self._value(jump.py, x)
        return after

    def check_silent(self, x: Array, when: str) -> None:
        """Raise an error if the neuron is above its threshold without having crossed it."""
        if self.model.threshold is not None and not self.distance(x) < 0:
            raise InvalidValueError(
                f"population {self.population!r}: a neuron is at or above its threshold {when}; the time of a spike is "
                "defined where the threshold is crossed from below"
            )

    # --- backwards ---------------------------------------------------------------------------------------------------

    def arrival(self, adjoint: Array, held: bool) -> float:
        """dL/d(time of arrival, per ms) of a unit impulse."""
        lambdas = {derived_name("l", s): adjoint[j] for j, s in enumerate(self.states)}
        return self._value(self.transitions.arrival.py, self.initial, {**lambdas, given_name("hold"): float(held)})

    def spiked(self, x: Array, later: Array, felt: float, released: float) -> Array:
        """The adjoint before a spike at x, out of the one after it.

        Args:
            felt: dL/d(time of the spike, per ms) through its targets and the loss.
            released: the same through the end of the refractory period.
        """
        assert self.transitions.spike_time is not None
        known = {**self._later(later), given_name("e_time"): felt, derived_name("L", REFRACTORY_STATE): released}
        time = self._value(self.transitions.spike_time.py, x, known)
        known[given_name("push")] = -time / self.slope(x)
        before = later.copy()
        for s, jump in self.transitions.jump.items():
            before[self.states.index(s)] = self._value(jump.py, x, known)
        return before

    def released(self, x: Array, later: Array) -> float:
        """dL/d(end of the refractory period, per ms) at state x."""
        release = self.transitions.release
        return 0.0 if release is None else self._value(release.py, x, self._later(later))

    def _later(self, adjoint: Array) -> dict[str, float]:
        return {derived_name("L", s): adjoint[j] for j, s in enumerate(self.states)}
