"""Moran's I of networks with learned and with fixed structure, and against accuracy, over the runs of figure 3.

genn-delays sweep experiments/figure3/sweep.toml --out DIR
python experiments/fixed_vs_learned_morans_i/figure.py --runs DIR     # analyses the runs: morans_i.csv
python experiments/fixed_vs_learned_morans_i/figure.py                # morans_i.png, morans_i.pdf, and the tables
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import spearmanr

from genn_delays.analysis import highest_morans_i, mann_whitney, receptive_fields
from genn_delays.plots.style import COLOURS, plain
from genn_delays.runs.build import compile_network
from genn_delays.runs.folder import RunFolder

HERE = Path(__file__).parent
FIGURES = HERE / "morans_i.csv"
PERMUTATIONS = 2000
KINDS = {
    ("learned", "learned"): ("structure and delays learned", "blue", "o"),
    ("learned", "fixed"): ("structure learned", "sky", "^"),
    ("fixed", "learned"): ("delays learned", "vermillion", "s"),
    ("fixed", "fixed"): ("both fixed", "orange", "D"),
}


def analyse(runs: Path) -> None:
    """The highest Moran's I of every field of every run, in lines of `FIGURES`."""
    rows = [json.loads(line) for line in (runs / "results.jsonl").read_text().splitlines()]
    with FIGURES.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["structure", "delays", "sparsity", "seed", "unit", "morans_i", "best_test_accuracy"])
        for row in rows:
            if (row["series"], row["delays"]) not in KINDS:
                continue
            folder = RunFolder(runs / row["run"])
            with compile_network(folder.read_config()) as compiled:
                compiled.load(folder.last)
                fields = receptive_fields(compiled)
            moran = highest_morans_i(fields.values, PERMUTATIONS, constant="leave out")
            for unit, value in zip(fields.units[moran.fields], moran.highest, strict=True):
                run = row["series"], row["delays"], row["sparsity"], row["seed"]
                lines.writerow([*run, unit, f"{value:.6f}", row["best_test_accuracy"]])


def read() -> list[dict[str, Any]]:
    """The lines of `FIGURES`."""
    with FIGURES.open(newline="") as file:
        return [
            {**row, **{key: float(row[key]) for key in ("sparsity", "morans_i", "best_test_accuracy")}}
            for row in csv.DictReader(file)
        ]


def of(rows: list[dict[str, Any]], **settings: Any) -> np.ndarray:
    """Moran's I of the fields with these settings."""
    return np.array([r["morans_i"] for r in rows if all(r[key] == value for key, value in settings.items())])


def by_run(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], tuple[float, float, int]]:
    """Of every run the median of Moran's I, its best accuracy (%), and in how many fields."""
    runs: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["structure"], row["delays"], row["sparsity"], row["seed"]), []).append(row)
    return {
        run: (float(np.median([r["morans_i"] for r in own])), 100 * own[0]["best_test_accuracy"], len(own))
        for run, own in runs.items()
    }


def tables(rows: list[dict[str, Any]]) -> None:
    """Learned against fixed structure at every sparsity; I against accuracy within every kind."""
    print(
        "| sparsity | delays | fields learned, fixed | median I learned, fixed | U | p | effect |\n" + "|---" * 7 + "|"
    )
    for sparsity in sorted({r["sparsity"] for r in rows}):
        for delays in ("learned", "fixed"):
            a, b = (of(rows, structure=s, delays=delays, sparsity=sparsity) for s in ("learned", "fixed"))
            if min(a.size, b.size) < 2:
                print(f"| {100 * sparsity:.4g} % | {delays} | {a.size}, {b.size} | | | | |")
                continue
            c = mann_whitney(a, b)
            middle = f"{c.medians[0]:.3f}, {c.medians[1]:.3f}"
            test = f"{c.u:.4g} | {c.p:.2g} | {c.effect:.2f}"
            print(f"| {100 * sparsity:.4g} % | {delays} | {a.size}, {b.size} | {middle} | {test} |")
    runs = by_run(rows)
    print("\n| networks | runs | rank correlation of I and accuracy | p |\n" + "|---" * 4 + "|")
    for kind, (name, _, _) in KINDS.items():
        points = np.array([found[:2] for run, found in runs.items() if run[:2] == kind])
        found = spearmanr(*points.T)
        print(f"| {name} | {len(points)} | {found.statistic:.2f} | {found.pvalue:.2g} |")
    found = spearmanr(*np.array([found[:2] for found in runs.values()]).T)
    print(f"| all | {len(runs)} | {found.statistic:.2f} | {found.pvalue:.2g} |")
    within = [[f[:2] for run, f in runs.items() if run[2] == s] for s in sorted({run[2] for run in runs})]
    each = [spearmanr(*np.array(points).T).statistic for points in within]
    print("within a sparsity:", ", ".join(f"{r:.2f} ({len(points)})" for r, points in zip(each, within, strict=True)))


def draw(rows: list[dict[str, Any]]) -> None:
    """I against sparsity, and against accuracy."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    runs = by_run(rows)
    for kind, (name, colour, marker) in KINDS.items():
        sparsities = sorted({r["sparsity"] for r in rows})
        found = [of(rows, structure=kind[0], delays=kind[1], sparsity=s) for s in sparsities]
        kept = [(1 - s, v) for s, v in zip(sparsities, found, strict=True) if v.size]
        style = {"color": COLOURS[colour], "marker": marker, "label": name}
        axes[0].plot([x for x, _ in kept], [np.median(v) for _, v in kept], markersize=5, **style)
        own = np.array([figures[:2] for run, figures in runs.items() if run[:2] == kind])
        axes[1].plot(own[:, 0], own[:, 1], linestyle="", markersize=5, **style)
    axes[0].set_xscale("log", base=2)
    axes[0].set_xlim(0.6, 1 / 640)
    shares = [2.0**-k for k in range(1, 10)]
    axes[0].set_xticks(shares, [f"{100 * (1 - s):.4g}" for s in shares], fontsize=8)
    axes[0].minorticks_off()
    axes[0].set(xlabel="sparsity (%)", ylabel="highest Moran's I of the outputs' fields (median)")
    axes[1].set(xlabel="highest Moran's I (median of a run)", ylabel="best test accuracy (%)", ylim=(0, 101))
    axes[0].legend(fontsize=8)
    for ax in axes:
        plain(ax)
    for kind in ("png", "pdf"):
        figure.savefig(HERE / f"morans_i.{kind}", dpi=110, metadata={"CreationDate": None} if kind == "pdf" else {})


if __name__ == "__main__":
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=Path, metavar="DIR", help="the folder of figure 3's sweep, to analyse its runs first"
    )
    arguments = parser.parse_args()
    if arguments.runs is not None:
        analyse(arguments.runs)
    tables(read())
    draw(read())
