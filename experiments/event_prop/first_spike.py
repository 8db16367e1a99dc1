"""Yin-Yang answered by the first spike: training with phantom spikes and without them.

The model `yin_yang`, its outputs spiking neurons whose first spike is the answer, 60 epochs on one thread. Kept beside
this file: every run's test accuracies (first_spike.json).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from genn_delays.runs.config import Config
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.train import train

HERE = Path(__file__).parent
PUSHES = (0.0, 20.0)


def result(push: float, seed: int, runs: Path, epochs: int) -> dict[str, Any]:
    """The result of a run, made now unless it is there."""
    folder = RunFolder(runs / f"first_spike_{push:g}_{seed}")
    if not folder.result.exists():
        tables = load_model("yin_yang").tables()
        output = tables["populations"][2]
        output |= {"neuron": "leaky_integrate_fire", "readout": "first_spike_time", "v_thresh": 1.0}
        tables["connections"][1]["weight"] = {"kind": "normal", "mean": 0.5, "sd": 0.3}
        tables["compiler"]["phantom_spike"] = push
        config = Overrides(seed=seed, epochs=epochs, threads=1).apply(Config.from_tables(tables))
        train(config, folder, resume=not folder.is_empty(), progress=False)
    found = json.loads(folder.result.read_text())
    return {"phantom_spike": push, "seed": seed, **{k: found[k] for k in ("test_accuracy", "selected_test_accuracy")}}


def main() -> None:
    """Make the runs that are missing, print the accuracies, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/event_prop"), help="where run folders are")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    rows = [result(push, seed, arguments.runs, arguments.epochs) for seed in range(arguments.seeds) for push in PUSHES]
    for push in PUSHES:
        for name in ("selected_test_accuracy", "test_accuracy"):
            values = ", ".join(f"{100 * row[name]:.1f}" for row in rows if row["phantom_spike"] == push)
            print(f"phantom_spike {push:g}, {name}: {values}")
    (HERE / "first_spike.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
