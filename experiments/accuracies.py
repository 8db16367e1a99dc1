"""Accuracies of a sweep's runs over seeds: read from results.csv, as a Markdown table, as a picture of every seed.

genn-delays sweep experiments/NAME/sweep.toml --out DIR     # then copy DIR/results.csv into experiments/NAME
python experiments/accuracies.py experiments/NAME           # prints the table; accuracy.png, accuracy.pdf
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from genn_delays.plots.style import COLOURS, plain


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


def draw(groups: dict[tuple[str, ...], Group], folder: Path, together: bool) -> None:
    """Best test accuracies, a row for every setting: in a panel for every sparsity, the last value, or in one."""
    labels = {values: ", ".join(values[:-1]).replace("_", " ") for values in groups}
    if together:
        labels = {values: f"{label}, {_sparse(values)}" for values, label in labels.items()}
    panels = [""] if together else sorted({_sparse(values) for values in groups})
    rows = list(dict.fromkeys(labels.values()))
    size = (2.2 + 4.2 * len(panels), 0.9 + 0.32 * len(rows))
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for ax, panel in zip(axes[0], panels, strict=True):
        for values, group in groups.items():
            if together or _sparse(values) == panel:
                row = rows.index(labels[values])
                ax.plot([group.mean] * 2, [row - 0.32, row + 0.32], color=COLOURS["vermillion"], linewidth=2.2)
                ax.plot(group.best, [row] * len(group.best), "o", color=COLOURS["blue"], markeredgecolor="white")
        ax.set_title(panel, fontsize=11)
        ax.set_xlabel("best test accuracy (%)")
        plain(ax, "both")
    axes[0][0].set_yticks(range(len(rows)), rows)
    axes[0][0].invert_yaxis()
    for kind in ("png", "pdf"):
        figure.savefig(folder / f"accuracy.{kind}", dpi=110, metadata={"CreationDate": None} if kind == "pdf" else {})


def _sparse(values: tuple[str, ...]) -> str:
    sparsity = float(values[-1])
    return "dense" if sparsity == 0 else f"{100 * sparsity:.4g} % sparse"


def main() -> None:
    """The table and the picture of an experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with results.csv")
    parser.add_argument("--by", nargs="*", default=[], metavar="COLUMN", help="settings beside series and sparsity")
    parser.add_argument("--together", action="store_true", help="one panel for all sparsities")
    arguments = parser.parse_args()
    names = ["series", *arguments.by, "sparsity"]
    groups = read(arguments.folder / "results.csv", names)
    print(table(groups, names))
    print(f"{sum(g.seconds for g in groups.values()) / 3600:.2f} hours of training")
    draw(groups, arguments.folder, arguments.together)


if __name__ == "__main__":
    mpl.use("Agg")
    main()
