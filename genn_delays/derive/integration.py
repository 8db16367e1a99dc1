"""The integration rules: from linear equations to the coefficients of one time step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidValueError
from ..neurons import Equations
from .expressions import Printed, exprel_function
from .names import code_name, derived_name

if TYPE_CHECKING:
    import sympy


def discretise(
    equations: Equations, rhs: list[sympy.Expr], symbols: dict[str, Any]
) -> tuple[dict[str, sympy.Expr], dict[str, Printed]]:
    """Coefficients ``a__s`` (own state), ``a__s__r`` (another's), ``b__s`` (input), ``c__s``, and the update.

    An impulse has no coefficient: what arrives is added as it is.

    Raises:
        InvalidValueError: a right-hand side is not linear, or a variable on its own does not decay under exact
            integration.
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
            raise InvalidValueError(
                f"d{s}/dt = {rhs[i]} must be linear in the variables and Isyn under {equations.integration!r}; "
                "integration 'euler' or 'rk4' takes any equation"
            )
    impulse = None if equations.impulse is None else states.index(equations.impulse)
    if equations.integration == "exact" and _is_coupled(a, impulse):
        decay, added = _numeric(a, sympy.Matrix.hstack(b, rest), dt)
        return _collected(equations, decay, added)
    if equations.integration == "exact":
        if sympy.simplify(a.det()) == 0:
            raise InvalidValueError(
                "integration 'exact' needs equations in which every variable decays; use linear_euler"
            )
        decay = _exponential(a, dt, impulse)
        drive = a.inv() * (decay - sympy.eye(n))
    else:
        decay, drive = sympy.eye(n) + a * dt, sympy.eye(n) * dt
    return _collected(
        equations, decay.applyfunc(sympy.simplify), (drive * sympy.Matrix.hstack(b, rest)).applyfunc(sympy.simplify)
    )


def _collected(
    equations: Equations, decay: sympy.Matrix, added: sympy.Matrix
) -> tuple[dict[str, sympy.Expr], dict[str, Printed]]:
    """Coefficients and update out of ``x -> decay x + added [Isyn, 1]``."""
    states = tuple(equations.variables)
    coefficients: dict[str, sympy.Expr] = {}
    update: dict[str, Printed] = {}
    for i, s in enumerate(states):
        terms: list[tuple[str, ...]] = []
        for j, r in enumerate(states):
            if (value := decay[i, j]) != 0:
                name = transition(s, r)
                if name in coefficients:
                    raise InvalidValueError(f"variables {s!r} and {r!r} cannot be told apart by their underscores")
                coefficients[name] = value
                terms.append((name, r))
        for name, factor, column in ((derived_name("b", s), ("Isyn",), 0), (derived_name("c", s), (), 1)):
            if (value := added[i, column]) != 0:
                coefficients[name] = value
                terms.append((name, *factor))
        if s == equations.impulse:
            terms.append(("Isyn",))
        text = " + ".join(" * ".join(term) for term in terms)
        code = " + ".join(" * ".join(map(code_name, term)) for term in terms)
        update[s] = Printed(c=code or "0.0f", py=text or "0.0")
    return coefficients, update


def transition(s: str, r: str) -> str:
    """The coefficient with which variable `s` takes over variable `r` of the step before."""
    return derived_name("a", s) if r == s else derived_name("a", s, r)


def _is_coupled(a: sympy.Matrix, impulse: int | None) -> bool:
    """True if variables act on each other, apart from the synaptic current that acts on them."""
    n = a.shape[0]
    return any(a[i, j] != 0 for i in range(n) for j in range(n) if i != j and j != impulse)


def _numeric(a: sympy.Matrix, b: sympy.Matrix, dt: Any) -> tuple[sympy.Matrix, sympy.Matrix]:
    """``exp(A dt)`` and ``integral of exp(A t) B`` over a step; entries are computed when their numbers are known.

    Both are blocks of ``exp([[A, B], [0, 0]] dt)`` (Van Loan 1978, doi 10.1109/TAC.1978.1101743), which asks for no
    inverse: time constants may be equal, and variables need not decay. SymPy's own exponential of two variables that
    act on each other takes minutes, and loses all digits where time constants are nearly equal. Entries that are 0
    whatever the numbers are, are left out.
    """
    import sympy

    moves: dict[Any, list[Any]] = {}

    class expm_slope(sympy.Function):  # type: ignore[misc]  # noqa: N801 - printed as they are called
        """See :func:`~genn_delays.derive.exponentials.expm_slope`."""

    class expm_entry(sympy.Function):  # type: ignore[misc]  # noqa: N801
        """See :func:`~genn_delays.derive.exponentials.expm_entry`."""

        def _eval_derivative(self, symbol: Any) -> Any:
            i, j, *entries = self.args
            if symbol not in moves:  # the same for all of them
                moves[symbol] = [sympy.diff(e, symbol) for e in entries]
            direction = moves[symbol]
            return expm_slope(i, j, *entries, *direction) if any(direction) else sympy.Integer(0)

    n, columns = b.shape
    whole = sympy.zeros(n + columns, n + columns)
    whole[:n, :n], whole[:n, n:] = a * dt, b * dt
    reached = (whole.applyfunc(lambda e: int(e != 0)) + sympy.eye(n + columns)) ** (n + columns)
    result = sympy.Matrix(
        n, n + columns, lambda i, j: expm_entry(i, j, *whole) if reached[i, j] != 0 else sympy.Integer(0)
    )
    return result[:, :n], result[:, n:]


def _exponential(a: sympy.Matrix, dt: Any, impulse: int | None) -> sympy.Matrix:
    """exp(a dt).

    Variables do not act on each other. A synaptic current that drives them is done in a form that holds for equal time
    constants too: ``k dt exp(p dt) exprel((q - p) dt)`` for rates p of the variable, q of the current.
    """
    import sympy

    n = a.shape[0]
    if impulse is None:
        return (a * dt).exp()

    exprel = exprel_function()
    result = sympy.zeros(n, n)
    for i in range(n):
        result[i, i] = sympy.exp(a[i, i] * dt)
        if i != impulse and a[i, impulse] != 0:
            relative = exprel((a[impulse, impulse] - a[i, i]) * dt)
            result[i, impulse] = a[i, impulse] * dt * sympy.exp(a[i, i] * dt) * relative
    return result
