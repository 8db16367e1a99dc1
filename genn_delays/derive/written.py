"""Equations as they are written: operation by operation, each rounded on its own, the same for C and for NumPy.

Nonlinear equations are not simplified or reordered, so that their rounding is the user's to choose and is the same
on every target:

* What consists of numbers, parameters and `dt` alone is computed once per neuron, in double precision, and rounded:
  a *coefficient*, ``k__0``, ``k__1``, ...
* A quotient by such a part is a product with its inverse, which is a coefficient too.
* Powers with whole exponents are products, ``x**3 = (x * x) * x``, ``x**4 = (x * x) * (x * x)``; ``x**0.5`` is the
  square root; others are ``exp(exponent * log(x))``.
* Functions are those of :mod:`~genn_delays.bodies.elementary`, ``sqrt`` and ``Abs``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..bodies.elementary import ELEMENTARY
from ..errors import InvalidValueError
from ..grammar import expression_tree
from .expressions import constant, numpy_text
from .names import code_name, derived_name
from .printed import Printed

DT = derived_name("k", "dt")
"""The coefficient that is the length of a step (ms)."""
_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_FUNCTIONS = ("exprel_slope",)
"""Of :data:`ELEMENTARY` those that are no functions of equations."""


def available() -> str:
    """The functions of nonlinear equations, for messages."""
    return ", ".join(sorted({*ELEMENTARY, "sqrt", "Abs", "tan"} - {*_FUNCTIONS}))


class Writer:
    """Writes the equations of one neuron.

    Args:
        symbols: SymPy's, by the names in the equations.
        varying: names of variables and inputs; all others are parameters and `dt`.

    Attributes:
        coefficients: name and NumPy expression of every coefficient so far.
        steps: values that are given a name, as they are used several times, in order.
    """

    def __init__(self, symbols: Mapping[str, Any], varying: tuple[str, ...]) -> None:
        self.symbols, self.varying = symbols, frozenset(varying)
        self.coefficients: dict[str, str] = {}
        self.steps: dict[str, Printed] = {}

    def write(self, text: str, what: str, names: Mapping[str, str] | None = None) -> Printed:
        """An equation's text, checked before.

        Args:
            what: its name in messages.
            names: names for variables that have another value than their own, by variable. Without them nothing is
                added to `steps`, so that the text may stand anywhere.
        """
        return _Equation(self, text, what, names).write(expression_tree(text, what))

    def coefficient(self, value: Any) -> Printed:
        """A number per neuron, an expression of parameters and `dt`, as a coefficient; a number as itself."""
        if value.is_Number:
            return _literal(float(value))
        text = numpy_text(value)
        if value.is_Symbol and text != "dt":
            return named(text)
        known = {text: name for name, text in self.coefficients.items()}
        new = DT if text == "dt" else derived_name("k", str(len(self.coefficients)))
        name = known.get(text, new)
        self.coefficients[name] = text
        return named(name)

    def keep(self, value: Printed) -> Printed:
        """A value under a name."""
        if value.py.isidentifier():
            return value
        known = {e: name for name, e in self.steps.items()}
        name = known.get(value, derived_name("t", str(len(self.steps))))
        self.steps[name] = value
        return named(name)


def named(name: str) -> Printed:
    """A name in both languages."""
    return Printed(c=code_name(name), py=name)


def joined(left: Printed, sign: str, right: Printed) -> Printed:
    """An operation on two values, in brackets."""
    return Printed(c=f"({left.c} {sign} {right.c})", py=f"({left.py} {sign} {right.py})")


def called(name: str, value: Printed) -> Printed:
    """A function's value, by its name in equations."""
    if name in ELEMENTARY:
        portable = ELEMENTARY[name].name
        return Printed(c=f"{portable}({value.c})", py=f"{portable}({value.py})")
    c, py = {"sqrt": ("sqrtf", "sqrt"), "Abs": ("fabsf", "abs")}[name]
    return Printed(c=f"{c}({value.c})", py=f"{py}({value.py})")


