"""Expressions: built from what users write, printed for C and for NumPy."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bodies.elementary import ELEMENTARY
from ..bodies.elementary import exprel as exprel_of
from ..errors import InvalidValueError
from ..grammar import check_names, expression_tree
from .names import code_name, derived_name, given_name
from .printed import C_FUNCTIONS, Printed, TextError, check_c, check_numpy, evaluate

if TYPE_CHECKING:
    import sympy

__all__ = ["Printed", "constant", "derived", "evaluate", "exprel_function", "given", "numpy_text", "parse", "printed"]

_DIGITS = 17
"""Decimal digits of a double."""
_SINGLE = 1e-37, 1e38
"""Numbers that single precision has, apart from 0."""


@cache
def _symbol_class() -> Any:
    """Symbols that never equal a user's, whatever names users choose."""
    import sympy

    class Derived(sympy.Symbol):  # type: ignore[misc]
        """A symbol that sorts by a short name and is printed by a name of its own."""

        def __new__(cls, name: str, text: str, **assumptions: bool) -> Any:
            symbol = sympy.Symbol.__xnew__(cls, name, **assumptions)
            symbol.text = text
            return symbol

        def _hashable_content(self) -> Any:
            return (*super()._hashable_content(), self.text)

    Derived.__name__ = "Symbol"  # SymPy sorts by classes' names first: terms keep the order of their names
    return Derived


def derived(role: str, *of: str, **assumptions: bool) -> Any:
    """The symbol of a derived quantity, such as the coefficient ``a`` of `v`; real unless said otherwise."""
    assumptions = assumptions or {"real": True}
    return _symbol_class()("_".join((role, *of)), derived_name(role, *of), **assumptions)


def given(name: str) -> Any:
    """The symbol of one of :data:`.names.GIVEN`."""
    return _symbol_class()(name, given_name(name), real=True)


@cache
def exprel_function() -> Any:
    """SymPy's object for :func:`~genn_delays.bodies.elementary.exprel`, which knows its derivative."""
    import sympy

    class exprel_slope(sympy.Function):  # type: ignore[misc]  # noqa: N801 - printed as they are called
        """See :func:`~genn_delays.bodies.elementary.exprel_slope`."""

    class exprel(sympy.Function):  # type: ignore[misc]  # noqa: N801
        """See :func:`~genn_delays.bodies.elementary.exprel`."""

        nargs = None  # SymPy sorts functions by whether they say: coefficients keep the order of their factors

        @classmethod
        def eval(cls, x: Any) -> Any:
            return sympy.Float(float(exprel_of(float(x))), _DIGITS) if x.is_Number else None

        def _eval_evalf(self, precision: int) -> Any:
            return sympy.Float(float(exprel_of(float(self.args[0]))), _DIGITS) if self.args[0].is_number else self

        def fdiff(self, argindex: int = 1) -> Any:
            return exprel_slope(self.args[0])

    return exprel


def _text_of(symbol: Any) -> str:
    return str(getattr(symbol, "text", symbol.name))


def parse(text: str, symbols: Mapping[str, Any], what: str) -> sympy.Expr:
    """A user's text as an expression of `symbols`; one clear error if it is not one.

    Numbers that are not rational (`exp(1)`, `log(2)`, `sqrt(2)`, `pi`) become decimal ones at once: no target has names
    for them that another has, or that no neuron's variable could have.
    """
    import sympy

    tree = expression_tree(text, what)
    check_names(tree, text, symbols, what)
    try:
        expression = _built(tree, " ".join(text.split()), symbols)
        if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I):
            raise _NotRealError
        expression = decimal(expression)
    except _NotRealError:
        raise InvalidValueError(f"{what} = {text!r} is not a finite real number") from None
    low, high = _SINGLE
    for n in expression.atoms(sympy.Number):
        if not n.is_zero and not low <= _size(n) <= high:  # SymPy's 0.0 is not equal to 0
            raise InvalidValueError(
                f"{what} = {text!r} comes to a number of size {_size(n):g}; allowed are {low:g} to {high:g}, those of "
                "single precision"
            )
    # C would read large whole numbers as int, and could not read those of 30 digits
    large = [
        n for n in expression.atoms(sympy.Rational) if abs(n.p) > (1 << 24 if n.q == 1 else 10**30) or n.q > 10**30
    ]
    return expression.subs({n: sympy.Float(n) for n in large})


