"""The values of a body, with NumPy: backend ``reference`` computes them, so they define the body's meaning."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

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
    Statement,
    Type,
    Unary,
    While,
)

Array = npt.NDArray[Any]
Values = dict[str, Any]

_DTYPES: dict[Type, Any] = {
    Type.DOUBLE: np.float64, Type.U32: np.uint32, Type.U64: np.uint64, Type.INT: np.int64, Type.BOOL: np.bool_,
}  # fmt: skip
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift,
    ">>": operator.rshift, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
    "!=": operator.ne, "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt, "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "whole": np.trunc,
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "copysign": np.copysign,
    "min": lambda a, b: np.where(a < b, a, b), "max": lambda a, b: np.where(a > b, a, b),
    "frexp_fraction": lambda x: np.frexp(x)[0], "frexp_exponent": lambda x: np.frexp(x)[1].astype(np.int64),
}  # fmt: skip


def compute(body: Body, values: Mapping[str, Any], real: Any = np.float32) -> dict[str, Array]:
    """The outputs of a body.

    Args:
        values: of its inputs, numbers or arrays that broadcast; they are converted to their types.
        real: the type ``real``, ``numpy.float32`` or ``numpy.float64``.

    Returns:
        By name, in the order of `outputs`.
    """
    machine = _Machine(real)
    known = {name: np.asarray(values[name]).astype(machine.dtype(t), copy=False) for name, t in body.inputs.items()}
    if machine.real is np.float64 and body.in_double is not None:
        return {body.outputs[0]: np.asarray(body.in_double(*known.values()))}
    machine.run(body.statements, known)
    return {name: np.asarray(known[name]) for name in body.outputs}


class _Machine:
    """Runs statements; `real` is the precision of reals."""

    def __init__(self, real: Any) -> None:
        self.real = np.dtype(real).type

    def dtype(self, type_: Type) -> Any:
        return self.real if type_ is Type.REAL else _DTYPES[type_]

    def run(self, block: tuple[Statement, ...], known: Values) -> None:
        for statement in block:
            self._statement(statement, known)

    def _statement(self, statement: Statement, known: Values) -> None:
        if isinstance(statement, Assign):
            known[statement.name] = self.value(statement.value, known)
        elif isinstance(statement, If):
            self._branch(statement, known)
        elif isinstance(statement, While):
            self._loop(statement, known)
        else:
            for _ in range(statement.times):
                self.run(statement.block, known)

    def _branch(self, statement: If, known: Values) -> None:
        """Both branches for all entries; then each entry takes its own."""
        condition, one, other = self.value(statement.condition, known), dict(known), dict(known)
        with np.errstate(all="ignore"):  # a branch is also computed for entries that do not take it
            self.run(statement.then, one)
            self.run(statement.otherwise, other)
        for name in one.keys() & other.keys():
            if one[name] is not other[name]:
                known[name] = np.where(condition, one[name], other[name])

    def _loop(self, statement: While, known: Values) -> None:
        """Repeat while the condition holds for any entry; entries for which it does not hold stay as they are."""
        active = self.value(statement.condition, known)
        while np.any(active):
            after = dict(known)
            with np.errstate(all="ignore"):
                self.run(statement.block, after)
            for name in known:
                if after[name] is not known[name]:
                    known[name] = np.where(active, after[name], known[name])
            active = np.logical_and(active, self.value(statement.condition, known))

    def value(self, e: Expression, known: Values) -> Any:
        """The value of an expression, of the dtype of its type."""
        match e:
            case Number():
                return self.dtype(e.type)(e.value)
            case Name():
                return known[e.name]
            case Unary():
                operand = self.value(e.operand, known)
                return -operand if e.op == "-" else np.logical_not(operand)
            case Binary():
                return self._binary(e, self.value(e.left, known), self.value(e.right, known))
            case Choice():
                condition = self.value(e.condition, known)
                with np.errstate(all="ignore"):
                    return np.where(condition, self.value(e.one, known), self.value(e.other, known))
            case Convert():
                return np.asarray(self.value(e.operand, known)).astype(self.dtype(e.type))
            case Call():
                return self._call(e, [self.value(a, known) for a in e.arguments])
            case Reduce():
                return _reduced(e.op, self.value(e.operand, known), known)

    def _binary(self, e: Binary, left: Any, right: Any) -> Any:
        if e.left.type.floating or e.type is Type.BOOL:
            return _BINARY[e.op](left, right)
        with np.errstate(over="ignore"):  # unsigned integers wrap on purpose
            if e.op in ("<<", ">>"):
                right = np.asarray(right).astype(self.dtype(e.left.type))
            return _BINARY[e.op](left, right)

    def _call(self, e: Call, arguments: list[Any]) -> Any:
        if e.name == "power_of_two":
            return np.ldexp(self.real(1), np.asarray(arguments[0]).astype(np.int32))
        if e.function is None:
            return _FUNCTIONS[e.name](*arguments)
        if self.real is np.float64 and e.function.in_double is not None:
            return e.function.in_double(*arguments)
        known = dict(zip(e.function.inputs, arguments, strict=True))
        self.run(e.function.statements, known)
        return known[e.function.outputs[0]]


def _reduced(op: str, rows: Array, known: Values) -> Any:
    """Reduce rows, one of every neuron: a sum in their order, the first of the largest, the label's."""
    if op == "sum":
        total = np.zeros_like(rows[0])
        for row in rows:
            total = total + row
        return total
    if op == "at_label":
        label = np.broadcast_to(np.asarray(known["is_label"]), rows.shape).argmax(axis=0)
        return np.take_along_axis(rows, label[None], axis=0)[0]
    functions: dict[str, Any] = {
        "largest": np.max, "smallest": np.min, "where_largest": np.argmax, "where_smallest": np.argmin,
    }  # fmt: skip
    return functions[op](rows, axis=0)
