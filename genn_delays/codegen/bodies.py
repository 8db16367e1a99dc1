"""Bodies printed for C++, CUDA C++ and the code strings of GeNN, operation by operation as they stand.

A body's names get an underscore at their end, so that a formula may use any names: no keyword of C, no macro and no
name of the code around it ends so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..bodies.tree import (
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
    walk,
)

_PRECEDENCE = {
    "?": 1, "or": 2, "and": 3, "==": 7, "!=": 7, "<": 8, "<=": 8, ">": 8, ">=": 8, "<<": 9, ">>": 9, "+": 10, "-": 10,
    "*": 11, "/": 11, "//": 11, "%": 11, "unary": 12, "primary": 13,
}  # fmt: skip
_BITWISE = ("&", "|", "^")
_WORDS = {"or": "||", "and": "&&", "//": "/"}


@dataclass(frozen=True)
class Dialect:
    """The syntax of a target.

    Attributes:
        types: names of types.
        double_suffix: what ends a written double.
        single_functions: whether functions of single precision end with an f.
        function: what stands before a function's type; None where there are no functions and calls are written out.
        shifts: whether there are shifts; else whole numbers are divided.
    """

    types: Mapping[Type, str]
    double_suffix: str
    single_functions: bool
    function: str | None
    shifts: bool = True


_C_TYPES = {
    Type.REAL: "float", Type.DOUBLE: "double", Type.U32: "uint32_t", Type.U64: "uint64_t", Type.INT: "int64_t",
    Type.BOOL: "bool",
}  # fmt: skip
CPU = Dialect(_C_TYPES, "", True, "static inline")
CUDA = Dialect(
    {**_C_TYPES, Type.U32: "u32", Type.U64: "u64", Type.INT: "i64"}, "", True,
    "[[maybe_unused]] static __device__ __forceinline__",
)  # fmt: skip
GENN = Dialect({**_C_TYPES, Type.REAL: "scalar"}, "d", False, None, shifts=False)


def mangled(name: str) -> str:
    """A body's name in generated code."""
    return f"{name}_"


