"""From equations to one time step and its adjoint: SymPy derives both and prints them for C and for NumPy.

The state evolves as ``x[t] = M x'[t-1] + b Isyn[t] + c`` (`x'`: after the jumps of a spike), with a matrix that the
integration rule gives: ``M = 1 + A dt`` (linear Euler) or ``M = exp(A dt)`` (exact). Its entries, the *coefficients*,
are computed once per neuron on the host, in float64, and rounded to float32, so every backend multiplies by the same
numbers; what is left per step is products and sums in a fixed order, which round alike everywhere.

The adjoint follows from differentiating that step. With ``L = lambda[t+1]``, ``e = dL/dS`` and the surrogate
``ds = sigma'(threshold)``::

    lambda_s[t] = sum_r (M^T L)_r dx'_r/dx_s + ds dthreshold/dx_s (e [+ sum_r (jump_r - x_r) (M^T L)_r])

The bracket is there where the reset is differentiated. Source: Mészáros, Knight & Nowotny 2024 for the LIF neuron.

What arrives through an exponential synapse is an impulse: it is added to the synaptic current at the end of the step,
so it reaches the membrane in the next one. A refractory neuron counts whole steps; while it does, what it holds stands
still, ``x_s[t] = x'_s[t-1]``, and ``lambda_s`` passes unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidValueError
from ..neurons import Equations
from ..neurons.neuron import REFRACTORY_STATE as REFRAC
from .expressions import Printed, derived, given, numpy_text, parse, printed
from .integration import discretise, transition
from .names import code_name, derived_name, given_name
from .transitions import Transitions, derive_transitions, has_transitions


@dataclass(frozen=True)
class DiscreteModel:
    """A neuron model ready to be put into a kernel.

    Attributes:
        states: names of the state variables.
        equations: the model as the user wrote it, one line an equation, for comments.
        coefficients: name and NumPy expression (of the parameters and `dt`) of every per-neuron coefficient.
        sensitivity: for every other parameter the derivatives of the coefficients that depend on it (NumPy
        expressions). step_parameters: parameters that the step itself uses.
        update: for every state, its value before a spike is accounted for.
        jump: for every state that a spike changes, its value after it.
        threshold: the neuron spikes where this is >= 0.
        adjoint: for every state, lambda[t] out of ``L__<state>`` (lambda[t+1]), ``S__``, ``ds__`` and ``e__``.
        gradient: dL/dIsyn[t] out of ``l__<state>`` (lambda[t]).
        output: index of the state that a readout reads.
        held: states that stand still while the neuron is refractory.
        hold: whether the neuron is refractory from here on to the next step, as 0 or 1; None where it never is.
        transitions: changes at spikes and arrivals in continuous time, for EventProp; None without an impulse
            or where a right-hand side reads `dt`.
    """

    states: tuple[str, ...]
    equations: tuple[str, ...]
    coefficients: dict[str, str]
    sensitivity: dict[str, dict[str, str]]
    step_parameters: tuple[str, ...]
    update: dict[str, Printed]
    jump: dict[str, Printed]
    threshold: Printed | None
    adjoint: dict[str, Printed]
    gradient: Printed
    output: int
    held: tuple[str, ...]
    hold: Printed | None
    transitions: Transitions | None


def derive(equations: Equations, detach_reset: bool) -> DiscreteModel:
    """The discrete model of a neuron.

    Args:
        equations: the neuron.
        detach_reset: leave the reset out of the adjoint of the spike.

    Raises:
        InvalidValueError: a name that is not defined, or a right-hand side that is not linear.
    """
    import sympy

    states = tuple(equations.variables)
    symbols = {n: sympy.Symbol(n, real=True) for n in (*states, *equations.parameters, "Isyn", "dt")}
    x = [symbols[s] for s in states]
    rhs = [parse(equations.variables[s][0], symbols, f"d{s}/dt") for s in states]
    coefficients, update = discretise(equations, rhs, symbols)

    jumps = {
        s: parse(text, symbols, f"{s} after a spike")
        for s, (_, text) in equations.variables.items()
        if text is not None
    }
    threshold = None if equations.threshold is None else parse(equations.threshold, symbols, "threshold")
    adjoint = _adjoint(equations, x, coefficients, jumps, threshold, detach_reset)
    gradient = sum(
        (
            derived("b", s, commutative=True) * derived("l", s, commutative=True)
            for s in states
            if derived_name("b", s) in coefficients
        ),
        sympy.Integer(0),
    )
    transitions = None
    if equations.impulse is not None:
        gradient = derived("l", equations.impulse, commutative=True)
    if has_transitions(equations):
        transitions = derive_transitions(
            equations, propagated(equations, coefficients), x, rhs, jumps, threshold, symbols
        )
    used = set().union(*(e.free_symbols for e in [*jumps.values(), *([] if threshold is None else [threshold])]), set())
    model = DiscreteModel(
        states=states,
        equations=describe(equations),
        coefficients={name: numpy_text(e) for name, e in coefficients.items()},
        sensitivity=_sensitivity(coefficients, [p for p in equations.parameters if symbols[p] not in used], symbols),
        step_parameters=tuple(p for p in equations.parameters if symbols[p] in used),
        update=update,
        jump={s: printed(e) for s, e in jumps.items()} if threshold is not None else {},
        threshold=None if threshold is None else printed(threshold),
        adjoint={s: printed(e) for s, e in adjoint.items()},
        gradient=printed(gradient),
        output=states.index(equations.output) if equations.output in states else 0,
        held=(),
        hold=None,
        transitions=transitions,
    )
    return model if equations.refractory is None else _refractory(model, equations)


def _refractory(model: DiscreteModel, equations: Equations) -> DiscreteModel:
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
    update[REFRAC] = Printed(c=f"fmaxf({counter} - 1.0f, 0.0f)", py=f"maximum({REFRAC} - 1, 0)")
    steps = derived_name("steps", REFRAC)
    distance = model.threshold
    return replace(
        model,
        states=(*model.states, REFRAC),
        coefficients={**model.coefficients, steps: f"rint({equations.refractory} / dt)"},
        update=update,
        jump={**model.jump, REFRAC: Printed(c=steps, py=steps)},
        # far below the support of every surrogate
        threshold=Printed(
            c=f"({counter} > 0.0f ? -1e9f : {distance.c})", py=f"where({REFRAC} > 0, -1e9, {distance.py})"
        ),
        adjoint={**model.adjoint, REFRAC: Printed(c="0.0f", py="0.0")},
        held=equations.held,
        hold=Printed(
            c=f"(S > 0.0f ? {steps} : {counter}) > 0.0f ? 1.0f : 0.0f",
            py=f"where(where({given_name('S')} > 0, {steps}, {REFRAC}) > 0, 1.0, 0.0)",
        ),
    )


def _sensitivity(
    coefficients: dict[str, Any], parameters: list[str], symbols: dict[str, Any]
) -> dict[str, dict[str, str]]:
    """By parameter the derivative of every coefficient that depends on it, where it is in the coefficients alone."""
    import sympy

    found = {}
    for name in parameters:
        slopes = {c: sympy.diff(expression, symbols[name]) for c, expression in coefficients.items()}
        found[name] = {c: numpy_text(slope) for c, slope in slopes.items() if slope != 0}
    return found


def describe(equations: Equations) -> tuple[str, ...]:
    """The equations as text, one a line."""

    def line(text: str) -> str:
        return " ".join(text.split())  # a line break would end the comment in generated code

    arriving = {equations.impulse: ", plus what arrives"}
    lines = [f"d{s}/dt = {line(rhs)}{arriving.get(s, '')}" for s, (rhs, _) in equations.variables.items()]
    if equations.threshold is not None:
        lines.append(f"spike where {line(equations.threshold)} >= 0")
        lines += [f"at a spike {s} = {line(jump)}" for s, (_, jump) in equations.variables.items() if jump is not None]
    if equations.refractory is not None:
        lines.append(f"no spike and {', '.join(equations.held)} held for {equations.refractory} after a spike")
    return (*lines, f"integration: {equations.integration}")


def _adjoint(
    equations: Equations,
    x: list[Any],
    coefficients: dict[str, Any],
    jumps: dict[str, Any],
    threshold: Any,
    detach_reset: bool,
) -> dict[str, Any]:
    import sympy

    states = tuple(equations.variables)
    spike, surrogate, e = (given(n) for n in ("S", "ds", "e"))
    after = propagated(equations, coefficients)
    adjoint = {}
    for j, s in enumerate(states):
        value = sympy.Integer(0)
        for i, r in enumerate(states):
            straight = sympy.Integer(int(i == j))
            jumped = sympy.diff(jumps[r], x[j]) if r in jumps and threshold is not None else straight
            value += after[i] * (straight if jumped == straight else (1 - spike) * straight + spike * jumped)
        if threshold is not None:
            through_spike = e
            if not detach_reset:
                through_spike += sum((jumps[r] - x[i]) * after[i] for i, r in enumerate(states) if r in jumps)
            value += surrogate * sympy.diff(threshold, x[j]) * through_spike
        adjoint[s] = value
    return adjoint


def propagated(equations: Equations, coefficients: dict[str, Any]) -> list[Any]:
    """dL/d(state after the jumps) through the next step, M^T L; where hold is 1, held variables pass unchanged."""
    import sympy

    hold = given("hold")
    found = []
    for s in equations.variables:
        value = sympy.Integer(0)
        for r in equations.variables:
            later, of = derived("L", r), (r,) if r == s else (r, s)
            term = derived("a", *of) * later if transition(r, s) in coefficients else sympy.Integer(0)
            if equations.refractory is not None and r in equations.held:
                term = (1 - hold) * term + hold * (later if r == s else 0)
            value += term
        found.append(value)
    return found
