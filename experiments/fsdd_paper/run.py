"""Four kinds of learning on spoken digits: structure learned or fixed, delays learned or fixed, dense and sparse.

Every run is one of the model `fsdd_paper` with settings of the command line; runs that are there already are not made
again, so that an interrupted experiment goes on. Kept beside this file: every run's test accuracies (results.json) and
a figure (accuracy.png).
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from genn_delays.runs.folder import RunFolder
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.runs.train import train

HERE = Path(__file__).parent
EPOCHS = 60


class Setting(NamedTuple):
    """One configuration: sparsity, rewiring rule, Dale's law, delays."""

    name: str
    sparsity: float
    rewiring: str
    dale: bool
    delays: str

    def overrides(self, seed: int) -> Overrides:
        """The settings of a run."""
        chosen: dict[str, Any] = {"sparsity": self.sparsity, "delays": self.delays, "seed": seed}
        if self.sparsity > 0:
            chosen |= {"rewiring": self.rewiring}
        if self.dale:
            chosen |= {"dale": True}
        return Overrides(epochs=EPOCHS, validation=0.0, **chosen)


PUBLISHED = [
    Setting("dense", 0.0, "none", False, "learned"),
    Setting("s875", 0.875, "deep_r_rigl", True, "learned"),
    Setting("s969_rigl", 0.96875, "deep_r_rigl", True, "fixed"),
    Setting("s969_fixed", 0.96875, "none", False, "fixed"),
]
ORDER = [
    Setting(f"o_{sparsity}_{delays}_{'none' if rule == 'none' else 'rigl'}", sparsity, rule, rule != "none", delays)
    for sparsity in (0.96875, 0.984375)
    for delays in ("fixed", "learned")
    for rule in ("deep_r_rigl", "none")
]


def result(setting: Setting, seed: int, runs: Path) -> dict[str, Any]:
    """The result of a run, made now unless it is there."""
    folder = RunFolder(runs / f"{setting.name}_{seed}")
    if not folder.result.exists():
        train(new_config("fsdd_paper", setting.overrides(seed)), folder, resume=not folder.is_empty(), progress=True)
    found = json.loads(folder.result.read_text())
    kept = ("test_accuracy", "best_test_accuracy", "best_test_epoch", "synapses", "rewirings", "step_ms", "seconds")
    return {"setting": setting.name, "seed": seed, **{key: found[key] for key in kept}}


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and every seed's last and best accuracy, in per cent."""
    lines = ["| setting | best, mean | best, by seed | last, mean | last, by seed |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["setting"] for row in rows):
        cells = []
        for key in ("best_test_accuracy", "test_accuracy"):
            values = [100 * row[key] for row in rows if row["setting"] == name]
            cells += [f"{statistics.mean(values):.1f}", ", ".join(f"{value:.1f}" for value in values)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Best accuracy of every seed, learned and fixed structures side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    ticks = []
    for place, setting in enumerate(ORDER[::2]):
        for offset, (rule, colour) in enumerate((("rigl", "tab:blue"), ("none", "tab:orange"))):
            name = f"o_{setting.sparsity}_{setting.delays}_{rule}"
            values = [100 * row["best_test_accuracy"] for row in rows if row["setting"] == name]
            label = ("structure learned (DEEP R + RigL, Dale)", "structure fixed")[offset] if place == 0 else None
            axes.bar(place + 0.36 * offset, statistics.mean(values), 0.34, color=colour, alpha=0.6, label=label)
            axes.plot([place + 0.36 * offset] * len(values), values, "o", color=colour, markersize=4)
        ticks.append(f"{100 * setting.sparsity:.1f} %\ndelays {setting.delays}")
    axes.set_xticks([place + 0.18 for place in range(len(ticks))], ticks)
    axes.set(ylabel="best test accuracy (%)", ylim=(0, 100), title="Spoken digits, 40-256-10, 60 epochs, three seeds")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    axes.grid(True, axis="y", alpha=0.25)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Make the runs, print and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/fsdd_paper_experiment"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    rows = [result(setting, seed, arguments.runs) for setting in PUBLISHED + ORDER for seed in arguments.seeds]
    (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    draw(rows, HERE / "accuracy.png")


if __name__ == "__main__":
    main()
