"""Figure 1 of the paper: what a receptive field is, and Moran's I of fields before and after training.

genn-delays sweep experiments/figure1/sweep.toml --out DIR
python experiments/figure1/figure.py --runs DIR     # analyses the runs: morans_i.json, fields.npz
python experiments/figure1/figure.py                # draws them: figure1.png, figure1.pdf
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from genn_delays import Connection, Input, LeakyIntegrate, LeakyIntegrateFire, Network, Population, Sparse
from genn_delays.analysis import highest_morans_i, mann_whitney, receptive_fields
from genn_delays.plots import morans_i, receptive_field
from genn_delays.runs.build import compile_network
from genn_delays.runs.folder import RunFolder

HERE = Path(__file__).parent
FIGURES, FIELDS = HERE / "morans_i.json", HERE / "fields.npz"
PERMUTATIONS = 2000


def analyse(runs: Path) -> None:
    """Moran's I of all fields of the outputs of the runs of the sweep, untrained and trained."""
    rows = [json.loads(line) for line in (runs / "results.jsonl").read_text().splitlines()]
    fields: list[dict[str, Any]] = []
    highest: dict[str, tuple[float, Any]] = {}
    for row in rows:
        folder = RunFolder(runs / row["run"])
        with compile_network(folder.read_config()) as compiled:
            for state in ("untrained", "trained"):
                if state == "trained":
                    compiled.load(folder.last)
                found = receptive_fields(compiled)
                moran = highest_morans_i(found.values, PERMUTATIONS)
                kind = f"{'dense' if row['sparsity'] == 0 else 'sparse'}_{state}"
                for unit, value, given in zip(found.units, moran.highest, moran.given, strict=True):
                    fields.append({"network": kind, "seed": row["seed"], "unit": int(unit), "morans_i": float(value),
                                   "rows_as_given": float(given)})  # fmt: skip
                best = int(moran.highest.argmax())
                if moran.highest[best] > highest.get(kind, (-1.0, None))[0]:
                    highest[kind] = float(moran.highest[best]), found.values[best][moran.orders[best]]
    comparisons = {}
    for network in ("dense", "sparse"):
        trained, untrained = (values(fields, f"{network}_{state}") for state in ("trained", "untrained"))
        found_u = mann_whitney(trained, untrained)
        comparisons[network] = {
            "u": found_u.u, "p": found_u.p, "fields": list(found_u.sizes), "medians": list(found_u.medians),
            "means": [float(trained.mean()), float(untrained.mean())], "effect": found_u.effect,
        }  # fmt: skip
    FIGURES.write_text(
        json.dumps({"permutations": PERMUTATIONS, "comparisons": comparisons, "fields": fields}, indent=1) + "\n"
    )
    np.savez_compressed(FIELDS, **{kind: field for kind, (_, field) in highest.items()})


def values(fields: list[dict[str, Any]], network: str) -> Any:
    """Moran's I of the fields of a kind of network."""
    return np.array([f["morans_i"] for f in fields if f["network"] == network])


def toy() -> tuple[Network, dict[str, Any]]:
    """Three inputs, two hidden neurons, one output; delays of a few steps."""
    pre, post, delay, sign = [0, 1, 1, 2, 0], [0, 0, 1, 1, 1], [0, 2, 1, 3, 3], [1, -1, 1, 1, -1]
    out = {"pre": [0, 1], "post": [0, 0], "delay": [1, 3], "weight": [0.5, 1.0]}
    network = Network(seed=0)
    with network:
        inputs = Population(Input(), 3, name="input")
        hidden = Population(LeakyIntegrateFire(), 2, name="hidden")
        output = Population(LeakyIntegrate(readout="sum_softmax"), 1, name="output")
        weights = [0.8 * s for s in sign]
        Connection(inputs, hidden, Sparse(pre=pre, post=post, weight=weights, delay=delay))
        Connection(hidden, output, Sparse(**out))
    return network, {"pre": pre, "post": post, "delay": delay, "sign": sign, **{f"out_{k}": v for k, v in out.items()}}


