"""The functions of nonlinear neurons that a plan's code brings with it."""

from __future__ import annotations

from collections.abc import Iterable

from ..bodies import Body
from ..bodies.elementary import PORTABLE
from ..derive.model import DiscreteModel
from ..derive.printed import Printed, words_of
from ..plan.plan import Plan


def bodies_of_neurons(plan: Plan) -> list[Body]:
    """Those that steps and adjoints of its neurons call, in a fixed order."""
    models = [p.model for p in plan.populations if p.model is not None]
    return _called([e for m in models for e in (*_step(m), *m.back.values(), *m.adjoint.values())])


def bodies_of_steps(models: Iterable[DiscreteModel]) -> list[Body]:
    """Those that the steps of neurons call, without an adjoint, in a fixed order."""
    return _called([e for m in models for e in _step(m)])


def _step(m: DiscreteModel) -> list[Printed]:
    distance = [m.threshold] if m.threshold else []
    return [*m.steps.values(), *m.update.values(), *m.jump.values(), *distance]


def _called(written: list[Printed]) -> list[Body]:
    words = words_of(written)
    return [body for name, body in PORTABLE.items() if name in words]
