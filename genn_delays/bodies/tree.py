"""The syntax tree of bodies: types, statements and expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal


class Type(Enum):
    """The type of a value."""

    REAL = "real"
    DOUBLE = "double"
    U32 = "u32"
    U64 = "u64"
    INT = "int"
    BOOL = "bool"

    @property
    def floating(self) -> bool:
        """True for floating point types."""
        return self in (Type.REAL, Type.DOUBLE)


@dataclass(frozen=True)
class Number:
    """A written number."""

    value: float
    type: Type


@dataclass(frozen=True)
class Name:
    """The value of a name."""

    name: str
    type: Type


@dataclass(frozen=True)
class Unary:
    """``-x`` or ``not x``."""

    op: Literal["-", "not"]
    operand: Expression
    type: Type


@dataclass(frozen=True)
class Binary:
    """An operation on two values of one type: arithmetic, a comparison, ``and`` or ``or``."""

    op: str
    left: Expression
    right: Expression
    type: Type


@dataclass(frozen=True)
class Choice:
    """``one if condition else other``; both are computed where values are arrays."""

    condition: Expression
    one: Expression
    other: Expression
    type: Type


@dataclass(frozen=True)
class Convert:
    """A value as one of another type; a floating point number is cut to an integer towards 0."""

    operand: Expression
    type: Type


@dataclass(frozen=True)
class Call:
    """A function's value. `function` is the name of one of :data:`FUNCTIONS`, or a body with one output."""

    name: str
    function: Body | None
    arguments: tuple[Expression, ...]
    type: Type


@dataclass(frozen=True)
class Reduce:
    """A reduction of a value per neuron over all neurons; see :mod:`.over_neurons`."""

    op: str
    operand: Expression
    type: Type


Expression = Number | Name | Unary | Binary | Choice | Convert | Call | Reduce


@dataclass(frozen=True)
class Assign:
    """``name = value``."""

    name: str
    value: Expression


@dataclass(frozen=True)
class If:
    """One block or the other."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class While:
    """A block as long as a condition holds."""

    condition: Expression
    block: tuple[Statement, ...]


@dataclass(frozen=True)
class Repeat:
    """A block a fixed number of times."""

    times: int
    block: tuple[Statement, ...]


Statement = Assign | If | While | Repeat


@dataclass(frozen=True)
class Body:
    """A formula: typed, ordered assignments from `inputs` to `outputs`, as :func:`.language.read` makes one of a text.

    Attributes:
        name: of the body, in messages and in generated code.
        text: as it was written.
        inputs: the type of every name that has a value before.
        outputs: names whose values are its result; inputs may be among them.
        statements: the assignments.
        types: the type of every name, inputs first.
        in_double: a function that computes it where ``real`` is double precision, if the text's constants have single
            precision only.
    """

    name: str
    text: str
    inputs: Mapping[str, Type]
    outputs: tuple[str, ...]
    statements: tuple[Statement, ...] = field(repr=False, compare=False)
    types: Mapping[str, Type] = field(repr=False, compare=False)
    in_double: Callable[..., Any] | None = field(repr=False, compare=False)

    def __hash__(self) -> int:
        return hash((self.name, self.text, tuple(self.inputs), self.outputs))

    def called(self) -> list[Body]:
        """The bodies that it calls, those that they call first, each once."""
        found: dict[str, Body] = {}
        for call in walk(self.statements):
            if isinstance(call, Call) and call.function is not None:
                for body in (*call.function.called(), call.function):
                    found.setdefault(body.name, body)
        return list(found.values())

    def reads(self) -> frozenset[str]:
        """The names whose values it reads or returns unchanged."""
        read = {node.name for node in walk(self.statements) if isinstance(node, Name)}
        return frozenset(read | (set(self.outputs) - self.assigned()))

    def assigned(self) -> frozenset[str]:
        """The names that it gives values."""
        return frozenset(s.name for s in walk(self.statements) if isinstance(s, Assign))


def walk(nodes: tuple[Statement | Expression, ...]) -> Iterator[Statement | Expression]:
    """All statements and expressions of a block, nested ones included."""
    for node in nodes:
        yield node
        yield from walk(children(node))


def children(node: Statement | Expression) -> tuple[Statement | Expression, ...]:
    """The parts of a statement or an expression, in order."""
    found: list[Statement | Expression] = []
    for value in vars(node).values():
        if isinstance(value, Expression | Statement):
            found.append(value)
        elif isinstance(value, tuple):
            found += value
    return tuple(found)
