"""DEEP R's L1 in the gradient, as published, and apart from the optimiser's normalisation, at several strengths.

Every run is one of a model of the library with settings of the command line and another L1, which is the rewiring
rule's in all of them. Runs that are there already are not made again, so that an interrupted experiment goes on. Kept
beside this file: what came of every run (results.json).
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from genn_delays.callbacks.metrics_writer import read_metrics
from genn_delays.runs.config import Config
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.runs.train import train

RESULTS = Path(__file__).parent / "results.json"
EPOCHS = {"digits": 20, "fsdd": 40, "fsdd_paper": 60}
VALIDATION = {"digits": 0.1, "fsdd": 0.1, "fsdd_paper": 0.0}
NEWBORN = 1e-12


class Setting(NamedTuple):
    """A model at a sparsity, and where L1 is: in the ``gradient``, apart from it as a ``drift``, or, without rewiring,
    ``none``; and how strong it is."""

    model: str
    sparsity: float
    where: str
    l1: float

    @classmethod
    def read(cls, text: str) -> Setting:
        """From ``model:sparsity:where:strength``."""
        model, sparsity, where, l1 = text.split(":")
        return cls(model, float(sparsity), where, float(l1))

    @property
    def name(self) -> str:
        """Of its run folders."""
        return f"{self.model}_{self.sparsity}_{self.where}_{self.l1:g}"

    def config(self, seed: int, threads: int) -> Config:
        """The configuration of a run."""
        epochs, validation = EPOCHS[self.model], VALIDATION[self.model]
        settings = {"sparsity": self.sparsity, "seed": seed, "epochs": epochs, "validation": validation}
        if self.where == "none":
            settings["rewiring"] = "none"
        config = new_config(self.model, Overrides(threads=threads, **settings))
        rule = dict(config.rewiring.rule)
        if self.where != "none":
            rule |= {"l1": self.l1, "decoupled_l1": self.where == "drift"}
        optimiser = {**config.training.optimiser, "l1": 0.0}
        return replace(
            config, rewiring=replace(config.rewiring, rule=rule),
            training=replace(config.training, optimiser=optimiser),
        )  # fmt: skip


def result(setting: Setting, seed: int, runs: Path, threads: int) -> dict[str, Any]:
    """The result of a run, made now unless it is there."""
    folder = RunFolder(runs / f"{setting.name}_{seed}")
    if not folder.result.exists():
        train(setting.config(seed, threads), folder, resume=not folder.is_empty())
    found = json.loads(folder.result.read_text())
    last = read_metrics(folder.metrics)[-1]
    weights = [w for name, w in load_file(folder.last).items() if name.endswith("weight")]
    unused = sum(int((np.abs(w) <= 2 * NEWBORN).sum()) for w in weights)
    figures = ("test_accuracy", "best_test_accuracy", "synapses", "epochs", "seconds")
    return {
        **setting._asdict(), "seed": seed, **{key: found[key] for key in figures},
        "rewired_in_last_epoch": last["rewirings"],
        "newborn_in_last_epoch": last["newborn_rewirings"], "unused_at_the_end": unused,
    }  # fmt: skip


def kept() -> list[dict[str, Any]]:
    """The results of the runs that were made before."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def table(rows: list[dict[str, Any]]) -> str:
    """By model and sparsity the last epoch's test accuracy (mean, and every seed), what died in it, and which share of
    the synapses is where it was born: places that are being tried."""
    lines = [
        "| model | sparsity | L1 | last, mean | by seed | best, mean | established died | newborn died | unused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key in sorted({Setting(*(r[k] for k in Setting._fields)) for r in rows}):
        model, sparsity, where, l1 = key
        mine = [r for r in rows if all(r[k] == v for k, v in key._asdict().items())]
        last = [100 * r["test_accuracy"] for r in mine]
        best, rewired, newborn, unused = (
            statistics.mean(r[k] for r in mine)
            for k in ("best_test_accuracy", "rewired_in_last_epoch", "newborn_in_last_epoch", "unused_at_the_end")
        )
        lines.append(
            f"| {model} | {100 * sparsity:g} % | {where} {l1:g} | "
            f"{statistics.mean(last):.1f} | {', '.join(f'{v:.1f}' for v in last)} | {100 * best:.1f} | "
            f"{rewired - newborn:,.0f} | {newborn:,.0f} | {100 * unused / mine[0]['synapses']:.0f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    """Make the runs, print and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", help="model:sparsity:gradient|drift|none:strength; all if not given")
    parser.add_argument("--runs", type=Path, default=Path("runs/l1_coupling"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    asked = [(Setting.read(text), seed) for text in arguments.settings for seed in arguments.seeds]
    asked = asked or [(Setting(*(r[k] for k in Setting._fields)), r["seed"]) for r in kept()]
    new = []
    for setting, seed in asked:
        new.append(result(setting, seed, arguments.runs, arguments.threads))
        print(json.dumps(new[-1]), flush=True)
    found = {(*(r[k] for k in Setting._fields), r["seed"]): r for r in [*kept(), *new]}  # what is new takes the place
    rows = [found[key] for key in sorted(found)]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
