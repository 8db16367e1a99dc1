"""The language of bodies: its syntax and its types.

A body is a sequence of assignments in Python's notation::

    m = real(beta1) * m + (1 - real(beta1)) * g
    w = w - real(alpha) * m

Values are numbers of these types: ``real`` (single precision in kernels; in backend ``reference`` that of its engine),
``double``, ``u32``, ``u64`` (modulo 2^32 and 2^64), ``int`` (64 bits) and ``bool``. Types are never mixed silently: an
operation takes two values of one type, and ``real(x)``, ``double(x)``, ``u32(x)``, ``u64(x)``, ``int(x)`` convert. A
number that is written has the type of the other operand.

Statements are ``name = expression``, ``if``/``else``, ``while`` and ``for name in range(n)`` with a written n. A name
that is assigned in one branch only must have a value before. Expressions are arithmetic, comparisons, ``and``, ``or``,
``not``, ``a if condition else b``, and calls of :data:`FUNCTIONS` and of functions that are bodies themselves
(:mod:`.functions`).
"""

from __future__ import annotations

import ast
import keyword
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidValueError
from ..syntax import statements as parsed
from .tree import (
    Assign,
    Binary,
    Body,
    Call,
    Choice,
    Convert,
    Expression,
    If,
    Name,
    Number,
    Reduce,
    Repeat,
    Statement,
    Type,
    Unary,
    While,
)

FUNCTIONS = {
    "sqrt": 1, "abs": 1, "floor": 1, "ceil": 1, "rint": 1, "exp": 1, "log": 1, "tanh": 1, "min": 2, "max": 2,
    "copysign": 2, "whole": 1, "frexp_fraction": 1, "frexp_exponent": 1, "power_of_two": 1,
}  # fmt: skip
"""The functions of every target, and their numbers of arguments. ``min(a, b)`` is ``a if a < b else b``, ``max`` alike;
``whole(x)`` is x cut to a whole number towards 0, for |x| < 2^31; ``x = frexp_fraction(x) 2^frexp_exponent(x)`` with a
fraction in [1/2, 1); ``power_of_two(n)`` is 2^n for a whole real n, -126 to 127."""

REDUCTIONS = ("sum", "largest", "smallest", "where_largest", "where_smallest", "at_label")
"""The reductions over neurons; see :mod:`.over_neurons`."""

_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.BitAnd: "&",
    ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_CONVERSIONS = {t.value: t for t in Type if t is not Type.BOOL}
_WHOLE = ("//", "%", "&", "|", "^", "<<", ">>")


_LENGTH = 20_000
_LARGEST_REAL = (2 - 2.0**-23) * 2.0**127  # single precision's
_LIMITS = {Type.U32: 1 << 32, Type.U64: 1 << 64, Type.INT: 1 << 63}


class BodyError(InvalidValueError):
    """A body that the language does not allow."""


def read(
    name: str,
    text: str,
    inputs: Mapping[str, Type],
    outputs: tuple[str, ...],
    functions: Mapping[str, Body] | None = None,
    in_double: Callable[..., Any] | None = None,
    reduces: bool = False,
) -> Body:
    """A body from its text.

    Args:
        name: of the body, in messages and in generated code.
        text: the assignments.
        inputs: the type of every name that has a value before.
        outputs: names whose values are its result; inputs may be among them.
        functions: bodies that it may call by their names.
        in_double: a function that computes it where ``real`` is double precision, if the text's constants have single
            precision only.
        reduces: whether it may reduce over neurons, ``name = sum(expression)``; see :mod:`.over_neurons`.

    Raises:
        BodyError: it is not a sequence of assignments, mixes types, or uses a name that has no value.
    """
    reader = _Reader(name, inputs, functions or {}, reduces)
    statements = reader.read(text, outputs)
    return Body(name, text, dict(inputs), outputs, statements, reader.types, in_double)


