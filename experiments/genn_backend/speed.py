"""Examples a second: inference, and EventProp training without and with DEEP R, on GeNN's kernels and on our own.

Two networks of spikes, 40-256-10 and 700-1024-20, exponential synapses, delays of 0 to 24 steps, 80 steps an example,
random data. Every figure comes from a process of its own; all are measured once a round, one after the other, and the
best round counts. GeNN's CPU backend runs one example after the other, whatever the batch; where PyGeNN was built for
CUDA that is measured too, and where mlGeNN is installed its own EventProp, which has no rewiring that keeps delays.
Kept beside this file: speed.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

STEPS, LARGEST = 80, 24
SIZES = ((40, 256, 10), (700, 1024, 20))
SPARSITIES = (0.875, 0.99)
KINDS = ("inference", "training", "rewiring")


class Way(NamedTuple):
    """A backend with its threads and the batch size; `trainer` is GeNN's."""

    backend: str
    threads: int
    batch: int
    trainer: str = "own"

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s'[: self.threads > 1]}" if self.backend == "cpu" else ""
        ml_genn = ", trained by mlGeNN" if self.trainer == "ml_genn" else ""
        return f"{self.backend}{threads}, batch {self.batch}{ml_genn}"


CPU_WAYS = [Way("cpu", threads, batch) for threads in (1, 2) for batch in (1, 256)]


def ways() -> list[Way]:
    """All that can be measured here."""
    from genn_delays import GeNN

    host, found = "genn:single_threaded_cpu", list[Way]()
    if "cuda" in GeNN().availability().detail:
        found = [Way("genn:cuda", 1, 1), Way("genn:cuda", 1, 256)]
    if GeNN(trainer="ml_genn").availability().available:
        found.append(Way(host, 1, 1, "ml_genn"))
    return [*found, Way(host, 1, 1), Way(host, 1, 256), *CPU_WAYS]


def network(sizes: tuple[int, ...], sparsity: float) -> Any:
    """A hidden layer of which neurons spike about as often whatever the sparsity."""
    import genn_delays as gd

    described, scale = gd.Network(seed=0), (1.0 - sparsity) ** -0.5
    shared = {"tau_mem": 20.0, "scale_i": True, "integration": "exact"}
    with described:
        a = gd.Population(gd.SpikeInput(), sizes[0], name="a")
        h = gd.Population(gd.LeakyIntegrateFire(**shared), sizes[1], name="h")
        o = gd.Population(gd.LeakyIntegrate(**shared, readout="avg_var"), sizes[2], name="o")
        for source, target in ((a, h), (h, o)):
            weight, delay = gd.KaimingUniform(10.0 * scale), gd.UniformInt(0, LARGEST)
            gd.Connection(source, target, gd.FixedNumber(sparsity, weight=weight, delay=delay), gd.Exponential(5.0))
    return described


def measure(way: Way, sizes: tuple[int, ...], sparsity: float, seconds: float) -> dict[str, float]:
    """Examples a second for inference and for training without and with DEEP R. In this process."""
    import numpy as np

    import genn_delays as gd

    random, count = np.random.default_rng(0), 256
    rate = 0.1 if sizes[0] < 100 else 0.02
    x = {"a": (random.random((count, STEPS, sizes[0]), dtype=np.float32) < rate).astype(np.float32)}
    y = {"o": random.integers(0, sizes[-1], count)}
    kind, _, device = way.backend.partition(":")
    backend = gd.CPU(threads=way.threads) if kind == "cpu" else gd.GeNN(device or None, way.trainer)
    compiler = gd.EventPropCompiler(STEPS, way.batch, backend=backend)
    found: dict[str, float] = {}
    for name, rule in (("training", None), ("rewiring", {"all_connections": gd.DeepR()})):
        if rule is not None and way.trainer == "ml_genn":
            continue
        learned = {"all_connections": {"weight": gd.Adam(1e-3)}}
        with compiler.compile(network(sizes, sparsity), optimisers=learned, rewiring=rule) as compiled:
            if rule is None:
                compiled.predict(x)
                found["spikes"] = compiled.engine.spike_count(1) / (sizes[1] * (count % way.batch or way.batch))
                found["inference"] = rate_of(lambda c=compiled: c.predict(x), count, seconds)
            compiled.train(x, y, 1, callbacks=())
            found[name] = rate_of(lambda c=compiled: c.train(x, y, c.epoch + 1, callbacks=()), count, seconds)
    return found


def rate_of(work: Any, count: int, seconds: float) -> float:
    """Examples a second of what works on `count` of them."""
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        work()
        rounds += 1
    return rounds * count / (time.perf_counter() - start)


def in_a_process(way: Way, sizes: tuple[int, ...], sparsity: float, seconds: float) -> dict[str, float]:
    """:func:`measure` in a process of its own."""
    one = json.dumps([way, sizes, sparsity])
    command = [sys.executable, __file__, "--one", one, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure everything, print the table, keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="timed for each figure and round")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        way, sizes, sparsity = json.loads(args.one)
        print(json.dumps(measure(Way(*way), tuple(sizes), sparsity, args.seconds)))
        return
    from genn_delays import GeNN

    available = GeNN().availability()
    if not available.available:
        raise SystemExit(available.detail)
    best: dict[tuple[Way, tuple[int, ...], float], dict[str, float]] = {}
    for _ in range(args.rounds):
        for case in [(way, sizes, sparsity) for sizes in SIZES for sparsity in SPARSITIES for way in ways()]:
            found = in_a_process(*case, args.seconds)
            kept = best.setdefault(case, found)
            best[case] = {name: max(value, kept[name]) for name, value in found.items()}
    rows = [
        {**way._asdict(), "sizes": sizes, "sparsity": sparsity, **{k: round(v, 2) for k, v in found.items()}}
        for (way, sizes, sparsity), found in best.items()
    ]
    if args.out:
        args.out.write_text(json.dumps({"seconds": args.seconds, "rows": rows}, indent=1) + "\n")
    columns = [(sizes, sparsity) for sizes in SIZES for sparsity in SPARSITIES]
    titles = [f"{'-'.join(map(str, sizes))}, {100 * sparsity:g} % sparse" for sizes, sparsity in columns]
    print(f"| | {' | '.join(titles)} |\n|---{'|---' * len(columns)}|")
    for way in ways():
        cells = [best[way, sizes, sparsity] for sizes, sparsity in columns]
        print(
            f"| {way} | " + " | ".join(", ".join(f"{c[n]:.0f}" if n in c else "-" for n in KINDS) for c in cells) + " |"
        )


if __name__ == "__main__":
    main()
