"""Accuracies of a sweep's runs over seeds: read from results.csv, as a Markdown table, as means with their range."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Group:
    """The runs of one setting.

    Attributes:
        settings: what they have in common, by column.
        last, best: test accuracies (%) after the last epoch, and of the best one, by seed; the best epoch is chosen on
            the test set.
        seconds: of all runs together.
        synapses: of each.
    """

    settings: dict[str, str]
    last: list[float]
    best: list[float]
    seconds: float
    synapses: int

    @property
    def mean(self) -> float:
        """Mean of the best accuracies."""
        return sum(self.best) / len(self.best)


def read(path: Path, by: Iterable[str]) -> dict[tuple[str, ...], Group]:
    """Groups of a sweep's results by the values of some columns, in the order of the file."""
    keys, rows = tuple(by), {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(tuple(row[key] for key in keys), []).append(row)
    return {
        values: Group(
            dict(zip(keys, values, strict=True)),
            [100 * float(r["test_accuracy"]) for r in group],
            [100 * float(r["best_test_accuracy"]) for r in group],
            sum(float(r["seconds"]) for r in group),
            int(group[0]["synapses"]),
        )
        for values, group in rows.items()
    }


def table(groups: dict[tuple[str, ...], Group], names: Iterable[str]) -> str:
    """A Markdown table: a row a group, its names, the last and best accuracies of every seed and their means."""
    lines = ["| " + " | ".join([*names, "last (seeds)", "mean", "best (seeds)", "mean"]) + " |"]
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    for values, group in groups.items():
        last, best = (", ".join(f"{a:.1f}" for a in found) for found in (group.last, group.best))
        means = f"{sum(group.last) / len(group.last):.1f}", f"**{group.mean:.1f}**"
        lines.append("| " + " | ".join([*values, last, means[0], best, means[1]]) + " |")
    return "\n".join(lines)
