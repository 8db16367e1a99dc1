"""Expressions: parsed from what users write, printed for C and for NumPy, evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError

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


def parse(text: str, symbols: dict[str, Any], what: str) -> sympy.Expr:
    """What a user wrote as an expression of `symbols`; one clear error where it is none."""
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


def printed(expression: Any) -> Printed:
    """An expression for C in single precision and for NumPy."""
    import sympy
    from sympy.codegen.ast import float32, real
    from sympy.printing.c import C99CodePrinter

    def square(base: str, _: str) -> str:
        return f"(({base})*({base}))"  # a product in brackets: it stands in other ones, and under fractions

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
    return Printed(c=" ".join(c.split()), py=numpy_text(expression))


def numpy_text(expression: Any) -> str:
    """An expression for NumPy."""
    from sympy.printing.numpy import NumPyPrinter

    return str(NumPyPrinter({"fully_qualified_modules": False, "allow_unknown_functions": True}).doprint(expression))


def evaluate(expression: str, values: dict[str, Any]) -> npt.NDArray[Any]:
    """An expression printed for NumPy, with values for its names."""
    return np.asarray(eval(expression, {"__builtins__": {}}, _Names(values)))


def exprel(x: Any) -> Any:
    """``(exp(x) - 1) / x``, 1 at 0: what two decays do one after the other, equal time constants included."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-8
    return np.where(small, 1.0 + x / 2, np.expm1(x) / np.where(small, 1.0, x))


def exprel_slope(x: Any) -> Any:
    """The derivative of :func:`exprel`."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-3  # where the quotient below cancels
    y = np.where(small, 1.0, x)
    return np.where(small, 0.5 + x / 3 + x**2 / 8 + x**3 / 30, (np.exp(y) * (y - 1.0) + 1.0) / y**2)


class _Names(dict[str, Any]):
    """Values first, then the functions of this module and of NumPy."""

    def __missing__(self, name: str) -> Any:
        return _OWN.get(name) or getattr(np, name)


_OWN = {"exprel": exprel, "exprel_slope": exprel_slope}
