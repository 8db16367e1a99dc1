"""Surrogate derivatives of the spike. A new one is a class with its smooth spike, registered by a name.

A surrogate is given by the smooth spike it belongs to: replacing the hard spike by it makes the network differentiable,
so its gradients can be checked by finite differences. SymPy differentiates it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import check_real, check_registered, keep, unknown
from ..registry import Registry


class Surrogate(ABC):
    """A smooth spike S(x) of x = the threshold expression (>= 0 at a spike)."""

    registered_name: ClassVar[str]
    support: float | None = None
    """``S'(x)`` is zero where ``|x| >= support``; None where it is nowhere zero."""

    @abstractmethod
    def spike(self, x: Any) -> Any:
        """S(x) as a SymPy expression of the symbol `x`, rising from 0 to 1."""

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        support = getattr(cls, "support", None)
        if not (support is None or isinstance(support, property)):
            check_real(f"surrogate {cls.__name__}: support", support, 0.0, open_low=True)

    @classmethod
    def examples(cls) -> list[Surrogate]:
        """Surrogates that the contract tests try."""
        return [cls()]


SURROGATES: Registry[Surrogate] = Registry("surrogate", Surrogate)  # type: ignore[type-abstract]


@SURROGATES.register("arctan")
@dataclass(frozen=True)
class ArcTan(Surrogate):
    """``S(x) = 1/2 + arctan(pi alpha x / 2) / pi``, ``S'(x) = (alpha / 2) / (1 + (pi alpha x / 2)^2)``.

    Source: Fang et al. 2021 (arXiv 2007.05785), the surrogate of the published delay-learning code with alpha = 5.
    """

    alpha: float = 5.0

    def __post_init__(self) -> None:
        keep(self, alpha=check_real("ArcTan alpha", self.alpha, 0.0, open_low=True))

    def spike(self, x: Any) -> Any:
        import sympy

        return sympy.Rational(1, 2) + sympy.atan(sympy.pi * sympy.Float(self.alpha) * x / 2) / sympy.pi


@SURROGATES.register("triangle")
@dataclass(frozen=True)
class Triangle(Surrogate):
    """``S'(x) = max(0, 1 - |x| / width) / width``: zero away from the threshold, so its backward pass can skip.

    Source: Esser et al. 2016 (doi 10.1073/pnas.1604850113), with unit area.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        keep(self, width=check_real("Triangle width", self.width, 0.0, open_low=True))

    @property
    def support(self) -> float:  # type: ignore[override]
        """Half the width of the triangle's base."""
        return self.width

    def spike(self, x: Any) -> Any:
        import sympy

        w, half = sympy.Float(self.width), sympy.Rational(1, 2)
        rise, fall = half + x / w + x**2 / (2 * w**2), half + x / w - x**2 / (2 * w**2)
        return sympy.Piecewise((0, x <= -w), (rise, x < 0), (fall, x < w), (1, True))


def as_surrogate(value: Any) -> Surrogate:
    """A registered name or a surrogate as a surrogate."""
    if isinstance(value, Surrogate):
        if value.support is not None:
            check_real(f"support of surrogate {type(value).__name__}", value.support, 0.0, open_low=True)
        return check_registered("surrogate", value, SURROGATES)
    if not isinstance(value, str) or value not in SURROGATES:
        raise unknown("surrogate", value, SURROGATES)
    return SURROGATES.by_default("surrogate", value)
