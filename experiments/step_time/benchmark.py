"""Time of one training step against sparsity, measured side by side in one run.

A network 40-256-10 (real-valued inputs, delays 0-24, 80 steps, batch 256, DEEP R where anything is sparse) is trained
on random data. Printed and kept: the median of a whole step (loading the batch, forward, loss, backward, optimiser,
rewiring) for each number of threads, for the forms chosen by count and for each form forced, and, with ``--torch``, of
a dense PyTorch implementation as published: a convolution over the delays and a loop over time. At 87.5 % sparsity also
what learned delays, batch norm, dropout and growth by the gradient cost, one by one and together.

Everything is measured once per round, one after the other, and a figure is that of its best round: other programs on
the machine can only add time, and in another round they add it elsewhere.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import genn_delays as gd
from genn_delays.backends.cpu.backend import available_processors

SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.969, 0.99, 0.998)
KINDS_SPARSITY = 0.875
INPUTS, HIDDEN, OUTPUTS, STEPS, BATCH, LAGS = 40, 256, 10, 80, 256, 25
HERE = Path(__file__).parent


class Kind(NamedTuple):
    """What is learned besides weights, and how."""

    sigma: float | None = None  # of a Gaussian delay kernel
    learn_delays: bool = False
    growth: Literal["random", "gradient"] = "random"
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


def network(sparsity: float, kind: Kind) -> gd.Network:
    """The network of the design's example."""
    described = gd.Network(seed=0)
    kernel = None if kind.sigma is None else gd.GaussianKernel(kind.sigma, final_sigma=kind.sigma)
    with described:
        mel = gd.Population(gd.Input(), INPUTS, name="mel")
        neuron, dropout = gd.LeakyIntegrateFire(tau_mem=10.05), 0.4 if kind.normed else 0.0
        hidden = gd.Population(neuron, HIDDEN, name="hidden", batch_norm=kind.normed, dropout=dropout)
        digit = gd.Population(gd.LeakyIntegrate(tau_mem=10.05, readout="sum_softmax"), OUTPUTS, name="digit")
        for source, target in ((mel, hidden), (hidden, digit)):
            synapses = gd.FixedNumber(sparsity=sparsity, weight=gd.KaimingUniform(), delay=gd.UniformInt(0, LAGS - 1))
            gd.Connection(source, target, synapses, delay_kernel=kernel)
    return described


def data() -> tuple[np.ndarray, np.ndarray]:
    """Random inputs in the range of the mel spectrograms, and labels."""
    random = np.random.default_rng(0)
    x = random.random((2 * BATCH, STEPS, INPUTS), dtype=np.float32) * 1.6
    return x, random.integers(0, OUTPUTS, 2 * BATCH)


def step_ms(
    sparsity: float, threads: int, epochs: int, busy: float | None = None, kind: Kind = PLAIN
) -> dict[str, float]:
    """Median step in ms, and spikes per neuron, step and example of the last batch."""
    compiler = gd.SurrogateCompiler(STEPS, BATCH, backend=gd.CPU(threads=threads))
    rule = {"all_connections": gd.DeepR(growth=kind.growth)} if sparsity > 0 else None
    learned = {"weight": gd.Adam(1e-3)} | ({"delay": gd.Adam(0.1)} if kind.learn_delays else {})
    optimisers = {"all_connections": learned, "all_populations": {"batch_norm": gd.Adam(1e-3)}}
    x, y = data()
    with compiler.compile(network(sparsity, kind), optimisers=optimisers, rewiring=rule) as compiled:
        if busy is not None:
            compiled.engine.busy = busy  # type: ignore[attr-defined]
        compiled.train({"mel": x}, {"digit": y}, 1, callbacks=())  # caches and memory warm
        metrics = [compiled.train({"mel": x}, {"digit": y}, 2 + n, callbacks=())[0] for n in range(epochs)]
        rate = compiled.engine.spike_count(1) / (HIDDEN * STEPS * BATCH)
    return {"ms": 1e3 * statistics.median(s for m in metrics for s in m.step_seconds), "rate": rate}


