"""Time of one training step against sparsity, measured side by side in one run.

A network 40-256-10 (real-valued inputs, delays 0-24, 80 steps, batch 256, DEEP R where anything is sparse) is trained
on random data. Printed and kept: the median of a whole step (loading the batch, forward, loss, backward, optimiser,
rewiring) for each number of threads, for the forms chosen by count and for each form forced, and, with ``--torch``, of
a dense PyTorch implementation as published: a convolution over the delays and a loop over time. At 87.5 % sparsity also
what learned delays, batch norm, dropout and growth by the gradient cost, one by one and together.

Everything is measured once per round, one after the other, and a figure is that of its best round: other programs on
the machine can only add time, and in another round they add it elsewhere. Networks, data and timing are those of
``genn-delays benchmark train-step``, with which any one of them is measured too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from genn_delays.backends.cpu.backend import available_processors
from genn_delays.benchmarks.dense_torch import dense
from genn_delays.benchmarks.machine import machine
from genn_delays.benchmarks.networks import DESIGN, Case, built_in
from genn_delays.benchmarks.options import at_sparsity
from genn_delays.benchmarks.subjects import training
from genn_delays.benchmarks.timing import Opener, interleaved
from genn_delays.runs.config import Config, config_of

SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.969, 0.99, 0.998)
KINDS_SPARSITY = 0.875
HERE = Path(__file__).parent


class Kind(NamedTuple):
    """The kind of learning besides weights."""

    sigma: float | None = None  # of a Gaussian delay kernel
    learn_delays: bool = False
    growth: str = "random"
    normed: bool = False  # batch norm and dropout


PLAIN = Kind()
KINDS = {
    "whole delays, fixed": PLAIN,
    "whole delays, learned": Kind(learn_delays=True),
    "DCLS, sigma 12": Kind(sigma=12.0, learn_delays=True),
    "DCLS, sigma 2": Kind(sigma=2.0, learn_delays=True),
    "DCLS, sigma 0.23": Kind(sigma=0.23, learn_delays=True),
    "fixed, growth by the gradient": Kind(growth="gradient"),
    "fixed, batch norm and dropout": Kind(normed=True),
    "DCLS, sigma 12, all of these": Kind(12.0, True, "gradient", True),
}


def network(sparsity: float, threads: int, kind: Kind = PLAIN) -> Config:
    """The network of the design's example."""
    tables = built_in(DESIGN).tables()
    if kind.sigma is not None:
        kernel = {"kind": "gaussian", "sigma": kind.sigma, "final_sigma": kind.sigma}
        tables["connections"] = [{**c, "delay_kernel": kernel} for c in tables["connections"]]
    if kind.learn_delays:
        tables["training"]["delay_optimiser"] = {"kind": "adam", "alpha": 0.1}
    if kind.normed:
        tables["populations"][1] |= {"batch_norm": {}, "dropout": 0.4}
    tables["rewiring"] = {"rule": "deep_r", "growth": kind.growth}
    config = config_of("step_time", tables)
    return at_sparsity(replace(config, compiler=replace(config.compiler, threads=threads)), sparsity)


def forced(busy: float | None) -> Callable[[Any], None]:
    """Sets above which share of spikes a row is added in its dense form."""

    def ready(compiled: Any) -> None:
        if busy is not None:
            compiled.engine.busy = busy

    return ready


def step_ms(opener: Opener, epochs: int) -> float:
    """The median step, after one epoch that does not count."""
    return 1e3 * interleaved({0: opener}, epochs)[0].median


def measure(rounds: int, epochs: int, threads: list[int], with_torch: bool) -> dict[str, object]:
    """All figures of one run, each the best of its rounds."""
    columns: dict[str, tuple[int, float | None]] = {f"threads_{n}": (n, None) for n in threads}
    columns |= {"event_form": (threads[-1], 2.0), "dense_form": (threads[-1], -1.0)}
    best: dict[tuple[float, str], float] = {}
    rates: dict[float, float] = {}
    torch_rounds, told = [], dict[str, Any]()
    kinds: dict[str, dict[str, float]] = {name: {} for name in KINDS}
    for number in range(rounds):
        for sparsity in SPARSITIES:
            for column, (n, busy) in columns.items():
                facts: dict[str, Any] = {}
                opener = partial(training, Case(network(sparsity, n), ready=forced(busy)), facts)
                best[sparsity, column] = min(best.get((sparsity, column), float("inf")), step_ms(opener, epochs))
                rates[sparsity] = facts["spikes_per_neuron_step"]["hidden"]
        for name, kind in KINDS.items():
            for n in threads:
                found = step_ms(partial(training, Case(network(KINDS_SPARSITY, n, kind))), epochs)
                kinds[name][str(n)] = min(kinds[name].get(str(n), float("inf")), round(found, 2))
        if with_torch:
            opener = partial(dense, network(0.0, threads[-1]), threads[-1], training=True, facts=told)
            torch_rounds.append(step_ms(opener, 2))
        print(f"round {number + 1} of {rounds} done", flush=True)
    rows = []
    for sparsity in SPARSITIES:
        row = {"sparsity": sparsity} | {column: round(best[sparsity, column], 2) for column in columns}
        rows.append(row | {"spikes_per_neuron_step": round(rates[sparsity], 4)})
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()))
    for name, row in kinds.items():
        print(f"{name}: {row}")
    result: dict[str, object] = {"rows": rows, "kinds": kinds, "threads": threads, "rounds": rounds, "epochs": epochs}
    result["batch"] = built_in(DESIGN).compiler.batch_size
    if with_torch:
        result |= {"torch_ms": round(min(torch_rounds), 1), "torch_version": told["torch"]}
        print(f"PyTorch {told['torch']}, dense, {threads[-1]} threads: {result['torch_ms']} ms")
    return result


def plot(result: dict[str, object], path: Path) -> None:
    """Step time against the share of synapses kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = result["rows"]
    assert isinstance(rows, list)
    kept = [100 * (1 - row["sparsity"]) for row in rows]
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    threads = result["threads"]
    assert isinstance(threads, list)
    for n in threads:
        axes.plot(kept, [row[f"threads_{n}"] for row in rows], "o-", label=f"genn_delays, {n} thread{'s'[: n > 1]}")
    if "torch_ms" in result:
        label = f"PyTorch, dense, {threads[-1]} thread{'s'[: threads[-1] > 1]}"
        axes.axhline(float(str(result["torch_ms"])), color="0.4", linestyle="--", label=label)
    axes.set(xscale="log", yscale="log", xlabel="synapses kept (%)", ylabel="one training step (ms)")
    axes.set_title("40-256-10, 80 steps, batch 256, delays 0-24")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(loc="center left")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print, and keep the figures beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="how often everything is measured")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of two steps each per round and figure")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, available_processors()])
    parser.add_argument("--torch", action="store_true", help="measure the dense PyTorch network too")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    result = measure(arguments.rounds, arguments.epochs, arguments.threads, arguments.torch)
    here = machine()
    result["machine"] = f"{here['processor']}, {here['cores']} cores"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(result, arguments.out / "step_time.png")


if __name__ == "__main__":
    main()
