"""The integration rules: from linear equations to the coefficients of one time step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidValueError
from ..neurons import Equations
from .expressions import Printed

if TYPE_CHECKING:
    import sympy


def discretise(
    equations: Equations, rhs: list[sympy.Expr], symbols: dict[str, Any]
) -> tuple[dict[str, sympy.Expr], dict[str, Printed]]:
    """Coefficients ``a_s`` (own state), ``a_s_r`` (another's), ``b_s`` (input), ``c_s``, and the update.

    An impulse has no coefficient: what arrives is added as it is.

    Raises:
        InvalidValueError: a right-hand side is not linear, or exact integration has no solution.
    """
    import sympy

    states = tuple(equations.variables)
    dt, current = symbols["dt"], symbols["Isyn"]
    x = [symbols[s] for s in states]
    n = len(states)
    a = sympy.Matrix(n, n, lambda i, j: sympy.diff(rhs[i], x[j]))
    b = sympy.Matrix(n, 1, lambda i, _: sympy.diff(rhs[i], current))
    rest = sympy.Matrix(n, 1, lambda i, _: rhs[i].subs({**dict.fromkeys(x, 0), current: 0}))
    for i, s in enumerate(states):
        if (set(x) | {current}) & (a.row(i).free_symbols | b.row(i).free_symbols):
            raise InvalidValueError(f"d{s}/dt = {rhs[i]} must be linear in the variables and Isyn")
    if equations.integration == "exact":
        if sympy.simplify(a.det()) == 0:
            raise InvalidValueError(
                "integration 'exact' needs equations in which every variable decays; use linear_euler"
            )
        decay = _exponential(a, dt, None if equations.impulse is None else states.index(equations.impulse))
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
        if s == equations.impulse:
            terms.append("Isyn")
        text = " + ".join(terms) or "0.0f"
        update[s] = Printed(c=text, py=text.removesuffix("f") if text == "0.0f" else text)
    return coefficients, update


def _exponential(a: sympy.Matrix, dt: Any, impulse: int | None) -> sympy.Matrix:
    """exp(a dt).

    A synaptic current that drives variables which do not act on each other is done by hand, in a form that holds for
    equal time constants too: ``k dt exp(p dt) exprel((q - p) dt)`` for rates p of the variable, q of the current.
    """
    import sympy

    n = a.shape[0]
    others = [i for i in range(n) if i != impulse]
    if impulse is None or any(a[i, j] != 0 for i in others for j in others if i != j):
        return (a * dt).exp()

    class exprel_slope(sympy.Function):  # type: ignore[misc]  # noqa: N801 - printed as they are called
        """See :func:`~genn_delays.codegen.expressions.exprel_slope`."""

    class exprel(sympy.Function):  # type: ignore[misc]  # noqa: N801
        """See :func:`~genn_delays.codegen.expressions.exprel`."""

        def fdiff(self, argindex: int = 1) -> Any:
            return exprel_slope(self.args[0])

    result = sympy.zeros(n, n)
    for i in range(n):
        result[i, i] = sympy.exp(a[i, i] * dt)
        if i != impulse and a[i, impulse] != 0:
            relative = exprel((a[impulse, impulse] - a[i, i]) * dt)
            result[i, impulse] = a[i, impulse] * dt * sympy.exp(a[i, i] * dt) * relative
    return result
