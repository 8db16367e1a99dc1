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

from typing import Any

from ..neurons import Equations
from ..neurons.neuron import NONLINEAR
from .expressions import derived, given, numpy_text, parse, printed
from .gates import input_gradient, with_refractory, with_rising
from .integration import discretise, transition
from .model import DiscreteModel, describe
from .names import derived_name
from .nonlinear import derive_nonlinear
from .transitions import derive_transitions, has_transitions

__all__ = ["DiscreteModel", "derive", "describe", "propagated"]


def derive(equations: Equations, detach_reset: bool) -> DiscreteModel:
    """The discrete model of a neuron.

    Args:
        equations: the neuron.
        detach_reset: leave the reset out of the adjoint of the spike.

    Raises:
        InvalidValueError: a name that is not defined, or a right-hand side that is not linear under a rule that needs
            it to be.
    """
    nonlinear = equations.integration in NONLINEAR
    model = (derive_nonlinear if nonlinear else _derive_linear)(equations, detach_reset)
    if equations.rising:
        model = with_rising(model, equations)
    return model if equations.refractory is None else with_refractory(model, equations)


def _derive_linear(equations: Equations, detach_reset: bool) -> DiscreteModel:
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
    transitions = None
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
        gradient=input_gradient(equations, tuple(s for s in states if derived_name("b", s) in coefficients)),
        output=states.index(equations.output) if equations.output in states else 0,
        held=(),
        hold=None,
        transitions=transitions,
    )
    return model


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
