"""Plans that can be run and not trained."""

from __future__ import annotations

from ..errors import InvalidValueError
from .plan import Plan


def check_trainable(plan: Plan) -> None:
    """Raise an error if a population's neurons have no adjoint; forward passes need none."""
    if plan.forward_only:
        raise InvalidValueError(
            "this network was compiled by InferenceCompiler, which can evaluate and predict, and has no gradients: "
            "compile it with SurrogateCompiler or EventPropCompiler to train it"
        )
    for p in plan.populations:
        if p.model is not None and p.model.untrainable is not None:
            raise InvalidValueError(f"population {p.name!r} can be evaluated and not trained: {p.model.untrainable}")