def torch_step_ms(threads: int, steps: int) -> float:
    """The same network in PyTorch: dense weights over all lags as a convolution, a loop over time, autograd, Adam."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, u):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(u)
            return (u >= 0).float()

        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            (u,) = ctx.saved_tensors
            return grad * 2.5 / (1 + (torch.pi * 2.5 * u) ** 2)

    decay = 1 - 1 / 10.05
    first, second = (
        torch.nn.Conv1d(INPUTS, HIDDEN, LAGS, bias=False),
        torch.nn.Conv1d(HIDDEN, OUTPUTS, LAGS, bias=False),
    )
    optimiser = torch.optim.Adam([*first.parameters(), *second.parameters()], 1e-3)
    x, y = (torch.from_numpy(a) for a in data())
    x = x.permute(0, 2, 1).contiguous()

    def late(values):  # type: ignore[no-untyped-def]
        return torch.nn.functional.pad(values, (LAGS - 1, 0))

    seconds = []
    for step in range(steps + 2):
        start = time.perf_counter()
        half = slice((step % 2) * BATCH, (step % 2 + 1) * BATCH)
        current, u, s, spikes = first(late(x[half])), torch.zeros(BATCH, HIDDEN), torch.zeros(BATCH, HIDDEN), []
        for t in range(STEPS):
            u = decay * u * (1 - s.detach()) + current[:, :, t]
            s = Spike.apply(u - 1.0)
            spikes.append(s)
        current, u, z = second(late(torch.stack(spikes, 2))), torch.zeros(BATCH, OUTPUTS), 0
        for t in range(STEPS):
            u = decay * u + current[:, :, t]
            z = z + u.softmax(1)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(z, y[half]).backward()
        optimiser.step()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds[2:])


def measure(rounds: int, epochs: int, threads: list[int], with_torch: bool) -> dict[str, object]:
    """All figures of one run, each the best of its rounds."""
    columns: dict[str, tuple[int, float | None]] = {f"threads_{n}": (n, None) for n in threads}
    columns |= {"event_form": (threads[-1], 2.0), "dense_form": (threads[-1], -1.0)}
    best: dict[tuple[float, str], float] = {}
    rates, torch_rounds = {}, []
    kinds: dict[str, dict[str, float]] = {name: {} for name in KINDS}
    for number in range(rounds):
        for sparsity in SPARSITIES:
            for column, (n, busy) in columns.items():
                found = step_ms(sparsity, n, epochs, busy)
                best[sparsity, column] = min(best.get((sparsity, column), float("inf")), found["ms"])
                rates[sparsity] = found["rate"]
        for name, kind in KINDS.items():
            for n in threads:
                found = step_ms(KINDS_SPARSITY, n, epochs, kind=kind)["ms"]
                kinds[name][str(n)] = min(kinds[name].get(str(n), float("inf")), round(found, 2))
        if with_torch:
            torch_rounds.append(torch_step_ms(threads[-1], 3))
        print(f"round {number + 1} of {rounds} done", flush=True)
    rows = []
    for sparsity in SPARSITIES:
        row = {"sparsity": sparsity} | {column: round(best[sparsity, column], 2) for column in columns}
        rows.append(row | {"spikes_per_neuron_step": round(rates[sparsity], 4)})
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()))
    for name, row in kinds.items():
        print(f"{name}: {row}")
    result: dict[str, object] = {
        "rows": rows,
        "kinds": kinds,
        "threads": threads,
        "rounds": rounds,
        "epochs": epochs,
        "batch": BATCH,
    }
    if with_torch:
        import torch

        result |= {"torch_ms": round(min(torch_rounds), 1), "torch_version": torch.__version__}
        print(f"PyTorch {torch.__version__}, dense, {threads[-1]} threads: {result['torch_ms']} ms")
    return result


def machine() -> str:
    """Processor model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    return f"{model}, {available_processors()} cores"


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
        label = f"PyTorch, dense, {threads[-1]} threads"
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
    result["machine"] = machine()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(result, arguments.out / "step_time.png")


if __name__ == "__main__":
    main()
