"""Gates of a threshold: times in which a neuron does not spike, wherever its variables are."""

from __future__ import annotations

from dataclasses import replace

from ..errors import InvalidValueError
from ..neurons import Equations
from ..neurons.neuron import REFRACTORY_STATE as REFRAC
from ..neurons.neuron import RISING_STATE as ABOVE
from .model import DiscreteModel
from .names import code_name, derived_name, given_name
from .printed import Printed

_NEVER = Printed(c="-1e9f", py="-1e9")
"""A distance to the threshold that is far below the support of every surrogate."""
_ZERO = Printed(c="0.0f", py="0.0")


def with_rising(model: DiscreteModel, equations: Equations) -> DiscreteModel:
    """The model with a flag that its last step ended above the threshold, in which case it does not spike again.

    The flag is read from the variables with which a step begins: a neuron that starts above its threshold does not
    spike before it has been below.
    """
    assert model.threshold is not None
    if ABOVE in (*model.states, *equations.parameters):
        raise InvalidValueError(f"{ABOVE!r} cannot be a name in a neuron that spikes when it rises: its flag has it")
    flag, distance = code_name(ABOVE), model.threshold
    was = Printed(c=f"{distance.c} >= 0.0f ? 1.0f : 0.0f", py=f"where({distance.py} >= 0, 1.0, 0.0)")
    return replace(
        model,
        states=(*model.states, ABOVE),
        update={**model.update, ABOVE: was},
        threshold=Printed(
            c=f"({flag} > 0.0f ? {_NEVER.c} : {distance.c})", py=f"where({ABOVE} > 0, {_NEVER.py}, {distance.py})"
        ),
        adjoint={**model.adjoint, ABOVE: _ZERO},
    )


def with_refractory(model: DiscreteModel, equations: Equations) -> DiscreteModel:
    """The model with a counter of the steps in which it holds its variables and does not spike."""
    assert model.threshold is not None
    if REFRAC in (*model.states, *equations.parameters):
        raise InvalidValueError(f"{REFRAC!r} cannot be a name in a neuron with a refractory period: its counter has it")
    counter = code_name(REFRAC)
    update = {
        s: Printed(c=f"{counter} > 0.0f ? {code_name(s)} : {e.c}", py=f"where({REFRAC} > 0, {s}, {e.py})")
        if s in equations.held
        else e
        for s, e in model.update.items()
    }
    update[REFRAC] = _counted(counter, equations)
    steps = derived_name("steps", REFRAC)
    distance = model.threshold
    return replace(
        model,
        states=(*model.states, REFRAC),
        coefficients={**model.coefficients, steps: f"rint({equations.refractory} / dt)"},
        update=update,
        jump={**model.jump, REFRAC: Printed(c=steps, py=steps)},
        threshold=Printed(
            c=f"({counter} > 0.0f ? {_NEVER.c} : {distance.c})", py=f"where({REFRAC} > 0, {_NEVER.py}, {distance.py})"
        ),
        adjoint={**model.adjoint, REFRAC: _ZERO},
        held=equations.held,
        hold=Printed(
            c=f"(S > 0.0f ? {steps} : {counter}) > 0.0f ? 1.0f : 0.0f",
            py=f"where(where({given_name('S')} > 0, {steps}, {REFRAC}) > 0, 1.0, 0.0)",
        ),
    )


def _counted(counter: str, equations: Equations) -> Printed:
    """The counter one step later. Where held variables get their input in the step itself, it goes on to -1: it is 0 in
    the last step that was held, and -1 in those that were not, which :func:`input_gradient` must tell apart."""
    if _reached_at_once(equations):
        return Printed(c=f"{counter} > 0.0f ? {counter} - 1.0f : -1.0f", py=f"where({REFRAC} > 0, {REFRAC} - 1, -1.0)")
    return Printed(c=f"fmaxf({counter} - 1.0f, 0.0f)", py=f"maximum({REFRAC} - 1, 0)")


def _reached_at_once(equations: Equations) -> bool:
    return equations.refractory is not None and equations.impulse is None


def input_gradient(equations: Equations, entries: tuple[str, ...]) -> Printed:
    """dL/dIsyn[t] out of ``l__<state>``: an impulse reaches its variable; else it is ``sum of b l`` over the variables
    that `Isyn` flows into, without held ones in steps in which they stand still.

    Args:
        entries: those variables, which have a coefficient b.
    """
    if equations.impulse is not None:
        text = derived_name("l", equations.impulse)
        return Printed(c=text, py=text)
    held = [s for s in entries if s in equations.held and _reached_at_once(equations)]
    free = [s for s in entries if s not in held]
    sums = [" + ".join(f"{derived_name('b', s)}*{derived_name('l', s)}" for s in sorted(part)) for part in (free, held)]
    if not held:
        return Printed(c=sums[0] or _ZERO.c, py=sums[0] or _ZERO.py)
    first = f"{sums[0]} + " if free else ""
    return Printed(
        c=f"{first}({code_name(REFRAC)} >= 0.0f ? 0.0f : {sums[1]})",
        py=f"{first}where({REFRAC} >= 0, 0.0, {sums[1]})",
    )
