"""Transitions between the steps: the gradients of spike times and of synapses' delays (EventProp).

Between events the state obeys ``dx/dt = f(x)``, linear in x, and ``lambda = dL/dx`` obeys ``dlambda/dt = -A^T lambda``.
A neuron spikes where its threshold function ``theta(x)`` becomes 0 and then jumps to ``J(x)``. A change of x just
before the spike moves its time by ``-grad theta dx / (grad theta f)``; following that through (Wunderlich & Pehle 2021
do it for the leaky integrate-and-fire neuron)::

    l_time    = e_time + lambda+ (dJ/dx f(x) - f(J(x)))   dL/d(spike time); e_time: the part through its targets
    lambda-_s = (dJ/dx)^T lambda+ - dtheta/dx_s l_time / (grad theta f)

A spike of weight w that arrives as an impulse on the state b, a time later, changes the loss by ``-w lambda A b``: that
is e_time, summed over a spike's synapses, and for each synapse dL/ddelay (Mészáros et al. 2025, arXiv 2501.07331).
While a neuron is refractory it holds some variables; that they are released later when the spike is later adds
``-lambda_held f_held(x)`` at the release, carried back to the spike in ``L__refrac``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..neurons import Equations
from ..neurons.neuron import REFRACTORY_STATE
from .expressions import Printed, derived, given, numpy_text, printed
from .names import derived_name


@dataclass(frozen=True)
class Transitions:
    """Adjoint jumps, ready to be put into a kernel.

    Attributes:
        flow: for every state, lambda one step earlier out of ``L__<state>``, without a spike.
        coefficients: name and NumPy expression of every per-neuron number that `arrival` multiplies by.
        arrival: dL/d(time of arrival, in ms) of a unit impulse, out of ``l__<state>`` and of ``hold__``, 1 in a
            refractory period and 0 outside of it.
        parameters: parameters that the jumps use.
        spike_time: `l_time`, dL/d(time of the spike, in ms), out of ``L__<state>`` (lambda after the spike),
            ``e_time__`` and the states at the spike.
        jump: for every state whose lambda the spike changes, lambda before it, out of ``L__<state>`` and ``push__``,
            which is -l_time / slope.
        kept: states that these read, as they are at the spike.
        release: what the end of the refractory period adds to ``L__refrac``, out of ``L__<state>`` and the states then.
        kept_at_release: states that this reads.
        slope: grad theta f, per ms, out of the states (NumPy).
        rates: d/dt of every state (NumPy).
    """

    flow: dict[str, Printed]
    coefficients: dict[str, str]
    arrival: Printed
    parameters: tuple[str, ...]
    spike_time: Printed | None
    jump: dict[str, Printed]
    kept: tuple[str, ...]
    release: Printed | None
    kept_at_release: tuple[str, ...]
    slope: str
    rates: dict[str, str]


def has_transitions(equations: Equations) -> bool:
    """True for equations of continuous time: impulses arrive, and no right-hand side reads the time step."""
    rates = [rate for rate, _ in equations.variables.values()]
    return equations.impulse is not None and not any(re.search(r"\bdt\b", rate) for rate in rates)


def derive_transitions(
    equations: Equations,
    flow: list[Any],
    x: list[Any],
    rhs: list[Any],
    jumps: dict[str, Any],
    threshold: Any,
    symbols: dict[str, Any],
) -> Transitions:
    """The transitions of a neuron with an impulse; `flow` is the change of lambda in a step.

    Thresholds and jumps do not depend on the synaptic current, so a spike's time is smooth.
    """
    import sympy

    states = tuple(equations.variables)
    impulse = symbols[str(equations.impulse)]
    later = [derived("L", s) for s in states]
    coefficients = {derived_name("h", s): -sympy.diff(f, impulse) for s, f in zip(states, rhs, strict=True)}
    coefficients = {name: e for name, e in coefficients.items() if e != 0}
    held = [s in equations.held and equations.refractory is not None for s in states]
    arrival = _arrival(states, held, coefficients)
    rates = {s: numpy_text(f) for s, f in zip(states, rhs, strict=True)}
    flows = {s: printed(e) for s, e in zip(states, flow, strict=True)}
    numbers = {name: numpy_text(e) for name, e in coefficients.items()}
    if threshold is None:
        return Transitions(flows, numbers, printed(arrival), (), None, {}, (), None, (), "0.0", rates)
    gradient = [sympy.diff(threshold, s) for s in x]
    after = [jumps.get(s, x[j]) for j, s in enumerate(states)]
    jacobian = [[sympy.diff(a, s) for s in x] for a in after]
    start = [
        sympy.Integer(0) if held[j] else f.subs(dict(zip(x, after, strict=True)), simultaneous=True)
        for j, f in enumerate(rhs)
    ]
    moved = [sum(jacobian[j][k] * rhs[k] for k in range(len(x))) - start[j] for j in range(len(x))]
    time = given("e_time") + sum(later[j] * sympy.simplify(moved[j]) for j in range(len(x)))
    release = _release(held, x, rhs, after, later) if any(held) else None
    if release is not None:
        time += derived("L", REFRACTORY_STATE)
    push = given("push")
    before = [sum(jacobian[r][j] * later[r] for r in range(len(x))) + gradient[j] * push for j in range(len(x))]
    jump = {s: before[j] for j, s in enumerate(states) if before[j] != later[j]}
    expressions = [time, *jump.values()]
    at_release = set() if release is None else release.free_symbols
    used = at_release.union(*(e.free_symbols for e in expressions))
    return Transitions(
        flow=flows,
        coefficients=numbers,
        arrival=printed(arrival),
        parameters=tuple(p for p in equations.parameters if symbols[p] in used),
        spike_time=printed(time),
        jump={s: printed(e) for s, e in jump.items()},
        kept=tuple(s for s in states if any(symbols[s] in e.free_symbols for e in expressions)),
        release=None if release is None else printed(release),
        kept_at_release=tuple(s for s in states if symbols[s] in at_release),
        slope=numpy_text(sum(g * f for g, f in zip(gradient, rhs, strict=True))),
        rates=rates,
    )


def _arrival(states: tuple[str, ...], held: list[bool], coefficients: Mapping[str, Any]) -> Any:
    """dL/d(time of arrival) of an impulse; while a variable is held, it does not depend on that time."""
    import sympy

    arrival = sympy.Integer(0)
    for s, is_held in zip(states, held, strict=True):
        if derived_name("h", s) in coefficients:
            moving = 1 - given("hold") if is_held else 1
            arrival += derived("h", s, commutative=True) * derived("l", s, commutative=True) * moving
    return arrival


def _release(held: list[bool], x: list[Any], rhs: list[Any], after: list[Any], later: list[Any]) -> Any:
    """dL/d(time at which held variables are released).

    A held variable still has the value it jumped to where that is a number.
    """
    known = {x[j]: a for j, a in enumerate(after) if held[j] and not set(x) & a.free_symbols}
    return -sum(later[j] * rhs[j].subs(known) for j in range(len(x)) if held[j])
