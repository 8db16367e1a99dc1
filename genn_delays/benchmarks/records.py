"""Results: every measurement is one object with its parameters and its machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .timing import Summary


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    Attributes:
        what: ``"training step"``, ``"inference"`` and so on.
        who: ``"genn_delays"``, ``"torch"``, ``"genn"``, or ``"machine"`` for its limits.
        parameters: of the measurement.
        backend: that computed it; None where none did.
        threads: it used; None where that is not known or one GPU computed.
        seconds: its duration, None if no time was measured.
        bytes: of memory, None if no memory was measured.
        figures: derived numbers, by name with the unit in it.
    """

    what: str
    who: str
    parameters: dict[str, Any]
    backend: str | None = None
    threads: int | None = None
    seconds: Summary | None = None
    bytes: int | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def tables(self, machine: dict[str, Any]) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "what": self.what,
            "who": self.who,
            "parameters": self.parameters,
            "backend": self.backend,
            "threads": self.threads,
            "seconds": None if self.seconds is None else self.seconds.tables(),
            "bytes": self.bytes,
            "figures": self.figures,
            "machine": machine,
        }


@dataclass(frozen=True)
class Results:
    """All that a benchmark measured, in one run on one machine.

    Attributes:
        benchmark: its name.
        settings: its options.
        machine: see :func:`~genn_delays.benchmarks.machine.machine`.
    """

    benchmark: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    measurements: tuple[Measurement, ...]

    def of(self, who: str, what: str | None = None) -> list[Measurement]:
        """The measurements of one of those compared."""
        return [m for m in self.measurements if m.who == who and what in (None, m.what)]

    @property
    def others(self) -> list[str]:
        """The rivals, in order."""
        return [who for who in dict.fromkeys(m.who for m in self.measurements) if who not in ("genn_delays", "machine")]

    def tables(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "benchmark": self.benchmark,
            "settings": self.settings,
            "machine": self.machine,
            "measurements": [m.tables(self.machine) for m in self.measurements],
        }

    def json(self, indent: int | None = None) -> str:
        """One JSON object."""
        return json.dumps(self.tables(), allow_nan=False, indent=indent)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows below a head, the first column to the left and all others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def text(line: list[str]) -> str:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return "\n".join(text(line) for line in lines)


def milliseconds(seconds: Summary | None) -> tuple[str, str]:
    """The median and the quartiles in ms, for a table."""
    if seconds is None:
        return "-", "-"
    lower, upper = seconds.quartiles
    return short(1e3 * seconds.median), f"{short(1e3 * lower)} - {short(1e3 * upper)}"


def short(value: float) -> str:
    """A number to three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def of_machine(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    memory = machine["memory_bytes"]
    parts = [machine["processor"], f"{machine['cores']} cores", machine["system"]]
    parts += [] if memory is None else [f"{memory / 1e9:.0f} GB"]
    parts += [text for text in (machine["compiler"], machine.get("device")) if text]
    parts += [] if machine["load"] is None else [f"load {machine['load']:g} at the start"]
    return "; ".join(parts)
