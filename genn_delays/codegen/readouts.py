"""Readouts' bodies as kernels have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..bodies import Body, Type
from ..bodies.over_neurons import SOFTMAX
from ..bodies.tree import Assign, Name, Statement, walk
from ..learning.readouts import Readout
from .bodies import Dialect, Printer, mangled
from .optimisers import comment_of
from .over_neurons import Nest, nest


@dataclass(frozen=True)
class ReadoutCode:
    """A readout as templates see it.

    Attributes:
        name: the registered one.
        comment: its documentation.
        softmax, spikes: whether the softmax or the spikes are scanned, in place of a variable.
        best: which z is the answer.
        numbers: of all the numbers it has, how the code calls them.
        carried: type and name of the values carried from step to step.
        kept: type and name of those of them that the backward pass reads.
        begin, end, phantom: statements; of a step or spike those that are the same for all lanes, and the others.
    """

    name: str
    comment: str
    softmax: bool
    spikes: bool
    best: str
    numbers: tuple[str, ...]
    carried: list[tuple[str, str]]
    kept: list[tuple[str, str]]
    begin: str
    each: tuple[str, str]
    end: str
    back: tuple[str, str]
    phantom: str
    _kind: type[Readout]
    _dialect: Dialect

    def reads(self, name: str, *parts: str) -> bool:
        """True if any of the bodies reads a name."""
        scan = self._kind.scan()
        bodies: list[Body | None] = [getattr(scan, part) for part in parts]
        return any(_reads(body.statements, name) for body in bodies if body is not None)

    def given(self, addresses: Mapping[str, str], *parts: str) -> list[str]:
        """Declarations of the given values that the bodies read.

        Args:
            addresses: of `num_steps`, `dt` and the like; ``"numbers"`` is the prefix of a number's name.
        """
        types = {"num_steps": Type.INT, "t": Type.INT, "dt": Type.DOUBLE, "v": Type.REAL, "dz": Type.REAL}
        found = [(types[n], mangled(n), a) for n, a in addresses.items() if n in types and self.reads(n, *parts)]
        if "numbers" in addresses:
            names = [n for n in self._kind.number_names() if self.reads(n, *parts)]
            found += [(Type.DOUBLE, mangled(n), addresses["numbers"] + mangled(n)) for n in names]
        return [f"const {self._dialect.types[type_]} {name} = {address};" for type_, name, address in found]

    def softmax_loops(self, v: str, q: str) -> Nest:
        """The loops that give the softmax."""
        return nest(SOFTMAX, self._dialect, {"v": v}, {"q": q}, keeps=True)

    def softmax_back_loops(self, v: str, dz: str, kept: list[str]) -> Nest:
        """The loops from dL/dz to dL/d(variable), which takes the place of the softmax."""
        addresses = {"v": v, "dz": dz} | dict(zip(self._kind.scan().kept, kept, strict=True))
        return nest(self._kind.softmax_back(), self._dialect, addresses, {"dx": v})


def readout_code(readout: Readout, dialect: Dialect, back: bool = True) -> ReadoutCode:
    """The code of a readout in a dialect that has functions.

    Args:
        back: whether there is a backward pass through it; per-timestep losses bypass it.
    """
    kind, printer = type(readout), Printer(dialect)
    scan = kind.scan()
    types = {name: dialect.types[type_] for name, type_ in scan.carried.items()}
    always = frozenset({"t", "num_steps", "dt", *kind.number_names()})
    return ReadoutCode(
        kind.registered_name, comment_of(kind), kind.reads == "softmax", kind.reads == "spikes", kind.best,
        tuple(mangled(n) for n in kind.number_names()),
        [(type_, mangled(name)) for name, type_ in types.items()],
        [(types[name], mangled(name)) for name in scan.kept if back],
        printer.block(scan.begin, frozenset(scan.begin.inputs) | scan.carried.keys(), indent=0),
        _split(scan.each, always, printer), printer.block(scan.end, indent=0), _split(scan.back, always, printer),
        printer.block(scan.phantom, indent=0) if scan.phantom else "", kind, dialect,
    )  # fmt: skip


def bodies_of(readouts: Iterable[Readout]) -> list[Body]:
    """The bodies that those of readouts call."""
    found: list[Body] = []
    for readout in readouts:
        scan = readout.scan()
        parts = [scan.begin, scan.each, scan.end, scan.back, scan.phantom]
        parts += [SOFTMAX.body] if readout.reads == "softmax" else []
        found += [called for body in parts if body is not None for called in body.called()]
    return found


def _split(body: Body, always: frozenset[str], printer: Printer) -> tuple[str, str]:
    """The statements of a step that are the same for all neurons and lanes, and the others."""
    counts = [s.name for s in walk(body.statements) if isinstance(s, Assign)]
    fixed: list[Statement] = []
    known = set(always)
    for s in body.statements:
        alone = isinstance(s, Assign) and s.name not in body.inputs and counts.count(s.name) == 1
        if isinstance(s, Assign) and alone and s.name not in body.outputs and _names(s) <= known:
            fixed.append(s)
            known.add(s.name)
    others = tuple(s for s in body.statements if s not in fixed)
    first = printer.block(replace(body, statements=tuple(fixed)), frozenset(body.inputs), indent=0)
    return first, printer.block(replace(body, statements=others), frozenset(body.inputs) | known, indent=0)


def _names(s: Statement) -> set[str]:
    return {e.name for e in walk((s,)) if isinstance(e, Name)}


def _reads(statements: tuple[Statement, ...], name: str) -> bool:
    return any(isinstance(e, Name) and e.name == name for e in walk(statements))
