"""Bodies over the neurons of a population: values of one lane, with reductions over neurons between them.

A value is one for all (a number of the loss, the batch's size), one per lane (a loss), or one per lane and neuron
(what a readout gave)::

    top = largest(z)
    e = exp_negative(z - top)
    total = sum(e)
    q = e / total

Reductions are :data:`~genn_delays.bodies.language.REDUCTIONS`: ``sum`` in the order of neurons, ``largest``,
``smallest``, the index of the first of these (``where_largest``, ``where_smallest``), and ``at_label``, the value of
the label's neuron. A reduction is all that its assignment assigns. Every name gets its value in one statement, so that
a kernel may compute a value per neuron again in a later loop where it is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from .functions import LIBRARY
from .language import BodyError, read
from .tree import Assign, Body, If, Name, Reduce, Repeat, Statement, Type, While, walk


class Rank(IntEnum):
    """The dimensions of a value."""

    ALL = 0
    LANE = 1
    NEURON = 2


@dataclass(frozen=True)
class OverNeurons:
    """A body over neurons.

    Attributes:
        body: its statements.
        ranks: of every name.
    """

    body: Body
    ranks: Mapping[str, Rank]

    def reads(self, *names: str) -> bool:
        """True if it reads any of some names; a value at the label's neuron reads the label."""
        at_label = any(isinstance(e, Reduce) and e.op == "at_label" for e in walk(self.body.statements))
        return any(n in self.body.reads() or (n == "is_label" and at_label) for n in names)


def read_over_neurons(
    name: str, text: str, inputs: Mapping[str, tuple[Type, Rank]], outputs: Mapping[str, tuple[Type, Rank]]
) -> OverNeurons:
    """A body over neurons from its text.

    Args:
        name: what it is called in messages.
        text: the assignments.
        inputs: type and rank of every name that has a value before.
        outputs: type and rank of the values that are its result; an actual rank may be lower.

    Raises:
        BodyError: the language does not allow it, or an output has another type or too high a rank.
    """
    types = {n: type_ for n, (type_, _) in inputs.items()}
    body = read(name, text, types, tuple(outputs), LIBRARY, reduces=True)
    ranks = {n: rank for n, (_, rank) in inputs.items()}
    for statement in body.statements:
        _add(name, statement, ranks, "is_label" in inputs)
    for output, (type_, most) in outputs.items():
        if body.types[output] is not type_:
            raise BodyError(f"{name}: {output!r} must be {type_.value}, got {body.types[output].value}")
        if most is Rank.LANE and ranks[output] is not most:
            what = "for each neuron: reduce it" if ranks[output] is Rank.NEURON else "for all lanes"
            raise BodyError(f"{name}: {output!r} must be one for each lane, but is one {what}")
    return OverNeurons(body, ranks)


def _add(name: str, statement: Statement, ranks: dict[str, Rank], labelled: bool) -> None:
    """The ranks of what a statement assigns."""
    assigned = {s.name for s in walk((statement,)) if isinstance(s, Assign)}
    again = sorted(assigned & ranks.keys())
    if again:
        raise BodyError(
            f"{name}: {again[0]!r} has a value already; over neurons a name gets its value in one statement"
        )
    inside = [e for e in walk((statement,)) if isinstance(e, Reduce | While | Repeat)]
    alone = isinstance(statement, Assign) and isinstance(statement.value, Reduce)
    if len(inside) > alone:
        what = "a reduction" if isinstance(inside[-1], Reduce) else "a loop"
        raise BodyError(f"{name}: {what} over neurons cannot be in an if, and there are no loops")
    local = set() if not isinstance(statement, If) else assigned
    rank = max(
        (ranks[e.name] for e in walk((statement,)) if isinstance(e, Name) and e.name not in local), default=Rank.ALL
    )
    for reduction in inside:
        assert isinstance(reduction, Reduce)
        if rank is not Rank.NEURON:
            raise BodyError(f"{name}: {reduction.op} is over neurons, but its argument is the same for all of them")
        if reduction.op == "at_label" and not labelled:
            raise BodyError(f"{name}: at_label where there are no class labels")
        rank = Rank.LANE
    ranks.update(dict.fromkeys(assigned, rank))


_LANES = {"v": (Type.REAL, Rank.NEURON)}
SOFTMAX_TEXT = """
    top = largest(v)
    e = exp_negative(v - top)
    total = sum(e)
    q = e / total
    """
SOFTMAX = read_over_neurons("softmax", SOFTMAX_TEXT, _LANES, {"q": (Type.REAL, Rank.NEURON)})
"""``q = softmax(v)`` over neurons."""