def draw_toy(figure: Any) -> None:
    """A: the toy's synapses, the fields of its hidden neurons, and that of its output."""
    network, synapses = toy()
    hidden, output = receptive_fields(network, "hidden").values, receptive_fields(network, "output").values
    axes = figure.subplots(1, 4, width_ratios=[1.25, 1, 1, 1.25])
    ax = axes[0]
    places = {"input": [2.0, 1.0, 0.0], "hidden": [1.6, 0.4], "output": [1.0]}
    for post, pre, delay, sign in zip(*(synapses[k] for k in ("post", "pre", "delay", "sign")), strict=True):
        arrow(ax, (0, places["input"][pre]), (1, places["hidden"][post]), sign > 0, str(delay))
    for pre, delay in zip(synapses["out_pre"], synapses["out_delay"], strict=True):
        weight = synapses["out_weight"][pre]
        arrow(ax, (1, places["hidden"][pre]), (2, places["output"][0]), True, f"{delay} (weight {weight:g})", 0.5)
    for x, (name, ys) in enumerate(places.items()):
        ax.plot([x] * len(ys), ys, "o", color="white", markeredgecolor="black", markersize=17, zorder=3)
        for number, y in enumerate(ys):
            ax.text(x, y, str(number), ha="center", va="center", zorder=4)
        ax.text(x, 2.5, name, ha="center")
    ax.set(xlim=(-0.25, 2.3), ylim=(-0.4, 2.75), title="delays (steps) on the arrows")
    ax.axis("off")
    for number in range(2):
        receptive_field(hidden[number], axes[1 + number], title=f"hidden neuron {number}", colorbar=False, limit=1.0)
    receptive_field(output[0], axes[3], title="output: weighted, shifted, added", limit=1.0, label="")
    for ax in axes[1:]:
        ax.set_yticks(range(3))
        ax.set_xlabel("time (steps)")


def arrow(ax: Any, start: Any, end: Any, positive: bool, text: str, at: float = 0.3) -> None:
    """A synapse as an arrow, its text at a share of the way; an inhibitory one is blue and dashed."""
    style = {"color": "#C44E00" if positive else "#08306B", "linestyle": "-" if positive else "--"}
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "shrinkA": 9, "shrinkB": 9, **style})
    x, y = (start[0] + at * (end[0] - start[0]), start[1] + at * (end[1] - start[1]))
    ax.text(x, y, text, fontsize=8, ha="center", va="center", bbox={"facecolor": "white", "linewidth": 0, "pad": 1})


def draw() -> None:
    """All panels."""
    found, fields = json.loads(FIGURES.read_text()), np.load(FIELDS)
    figure = plt.figure(figsize=(13.5, 11), layout="constrained")
    parts = figure.subfigures(3, 1, height_ratios=[1, 1.15, 1.15])
    draw_toy(parts[0])
    parts[0].suptitle("A   receptive fields of a network drawn by hand", x=0.01, ha="left")
    for part, letter, network, name in zip(
        parts[1:], "BC", ("dense", "sparse"), ("dense", "87.5 % sparse"), strict=True
    ):
        axes = part.subplots(1, 3, width_ratios=[1, 1, 1.2])
        for ax, state in zip(axes, ("untrained", "trained"), strict=False):
            highest = values(found["fields"], f"{network}_{state}").max()
            receptive_field(
                fields[f"{network}_{state}"], ax, source="mel band, in the order of the highest I",
                title=f"{state}: I = {highest:.3f}", label="",
            )  # fmt: skip
            ax.set_xlabel("time (frames of 10 ms)")
        groups = {state: values(found["fields"], f"{network}_{state}") for state in ("untrained", "trained")}
        c = found["comparisons"][network]
        morans_i(groups, axes[2], title=f"U = {c['u']:.0f}, p = {c['p']:.2g}")
        axes[2].set_xlabel("highest Moran's I (line: median; band: quartiles)")
        part.suptitle(
            f"{letter}   {name}: the field of the highest Moran's I, and all fields of three seeds", x=0.01, ha="left"
        )
    for kind in ("png", "pdf"):
        figure.savefig(HERE / f"figure1.{kind}", dpi=110, metadata={"CreationDate": None} if kind == "pdf" else {})
    for network, c in found["comparisons"].items():
        print(network, json.dumps(c))


if __name__ == "__main__":
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, metavar="DIR", help="the folder of the sweep, to analyse its runs first")
    arguments = parser.parse_args()
    if arguments.runs is not None:
        analyse(arguments.runs)
    draw()
