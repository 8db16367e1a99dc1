"""The functions of nonlinear neurons that a plan's code brings with it."""

from __future__ import annotations

from ..bodies import Body
from ..bodies.elementary import PORTABLE
from ..derive.printed import words_of
from ..plan.plan import Plan


def bodies_of_neurons(plan: Plan) -> list[Body]:
    """Those that steps and adjoints of its neurons call, in a fixed order."""
    called: set[str] = set()
    for p in plan.populations:
        if (m := p.model) is not None:
            written = [*m.steps.values(), *m.update.values(), *m.jump.values(), *m.back.values(), *m.adjoint.values()]
            called |= words_of([*written, *([m.threshold] if m.threshold else [])])
    return [body for name, body in PORTABLE.items() if name in called]
