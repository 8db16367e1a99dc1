"""Bodies over neurons as loops: one over neurons for each reduction that needs another's result, and code between them.

Independent reductions share a loop. A value per neuron is computed again in every loop that needs it, but for one that
is costly and may be stored at the address of the result. Templates own loops and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..bodies.over_neurons import OverNeurons, Rank
from ..bodies.tree import Assign, Call, Expression, Name, Reduce, Statement, Type, walk
from .bodies import Dialect, Printer, mangled


@dataclass
class Accumulator:
    """A sum or an extremum that a loop over neurons computes.

    Attributes:
        name, type, start: in C.
        update: the statement that takes one more neuron's value.
    """

    name: str
    type: str
    start: str
    update: str


@dataclass
class Part:
    """A loop over neurons, or the statements once per lane between two loops.

    Attributes:
        neurons: whether it is a loop.
        accumulators: what a loop adds up.
        reads: type and name of the lane's values that it reads and earlier parts computed.
        writes: names of the lane's values that it computes and later parts read.
        text: its statements.
    """

    neurons: bool
    accumulators: list[Accumulator] = field(default_factory=list)
    reads: list[tuple[str, str]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    text: str = ""


@dataclass
class Nest:
    """The code of a body over neurons.

    Attributes:
        header: statements of values that are one for all.
        inputs: names of its inputs that it reads and that are one for all.
        values: type and name of the lane's values that several parts share.
        parts: in order.
    """

    header: str
    inputs: tuple[str, ...]
    values: list[tuple[str, str]]
    parts: list[Part]


def nest(
    body: OverNeurons, dialect: Dialect, addresses: Mapping[str, str], out: Mapping[str, str], keeps: bool = False,
    given: Sequence[str] = (),
) -> Nest:  # fmt: skip
    """The loops of a body.

    Args:
        addresses: by input, the address of its value for neuron `i` (or of its value of the lane).
        out: by output per neuron, its address, which may be that of an input.
        keeps: whether the content of that address may be overwritten before the last loop.
        given: outputs of the lane that the code around it reads.
    """
    return _Nest(body, dialect, addresses, out, keeps, given).build()


class _Nest:
    def __init__(
        self, body: OverNeurons, dialect: Dialect, addresses: Mapping[str, str], out: Mapping[str, str], keeps: bool,
        given: Sequence[str],
    ) -> None:  # fmt: skip
        self.body, self.ranks, self.dialect = body.body, body.ranks, dialect
        self.addresses, self.out, self.given = addresses, out, given
        self.printer = Printer(dialect)
        self.levels = self._levels()
        self.last = max(self.levels.values(), default=0)
        self.final = self._final()
        self.kept = self._costly() if keeps and len(out) == 1 else None
        self.kept_at: int | None = None
        self.found: dict[tuple[str, Expression], str] = {}
        self.values: dict[str, str] = {}

    # --- order -------------------------------------------------------------------------------------------------------

    def _levels(self) -> dict[str, int]:
        """After how many loops over neurons each name has its value."""
        levels = dict.fromkeys(self.body.inputs, 0)
        for s in self.body.statements:
            before = max((levels.get(n, 0) for n in _reads((s,))), default=0)
            loops = isinstance(s, Assign) and isinstance(s.value, Reduce) and not _is_at_label(s)
            levels |= dict.fromkeys(_assigns(s), before + loops)
        return levels

    def _costly(self) -> str | None:
        """The first value per neuron, real and a function's, that more than one loop needs."""
        for s in self.body.statements:
            if not isinstance(s, Assign) or self.ranks[s.name] is not Rank.NEURON:
                continue
            calls = any(isinstance(e, Call) and e.function is not None for e in walk((s,)))
            if self.body.types[s.name] is Type.REAL and calls and s.name not in self.out:
                return s.name
        return None

    def build(self) -> Nest:
        header = self._block([s for s in self.body.statements if self._rank(s) is Rank.ALL])
        parts: list[Part] = []
        for level in range(max(self.last, self.final) + 1):
            if level:
                parts.append(self._loop(level))
            lane = self._lane_part(level)
            if lane is not None:
                parts.append(lane)
        names = _reads(self.body.statements)
        inputs = tuple(n for n in self.body.inputs if n in names and self.ranks[n] is Rank.ALL)
        return Nest(header, inputs, self._values(parts), parts)

    def _final(self) -> int:
        """The loop that gives the values per neuron: the last one, if they do not need its results and no later one
        exists."""
        if not self.out:
            return 0
        labels = [s for s in self.body.statements if isinstance(s, Assign) and _is_at_label(s)]
        later = any(self.levels[s.name] == self.last for s in labels)
        return self.last if max(self.levels[n] for n in self.out) < self.last and not later else self.last + 1

    def _values(self, parts: list[Part]) -> list[tuple[str, str]]:
        """The lane's values that more than one part, or the code around, reads; parts learn which they write."""
        wanted = {name for part in parts for _, name in part.reads} | {mangled(n) for n in self.given}
        values = {a.name: a.type for part in parts for a in part.accumulators}
        for part in parts:
            part.writes = [name for name in part.writes if name in wanted]
        types = {mangled(n): self.dialect.types[t] for n, t in self.body.types.items()}
        values |= {name: types[name] for part in parts for name in part.writes if name not in values}
        return [(type_, name) for name, type_ in values.items()]

    # --- parts -------------------------------------------------------------------------------------------------------

    def _loop(self, level: int) -> Part:
        """The loop over neurons in which the reductions of a level are done, and of the last one the results."""
        reductions = [
            s for s in self.body.statements
            if isinstance(s, Assign) and isinstance(s.value, Reduce) and not _is_at_label(s)
            and self.levels[s.name] == level
        ]  # fmt: skip
        results = self.out.items() if level == self.final else ()
        part = Part(True)
        roots = _reads([s.value for s in reductions]) | {name for name, _ in results}
        lines = self._slice(roots, part, level)
        updates: dict[str, Accumulator] = {}
        for s in sorted(reductions, key=_finds_place):
            self._accumulate(s, updates, lines)
        part.accumulators = list(updates.values())
        # compare for the index before the largest value is updated
        for accumulator in sorted(part.accumulators, key=lambda a: a.type != "int"):
            lines.append(accumulator.update)
        part.text = "\n".join([*lines, *(f"{address} = {mangled(name)};" for name, address in results)])
        return part

    def _accumulate(self, s: Assign, updates: dict[str, Accumulator], lines: list[str]) -> None:
        """The update of a reduction by one more neuron; an index and the value there share the largest so far."""
        e, name = s.value, mangled(s.name)
        assert isinstance(e, Reduce)
        type_ = self.dialect.types[e.operand.type]
        if e.op == "sum":
            updates[name] = Accumulator(name, type_, "0", f"{name} += {self.printer.expression(e.operand)};")
            return
        what, place = e.op.removeprefix("where_"), _finds_place(s)
        sign, start = ("<", "INFINITY") if what == "smallest" else (">", "-INFINITY")
        shared = self.found.get((what, e.operand)) if place else None
        if shared in updates:
            best, value = str(shared), self.values[str(shared)]
        else:
            best, value = f"{name}value" if place else name, self.printer.expression(e.operand)
            if not isinstance(e.operand, Name):
                lines.append(f"const {type_} {name}here = {value};")
                value = f"{name}here"
            update = f"{best} = {value} {sign} {best} ? {value} : {best};"
            updates[best] = Accumulator(best, type_, start, update)
            self.found[what, e.operand], self.values[best] = best, value
        if place:
            updates[name] = Accumulator(name, "int", "0", f"{name} = {value} {sign} {best} ? (int)i : {name};")

    def _lane_part(self, level: int) -> Part | None:
        """The statements once per lane after the loops of a level."""
        part, lines = Part(False), []
        computed: set[str] = set()
        for s in self.body.statements:
            reduces = isinstance(s, Assign) and isinstance(s.value, Reduce) and not _is_at_label(s)
            if not _assigns(s) or self._rank(s) is not Rank.LANE or reduces or self._level(s) != level:
                continue
            if isinstance(s, Assign) and isinstance(s.value, Reduce):
                lines += self._at_label(s, part, level)
            else:
                self._add_reads(_reads((s,)) - _assigns(s) - computed, part, lines)
                lines.append(self._block([s]))
            computed |= _assigns(s)
            part.writes += [mangled(n) for n in sorted(_assigns(s))]
        own = {mangled(n) for n in computed}
        part.reads = [(t, n) for t, n in part.reads if n not in own]
        part.text = "\n".join(lines)
        return part if lines else None

    def _at_label(self, s: Assign, part: Part, level: int) -> list[str]:
        """The value of the label's neuron."""
        assert isinstance(s.value, Reduce)
        lines = self._slice(_reads((s.value.operand,)), part, level + 1, stores=False)
        lines = [line for text in lines for line in text.split("\n")]
        name, types = mangled(s.name), self.dialect.types
        lines.insert(0, f"const {types[Type.INT]} i = {self.addresses['label']};")
        lines.append(f"{name} = {self.printer.expression(s.value.operand)};")
        return [f"{types[s.value.type]} {name};", "{", *(f"    {line}" for line in lines), "}"]

    def _slice(self, roots: set[str], part: Part, level: int, stores: bool = True) -> list[str]:
        """The statements that values per neuron need; values that are kept are loaded from memory."""
        wanted, statements = set(roots), []
        loads_kept = self.kept is not None and self.kept_at is not None and self.kept_at < level
        for s in reversed(self.body.statements):
            if self._rank(s) is not Rank.NEURON or not _assigns(s) & wanted:
                continue
            if loads_kept and self.kept in _assigns(s):
                continue
            statements.append(s)
            wanted |= _reads((s,)) - _assigns(s)
        statements.reverse()
        lines: list[str] = []
        if loads_kept and self.kept in wanted:
            (address,) = self.out.values()
            lines.append(f"const {self.dialect.types[Type.REAL]} {mangled(str(self.kept))} = {address};")
        produced = set().union(*(_assigns(s) for s in statements), {str(self.kept)} if loads_kept else ())
        self._add_reads(wanted - produced, part, lines)
        if statements:
            lines.append(self._block(statements))
        if stores and level < self.final and any(self.kept in _assigns(s) for s in statements):
            self.kept_at = level
            (address,) = self.out.values()
            lines.append(f"{address} = {mangled(str(self.kept))};")
        return lines

    def _add_reads(self, names: set[str], part: Part, lines: list[str]) -> None:
        """Load inputs where they are read; results of other parts come from the parts."""
        for name in (n for n in self.body.types if n in names):
            rank, type_ = self.ranks[name], self.dialect.types[self.body.types[name]]
            if name in self.body.inputs and rank is not Rank.ALL:
                line = f"const {type_} {mangled(name)} = {self.addresses[name]};"
                if line not in lines:
                    lines.append(line)
            elif rank is Rank.LANE and (type_, mangled(name)) not in part.reads:
                part.reads.append((type_, mangled(name)))

    def _block(self, statements: Sequence[Statement]) -> str:
        assigned = set().union(*(_assigns(s) for s in statements))
        before = frozenset(set(self.body.types) - assigned)
        return self.printer.block(replace(self.body, statements=tuple(statements)), before, indent=0)

    def _rank(self, s: Statement) -> Rank:
        return max(self.ranks[n] for n in _assigns(s))

    def _level(self, s: Statement) -> int:
        return max(self.levels[n] for n in _assigns(s))


def vectorises(text: str) -> bool:
    """True if a compiler can vectorise all calls in the statements."""
    return not re.search(r"\b(exp|log|tanh)f?\(", text)


def _is_at_label(s: Assign) -> bool:
    return isinstance(s.value, Reduce) and s.value.op == "at_label"


def _finds_place(s: Assign) -> bool:
    return isinstance(s.value, Reduce) and s.value.op.startswith("where_")


def _assigns(s: Statement) -> set[str]:
    return {x.name for x in walk((s,)) if isinstance(x, Assign)}


def _reads(nodes: Sequence[Statement | Expression]) -> set[str]:
    return {e.name for e in walk(tuple(nodes)) if isinstance(e, Name)}