def _literal(value: float) -> Printed:
    text = str(np.float32(value))
    text = text if "." in text or "e" in text else f"{text}.0"
    bare = Printed(c=f"{text}f", py=repr(float(value)))
    return bare if value >= 0 else Printed(c=f"({bare.c})", py=f"({bare.py})")


class _Equation:
    """Writes one text."""

    def __init__(self, writer: Writer, text: str, what: str, names: Mapping[str, str] | None) -> None:
        self.writer, self.text, self.what = writer, text, what
        self.names, self.inline = names or {}, names is None

    def write(self, node: ast.AST) -> Printed:
        if not self._varies(node):
            return self.writer.coefficient(self._constant(node))
        match node:
            case ast.Name(id=name):
                return named(self.names.get(name, name))
            case ast.UnaryOp(op=op, operand=operand):
                value = self.write(operand)
                return Printed(c=f"(-{value.c})", py=f"(-{value.py})") if isinstance(op, ast.USub) else value
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return self._power(left, right)
            case ast.BinOp(left=left, op=ast.Div(), right=right) if not self._varies(right):
                return joined(self.write(left), "*", self.writer.coefficient(1 / self._constant(right)))
            case ast.BinOp(left=left, op=op, right=right):
                return joined(self.write(left), _SIGNS[type(op)], self.write(right))
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._call(name, args)
        raise TypeError(f"{type(node).__name__} is no node of an equation")

    def _varies(self, node: ast.AST) -> bool:
        return any(isinstance(n, ast.Name) and n.id in self.writer.varying for n in ast.walk(node))

    def _constant(self, node: ast.AST) -> Any:
        return constant(node, self.text, self.writer.symbols, self.what)

    def _kept(self, value: Printed) -> Printed:
        return value if self.inline else self.writer.keep(value)

    def _power(self, left: ast.expr, right: ast.expr) -> Printed:
        if not self._varies(left):
            import sympy

            logarithm = self.writer.coefficient(sympy.log(self._constant(left)).evalf())
            return called("exp", joined(self.write(right), "*", logarithm))
        exponent = None if self._varies(right) else self._constant(right)
        base = self._kept(self.write(left))
        if exponent is not None and exponent.is_Number and float(exponent).is_integer():
            power = self._product(base, abs(int(exponent)))
            return joined(_literal(1.0), "/", power) if exponent < 0 else power
        if exponent is not None and exponent.is_Number and float(exponent) == 0.5:
            return called("sqrt", base)
        return called("exp", joined(self.write(right), "*", called("log", base)))

    def _product(self, base: Printed, times: int) -> Printed:
        """``base`` so many times, by halves."""
        if times < 2:
            return base if times else _literal(1.0)
        half = self._kept(self._product(base, times // 2))
        square = joined(half, "*", half)
        return joined(square, "*", base) if times % 2 else square

    def _call(self, name: str, args: list[ast.expr]) -> Printed:
        if name == "tan":
            angle = self._kept(self.write(args[0]))
            return joined(called("sin", angle), "/", called("cos", angle))
        if name == "log" and len(args) == 2:
            return self._logarithm(*args)
        if name not in ELEMENTARY and name not in ("sqrt", "Abs"):
            raise InvalidValueError(
                f"{self.what} = {self.text!r} has {name} of a variable, which integration 'euler' and 'rk4' do not "
                f"have; functions there: {available()}"
            )
        return called(name, self.write(args[0]))

    def _logarithm(self, value: ast.expr, base: ast.expr) -> Printed:
        import sympy

        if self._varies(base):
            return joined(called("log", self.write(value)), "/", called("log", self.write(base)))
        inverse = self.writer.coefficient((1 / sympy.log(self._constant(base))).evalf())
        return joined(called("log", self.write(value)), "*", inverse)
