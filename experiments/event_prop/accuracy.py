"""EventProp beside the surrogate gradient: digits and spoken digits as spikes, 75 and 95 % sparse, rewired by DEEP R.

Every run is one of the models `digits_eventprop` and `fsdd_eventprop`, trained by both compilers; runs that are there
already are not made again. Kept beside this file: every run's test accuracies (accuracy.json).
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from genn_delays.runs.folder import RunFolder
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.runs.train import train

HERE = Path(__file__).parent
MODELS, SPARSITIES, COMPILERS = ("digits_eventprop", "fsdd_eventprop"), (0.75, 0.95), ("eventprop", "surrogate")


def result(model: str, sparsity: float, compiler: str, seed: int, runs: Path, threads: int | None) -> dict[str, Any]:
    """The result of a run, made now unless it is there."""
    folder = RunFolder(runs / f"{model}_{sparsity}_{compiler}_{seed}")
    if not folder.result.exists():
        settings = Overrides(sparsity=sparsity, compiler=compiler, seed=seed, threads=threads)
        train(new_config(model, settings), folder, resume=not folder.is_empty(), progress=False)
    found = json.loads(folder.result.read_text())
    kept = ("test_accuracy", "selected_test_accuracy", "synapses", "rewirings", "step_ms", "seconds")
    return {
        "model": model, "sparsity": sparsity, "compiler": compiler, "seed": seed, **{key: found[key] for key in kept}
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Test accuracy in per cent, mean and every seed: of the epoch chosen on the validation set, and of the last."""
    lines = [
        "| model | sparsity | compiler | selected epoch, mean | by seed | last epoch, mean | by seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        for sparsity in SPARSITIES:
            for compiler in COMPILERS:
                key = (model, sparsity, compiler)
                these = [row for row in rows if (row["model"], row["sparsity"], row["compiler"]) == key]
                cells = []
                for name in ("selected_test_accuracy", "test_accuracy"):
                    values = [100 * row[name] for row in these]
                    cells += [f"{statistics.mean(values):.1f}", ", ".join(f"{value:.1f}" for value in values)]
                lines.append(f"| `{model}` | {100 * sparsity:g} % | {compiler} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Make the runs that are missing, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/event_prop"), help="where run folders are")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    rows = [
        result(model, sparsity, compiler, seed, args.runs, args.threads)
        for seed in range(args.seeds)
        for model in MODELS
        for sparsity in SPARSITIES
        for compiler in COMPILERS
    ]
    (HERE / "accuracy.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
