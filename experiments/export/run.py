"""Trained spoken-digit networks exported for Loihi 2: accuracies before and after, by bits. See README.md.

python experiments/export/run.py --runs runs/export    # trains what is not there yet, then exports
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from genn_delays.cli import main as command
from genn_delays.export import deploy, read
from genn_delays.runs.build import build_compiler, check_data, compile_network, load_data
from genn_delays.runs.folder import RunFolder

MODELS, SEEDS, BITS = ("fsdd", "fsdd_paper"), (0, 1, 2), (8, 6, 4)
EVALUATED = {"optimisers": {"all_connections": {"weight": None}}}


def right(compiled, data) -> dict[str, float]:
    """Accuracy on the test recordings and on all recordings."""
    source, output = check_data(config_of[compiled], compiled.network, data)
    test, _ = compiled.evaluate({source: data.x_test}, {output: data.y_test})
    train, _ = compiled.evaluate({source: data.x_train}, {output: data.y_train})
    sizes = len(data.y_test), len(data.y_train)
    every = np.average([test.accuracy, train.accuracy], weights=sizes)
    return {"test": test.accuracy, "all": float(every), "test_loss": test.loss}


config_of: dict = {}


def exported(folder: RunFolder, file: Path) -> dict:
    """The figures of one run."""
    config = folder.read_config()
    data, found = load_data(config), {}
    with compile_network(config) as compiled:
        config_of[compiled] = config
        compiled.load(folder.best)
        found["before"] = right(compiled, data)
        found["epoch"] = compiled.epoch
        for bits in BITS:
            _, receipt = deploy(compiled, file, target="loihi2", bits=bits, max_delay=62)
            zeros = sum(c.count for c in receipt.changes if c.kind == "weights rounded to 0")
            with build_compiler(config).compile(read(file), **EVALUATED) as again:  # what the file holds
                config_of[again] = config
                after = right(again, data)
            found[f"{bits} bits"] = after | {"zeros": zeros, "refused": receipt.refused, "bytes": file.stat().st_size}
    return found


def main() -> None:
    """Train the networks that are not there yet, export them, and write what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/export"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.json")
    args = parser.parse_args()
    results = {}
    for model in MODELS:
        for seed in SEEDS:
            folder = args.runs / f"{model}-{seed}"
            if not (folder / "result.json").is_file():
                arguments = ["train", model, "--seed", str(seed), "--threads", "1", "--quiet", "--out", str(folder)]
                assert command(arguments) == 0
            results[f"{model}, seed {seed}"] = exported(RunFolder(folder), args.runs / f"{model}-{seed}.nir")
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    for name, found in results.items():
        before = found["before"]
        print(f"{name}: test {100 * before['test']:.1f}, all {100 * before['all']:.2f}", end="")
        for bits in BITS:
            after = found[f"{bits} bits"]
            change = [100 * (after[key] - before[key]) for key in ("test", "all")]
            print(f" | {bits} bits {change[0]:+.1f} {change[1]:+.2f} ({after['zeros']} zeros)", end="")
        print()


if __name__ == "__main__":
    main()
