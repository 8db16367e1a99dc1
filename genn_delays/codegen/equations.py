"""From equations to one time step and its adjoint: SymPy derives both and prints them for C and for NumPy.

The state evolves as ``x[t] = M x'[t-1] + b Isyn[t] + c`` (`x'`: after the jumps of a spike), with a matrix that the
integration rule gives: ``M = 1 + A dt`` (linear Euler) or ``M = exp(A dt)`` (exact). Its entries, the *coefficients*,
are computed once per neuron on the host, in float64, and rounded to float32, so every backend multiplies by the same
numbers; what is left per step is products and sums in a fixed order, which round alike everywhere.

The adjoint follows from differentiating that step. With ``L = lambda[t+1]``, ``e = dL/dS`` and the surrogate
``ds = sigma'(threshold)``::

    lambda_s[t] = sum_r (M^T L)_r dx'_r/dx_s + ds dthreshold/dx_s (e [+ sum_r (jump_r - x_r) (M^T L)_r])

The bracket is there where the reset is differentiated. Source: Mészáros, Knight & Nowotny 2024 for the LIF neuron.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError
from ..neurons import Equations

if TYPE_CHECKING:
    import sympy

FUNCTIONS = ("exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "Abs")
"""Functions that equations may use: those that every target has in single precision."""

_NUMBER = re.compile(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_EXPONENT = re.compile(r"\*\*[\s(+-]*(\d+\.?\d*(?:[eE][+-]?\d+)?)")
_TOWER = re.compile(r"\*\*[\s(+-]*[\w.]+[\s)]*\*\*")
_ALLOWED = re.compile(r"[\w\s+\-*/().,<>=]*")


@dataclass(frozen=True)
class Printed:
    """One expression in two languages."""

    c: str
    py: str


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
        adjoint: for every state, lambda[t] out of `L_<state>` (lambda[t+1]), `S`, `ds` and `e`.
        gradient: dL/dIsyn[t] out of `l_<state>` (lambda[t]).
        output: index of the state that a readout reads.
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
    rhs = [_parse(equations.variables[s][0], symbols, f"d{s}/dt") for s in states]
    coefficients, update = _discretise(states, rhs, symbols, equations.integration)

    jumps = {
        s: _parse(text, symbols, f"{s} after a spike")
        for s, (_, text) in equations.variables.items()
        if text is not None
    }
    threshold = None if equations.threshold is None else _parse(equations.threshold, symbols, "threshold")
    adjoint = _adjoint(states, x, coefficients, jumps, threshold, detach_reset)
    gradient = sum(
        (sympy.Symbol(f"b_{s}") * sympy.Symbol(f"l_{s}") for s in states if f"b_{s}" in coefficients), sympy.Integer(0)
    )

    used = set().union(*(e.free_symbols for e in [*jumps.values(), *([] if threshold is None else [threshold])]), set())
    return DiscreteModel(
        states=states,
        equations=describe(equations),
        coefficients={name: _numpy(e) for name, e in coefficients.items()},
        sensitivity=_sensitivity(coefficients, [p for p in equations.parameters if symbols[p] not in used], symbols),
        step_parameters=tuple(p for p in equations.parameters if symbols[p] in used),
        update=update,
        jump={s: printed(e) for s, e in jumps.items()} if threshold is not None else {},
        threshold=None if threshold is None else printed(threshold),
        adjoint={s: printed(e) for s, e in adjoint.items()},
        gradient=printed(gradient),
        output=states.index(equations.output) if equations.output in states else 0,
    )


def _sensitivity(
    coefficients: dict[str, Any], parameters: list[str], symbols: dict[str, Any]
) -> dict[str, dict[str, str]]:
    """By parameter the derivative of every coefficient that depends on it, where it is in the coefficients alone."""
    import sympy

    found = {}
    for name in parameters:
        slopes = {c: sympy.diff(expression, symbols[name]) for c, expression in coefficients.items()}
        found[name] = {c: _numpy(slope) for c, slope in slopes.items() if slope != 0}
    return found


def describe(equations: Equations) -> tuple[str, ...]:
    """The equations as text, one a line."""
    lines = [f"d{s}/dt = {rhs}" for s, (rhs, _) in equations.variables.items()]
    if equations.threshold is not None:
        lines.append(f"spike where {equations.threshold} >= 0")
        lines += [f"at a spike {s} = {jump}" for s, (_, jump) in equations.variables.items() if jump is not None]
    return (*lines, f"integration: {equations.integration}")


def _parse(text: str, symbols: dict[str, Any], what: str) -> sympy.Expr:
    import sympy

    if not _ALLOWED.fullmatch(text) or "__" in text:
        raise InvalidValueError(f"{what} must be an arithmetic expression, got {text!r}")
    # SymPy computes powers of numbers to the last digit: 9**9**9 would never end
    powers = [float(n) for n in _EXPONENT.findall(text)]
    if any(abs(n) > 64 for n in powers) or _TOWER.search(text) or any(float(n) > 1e30 for n in _NUMBER.findall(text)):
        raise InvalidValueError(f"{what} = {text!r} holds a number above 1e30, an exponent above 64 or powers in a row")
    names = {n: symbols.get(n, getattr(sympy, n, None)) for n in re.findall(r"[A-Za-z_]\w*", _NUMBER.sub(" ", text))}
    for name in names:
        if name not in symbols and name not in FUNCTIONS:
            known = ", ".join(n for n in symbols if n != "dt")
            functions = ", ".join(FUNCTIONS)
            raise InvalidValueError(
                f"{what} = {text!r} uses {name!r}, which is not defined; known: {known}; functions: {functions}"
            )
    try:
        expression = sympy.sympify(text, locals=names)
    except (sympy.SympifyError, TypeError, SyntaxError) as error:
        raise InvalidValueError(f"{what} = {text!r} is not an expression: {error}") from error
    if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I):
        raise InvalidValueError(f"{what} = {text!r} is not a finite real number")
    large = [n for n in expression.atoms(sympy.Integer) if abs(n) > 1 << 24]  # C would take it for an int
    return expression.subs({n: sympy.Float(n) for n in large})


def _discretise(
    states: tuple[str, ...], rhs: list[sympy.Expr], symbols: dict[str, Any], integration: str
) -> tuple[dict[str, sympy.Expr], dict[str, Printed]]:
    """Coefficients ``a_s`` (own state), ``a_s_r`` (another's), ``b_s`` (input), ``c_s``, and the update."""
    import sympy

    dt, current = symbols["dt"], symbols["Isyn"]
    x = [symbols[s] for s in states]
    n = len(states)
    a = sympy.Matrix(n, n, lambda i, j: sympy.diff(rhs[i], x[j]))
    b = sympy.Matrix(n, 1, lambda i, _: sympy.diff(rhs[i], current))
    rest = sympy.Matrix(n, 1, lambda i, _: rhs[i].subs({**dict.fromkeys(x, 0), current: 0}))
    for i, s in enumerate(states):
        if (set(x) | {current}) & (a.row(i).free_symbols | b.row(i).free_symbols):
            raise InvalidValueError(f"d{s}/dt = {rhs[i]} must be linear in the variables and Isyn")
    if integration == "exact":
        if sympy.simplify(a.det()) == 0:
            raise InvalidValueError(
                "integration 'exact' needs equations in which every variable decays; use linear_euler"
            )
        decay = (a * dt).exp()
        drive = a.inv() * (decay - sympy.eye(n))
    else:
        decay, drive = sympy.eye(n) + a * dt, sympy.eye(n) * dt
    coefficients: dict[str, sympy.Expr] = {}
    update: dict[str, Printed] = {}
    for i, s in enumerate(states):
        terms = []
        for j, r in enumerate(states):
            if (value := sympy.simplify(decay[i, j])) != 0:
                coefficients[f"a_{s}" if i == j else f"a_{s}_{r}"] = value
                terms.append(f"{'a_' + s if i == j else f'a_{s}_{r}'} * {r}")
        for name, factor, column in ((f"b_{s}", " * Isyn", b), (f"c_{s}", "", rest)):
            if (value := sympy.simplify((drive * column)[i, 0])) != 0:
                coefficients[name] = value
                terms.append(f"{name}{factor}")
        text = " + ".join(terms) or "0.0f"
        update[s] = Printed(c=text, py=text.removesuffix("f") if text == "0.0f" else text)
    return coefficients, update


def _adjoint(
    states: tuple[str, ...],
    x: list[Any],
    coefficients: dict[str, Any],
    jumps: dict[str, Any],
    threshold: Any,
    detach_reset: bool,
) -> dict[str, Any]:
    import sympy

    spike, surrogate, e = (sympy.Symbol(n, real=True) for n in ("S", "ds", "e"))
    later = {s: sympy.Symbol(f"L_{s}", real=True) for s in states}
    # what the next step asks of the state after the jumps: M^T L
    after = []
    for j, s in enumerate(states):
        names = [(f"a_{r}" if r == s else f"a_{r}_{states[j]}", r) for r in states]
        after.append(
            sum((sympy.Symbol(n, real=True) * later[r] for n, r in names if n in coefficients), sympy.Integer(0))
        )
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


def printed(expression: Any) -> Printed:
    """An expression for C in single precision and for NumPy."""
    import sympy
    from sympy.codegen.ast import float32, real
    from sympy.printing.c import C99CodePrinter

    def square(base: str, _: str) -> str:
        return f"({base})*({base})"

    # every constant as a float (a double would widen the whole expression), and no call where a product does
    settings = {
        "type_aliases": {real: float32},
        "user_functions": {
            "Pow": [
                (lambda base, power: power == 2, square),
                (lambda base, power: power == sympy.Rational(1, 2), lambda base, _: f"sqrtf({base})"),
                (lambda base, power: True, "powf"),
            ]
        },
    }
    c = C99CodePrinter(settings).doprint(expression.subs(sympy.pi, sympy.pi.evalf(12)))
    return Printed(c=" ".join(c.split()), py=_numpy(expression))


def _numpy(expression: Any) -> str:
    from sympy.printing.numpy import NumPyPrinter

    return str(NumPyPrinter({"fully_qualified_modules": False}).doprint(expression))


def evaluate(expression: str, values: dict[str, Any]) -> npt.NDArray[Any]:
    """An expression printed for NumPy, with values for its names."""
    return np.asarray(eval(expression, {"__builtins__": {}}, _Names(values)))


class _Names(dict[str, Any]):
    """Values first, then NumPy's functions."""

    def __missing__(self, name: str) -> Any:
        return getattr(np, name)
