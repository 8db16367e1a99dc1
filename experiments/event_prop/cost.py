"""Time of a training step and peak memory: EventProp, surrogate gradients with whole delays, and DCLS, on one network.

A network 40-256-10 with exponential synapses (spikes as inputs, delays 0-24, 80 steps, batch 256, DEEP R where anything
is sparse) is trained on random spikes. Every figure comes from a process of its own: the median step, and by how much
its memory grew beyond that of the imported library. All are measured once a round, one after the other, and the time
kept is that of the best round. A second table has a recurrent hidden layer of the same size with self-delays from 1 or
from 8 steps on, beside a feed-forward layer with as many synapses. Kept beside this file: cost.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

INPUTS, HIDDEN, OUTPUTS, STEPS, BATCH, LARGEST = 40, 256, 10, 80, 256, 24
SPARSITIES = (0.0, 0.875, 0.99)
HERE = Path(__file__).parent


class Case(NamedTuple):
    """A network and its training: `sigma` of a delay kernel; the shortest self-delay, 0 for a second layer instead."""

    compiler: str
    delays: str
    sparsity: float
    sigma: float | None = None
    self_delay: int | None = None


METHODS = (
    ("eventprop", "fixed", None),
    ("eventprop", "learned", None),
    ("surrogate", "fixed", None),
    ("surrogate", "learned", None),
    ("surrogate", "learned", 12.0),
    ("surrogate", "learned", 0.23),
)
TABLE = [Case(c, d, s, sigma) for s in SPARSITIES for c, d, sigma in METHODS]
RECURRENT = [Case(c, "fixed", 0.875, None, d) for c in ("eventprop", "surrogate") for d in (0, 8, 1)]


def network(case: Case) -> Any:
    """The network of a case; weights grow as synapses become fewer, so that neurons spike about as often."""
    import genn_delays as gd

    described = gd.Network(seed=0)
    kernel = None if case.sigma is None else gd.GaussianKernel(case.sigma, final_sigma=case.sigma)
    lif = gd.LeakyIntegrateFire(tau_mem=20.0, scale_i=True, integration="exact")
    scale = (1.0 - case.sparsity) ** -0.5

    def connect(source: Any, target: Any, gain: float, shortest: int = 0) -> None:
        delay = gd.UniformInt(shortest, LARGEST)
        synapses = gd.FixedNumber(sparsity=case.sparsity, weight=gd.KaimingUniform(gain * scale), delay=delay)
        gd.Connection(source, target, synapses, gd.Exponential(5.0), delay_kernel=kernel)

    with described:
        a = gd.Population(gd.SpikeInput(), INPUTS, name="a")
        h = gd.Population(lif, HIDDEN, name="h")
        o = gd.Population(gd.LeakyIntegrate(tau_mem=20.0, scale_i=True, readout="avg_var"), OUTPUTS, name="o")
        connect(a, h, 10.0)
        last = h
        if case.self_delay == 0:
            last = gd.Population(lif, HIDDEN, name="second")
            connect(h, last, 5.0, 1)
        elif case.self_delay is not None:
            connect(h, h, 5.0, case.self_delay)
        connect(last, o, 10.0)
    return described


def measure(case: Case, threads: int, epochs: int) -> dict[str, float]:
    """Median step (ms), growth of memory (MB), spikes of a hidden neuron in an example. In this process."""
    import resource

    import numpy as np

    import genn_delays as gd
    from genn_delays.training.registry import COMPILERS

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    random = np.random.default_rng(0)
    x = (random.random((BATCH, STEPS, INPUTS), dtype=np.float32) < 0.1).astype(np.float32)
    y = random.integers(0, OUTPUTS, BATCH)
    compiler = COMPILERS[case.compiler](STEPS, BATCH, backend=gd.CPU(threads=threads))
    learned: dict[str, Any] = {"weight": gd.Adam(1e-3)}
    if case.delays == "learned":
        learned["delay"] = gd.Adam(0.1)
    rule = {"all_connections": gd.DeepR()} if case.sparsity > 0 else None
    described = network(case)
    with compiler.compile(described, optimisers={"all_connections": learned}, rewiring=rule) as compiled:
        compiled.train({"a": x}, {"o": y}, 2, callbacks=())
        metrics = [compiled.train({"a": x}, {"o": y}, 3 + n, callbacks=())[0] for n in range(epochs)]
        spikes = compiled.engine.spike_count(1) / (HIDDEN * BATCH)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = [s for m in metrics for s in m.step_seconds]
    return {"ms": 1e3 * statistics.median(seconds), "mb": peak - before, "spikes": spikes}


def in_a_process(case: Case, threads: int, epochs: int) -> dict[str, float]:
    """:func:`measure` in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(case), "--threads", str(threads), "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure everything, print the tables, keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12, help="timed steps of a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        print(json.dumps(measure(Case(*json.loads(args.one)), args.threads, args.epochs)))
        return
    best: dict[Case, dict[str, float]] = {}
    for _ in range(args.rounds):
        for case in (*TABLE, *RECURRENT):
            found = in_a_process(case, args.threads, args.epochs)
            kept = best.setdefault(case, found)
            kept["ms"], kept["mb"] = min(kept["ms"], found["ms"]), max(kept["mb"], found["mb"])
    rows = [{**case._asdict(), **{key: round(value, 2) for key, value in best[case].items()}} for case in best]
    (HERE / "cost.json").write_text(json.dumps({"threads": args.threads, "rows": rows}, indent=1) + "\n")
    print("| method | " + " | ".join(f"{100 * s:g} %: ms, MB, spikes" for s in SPARSITIES) + " |\n|---|---|---|---|")
    for method in METHODS:
        cells = [best[Case(method[0], method[1], s, method[2])] for s in SPARSITIES]
        name = f"{method[0]}, delays {method[1]}" + ("" if method[2] is None else f", DCLS sigma {method[2]:g}")
        print(f"| {name} | " + " | ".join(f"{c['ms']:.1f}, {c['mb']:.0f}, {c['spikes']:.1f}" for c in cells) + " |")
    print("\n| hidden layer | eventprop, ms | surrogate, ms |\n|---|---|---|")
    for delay, name in ((0, "two, feed-forward"), (8, "recurrent, delays from 8"), (1, "recurrent, delays from 1")):
        cells = [best[Case(c, "fixed", 0.875, None, delay)] for c in ("eventprop", "surrogate")]
        print(f"| {name} | " + " | ".join(f"{c['ms']:.1f}" for c in cells) + " |")


if __name__ == "__main__":
    main()
