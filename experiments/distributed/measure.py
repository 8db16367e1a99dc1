"""Time and bytes of a training step on one process and on two ranks, and a model of more; see README.md.

    python experiments/distributed/measure.py --out experiments/distributed

needs the extra `mpi`. Data are random, in the shape of the published network on spoken digits. ``--draw`` makes tables
and picture out of measured.json again.
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
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import genn_delays as gd

STEPS, BATCH, TIME_STEPS, EPOCHS = 4, 256, 80, 3
CASES = {
    "256, batch norm": ([256], 0.875, True),
    "1024, batch norm": ([1024], 0.5, True),
    "512-512": ([512, 512], 0.875, False),
}
"""Hidden layers, sparsity, batch norm."""


class Wire(NamedTuple):
    """What messages travel over.

    Attributes:
        latency, bandwidth: seconds a message, bytes a second.
    """

    latency: float
    bandwidth: float


MEMORY = "shared memory"
EMULATED = {"1 Gbit/s": Wire(50e-6, 125e6), "100 Mbit/s": Wire(50e-6, 12.5e6)}
"""After every exchange a rank sleeps for as long as its bytes would be on the way."""
ASSUMED = {
    "1 Gbit/s, 50 µs": Wire(50e-6, 125e6),
    "10 Gbit/s, 30 µs": Wire(30e-6, 1.25e9),
    "100 Gbit/s, 2 µs": Wire(2e-6, 12.5e9),
}
"""Networks that we do not have, as they are sold."""
EARLY = "early gradients"
Part = tuple[float, float]
"""Messages, and bytes, that a rank sends in a round."""


class Measured(gd.MPI):
    """Ranks over an emulated wire, which count their messages by part."""

    def __init__(self, overlap: bool) -> None:
        super().__init__(overlap=overlap)
        self.wire: Wire | None = None
        self.parts: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def exchange(self, what: str, sends: Any, receives: Any) -> None:
        early = threading.current_thread() is not threading.main_thread()
        most = max((array.nbytes for _, array in [*sends, *receives]), default=0)
        part = self.parts[EARLY if early else what]
        part[0], part[1] = part[0] + 1, part[1] + most
        super().exchange(what, sends, receives)
        if self.wire is not None and most:
            time.sleep(self.wire.latency + most / self.wire.bandwidth)


# --- the model -------------------------------------------------------------------------------------------------------


def scaled(compute: float, fixed: float, parts: dict[str, Part], ranks: int, wire: Wire, window: float = 0.0) -> float:
    """Milliseconds a step on so many ranks.

    compute / P + fixed + log2(P) (messages latency + bytes / bandwidth), without what the window hides.

    Args:
        compute, fixed: milliseconds that are shared among ranks, and that are not.
        parts: what a rank of two sends: sums in each of log2(P) rounds; losses once, to every other rank.
        window: milliseconds for which a rank goes on computing while its early gradients are on their way.
    """
    rounds, hidden = math.log2(ranks), 0.0
    total = compute / ranks + fixed
    for name, (messages, count) in parts.items():
        if name == "losses":
            own = 2 * count * (ranks - 1) / ranks
            total += 1e3 * (messages * wire.latency + own / wire.bandwidth) if ranks > 1 else 0.0
            continue
        took = 1e3 * rounds * (messages * wire.latency + count / wire.bandwidth)
        if name == EARLY:
            hidden = min(took, window)
        total += took
    return total - hidden


def line(times: dict[str, float]) -> tuple[float, float]:
    """Milliseconds of a whole batch that are shared among ranks, and that are not, out of steps of smaller batches."""
    lanes = np.array([int(batch) for batch in times])
    slope, start = np.polyfit(lanes, np.array(list(times.values())), 1)
    return float(slope) * BATCH, max(float(start), 0.0)


# --- one process of a measurement ------------------------------------------------------------------------------------


def network(layers: list[int], sparsity: float, batch_norm: bool) -> gd.Network:
    """Bands, hidden layers and classes, with delays of 0 to 24 steps."""
    made = gd.Network(seed=0)
    with made:
        before = gd.Population(gd.Input(), 40, name="mel")
        for number, size in enumerate([*layers, 10]):
            neuron = gd.LeakyIntegrateFire(tau_mem=10.05, v_thresh=1.0)
            last = number == len(layers)
            kind = gd.LeakyIntegrate(tau_mem=10.05, readout="sum_softmax") if last else neuron
            name = "digit" if last else f"hidden{number}"
            here = gd.Population(kind, size, name=name, batch_norm=batch_norm and not last)
            weight, delay = gd.KaimingUniform(), gd.UniformInt(0, 24)
            gd.Connection(before, here, gd.FixedNumber(sparsity, weight=weight, delay=delay))
            before = here
    return made


class Trained:
    """A compiled network that has trained for one epoch, and times others."""

    def __init__(self, case: str, threads: int, batch: int, communicator: Measured | None = None) -> None:
        made, draws = network(*CASES[case]), np.random.default_rng(0)
        backend = gd.CPU(threads=threads)
        compiler = gd.SurrogateCompiler(TIME_STEPS, batch, backend=backend, communicator=communicator)
        self.compiled = compiler.compile(made, rewiring={"all_connections": gd.DeepR(l1=1e-3)})
        x = draws.random((STEPS * batch, TIME_STEPS, 40)).astype(np.float32)
        y = draws.integers(0, 10, STEPS * batch)
        self.data = self.compiled.prepare({"mel": x}, {"digit": y})
        self.synapses = sum(c.num_synapses for c in made.connections)
        self.compiled.train(*self.data, 1, callbacks=[])

    def step(self) -> float:
        """Milliseconds a step of one more epoch."""
        start = time.perf_counter()
        self.compiled.train(*self.data, self.compiled.epoch + 1, callbacks=[])
        return 1e3 * (time.perf_counter() - start) / STEPS


def alone(case: str) -> dict[str, Any]:
    """Milliseconds a step of one process, by threads and batch size, by turns."""
    ways = [(1, BATCH), (1, BATCH // 2), (1, BATCH // 4), (2, BATCH)]
    trained = {way: Trained(case, *way) for way in ways}
    times: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    for _ in range(EPOCHS):
        for way in ways:
            times[way].append(trained[way].step())
    found = {f"{threads} x {batch}": statistics.median(times[threads, batch]) for threads, batch in ways}
    return {"synapses": trained[ways[0]].synapses, "steps": found}


def ping_pong(communicator: Measured) -> Wire:
    """Latency and bandwidth of an exchange in both directions at once, as sums of two ranks make."""
    took = {}
    for size, repeats in ((8, 100), (1 << 18, 10)):
        own, other, times = np.zeros(size, np.uint8), np.zeros(size, np.uint8), []
        for _ in range(repeats):
            start = time.perf_counter()
            communicator.exchange("ping-pong", [(communicator.rank ^ 1, own)], [(communicator.rank ^ 1, other)])
            times.append(time.perf_counter() - start)
        took[size] = statistics.median(times)
    small, large = took.values()
    return Wire(small, (1 << 18) / max(large - small, 1e-9))


def of_two_ranks(case: str) -> dict[str, Any]:
    """Milliseconds a step of two ranks with and without overlap, over every wire, by turns; their messages and what
    they wait for; and two processes without messages, each with half a batch."""
    trained: dict[bool, Trained] = {}
    ranks = {overlap: Measured(overlap) for overlap in (True, False)}
    for overlap, communicator in ranks.items():
        trained[overlap] = Trained(case, 1, BATCH, communicator)
    half = Trained(case, 1, BATCH // 2)
    wires: dict[str, Wire | None] = {MEMORY: None, **EMULATED}
    found: dict[str, Any] = {"wires": {}, "halves": [], "steps": defaultdict(list), "parts": {}, "seconds": {}}
    for name, wire in wires.items():
        ranks[True].wire = wire
        found["wires"][name] = ping_pong(ranks[True])
    seconds: dict[str, defaultdict[str, float]] = {}
    for turn in range(EPOCHS):
        for name, wire in wires.items():
            for overlap in (True, False) if turn % 2 else (False, True):
                communicator, way = ranks[overlap], f"{name}, {'overlap' if overlap else 'after'}"
                communicator.everyone("agreement", "ready")
                communicator.seconds.clear()
                communicator.parts.clear()
                communicator.wire = wire
                found["steps"][way].append(trained[overlap].step())
                communicator.wire = None
                for part, took in communicator.seconds.items():
                    seconds.setdefault(way, defaultdict(float))[part] += 1e3 * took / STEPS / EPOCHS
                found["parts"]["overlap" if overlap else "after"] = {
                    part: (messages / STEPS, count / STEPS)
                    for part, (messages, count) in communicator.parts.items()
                    if part != "agreement"
                }
        ranks[False].everyone("agreement", "ready")
        found["halves"].append(half.step())
    found["steps"] = {way: statistics.median(times) for way, times in found["steps"].items()}
    found["halves"] = statistics.median(found["halves"])
    found["seconds"] = seconds
    return found | {"rank": ranks[True].rank}


# --- all of it -------------------------------------------------------------------------------------------------------


def child(case: str, ranks: int) -> dict[str, Any]:
    """A measurement in processes of its own."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    start = [str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec"), "--oversubscribe", "-n", str(ranks)]
    start += ["--allow-run-as-root"] if os.geteuid() == 0 else []
    command = [*(start if ranks else []), sys.executable, __file__, "--one", case, str(ranks)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def best(turns: list[dict[str, Any]], name: str) -> dict[str, float]:
    """The shortest times of several processes: other work on the machine only adds to them."""
    return {way: min(turn[name][way] for turn in turns) for way in turns[0][name]}


def measure(case: str, repeats: int) -> dict[str, Any]:
    """One network: what was measured, and what the model makes of it."""
    single, two = [], []
    for _ in range(repeats):  # by turns, as the machine may be busy
        print(f"{case}, turn {len(single) + 1} of {repeats}", file=sys.stderr, flush=True)
        single.append(child(case, 0))
        two.append(child(case, 2))
    calm = min(two, key=lambda turn: sum(turn["steps"].values()))
    wires = {name: min((turn["wires"][name] for turn in two), key=lambda wire: wire[0]) for name in calm["wires"]}
    row = {"network": case, "synapses": single[0]["synapses"], "alone": best(single, "steps"), "wires": wires}
    row |= {"two_ranks": best(two, "steps"), "halves": min(turn["halves"] for turn in two)}
    row |= {"parts": calm["parts"], "seconds": calm["seconds"]}
    row["compute"], row["fixed"] = line({w.split(" x ")[1]: t for w, t in row["alone"].items() if w[0] == "1"})
    row["window"] = calm["seconds"][f"{MEMORY}, overlap"].get("computing meanwhile", 0.0)
    row["predicted"] = {}
    for name, wire in wires.items():
        for way, window in (("overlap", row["window"]), ("after", 0.0)):
            predicted = scaled(row["compute"], row["fixed"], row["parts"][way], 2, Wire(*wire), window)
            row["predicted"][f"{name}, {way}"] = predicted
    return row


def main() -> None:
    """Measure all of it, or one network in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="only tables and picture of what was measured")
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "RANKS"))
    args = parser.parse_args()
    if args.one:
        found = alone(args.one[0]) if args.one[1] == "0" else of_two_ranks(args.one[0])
        if found.get("rank", 0) == 0:
            print(json.dumps(found))
        return
    path = args.out / "measured.json"
    if not args.draw:
        before = os.getloadavg()
        args.out.mkdir(parents=True, exist_ok=True)
        rows = [measure(case, args.repeats) for case in CASES]
        path.write_text(json.dumps({"load_before": before, "rows": rows}, indent=1) + "\n")
    from report import draw, tables

    rows = json.loads(path.read_text())["rows"]
    print(tables(rows))
    draw(rows, args.out / "scaling.png")


if __name__ == "__main__":
    main()
