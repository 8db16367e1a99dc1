"""The published code's neuron beside this project's, with the published readout weights and with 0.3 of them.

Every run is the model `fsdd_paper_published_neuron` with another neuron, another gain of the readout's weights or
another sparsity; runs that are there already are not made again. Kept beside this file: test accuracies and the
training loss of every epoch (results.json), and a figure (loss.png), which `--draw` makes again from the data.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from genn_delays.runs.config import Config
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.train import train

HERE = Path(__file__).parent
EPOCHS = 60
LATE = {"input_latency": 2}
LOST = {"tau_refrac": 1.0}
READ_LATE = {"input_latency": 1}
NEURONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "published": ({**LATE, **LOST}, READ_LATE),
    "project": ({}, {}),
    "lost_only": (LOST, {}),
    "late_only": (LATE, READ_LATE),
}
"""What the hidden and the readout neuron have beyond this project's."""


class Setting(NamedTuple):
    """One configuration: neuron, gain of the readout's weights, sparsity."""

    neuron: str
    gain: float
    sparsity: float
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """Part of the run folder's name."""
        return f"{self.neuron}_{self.gain:g}_{self.sparsity:g}"

    def config(self, seed: int) -> Config:
        """The configuration of a run."""
        tables = load_model("fsdd_paper_published_neuron").tables()
        for population, own in zip(tables["populations"][1:], NEURONS[self.neuron], strict=True):
            for key in ("input_latency", "tau_refrac"):
                population.pop(key, None)
            population.update(own)
        tables["connections"][1]["weight"]["gain"] = self.gain
        overrides = Overrides(epochs=EPOCHS, validation=0.0, threads=1, seed=seed, sparsity=self.sparsity)
        return overrides.apply(Config.from_tables(tables))


SEEDS = (0, 1, 2)
SETTINGS = [
    *(Setting(neuron, gain, 0.875, SEEDS) for neuron in ("published", "project") for gain in (1.0, 0.3)),
    *(Setting(neuron, gain, 0.0, (0,)) for neuron in ("published", "project") for gain in (1.0, 0.3)),
    *(Setting(neuron, 1.0, 0.875, SEEDS) for neuron in ("lost_only", "late_only")),
]


def result(setting: Setting, seed: int, runs: Path) -> dict[str, Any]:
    """The result of a run, made now unless it is there."""
    folder = RunFolder(runs / f"{setting.name}_{seed}")
    if not folder.result.exists():
        train(setting.config(seed), folder, resume=not folder.is_empty(), progress=False)
    found = json.loads(folder.result.read_text())
    epochs = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    return {
        "neuron": setting.neuron, "gain": setting.gain, "sparsity": setting.sparsity, "seed": seed,
        **{key: found[key] for key in ("test_accuracy", "best_test_accuracy", "best_test_epoch", "seconds")},
        "train_loss": [round(epoch["train_loss"], 4) for epoch in epochs],
        "test_accuracies": [epoch["test_accuracy"] for epoch in epochs],
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Losses of the first epochs and accuracies, seed by seed."""
    lines = [
        "| sparsity | neuron | gain | training loss, epochs 1, 2, 3 (seed 0) | last, by seed | mean "
        "| best, by seed | mean |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        own = [r for r in rows if all(r[k] == getattr(setting, k) for k in ("neuron", "gain", "sparsity"))]
        if own:
            cells = [f"{100 * setting.sparsity:g} %", setting.neuron, f"{setting.gain:g}"]
            cells.append(", ".join(f"{loss:.1f}" for loss in own[0]["train_loss"][:3]))
            for key in ("test_accuracy", "best_test_accuracy"):
                values = [100 * row[key] for row in own]
                cells += [", ".join(f"{value:.1f}" for value in values), f"{statistics.mean(values):.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


LOOKS = {
    ("published", 1.0): ("#0b4f8a", "-", "published neuron, full readout weights"),
    ("published", 0.3): ("#0b4f8a", "--", "published neuron, 0.3 of them"),
    ("project", 1.0): ("#e69f00", "-", "this project's neuron, full readout weights"),
    ("project", 0.3): ("#e69f00", "--", "this project's neuron, 0.3 of them"),
}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Training loss against epoch, 87.5 % sparse and dense: means of seeds, and the range of seeds shaded."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.6), sharey=True, layout="constrained")
    for axes, sparsity in zip(panels, (0.875, 0.0), strict=True):
        for (neuron, gain), (colour, style, label) in LOOKS.items():
            wanted = {"neuron": neuron, "gain": gain, "sparsity": sparsity}
            losses = np.array([r["train_loss"] for r in rows if wanted.items() <= r.items()])
            epochs = np.arange(1, losses.shape[1] + 1)
            axes.fill_between(epochs, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.15, linewidth=0)
            axes.plot(epochs, losses.mean(axis=0), style, color=colour, label=label if sparsity else None)
        axes.axhline(np.log(10), color="grey", linewidth=0.8, linestyle=":")
        axes.text(58, np.log(10), "guessing", color="grey", fontsize="small", ha="right", va="bottom")
        seeds = "seeds 0 to 2" if sparsity else "seed 0"
        axes.set_xlim(0, 61)
        axes.set(title=f"{100 * sparsity:g} % sparse, {seeds}" if sparsity else f"dense, {seeds}", xlabel="epoch")
        axes.grid(True, alpha=0.25)
    panels[0].set(ylabel="training loss without L1 (nats)", yscale="log")
    panels[0].set_yticks([0.2, 0.5, 1, 2, 5, 10, 20], ["0.2", "0.5", "1", "2", "5", "10", "20"])
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Make the runs, print and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/published_neuron"), help="folder of the runs")
    parser.add_argument("--draw", action="store_true", help="draw the figure from results.json, without runs")
    arguments = parser.parse_args()
    kept = HERE / "results.json"
    rows = json.loads(kept.read_text()) if arguments.draw else []
    for setting in () if arguments.draw else SETTINGS:
        for seed in setting.seeds:
            rows.append(result(setting, seed, arguments.runs))
            kept.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(table(rows))
    draw(rows, HERE / "loss.png")


if __name__ == "__main__":
    main()
