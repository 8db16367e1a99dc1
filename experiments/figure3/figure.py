"""Figure 3 of the paper: accuracy against sparsity, for structure and delays learned or fixed, and two matched series.

genn-delays sweep experiments/figure3/sweep.toml --out DIR     # then copy DIR/results.csv beside this file
python experiments/figure3/figure.py                           # figure3.png, figure3.pdf, and the tables
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parent.parent))
from accuracies import Group, read, table

from genn_delays.plots.style import COLOURS, plain

HERE = Path(__file__).parent
SERIES = {
    "learned": ("structure learned (Dale's law)", "blue", "o"),
    "learned_without_dale": ("structure learned, no Dale's law", "sky", "^"),
    "fixed": ("structure fixed", "vermillion", "s"),
    "fixed_without_l1": ("structure fixed, no L1", "orange", "D"),
}
DELAYS = {"learned": "-", "fixed": "--"}


def draw(groups: dict[tuple[str, ...], Group], names: list[str], ax: plt.Axes) -> None:
    """Means over seeds as lines, every seed as a point."""
    for series in names:
        label, colour, marker = SERIES[series]
        for delays, style in DELAYS.items():
            found = [g for (s, d, _), g in groups.items() if (s, d) == (series, delays)]
            x = [1 - float(g.settings["sparsity"]) for g in found]
            line = {"color": COLOURS[colour], "linestyle": style, "marker": marker, "markersize": 5}
            face = COLOURS[colour] if delays == "learned" else "white"
            ax.plot(x, [g.mean for g in found], markerfacecolor=face, label=f"{label}, delays {delays}", **line)
            for place, group in zip(x, found, strict=True):
                ax.vlines(place, min(group.best), max(group.best), color=COLOURS[colour], linewidth=1, alpha=0.6)
    ax.axhline(10, color="0.5", linewidth=0.8, linestyle=":")
    ax.text(1 / 24, 6, "guessing", ha="center", fontsize=8, color="0.4")
    ax.set_xscale("log", base=2)
    ax.set_xlim(0.6, 1 / 640)
    shares = [2.0**-k for k in range(1, 10)]
    ax.set_xticks(shares, [f"{100 * (1 - s):.4g}\n{round(12800 * s):,}" for s in shares], fontsize=8)
    ax.minorticks_off()
    ax.set(xlabel="sparsity (%) and number of synapses", ylim=(0, 101))
    ax.legend(fontsize=8, loc="lower left")
    plain(ax)


def main() -> None:
    """Two panels: as published, and the matched series."""
    groups = read(HERE / "results.csv", ["series", "delays", "sparsity"])
    figure, axes = plt.subplots(1, 2, figsize=(13, 5), layout="constrained", sharey=True)
    draw(groups, ["learned", "fixed"], axes[0])
    axes[0].set(title="as published", ylabel="best test accuracy (%)")
    draw(groups, ["learned_without_dale", "fixed", "fixed_without_l1"], axes[1])
    axes[1].set(title="one thing at a time")
    for kind in ("png", "pdf"):
        figure.savefig(HERE / f"figure3.{kind}", dpi=110, metadata={"CreationDate": None} if kind == "pdf" else {})
    print(table(groups, ["series", "delays", "sparsity"]))
    print(f"{sum(g.seconds for g in groups.values()) / 3600:.2f} hours of training")


if __name__ == "__main__":
    mpl.use("Agg")
    main()
