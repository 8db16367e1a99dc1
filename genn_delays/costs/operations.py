"""Operations: their kinds, and their number in a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..bodies.elementary import PORTABLE
from ..bodies.over_neurons import OverNeurons, Rank
from ..bodies.tree import (
    Assign,
    Binary,
    Body,
    Call,
    Expression,
    Reduce,
    Repeat,
    Statement,
    While,
    children,
    walk,
)
from ..derive.printed import Printed


@dataclass(frozen=True)
class Operations:
    """Floating point operations by kind.

    Attributes:
        macs: a product that is added to a sum (multiply-accumulate).
        acs: an addition to a sum without a product: the cost of a spike at a synapse (accumulate).
        others: every other sum, product, quotient or function's value.
    """

    macs: float = 0.0
    acs: float = 0.0
    others: float = 0.0

    @property
    def flops(self) -> float:
        """All of them; a multiply-accumulate is two."""
        return 2.0 * self.macs + self.acs + self.others

    def __add__(self, other: Operations) -> Operations:
        return Operations(self.macs + other.macs, self.acs + other.acs, self.others + other.others)

    def __mul__(self, factor: float) -> Operations:
        return Operations(self.macs * factor, self.acs * factor, self.others * factor)

    def __truediv__(self, divisor: float) -> Operations:
        return self * (1.0 / divisor)


def total(parts: Iterable[Operations]) -> Operations:
    """The sum of operations."""
    return sum(parts, Operations())


_OPERAND = re.compile(r"[\w.)]\s*$")


def in_printed(expression: Printed) -> int:
    """Operations of an expression as kernels have it: its ``+ - * /`` between two values, and calls; those of functions
    that the code brings with it."""
    text, count = expression.c, 0
    for match in re.finditer(r"[-+*/]|\b[A-Za-z_]\w*\(", text):
        sign = match[0]
        if sign[-1] == "(":
            count += in_body(PORTABLE[sign[:-1]]) if sign[:-1] in PORTABLE else 1
        elif sign in "*/" or _OPERAND.search(re.sub(r"(\d[eE])$", "", text[: match.start()])):
            exponent = re.search(r"(?<![\w.])(\d+\.?\d*|\.\d+)[eE]$", text[: match.start()])
            count += exponent is None
    return count


_CHOICES = ("max", "min", "copysign", "whole", "power_of_two", "frexp_fraction", "frexp_exponent")
"""Functions that choose or convert and compute nothing."""
LOOP = 16
"""Rounds of a ``while`` loop: the one of ``power`` runs once for every bit of an age, of which there are 16."""


def in_body(body: Body) -> int:
    """Floating point operations of a body: both branches of an ``if``, :data:`LOOP` rounds of a ``while``."""
    return _in_block(body.statements)


def _in_block(nodes: tuple[Statement | Expression, ...]) -> int:
    count = 0
    for node in nodes:
        inside = _in_block(children(node))
        match node:
            case Binary():
                count += inside + (node.op in "+-*/" and node.left.type.floating)
            case Call():
                own = in_body(node.function) if node.function is not None else node.name not in _CHOICES
                count += inside + own
            case While():
                count += LOOP * inside
            case Repeat():
                count += node.times * inside
            case _:
                count += inside
    return count


def over_neurons(formula: OverNeurons, neurons: int) -> int:
    """Operations of a body over neurons for a lane; what kernels compute again in a later loop counts once."""
    count = 0
    for statement in formula.body.statements:
        own = _in_block((statement,))
        names = [s.name for s in walk((statement,)) if isinstance(s, Assign)]
        value = statement.value if isinstance(statement, Assign) else None
        if isinstance(value, Reduce):
            count += own * (1 if value.op == "at_label" else neurons) + (neurons if value.op == "sum" else 0)
        else:
            count += own * (neurons if any(formula.ranks[name] is Rank.NEURON for name in names) else 1)
    return count
