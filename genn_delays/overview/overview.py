"""Tables with a title and remarks, as text and as HTML; both have the same cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: its heading.
        number: whether its cells are numbers, which stand at the right.
    """

    name: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of texts; a column whose cells are all empty is left out.

    Attributes:
        columns: headings.
        rows: cells, as many a row as there are columns.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
        """The table of these rows without columns that are empty."""
        used = [n for n in range(len(columns)) if any(row[n] for row in rows)]
        return cls(tuple(columns[n] for n in used), tuple(tuple(row[n] for n in used) for row in rows))

    def lines(self) -> list[str]:
        """The headings and the rows, a line each."""
        every = [tuple(c.name for c in self.columns), *self.rows]
        widths = [max(len(row[n]) for row in every) for n in range(len(self.columns))]
        return [
            "  ".join(
                cell.rjust(width) if column.number else cell.ljust(width)
                for cell, width, column in zip(row, widths, self.columns, strict=True)
            ).rstrip()
            for row in every
        ]


@dataclass(frozen=True)
class Overview:
    """A title, tables below each other and remarks.

    Attributes:
        title: one line.
        tables: shown in this order; empty ones are left out.
        notes: one line each.
    """

    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Several lines for a terminal."""
        return "\n".join([self.title, *(line for t in self.tables if t.rows for line in t.lines()), *self.notes])

    def html(self) -> str:
        """The same as a fragment of HTML; names are escaped."""
        import jinja2  # only where a notebook asks: importing the library stays cheap

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("genn_delays.overview", "."),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=True,
        )
        return environment.get_template("overview.html.j2").render(overview=self)


class Summarised(ABC):
    """Base of what shows itself as an overview: ``print``, :meth:`summary` and notebooks."""

    @abstractmethod
    def overview(self) -> Overview:
        """The tables that are shown."""

    def summary(self) -> str:
        """Several lines of text."""
        return self.overview().text()

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        return self.overview().html()


def counted(number: int, what: str) -> str:
    """A number with its noun: "1 synapse", "1,600 synapses"."""
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def bytes_text(number: int) -> str:
    """A number of bytes as people read it: "512 B", "22.4 kB", "1.21 GB"."""
    size, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1e3, larger
    return f"{number} B" if unit == "B" else f"{size:.3g} {unit}"
