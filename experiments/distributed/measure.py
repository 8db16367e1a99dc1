"""Time and bytes of a training step on one process and on two ranks, and a model of more; see README.md.

    python experiments/distributed/measure.py --out experiments/distributed

needs the extra `mpi`. Data are random, in the shape of the published network on spoken digits.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import genn_delays as gd

STEPS, EXAMPLES, BATCH, TIME_STEPS = 4, 1024, 256, 80
CASES = [(256, 0.875), (1024, 0.875), (1024, 0.5)]
"""Hidden neurons and sparsity."""
WIRES = [("10 Gbit/s Ethernet", 30e-6, 1.0e9), ("100 Gbit/s InfiniBand", 2e-6, 10e9)]
"""Assumed networks: seconds a message, bytes a second."""


def network(hidden: int, sparsity: float) -> gd.Network:
    """Bands, hidden neurons with batch norm, and classes, with delays of 0 to 24 steps."""
    made = gd.Network(seed=0)
    with made:
        mel = gd.Population(gd.Input(), 40, name="mel")
        neuron = gd.LeakyIntegrateFire(tau_mem=10.05, v_thresh=1.0)
        middle = gd.Population(neuron, hidden, name="hidden", batch_norm=True)
        digit = gd.Population(gd.LeakyIntegrate(tau_mem=10.05, readout="sum_softmax"), 10, name="digit")
        for source, target in ((mel, middle), (middle, digit)):
            delay = gd.UniformInt(0, 24)
            gd.Connection(source, target, gd.FixedNumber(sparsity, weight=gd.KaimingUniform(), delay=delay))
    return made


def measure(hidden: int, sparsity: float, threads: int, ranks: bool, epochs: int) -> dict[str, object] | None:
    """Milliseconds a step, and of a rank the bytes it sends and the time it waits, by part."""
    made, draws = network(hidden, sparsity), np.random.default_rng(0)
    communicator = gd.MPI() if ranks else None
    compiler = gd.SurrogateCompiler(TIME_STEPS, BATCH, backend=gd.CPU(threads=threads), communicator=communicator)
    x = draws.random((EXAMPLES, TIME_STEPS, 40)).astype(np.float32)
    y = draws.integers(0, 10, EXAMPLES)
    rules = {"all_connections": gd.DeepR(l1=1e-3)}
    with compiler.compile(made, rewiring=rules) as compiled:
        x, y = compiled.prepare({"mel": x}, {"digit": y})
        compiled.train(x, y, 1, callbacks=[])
        if communicator is not None:
            communicator.bytes_sent.clear()
            communicator.seconds.clear()
        times = []
        for epoch in range(epochs):
            start = time.perf_counter()
            compiled.train(x, y, epoch + 2, callbacks=[])
            times.append((time.perf_counter() - start) / STEPS)
        synapses = sum(c.num_synapses for c in made.connections)
    found = {"hidden": hidden, "sparsity": sparsity, "synapses": synapses, "threads": threads}
    found["ranks"] = communicator.size if communicator else 0
    found["step_ms"] = round(1e3 * statistics.median(times), 3)
    if communicator is None:
        return found
    steps = epochs * STEPS
    parts = [name for name in communicator.bytes_sent if name != "agreement"]
    found["bytes_a_step"] = {name: communicator.bytes_sent[name] / steps for name in parts}
    found["wait_ms"] = {name: round(1e3 * communicator.seconds[name] / steps, 3) for name in parts}
    return found if communicator.rank == 0 else None


def scaled(
    compute: float, fixed: float, sent: float, messages: int, ranks: int, wire: tuple[str, float, float]
) -> float:
    """Milliseconds a step on so many ranks: what is shared, what every rank does, and the messages.

    Args:
        compute, fixed: milliseconds that are shared among ranks, and that are not.
        sent, messages: bytes and messages that a rank sends in a round; there are log2(ranks) rounds.
    """
    rounds = math.log2(ranks)
    return compute / ranks + fixed + 1e3 * rounds * (messages * wire[1] + sent / wire[2])


def predicted(rows: list[dict[str, object]], wire: tuple[str, float, float]) -> dict[int, float]:
    """Milliseconds a step by number of ranks, of one thread each, out of those of one and the bytes of two."""
    alone, two = rows[0], rows[-1]
    sent = sum(two["bytes_a_step"].values())
    messages = len(two["bytes_a_step"]) + 2  # batch norm twice; losses and right answers
    return {p: round(scaled(alone["step_ms"], 0.0, sent, messages, p, wire), 2) for p in (1, 2, 4, 8, 16, 64)}


def child(arguments: list[str], ranks: int) -> dict[str, object]:
    """A measurement in processes of its own."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    start = [str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec"), "--oversubscribe", "-n", str(ranks)]
    start += ["--allow-run-as-root"] if os.geteuid() == 0 else []
    command = [*(start if ranks else []), sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all of it, or one network in a process of its own; one line of JSON each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--one", nargs=4, metavar=("HIDDEN", "SPARSITY", "THREADS", "RANKS"))
    args = parser.parse_args()
    if args.one:
        hidden, sparsity, threads, ranks = args.one
        found = measure(int(hidden), float(sparsity), int(threads), ranks != "0", args.epochs)
        if found is not None:
            print(json.dumps(found))
        return
    rows = []
    for hidden, sparsity in CASES:
        turns: dict[tuple[int, int], list[dict[str, object]]] = {}
        for _ in range(args.repeats):  # by turns, as the machine may be busy
            for threads, ranks in ((1, 0), (2, 0), (1, 1), (1, 2)):
                one = ["--one", str(hidden), str(sparsity), str(threads), str(ranks), "--epochs", str(args.epochs)]
                turns.setdefault((threads, ranks), []).append(child(one, ranks))
        best = [min(found, key=lambda row: row["step_ms"]) for found in turns.values()]
        rows += best
        for row in best:
            print(json.dumps(row), flush=True)
        for wire in WIRES:
            print(wire[0], predicted(best, wire), flush=True)
    (args.out / "measured.json").write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
