"""Classes of a user of every kind, each one class in one place; nothing of the library knows them.

Their independent formulas, in plain NumPy, are in ``tests/contracts/test_own_formulas.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import genn_delays as gd
from genn_delays.learning.schedules import Progress
from genn_delays.registry import registries


@dataclass(frozen=True)
class ThirdMoment(gd.Optimiser):
    """Adam whose step is damped by the mean of ``|g|^3``: an optimiser of three moments."""

    beta1: float = 0.9
    beta2: float = 0.99
    damping: float = 0.5

    moments = ("m", "v", "third")
    body = """
        m = real(beta1) * m + (1 - real(beta1)) * g
        v = real(beta2) * v + (1 - real(beta2)) * (g * g)
        third = real(beta2) * third + (1 - real(beta2)) * (abs(g) * (g * g))
        w = w - real(alpha) * m / (sqrt(v) + real(damping) * third + 0.01)
        """


@dataclass(frozen=True)
class TiltedError(gd.Loss):
    """``1/N sum_i scale e_i^2 (rise where e_i > 0, else 1)`` with ``e = z - target``: a loss of two numbers."""

    scale: float = 1.0
    rise: float = 3.0

    ground_truth = "example_value"
    body = """
        error = double(z) - double(target)
        tilt = scale * (rise if error > 0 else 1)
        squares = sum(tilt * error * error)
        loss = squares / double(num_neurons)
        dz = real(2 * tilt * error / double(num_neurons * num_lanes))
        """

    @classmethod
    def examples(cls) -> list[gd.Loss]:
        return [cls(), cls(0.25, 0.5)]


@dataclass(frozen=True)
class FadingSum(gd.Readout):
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


@dataclass(frozen=True)
class WeakAndOld(gd.RewiringRule):
    """Drops the synapses of smallest ``|w| (1 + youth / age)``: old ones must be worth more to stay."""

    fraction: float = 0.2
    youth: float = 2.0

    score = "score = abs(w) * (1 + real(youth) / real(max(age, 1)))"

    def num_dropped(self, size: int, progress: Progress) -> int:
        return int(self.fraction * size)


@dataclass(frozen=True)
class Cauchy(gd.DelayKernel):
    """``e(x) = 1 / (1 + (x / width)^2)``."""

    offset, reach = 0.5, 4.0
    body = """
        share = x / width
        e = 1 / (1 + share * share)
        slope = 2 * (e * e) * share / width
        """


@dataclass(frozen=True)
class Logistic(gd.Surrogate):
    """``S(x) = 1 / (1 + exp(-steepness x))``."""

    steepness: float = 4.0

    def spike(self, x: Any) -> Any:
        import sympy

        return (1 + sympy.tanh(sympy.Float(self.steepness) * x / 2)) / 2


@dataclass(frozen=True)
class Geometric(gd.DelayInitializer):
    """P(d = low + k) proportional to ``ratio^k``."""

    low: int = 1
    high: int = 6
    ratio: float = 0.5

    def cumulative(self) -> Any:
        p = self.ratio ** np.arange(self.high - self.low + 1)
        return np.cumsum(p)[:-1] / p.sum()


@dataclass(frozen=True)
class Laplace(gd.Initializer):
    """A Laplace distribution of the given scale."""

    scale: float = 0.3

    def quantile(self, u: Any, fan_in: int) -> Any:
        return -self.scale * np.sign(u - 0.5) * np.log1p(-2 * np.abs(u - 0.5))


@dataclass
class Quadratic(gd.DynamicNeuron):
    """A leak and a slower trace ``r`` that lowers the threshold; the names are words of C."""

    double: Any = 7.0
    v_thresh: Any = 0.4

    def equations(self) -> gd.Equations:
        variables = {"int": ("-int / double + Isyn", "0"), "r": ("(int - r) / 20", None)}
        return gd.Equations(variables, "int + 0.1 * r - v_thresh", ("double", "v_thresh"), output="int")

    def parameter_values(self) -> dict[str, Any]:
        return {"double": self.double, "v_thresh": self.v_thresh, "int": 0.0, "r": 0.0}


OWN: dict[str, type] = {
    "third_moment": ThirdMoment, "tilted_error": TiltedError, "fading_sum": FadingSum, "weak_and_old": WeakAndOld,
    "cauchy_own": Cauchy, "logistic_own": Logistic, "geometric_own": Geometric, "laplace_own": Laplace,
    "quadratic": Quadratic,
}  # fmt: skip


@contextmanager
def registered(classes: dict[str, type] = OWN) -> Iterator[None]:
    """These classes registered while the block is open; that is all that is done for them."""
    before = [(registry, dict(dict.items(registry))) for registry in registries()]
    for name, kind in classes.items():
        gd.register(name)(kind)
    try:
        yield
    finally:
        for registry, names in before:
            for name in set(dict.keys(registry)) - names.keys():
                dict.pop(registry, name)
