"""The receipt of an export: everything that was changed, everything that a chip refuses, accuracy before and after."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Change:
    """One change of a network.

    Attributes:
        where: the population or connection, for example ``"connection 'a_b'"``.
        kind: of the change, for example ``"weights quantised"``.
        count, total: so many synapses or neurons of so many.
        text: what was done.
        synapses: that are affected, where `count` counts neurons.
    """

    where: str
    kind: str
    count: int
    total: int
    text: str
    synapses: int | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}, {self.count:,} of {self.total:,}: {self.text}"


@dataclass(frozen=True)
class Finding:
    """One thing about a network that a target refuses, or a remark about it.

    Attributes:
        where: the population, the connection or ``"network"``.
        limit: the name of the limit, for example ``"max_delay_steps"``.
        refused: the chip cannot hold the network as it is; otherwise it is a remark.
        count, total: so many synapses, neurons or populations of so many.
        text: a sentence with the numbers.
        source: where the limit is published.
    """

    where: str
    limit: str
    refused: bool
    count: int
    total: int
    text: str
    source: str

    def __str__(self) -> str:
        return f"{'refused' if self.refused else 'remark'}: {self.where}: {self.text}"


@dataclass(frozen=True)
class Receipt:
    """An export and its cost.

    Attributes:
        model: a name of what was exported.
        dt: length of a time step in ms.
        populations, synapses: number of neurons by population, of synapses by connection, as exported.
        changes: in the order in which they were made.
        target: the chip it was checked against; None where it was not.
        findings: of the check.
        accuracy_before, accuracy_after, loss_before, loss_after, examples: on the test set; None where not evaluated.
        file, encoding: what was written; None where nothing was.
    """

    model: str
    dt: float
    populations: dict[str, int]
    synapses: dict[str, int]
    changes: tuple[Change, ...] = ()
    target: str | None = None
    findings: tuple[Finding, ...] = ()
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    loss_before: float | None = None
    loss_after: float | None = None
    examples: int | None = None
    file: str | None = None
    encoding: str | None = None

    @property
    def refused(self) -> bool:
        """True if the target cannot hold the network as exported."""
        return any(f.refused for f in self.findings)

    def evaluated(self, before: Any, after: Any, examples: int, *, labelled: bool = True) -> Receipt:
        """The same with the metrics that ``evaluate`` gave before and after the changes.

        Args:
            before, after: metrics of the given and of the exported network on the same examples.
            examples: their number.
            labelled: False where targets are real numbers, which have no accuracy.
        """
        accuracies = (float(before.accuracy), float(after.accuracy)) if labelled else (None, None)
        return replace(
            self, accuracy_before=accuracies[0], accuracy_after=accuracies[1], loss_before=float(before.loss),
            loss_after=float(after.loss), examples=examples,
        )  # fmt: skip

    def tables(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "refused": self.refused}

    def json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(self.tables())

    def __str__(self) -> str:
        lines = [f"{self.model}: {sum(self.populations.values()):,} neurons, {sum(self.synapses.values()):,} synapses"]
        if self.file is not None:
            lines.append(f"  written            {self.file} ({self.encoding})")
        if self.accuracy_before is not None and self.accuracy_after is not None:
            before, after = 100 * self.accuracy_before, 100 * self.accuracy_after
            lines.append(
                f"  test accuracy      {before:.2f} % before, {after:.2f} % after ({after - before:+.2f} points, "
                f"{self.examples} examples)"
            )
        if self.loss_before is not None and self.loss_after is not None:
            lines.append(f"  test loss          {self.loss_before:.6g} before, {self.loss_after:.6g} after")
        lines += [f"  changed            {change}" for change in self.changes] or ["  changed            nothing"]
        if self.target is not None:
            lines += [f"  {self.target:<18} {finding}" for finding in self.findings]
            if not self.refused:
                lines.append(f"  {self.target:<18} refuses nothing that was checked")
        return "\n".join(lines)