class _Reader:
    """From the text of a body to typed statements."""

    def __init__(
        self, name: str, inputs: Mapping[str, Type], functions: Mapping[str, Body], reduces: bool = False
    ) -> None:
        self.name, self.inputs, self.functions, self.reduces = name, inputs, functions, reduces
        self.types: dict[str, Type] = dict(inputs)
        self.line = 0
        for given in inputs:
            self._check_name(given)

    def read(self, text: str, outputs: tuple[str, ...]) -> tuple[Statement, ...]:
        if not isinstance(text, str) or len(text) > _LENGTH:
            raise BodyError(f"{self.name} must be a text of at most {_LENGTH} characters")
        text = textwrap.dedent(text).strip("\n")
        try:
            written = parsed(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
            raise BodyError(f"{self.name} is not a sequence of assignments: {where}") from error
        known = set(self.inputs)
        try:
            statements = self._block(written, known)
        except RecursionError:
            raise self._error("an expression that is nested too deep") from None
        for name in outputs:
            if name not in known:
                raise BodyError(f"{self.name}: its output {name!r} gets no value")
        return statements

    def _error(self, message: str) -> BodyError:
        return BodyError(f"{self.name}: line {self.line}: {message}")

    def _check_name(self, name: str) -> None:
        if not name.isascii() or not name.isidentifier() or keyword.iskeyword(name) or "__" in name:
            raise self._error(f"{name!r} is not a name; names are letters, digits and single underscores")
        if name in FUNCTIONS or name in _CONVERSIONS:
            raise self._error(f"{name!r} is a function and cannot be given a value")

    # --- statements --------------------------------------------------------------------------------------------------

    def _block(self, nodes: list[ast.stmt], known: set[str]) -> tuple[Statement, ...]:
        return tuple(self._statement(node, known) for node in nodes)

    def _statement(self, node: ast.stmt, known: set[str]) -> Statement:
        self.line = node.lineno
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._check_name(name)
                expression = self._assigned(value, known, self.types.get(name))
                before = self.types.setdefault(name, expression.type)
                if before is not expression.type:
                    raise self._error(
                        f"{name!r} is {before.value} and is given a value of type {expression.type.value}"
                    )
                known.add(name)
                return Assign(name, expression)
            case ast.If(test=test, body=then, orelse=otherwise):
                condition = self._condition(test, known)
                one, other = set(known), set(known)
                statement = If(condition, self._block(then, one), self._block(otherwise, other))
                known |= one & other
                return statement
            case ast.While(test=test, body=block, orelse=[]):
                return While(self._condition(test, known), self._block(block, set(known)))
            case ast.For(
                target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(n))])
            ) if not node.orelse:
                self._check_name(name)
                return Repeat(n, self._block(node.body, set(known)))
        raise self._error("not an assignment `name = expression`, if, while or `for name in range(number)`")

    def _condition(self, node: ast.expr, known: set[str]) -> Expression:
        condition = self._expression(node, known, Type.BOOL)
        if condition.type is not Type.BOOL:
            raise self._error(f"a condition must be bool, got {condition.type.value}")
        return condition

    def _assigned(self, node: ast.expr, known: set[str], wanted: Type | None) -> Expression:
        """The value that is assigned: an expression, or one that is reduced over neurons."""
        if not (self.reduces and isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            return self._expression(node, known, wanted)
        op = node.func.id
        if op not in REDUCTIONS:
            return self._expression(node, known, wanted)
        if len(node.args) != 1 or node.keywords:
            raise self._error(f"{op} takes 1 argument, got {len(node.args) + len(node.keywords)}")
        operand = self._expression(node.args[0], known, wanted)
        if operand.type is Type.BOOL:
            raise self._error(f"{op} takes numbers, got bool")
        return Reduce(op, operand, Type.INT if op in ("where_largest", "where_smallest") else operand.type)

    # --- expressions -------------------------------------------------------------------------------------------------

    def _expression(self, node: ast.expr, known: set[str], wanted: Type | None) -> Expression:
        """Type a node; a written number without another operand has the type `wanted`, or is real."""
        match node:
            case ast.Constant(value=bool(value)):
                return Number(float(value), Type.BOOL)
            case ast.Constant(value=int() | float() as value):
                type_ = wanted or Type.REAL
                if isinstance(value, float) and not type_.floating:
                    raise self._error(f"{value} is not a whole number, where {type_.value} is needed")
                return Number(self._fitting(value, type_), type_)
            case ast.Name(id=name):
                if name not in known:
                    raise self._error(f"{name!r} has no value here; known are {', '.join(sorted(known))}")
                return Name(name, self.types[name])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                negated = self._expression(operand, known, wanted)
                return Unary("-", negated, negated.type)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Unary("not", self._condition(operand, known), Type.BOOL)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return self._operation(_OPERATORS[type(op)], left, right, known, wanted)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                one, other = self._pair(left, right, known, None)
                return Binary(_COMPARISONS[type(op)], one, other, Type.BOOL)
            case ast.BoolOp(op=op, values=values):
                word = "and" if isinstance(op, ast.And) else "or"
                first, *rest = (self._condition(v, known) for v in values)
                for condition in rest:
                    first = Binary(word, first, condition, Type.BOOL)
                return first
            case ast.IfExp(test=test, body=one_node, orelse=other_node):
                condition = self._condition(test, known)
                one, other = self._pair(one_node, other_node, known, wanted)
                return Choice(condition, one, other, one.type)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args, known, wanted)
        raise self._error(f"{ast.unparse(node)!r} is not an expression of a body")

    def _fitting(self, value: float, type_: Type) -> float:
        """A written number, if its type has it."""
        if type_.floating:
            fits = abs(value) <= (_LARGEST_REAL if type_ is Type.REAL else sys.float_info.max)
        else:
            fits = value < _LIMITS.get(type_, 2)
        if not fits:
            raise self._error(f"a written number is too large for {type_.value}")
        return value

    def _operation(self, op: str, left: ast.expr, right: ast.expr, known: set[str], wanted: Type | None) -> Expression:
        if op in ("<<", ">>"):
            one, other = self._expression(left, known, wanted), self._expression(right, known, Type.INT)
        else:
            one, other = self._pair(left, right, known, wanted)
        if op == "/" and not one.type.floating:
            raise self._error(f"/ does not take {one.type.value}; whole numbers are divided by //")
        if one.type is Type.BOOL or (op in _WHOLE and one.type.floating):
            raise self._error(f"{op} does not take {one.type.value}")
        return Binary(op, one, other, one.type)

    def _pair(
        self, left: ast.expr, right: ast.expr, known: set[str], wanted: Type | None
    ) -> tuple[Expression, Expression]:
        """Two values of one type: written numbers take that of the other."""
        if _is_number(left) and not _is_number(right):
            other = self._expression(right, known, wanted)
            one = self._expression(left, known, other.type)
        else:
            one = self._expression(left, known, wanted)
            other = self._expression(right, known, one.type)
        if one.type is not other.type:
            first, second = (
                f"{ast.unparse(left)!r} is {one.type.value}",
                f"{ast.unparse(right)!r} is {other.type.value}",
            )
            raise self._error(f"{first} and {second}; convert one")
        return one, other

    def _call(self, name: str, args: list[ast.expr], known: set[str], wanted: Type | None) -> Expression:
        if name in _CONVERSIONS:
            if len(args) != 1:
                raise self._error(f"{name} takes 1 argument, got {len(args)}")
            to = _CONVERSIONS[name]
            value = self._expression(args[0], known, to if _is_number(args[0]) else None)
            return value if isinstance(value, Number) else Convert(value, to)
        if name in self.functions:
            return self._call_body(name, args, known)
        if self.reduces and name in REDUCTIONS:
            raise self._error(f"{name} over neurons must be all that is assigned: `name = {name}(expression)`")
        if name not in FUNCTIONS:
            known_functions = ", ".join((*_CONVERSIONS, *FUNCTIONS, *self.functions))
            raise self._error(f"there is no function {name!r}; there are {known_functions}")
        if len(args) != FUNCTIONS[name]:
            raise self._error(f"{name} takes {FUNCTIONS[name]} argument(s), got {len(args)}")
        if name in ("power_of_two", "whole"):
            return Call(name, None, (self._typed(args[0], known, Type.REAL),), Type.REAL)
        if len(args) == 2:
            values = self._pair(args[0], args[1], known, wanted)
        else:
            values = (self._expression(args[0], known, wanted),)  # type: ignore[assignment]
        type_ = values[0].type
        if name in ("frexp_fraction", "frexp_exponent"):
            if type_ is not Type.DOUBLE:
                raise self._error(f"{name} takes double, got {type_.value}")
            return Call(name, None, values, Type.INT if name == "frexp_exponent" else Type.DOUBLE)
        if name in ("exp", "log", "tanh") and type_ is not Type.DOUBLE:
            raise self._error(
                f"{name} takes double, got {type_.value}: single precision is rounded otherwise elsewhere"
            )
        if name not in ("min", "max") and not type_.floating:
            raise self._error(f"{name} takes floating point numbers, got {type_.value}")
        return Call(name, None, values, type_)

    def _call_body(self, name: str, args: list[ast.expr], known: set[str]) -> Expression:
        function = self.functions[name]
        if len(args) != len(function.inputs):
            raise self._error(f"{name} takes {len(function.inputs)} argument(s), got {len(args)}")
        values = tuple(self._typed(a, known, t) for a, t in zip(args, function.inputs.values(), strict=True))
        return Call(name, function, values, function.types[function.outputs[0]])

    def _typed(self, node: ast.expr, known: set[str], type_: Type) -> Expression:
        value = self._expression(node, known, type_)
        if value.type is not type_:
            raise self._error(f"{ast.unparse(node)!r} is {value.type.value}, needed is {type_.value}")
        return value


def _is_number(node: ast.expr) -> bool:
    """True if a node consists of written numbers alone, and so takes the type of the other operand."""
    return all(
        isinstance(n, ast.Constant | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop) for n in ast.walk(node)
    )
