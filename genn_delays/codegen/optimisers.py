"""Optimisers' bodies as kernels have them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass

from ..bodies import Body
from ..learning.optimisers import Optimiser
from .bodies import GENN, Dialect, Printer, mangled


@dataclass(frozen=True)
class OptimiserCode:
    """What a template sees of an optimiser.

    Attributes:
        name: the registered one.
        comment: its documentation, up to its arguments.
        moments, numbers: how the code calls the moments and those of its numbers that it reads.
        reads_age: whether it reads how many steps a value has had.
        text: the statements; they change ``w_`` and the moments.
    """

    name: str
    comment: str
    moments: tuple[str, ...]
    numbers: tuple[str, ...]
    reads_age: bool
    text: str


def optimiser_code(optimiser: type[Optimiser], dialect: Dialect) -> OptimiserCode:
    """The code of an optimiser in a dialect that has functions."""
    body = optimiser.formula()
    reads = body.reads()
    numbers = tuple(mangled(name) for name in optimiser.number_names() if name in reads)
    moments = tuple(mangled(name) for name in optimiser.moments)
    text = Printer(dialect).block(body)
    return OptimiserCode(optimiser.registered_name, comment_of(optimiser), moments, numbers, "age" in reads, text)


def comment_of(kind: type) -> str:
    """The documentation of a class up to its arguments, as a comment: what a kernel computes stands above it."""
    lines: list[str] = []
    for line in (inspect.getdoc(kind) or kind.__name__).splitlines():
        if line.strip() in ("Args:", "Attributes:"):
            break
        lines.append(f"// {line}".rstrip())
    while lines[-1:] == ["//"]:
        lines.pop()
    return "\n".join(lines)


def sorted_kinds(optimisers: Iterable[Optimiser]) -> list[type[Optimiser]]:
    """The classes of optimisers, each once, by name."""
    return sorted({type(o) for o in optimisers}, key=lambda kind: kind.registered_name)


def bodies_of(optimisers: Iterable[Optimiser]) -> list[Body]:
    """The bodies that those of optimisers call."""
    return [called for kind in sorted_kinds(optimisers) for called in kind.formula().called()]


def genn_step(optimiser: Optimiser, of: str, value: str, gradient: str) -> str:
    """The statements of one step for GeNN.

    Args:
        of: ``"weight"`` or ``"delay"``, with which the names of its moments and numbers begin.
        value, gradient: names of the value that is learned and of its gradient.

    Returns:
        Statements that leave the new value in ``<of>_updated``.
    """
    names = {name: f"{of}_moment{m}" for m, name in enumerate(optimiser.moments)}
    names |= {"w": f"{of}_updated", "g": gradient, "age": "age"}
    printer = Printer(GENN, lambda name: names.get(name) or f"{of}_{mangled(name)}", f"{of}_")
    return f"scalar {of}_updated = {value};\n{printer.block(optimiser.formula(), indent=0)}"