@dataclass
class Printer:
    """Prints statements and expressions in a dialect.

    Args:
        rename: how names are called.
        prefix: with what names of bodies that are written out begin, where there are several texts in one place.
    """

    dialect: Dialect
    rename: Callable[[str], str] = mangled
    prefix: str = ""
    _inlined: int = field(default=0, init=False)

    # --- statements --------------------------------------------------------------------------------------------------

    def block(self, body: Body, declared: frozenset[str] | None = None, indent: int = 1) -> str:
        """The statements of a body, its names declared where they first get a value.

        Args:
            declared: names that the code around it declares and that may be assigned; the inputs where not given.
        """
        known = set(body.inputs if declared is None else declared)
        counts: dict[str, int] = {}
        for s in walk(body.statements):
            if isinstance(s, Assign):
                counts[s.name] = counts.get(s.name, 0) + 1
        once = {name for name, n in counts.items() if n == 1}
        return "\n".join(self._lines(body, body.statements, known, once, "    " * indent))

    def _lines(
        self, body: Body, statements: tuple[Statement, ...], known: set[str], once: set[str], pad: str
    ) -> list[str]:
        lines: list[str] = []
        for s in statements:
            if isinstance(s, Assign):
                before, value = self._value(s.value, pad)
                lines += [*before, f"{pad}{self._target(body, s.name, known, s.name in once)} = {value};"]
            elif isinstance(s, Repeat):
                lines.append(f"{pad}for (int round = 0; round < {s.times}; ++round) {{")
                lines += [*self._lines(body, s.block, set(known), once, pad + "    "), f"{pad}}}"]
            elif isinstance(s, While):
                lines.append(f"{pad}while ({self.expression(s.condition)}) {{")
                lines += [*self._lines(body, s.block, set(known), once, pad + "    "), f"{pad}}}"]
            else:
                lines += self._branch(body, s, known, once, pad)
        return lines

    def _branch(self, body: Body, s: If, known: set[str], once: set[str], pad: str) -> list[str]:
        both = _assigned(s.then) & _assigned(s.otherwise) - known
        lines = [f"{pad}{self.dialect.types[body.types[name]]} {self.rename(name)};" for name in sorted(both)]
        known |= both
        before, condition = self._value(s.condition, pad)
        lines += [*before, f"{pad}if ({condition}) {{", *self._lines(body, s.then, set(known), once, pad + "    ")]
        if s.otherwise:
            lines += [f"{pad}}}", f"{pad}else {{", *self._lines(body, s.otherwise, set(known), once, pad + "    ")]
        return [*lines, f"{pad}}}"]

    def _target(self, body: Body, name: str, known: set[str], constant: bool) -> str:
        if name in known:
            return self.rename(name)
        known.add(name)
        return f"{'const ' if constant else ''}{self.dialect.types[body.types[name]]} {self.rename(name)}"

    def _value(self, e: Expression, pad: str) -> tuple[list[str], str]:
        """An expression, preceded by the statements that it needs where the target has no functions."""
        if self.dialect.function is not None:
            return [], self.expression(e)
        before: list[str] = []
        return before, self._print(e, 0, before, pad)

    # --- expressions -------------------------------------------------------------------------------------------------

    def expression(self, e: Expression) -> str:
        """An expression without calls of bodies, or any where the target has functions."""
        return self._print(e, 0, None, "")

    def _print(self, e: Expression, least: int, before: list[str] | None, pad: str) -> str:
        """An expression, in parentheses where it binds less than `least`."""
        match e:
            case Number():
                return number(e.value, e.type, self.dialect)
            case Name():
                return self.rename(e.name)
            case Unary():
                sign = "-" if e.op == "-" else "!"
                operand = self._print(e.operand, _PRECEDENCE["primary"], before, pad)
                return _bound(f"{sign}{operand}", "unary", least)
            case Convert():
                operand = self._print(e.operand, _PRECEDENCE["unary"], before, pad)
                return _bound(f"({self.dialect.types[e.type]}){operand}", "unary", least)
            case Choice():
                condition = self._print(e.condition, 2, before, pad)
                one, other = self._print(e.one, 2, before, pad), self._print(e.other, 1, before, pad)
                return _bound(f"{condition} ? {one} : {other}", "?", least)
            case Binary():
                return self._binary(e, least, before, pad)
            case Call():
                return self._call(e, least, before, pad)
            case Reduce():
                raise TypeError(f"{e.op} over neurons is a loop, not an expression")

    def _binary(self, e: Binary, least: int, before: list[str] | None, pad: str) -> str:
        if e.op in _BITWISE:  # C binds them less than comparisons
            strong = _PRECEDENCE["unary"]
            return f"({self._print(e.left, strong, before, pad)} {e.op} {self._print(e.right, strong, before, pad)})"
        if e.op in ("<<", ">>") and not self.dialect.shifts:
            return self._divided(e, least, before, pad)
        own = _PRECEDENCE["unary" if e.op in ("<<", ">>") else e.op]  # shifts: what is shifted stands in parentheses
        left, right = self._print(e.left, own, before, pad), self._print(e.right, own + 1, before, pad)
        return _bound(f"{left} {_WORDS.get(e.op, e.op)} {right}", e.op, least)

    def _divided(self, e: Binary, least: int, before: list[str] | None, pad: str) -> str:
        """A shift by a written number of bits as products or quotients of at most 2^16."""
        assert isinstance(e.right, Number)
        bits, text = int(e.right.value), self._print(e.left, _PRECEDENCE["*"], before, pad)
        sign = "*" if e.op == "<<" else "/"
        for _ in range(bits // 16):
            text += f" {sign} 65536u"
        if bits % 16:
            text += f" {sign} {1 << bits % 16}u"
        return _bound(text, "*", least)

    def _call(self, e: Call, least: int, before: list[str] | None, pad: str) -> str:
        if e.function is not None and before is not None:
            return self._written_out(e, before, pad)
        arguments = [self._print(a, 0, before, pad) for a in e.arguments]
        if e.function is not None:
            return f"{e.name}({', '.join(arguments)})"
        if e.name in ("min", "max") and self.dialect.function is not None:
            return f"{'smaller' if e.name == 'min' else 'larger'}({', '.join(arguments)})"
        if e.name in ("min", "max"):
            a, b = (self._print(x, _PRECEDENCE["<"] + 1, before, pad) for x in e.arguments)
            return _bound(f"{a} {'<' if e.name == 'min' else '>'} {b} ? {a} : {b}", "?", least)
        if e.name == "whole":
            operand = self._print(e.arguments[0], _PRECEDENCE["unary"], before, pad)
            return _bound(f"({self.dialect.types[Type.REAL]})(int){operand}", "unary", least)
        suffix = "f" if e.type is Type.REAL and self.dialect.single_functions and e.name in _C_NAMES else ""
        return f"{_C_NAMES.get(e.name, e.name)}{suffix}({', '.join(arguments)})"

    def _written_out(self, e: Call, before: list[str], pad: str) -> str:
        """The statements of a body that is called, and the name of its value."""
        assert e.function is not None
        prefix = f"{self.prefix}{e.name}{self._inlined}"
        self._inlined += 1
        inner = Printer(self.dialect, lambda name: f"{prefix}_{name}_", f"{prefix}_")
        assigned = e.function.assigned()
        for (name, type_), argument in zip(e.function.inputs.items(), e.arguments, strict=True):
            constant = "" if name in assigned else "const "
            value = self._print(argument, 0, before, pad)
            before.append(f"{pad}{constant}{self.dialect.types[type_]} {inner.rename(name)} = {value};")
        before.append(inner.block(e.function, indent=len(pad) // 4))
        return inner.rename(e.function.outputs[0])

    # --- functions ---------------------------------------------------------------------------------------------------

    def function(self, body: Body) -> str:
        """A body with one output as a function of its name."""
        types, assigned = self.dialect.types, body.assigned()
        parameters = ", ".join(
            f"{'' if name in assigned else 'const '}{types[t]} {self.rename(name)}" for name, t in body.inputs.items()
        )
        (output,) = body.outputs
        head = f"{self.dialect.function} {types[body.types[output]]} {body.name}({parameters}) {{"
        return f"{head}\n{self.block(body)}\n    return {self.rename(output)};\n}}\n"


_C_NAMES = {
    "sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil", "rint": "rint", "exp": "exp", "log": "log",
    "tanh": "tanh", "copysign": "copysign",
}  # fmt: skip


def _assigned(block: tuple[Statement, ...]) -> set[str]:
    """The names that a block assigns on every path."""
    found: set[str] = set()
    for s in block:
        if isinstance(s, Assign):
            found.add(s.name)
        elif isinstance(s, If):
            found |= _assigned(s.then) & _assigned(s.otherwise)
    return found


def _bound(text: str, op: str, least: int) -> str:
    return f"({text})" if _PRECEDENCE[op] < least else text


def functions(dialect: Dialect, bodies: Iterable[Body]) -> str:
    """Bodies and those that they call as functions, each once."""
    found = {b.name: b for body in bodies for b in (*body.called(), body)}
    return "\n".join(Printer(dialect).function(body) for body in found.values())


def number(value: float, type_: Type, dialect: Dialect) -> str:
    """A written number: the shortest decimal that is read as the same bits."""
    if type_ is Type.BOOL:
        return "true" if value else "false"
    if type_ is Type.REAL:
        text = str(np.float32(value)) + "f"
    elif type_ is Type.DOUBLE:
        text = repr(float(value)) + dialect.double_suffix
    elif type_ is Type.U64:
        text = f"({dialect.types[type_]}){int(value)}u"
    else:
        text = f"{int(value)}{'u' if type_ is Type.U32 else ''}"
    return f"({text})" if value < 0 else text
