"""Optimisers' bodies as kernels have them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..bodies import Body
from ..learning.optimisers import Optimiser
from ..learning.updates import BEFORE, DELAY, DRIFT, KEEP_SIGN, NOISE
from .bodies import GENN, Dialect, Printer, mangled


@dataclass(frozen=True)
class OptimiserCode:
    """An optimiser as templates see it.

    Attributes:
        name: the registered one.
        comment: its documentation, up to its arguments.
        moments, numbers: how the code calls the moments and those of its numbers that it reads.
        reads_age: whether it reads how many steps a value has had.
        by_age: calls in the text of a number and the age only, so that they are the same for all values of an age.
        text: the statements; they change ``w_`` and the moments.
    """

    name: str
    comment: str
    moments: tuple[str, ...]
    numbers: tuple[str, ...]
    reads_age: bool
    by_age: tuple[str, ...]
    text: str

    @property
    def hoisted(self) -> str:
        """The text with names ``by_age0``, ``by_age1``, ... in the places of those calls."""
        text = self.text
        for number, call in enumerate(self.by_age):
            text = text.replace(call, f"by_age{number}")
        return text

    @property
    def numbers_by_age(self) -> tuple[str, ...]:
        """The numbers that those calls read."""
        return tuple(name for name in self.numbers if any(f"({name}, " in call for call in self.by_age))


def optimiser_code(optimiser: type[Optimiser], dialect: Dialect) -> OptimiserCode:
    """The code of an optimiser in a dialect that has functions."""
    body = optimiser.formula()
    reads = body.reads()
    numbers = tuple(mangled(name) for name in optimiser.number_names() if name in reads)
    moments = tuple(mangled(name) for name in optimiser.moments)
    text = Printer(dialect).block(body)
    found = re.finditer(rf"\b\w+\((\w+), {mangled('age')}\)", text)
    fixed = set(numbers) if "age" not in body.assigned() else set[str]()
    by_age = tuple(dict.fromkeys(call[0] for call in found if call[1] in fixed))
    return OptimiserCode(
        optimiser.registered_name, comment_of(optimiser), moments, numbers, "age" in reads, by_age, text
    )


def comment_of(kind: type) -> str:
    """The documentation of a class up to its arguments, as a comment above its kernel."""
    lines: list[str] = []
    for line in (inspect.getdoc(kind) or kind.__name__).splitlines():
        if line.strip() in ("Args:", "Attributes:"):
            break
        lines.append(f"// {line}".rstrip(" \\"))  # a backslash at the end would continue the comment
    while lines[-1:] == ["//"]:
        lines.pop()
    return "\n".join(lines)


def sorted_kinds(optimisers: Iterable[Optimiser]) -> list[type[Optimiser]]:
    """The classes of optimisers, each once, by name."""
    return sorted({type(o) for o in optimisers}, key=lambda kind: kind.registered_name)


def bodies_of(optimisers: Iterable[Optimiser]) -> list[Body]:
    """The bodies that those of optimisers call."""
    return [called for kind in sorted_kinds(optimisers) for called in kind.formula().called()]


def around_code(dialect: Dialect, indent: int) -> dict[str, str]:
    """The code before and after an optimiser's step, by the names that templates use; see :mod:`..learning.updates`.

    Args:
        indent: of the step; conditional statements are indented further.
    """
    printer = Printer(dialect)
    parts = {"before": (BEFORE, 0), "drift": (DRIFT, 0), "noise": (NOISE, 1), "keep_sign": (KEEP_SIGN, 1),
             "delayed": (DELAY, 0)}  # fmt: skip
    return {name: printer.block(body, indent=indent + deeper) for name, (body, deeper) in parts.items()}


def genn_step(optimiser: Optimiser, of: str) -> str:
    """The statements of one step for GeNN.

    Args:
        of: ``"weight"`` or ``"delay"``, the prefix of the names of its moments and numbers.

    Returns:
        Statements that make of the value ``new_`` and its gradient ``g_`` the new value.
    """
    names = {name: f"{of}_moment{m}" for m, name in enumerate(optimiser.moments)}
    names |= {"w": mangled("new"), "g": mangled("g"), "age": "age"}
    numbers = {name: f"{of}_{mangled(name)}" for name in optimiser.number_names()}
    printer = Printer(GENN, lambda name: names.get(name) or numbers.get(name) or f"{of}_{mangled(name)}", f"{of}_")
    return printer.block(optimiser.formula(), indent=0)


def genn_around(of: str) -> dict[str, str]:
    """The same as :func:`around_code` for GeNN, whose names of numbers are those of its parameters."""
    names = {"w": "g", "alpha": f"{of}_{mangled('alpha')}"}
    names |= {name: name for name in ("scale", "l1", "weight_decay", "min_delay", "max_delay")}
    names["drift"] = "l1_drift"
    printer = Printer(GENN, lambda name: names.get(name) or mangled(name))
    parts = {"before": BEFORE, "drift": DRIFT, "keep_sign": KEEP_SIGN, "delayed": DELAY}
    return {name: printer.block(body, indent=0) for name, body in parts.items()}