def constant(node: ast.AST, text: str, symbols: Mapping[str, Any], what: str) -> Any:
    """A part of a checked tree that consists of numbers, parameters and `dt`, as an expression of `symbols`.

    Args:
        text: the whole text that the tree was read from.
    """
    try:
        return decimal(_built(node, " ".join(text.split()), symbols))
    except _NotRealError:
        raise InvalidValueError(f"{what} = {text!r} is not a finite real number") from None


def _size(number: Any) -> float:
    try:
        return abs(float(number))
    except OverflowError:
        return float("inf")


class _NotRealError(Exception):
    """A number that is not real and finite."""


def _built(node: ast.AST, text: str, symbols: Mapping[str, Any]) -> Any:
    """A checked tree as SymPy's objects. Numbers are taken as they are written: 0.1 has one digit."""
    import sympy

    match node:
        case ast.Constant(value=int(value)):
            return sympy.Integer(value)
        case ast.Constant(
            value=value
        ):  # 0.0 is 0: SymPy takes the powers and the differences of its own 0.0 for inexact
            return sympy.Float(ast.get_source_segment(text, node)) if value else sympy.Integer(0)
        case ast.Name(id=name):
            return symbols[name] if name in symbols else {"pi": sympy.pi}[name]
        case ast.UnaryOp(op=op, operand=operand):
            value = _built(operand, text, symbols)
            return -value if isinstance(op, ast.USub) else value
        case ast.Call(func=ast.Name(id=name), args=args):
            values = [_built(a, text, symbols) for a in args]
            if len(values) == 2 and values[1].is_nonpositive:  # SymPy divides by an infinite logarithm, which gives 0
                raise _NotRealError
            return _functions()[name](*values)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _built(left, text, symbols), _built(right, text, symbols)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
                case ast.Pow():
                    return a**b
    raise TypeError(f"{type(node).__name__} is no node of an equation")


def _functions() -> dict[str, Any]:
    """SymPy's functions by the names of :data:`~genn_delays.grammar.FUNCTIONS`."""
    import sympy as s

    return {
        "exp": s.exp, "log": s.log, "sqrt": s.sqrt, "sin": s.sin, "cos": s.cos, "tan": s.tan, "sinh": s.sinh,
        "cosh": s.cosh, "tanh": s.tanh, "Abs": s.Abs, "asin": s.asin, "acos": s.acos, "atan": s.atan, "asinh": s.asinh,
        "acosh": s.acosh, "atanh": s.atanh, "erf": s.erf, "erfc": s.erfc, "exprel": exprel_function(),
    }  # fmt: skip


def decimal(expression: Any, named: bool = True) -> Any:
    """The expression with every number that is not rational in decimal digits.

    Args:
        named: also where it has a name, as pi.

    Raises:
        _NotRealError: a number that is not real and finite.
    """
    import sympy

    if isinstance(expression, (sympy.Rational, sympy.Float, sympy.Symbol)):
        return expression
    if (
        not named
        and (expression.base if expression.is_Pow and expression.exp.is_Integer else expression).is_NumberSymbol
    ):
        return expression
    if isinstance(expression, sympy.Expr) and expression.is_number:
        value = sympy.expand_func(expression).evalf(_DIGITS)
        if not isinstance(value, sympy.Number) or not value.is_finite:
            raise _NotRealError
        return value
    args = [decimal(a, named) for a in expression.args]
    return expression if all(a is b for a, b in zip(args, expression.args, strict=True)) else expression.func(*args)


def printed(expression: Any, portable: bool = False) -> Printed:
    """An expression for C in single precision and for NumPy.

    Args:
        portable: call the functions of :mod:`~genn_delays.bodies.elementary`, which vectorise, in place of the
            target's; those that no target has are always called there.

    Raises:
        InvalidValueError: it has a function that not every target has, or a number that is not real and finite.
    """
    names = tuple(ELEMENTARY) if portable else ("exprel", "exprel_slope")
    return Printed(c=_c_text(expression, names), py=numpy_text(expression, names))


