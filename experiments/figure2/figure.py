"""Figure 2 of the paper: four kinds of learning, drawn from one hidden neuron of a small network, before and after.

genn-delays sweep experiments/figure2/sweep.toml --out DIR
python experiments/figure2/figure.py --runs DIR     # reads the synapses of the runs: synapses.json
python experiments/figure2/figure.py                # draws them: figure2.png, figure2.pdf
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from genn_delays.plots.style import COLOURS, plain
from genn_delays.runs.build import compile_network
from genn_delays.runs.folder import RunFolder

HERE = Path(__file__).parent
SYNAPSES = HERE / "synapses.json"
TITLES = {
    ("none", "fixed"): "weights",
    ("none", "learned"): "weights and delays",
    ("deep_r_rigl", "fixed"): "weights and structure",
    ("deep_r_rigl", "learned"): "weights, structure and delays",
}


def listened(compiled: Any, unit: int) -> dict[str, Any]:
    """The synapses onto a hidden neuron: input, delay and weight."""
    synapses = compiled.synapses("mel_hidden")
    own = synapses.post == unit
    return {name: getattr(synapses, name)[own].tolist() for name in ("pre", "delay", "weight")}


def read(runs: Path) -> None:
    """The synapses of one hidden neuron, the one with most of them at first, before and after."""
    rows = [json.loads(line) for line in (runs / "results.jsonl").read_text().splitlines()]
    found = []
    for row in rows:
        folder = RunFolder(runs / row["run"])
        with compile_network(folder.read_config()) as compiled:
            unit = int(np.bincount(compiled.synapses("mel_hidden").post).argmax())
            before = listened(compiled, unit)
            compiled.load(folder.last)
            kind = {
                "rewiring": row["rewiring"],
                "delays": row["delays"],
                "unit": unit,
                "accuracy": row["test_accuracy"],
            }
            found.append({**kind, "before": before, "after": listened(compiled, unit)})
    SYNAPSES.write_text(json.dumps(found) + "\n")


def draw(kind: dict[str, Any], ax: plt.Axes) -> None:
    """Synapses at their input and delay: as they began, hollow, and as they ended, by sign and strength."""
    before, after = kind["before"], kind["after"]
    ax.plot(before["delay"], before["pre"], "o", color="0.55", markerfacecolor="none", markersize=9, label="before")
    begun = dict(zip(before["pre"], before["delay"], strict=True))
    for pre, delay in zip(after["pre"], after["delay"], strict=True):
        if pre in begun and begun[pre] != delay:
            ax.annotate("", (delay, pre), (begun[pre], pre), arrowprops={"arrowstyle": "->", "color": "0.55"})
    weights = np.array(after["weight"])
    size = 12 + 80 * np.abs(weights) / np.abs(weights).max()
    for positive, colour, marker, name in ((True, "vermillion", "o", "excites"), (False, "blue", "s", "inhibits")):
        some = (weights > 0) == positive
        place = np.array(after["delay"])[some], np.array(after["pre"])[some]
        ax.scatter(*place, s=size[some], c=COLOURS[colour], marker=marker, zorder=3, label=f"after, {name}")
    ax.set_title(f"{TITLES[kind['rewiring'], kind['delays']]} ({100 * kind['accuracy']:.1f} %)", fontsize=11)
    ax.set(xlim=(-0.8, 24.8), ylim=(-1, 40), xlabel="delay (frames of 10 ms)", ylabel="mel band")
    plain(ax, "both")


def main(runs: Path | None) -> None:
    """Four panels."""
    if runs is not None:
        read(runs)
    figure, axes = plt.subplots(2, 2, figsize=(10, 9), layout="constrained", sharex=True, sharey=True)
    for kind, ax in zip(json.loads(SYNAPSES.read_text()), axes.flat, strict=True):
        draw(kind, ax)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    for kind in ("png", "pdf"):
        figure.savefig(HERE / f"figure2.{kind}", dpi=110, metadata={"CreationDate": None} if kind == "pdf" else {})


if __name__ == "__main__":
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, metavar="DIR", help="the folder of the sweep, to read its runs first")
    main(parser.parse_args().runs)
