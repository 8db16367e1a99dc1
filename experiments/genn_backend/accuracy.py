"""The same training on GeNN's kernels and on our own: digits as spikes, EventProp, DEEP R, one example a step.

Every run is the model `digits_eventprop` with a batch size of 1, trained on both backends; runs that are there already
are not made again. Needs PyGeNN. `--out` keeps every run's test accuracies.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from genn_delays import GeNN
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.runs.train import train

MODEL, BACKENDS = "digits_eventprop", ("genn", "cpu")


def result(backend: str, seed: int, epochs: int, runs: Path) -> dict[str, Any]:
    """The result of a run, made now unless it is there."""
    folder = RunFolder(runs / f"{MODEL}_{backend}_{seed}_{epochs}")
    if not folder.result.exists():
        settings = Overrides(backend=backend, seed=seed, epochs=epochs, batch_size=1)
        train(new_config(MODEL, settings), folder, resume=not folder.is_empty(), progress=False)
    found = json.loads(folder.result.read_text())
    kept = ("test_accuracy", "selected_test_accuracy", "synapses", "rewirings", "step_ms", "seconds")
    return {"backend": backend, "seed": seed, "epochs": epochs, **{key: found[key] for key in kept}}


def main() -> None:
    """Make the runs that are missing, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/genn_backend"), help="where run folders are")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, help="write the rows to this JSON file")
    args = parser.parse_args()
    found = GeNN().availability()
    if not found.available:
        raise SystemExit(found.detail)
    rows = [result(backend, seed, args.epochs, args.runs) for seed in range(args.seeds) for backend in BACKENDS]
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(
        "| backend | last epoch, mean | by seed | selected epoch, mean | by seed | rewired |\n|---|---|---|---|---|---|"
    )
    for backend in BACKENDS:
        these = [row for row in rows if row["backend"] == backend]
        cells = []
        for name in ("test_accuracy", "selected_test_accuracy"):
            values = [100 * row[name] for row in these]
            cells += [f"{statistics.mean(values):.1f}", ", ".join(f"{value:.1f}" for value in values)]
        print(f"| `{backend}` | {' | '.join(cells)} | {', '.join(str(row['rewirings']) for row in these)} |")


if __name__ == "__main__":
    main()