def _c_text(expression: Any, portable: tuple[str, ...]) -> str:
    import sympy
    from sympy.codegen.ast import float32, real
    from sympy.printing.c import C99CodePrinter

    def square(base: str, _: str) -> str:
        return f"(({base})*({base}))"  # a product in brackets: it stands in other ones, and under fractions

    class Printer(C99CodePrinter):  # type: ignore[misc]
        """Numbers round to the single precision number that is next to them, at once."""

        def _print_Symbol(self, symbol: Any) -> str:  # noqa: N802 - SymPy's name
            return code_name(_text_of(symbol))

        def _print_Float(self, number: Any) -> str:  # noqa: N802 - SymPy's name
            text = str(super()._print_Float(number))
            value = np.float32(float(number))
            if np.float32(text.rstrip("Ff")) != value:
                text = f"{value!s}F" if "." in str(value) or "e" in str(value) else f"{value!s}.0F"
            return text

    # every constant as a float (a double would widen the whole expression), and no call where a product does
    def cube(base: str, _: str) -> str:
        return f"(({base})*({base})*({base}))"

    def fourth(base: str, _: str) -> str:
        return square(square(base, ""), "")

    few = [(3, cube), (4, fourth)] if "exp" in portable else []
    settings = {
        "type_aliases": {real: float32},
        "math_macros": {},
        "user_functions": {
            "Pow": [
                (lambda base, power: power == 2, square),
                *((lambda base, power, n=n: power == n, product) for n, product in few),
                (lambda base, power: power == sympy.Rational(1, 2), lambda base, _: f"sqrtf({base})"),
                (lambda base, power: True, "powf"),
            ]
        },
    }
    _make_portable(Printer, portable)
    return _checked(expression, lambda e: " ".join(Printer(settings).doprint(decimal(e)).split()), check_c)


def numpy_text(expression: Any, portable: tuple[str, ...] = ()) -> str:
    """An expression for NumPy, in which functions of the names in `portable` are those of kernels.

    Raises:
        InvalidValueError: it has a function that :func:`evaluate` does not know, or a number that is not real and
            finite.
    """
    from sympy.printing.numpy import NumPyPrinter

    class Printer(NumPyPrinter):  # type: ignore[misc]
        """Calls of what :mod:`.printed` knows, and numbers for names of numbers."""

        def _print_Symbol(self, symbol: Any) -> str:  # noqa: N802 - SymPy's names
            return _text_of(symbol)

        def _print_NumberSymbol(self, number: Any) -> str:  # noqa: N802 - SymPy's names
            return repr(float(number.evalf(_DIGITS)))

        _print_Pi = _print_Exp1 = _print_EulerGamma = _print_Catalan = _print_NumberSymbol  # noqa: N815
        _print_GoldenRatio = _print_TribonacciConstant = _print_NumberSymbol  # noqa: N815

        def _print_Piecewise(self, pieces: Any) -> str:  # noqa: N802
            *others, (last, condition) = pieces.args
            if condition != True:  # noqa: E712 - SymPy's own truth
                raise TextError("a piecewise function without a value elsewhere")
            text = str(self._print(last))
            for value, where in reversed(others):
                text = f"where({self._print(where)}, {self._print(value)}, {text})"
            return text

        def _joined(self, name: str, args: Any) -> str:
            first, *others = [str(self._print(a)) for a in args]
            for other in others:
                first = f"{name}({first}, {other})"
            return first

        def _print_And(self, e: Any) -> str:  # noqa: N802
            return self._joined("logical_and", e.args)

        def _print_Or(self, e: Any) -> str:  # noqa: N802
            return self._joined("logical_or", e.args)

        def _print_Max(self, e: Any) -> str:  # noqa: N802
            return self._joined("maximum", e.args)

        def _print_Min(self, e: Any) -> str:  # noqa: N802
            return self._joined("minimum", e.args)

    settings = {"fully_qualified_modules": False, "allow_unknown_functions": True}
    _make_portable(Printer, portable)
    return _checked(expression, lambda e: str(Printer(settings).doprint(decimal(e, named=False))), check_numpy)


def _checked(expression: Any, write: Any, check: Any) -> str:
    """A printer's text, checked against the grammar of printed expressions."""
    try:
        text: str = check(write(expression), {_text_of(s) for s in expression.free_symbols})
        return text
    except _NotRealError:
        raise InvalidValueError(f"{expression} holds what is not a finite real number") from None
    except (TextError, ValueError, NotImplementedError, RecursionError) as error:
        functions = ", ".join(sorted(name[:-1] for name in C_FUNCTIONS))
        raise InvalidValueError(
            f"{expression} holds what not every target has ({' '.join(str(error).split())}); functions of targets: "
            f"{functions}"
        ) from error


def _make_portable(printer: Any, names: tuple[str, ...]) -> None:
    """Let a printer's class call portable functions."""

    def calls(name: str) -> Any:
        return lambda self, e: f"{name}({self._print(e.args[0])})"

    for name in names:
        setattr(printer, f"_print_{name}", calls(ELEMENTARY[name].name))
