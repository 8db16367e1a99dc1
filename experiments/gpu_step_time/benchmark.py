"""Time and memory of one training step on a GPU against sparsity, beside PyTorch on the same GPU in the same run.

The networks are the models `fsdd_paper` and `rawhd_paper` and wider ones, on random data: batch norm, dropout, delays
learned by DCLS with the widest kernel, DEEP R that grows by the gradient, Adam. PyTorch's is the same network as
published: the kernels of all synapses, absent ones too, are put into a dense convolution over the delays, in every step
anew, and a loop over time follows; what it costs does not depend on sparsity.

A step is loading the batch, forward, loss, backward, optimisers and rewiring. Every figure is measured once a round,
one after the other, and is that of its best round. Memory is what the GPU has less of with the network on it.

Besides: launches of a step (a graph is one) and the kernels they run, the bytes that a step must move at least (every
pass reads and writes its arrays once) and in how many times the time that a plain copy of as many bytes takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genn_delays.backends import BACKENDS
from genn_delays.backends.cuda.counting import least_bytes
from genn_delays.backends.cuda.device import Device, Module
from genn_delays.callbacks import Callback
from genn_delays.metrics import Metrics
from genn_delays.plan.plan import Plan
from genn_delays.runs.build import compile_network
from genn_delays.runs.config import Config
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config

SPARSITIES = (0.0, 0.875, 0.99)
LAGS, SIGMA = 25, 12.0
WARM = 6
"""Steps that are not counted."""


class _OneEpoch(Callback):
    """Of many: learning rates and kernels stay what they are at first."""

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        self.compiled_network.stop_training = True


class Shape(NamedTuple):
    """A model, and its hidden layers where they are not the model's own."""

    model: str
    hidden: str | None = None
    whole: bool = False
    """Whether delays are whole numbers that are not learned, and DEEP R grows at random."""

    def __str__(self) -> str:
        parts = [self.model, *([f"hidden {self.hidden}"] if self.hidden else [])]
        return ", ".join([*parts, *(["whole delays, grown at random"] if self.whole else [])])


SHAPES = [
    Shape("fsdd_paper", whole=True),
    Shape("fsdd_paper"),
    Shape("rawhd_paper"),
    Shape("fsdd_paper", "8192"),
    Shape("fsdd_paper", "4096,4096"),
]


def config_of(shape: Shape, sparsity: float, backend: str) -> Config:
    """A run's configuration; what is dense is not rewired."""
    rule = "none" if sparsity == 0.0 else "deep_r" if shape.whole else None
    settings = Overrides(
        sparsity=sparsity,
        backend=backend,
        hidden=shape.hidden,
        rewiring=rule,
        delays="fixed" if shape.whole else None,
    )
    return new_config(shape.model, settings)


def sizes_of(config: Config) -> list[int]:
    """Sizes of the layers, input first."""
    return [p.size for p in config.populations]


def data(config: Config, batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs in the range of mel spectrograms, and labels."""
    random, count = np.random.default_rng(0), batches * config.compiler.batch_size
    sizes = sizes_of(config)
    x = random.random((count, config.compiler.example_timesteps, sizes[0]), dtype=np.float32) * 1.6
    return x, random.integers(0, sizes[-1], count)


def copy_bandwidth(module: Module, words: int = 1 << 27, times: int = 20) -> float:
    """GB/s that a copy of 4-byte words on the device reads and writes; `module`: any network's kernels."""
    device = module.device
    x, y = (device.allocate(name, words, np.uint32) for name in "xy")
    seconds = []
    for _ in range(times):
        device.synchronise()
        start = time.perf_counter()
        module.launch("copy_words", words // 256, 256, x=x, y=y, count=words)
        device.synchronise()
        seconds.append(time.perf_counter() - start)
    for buffer in (x, y):
        device.free(buffer)
    return 8e-9 * words / min(seconds)


def ours(shape: Shape, sparsity: float, backend: str, steps: int) -> dict[str, float]:
    """Median step (ms), GPU memory (MB) and synapses."""
    config, batches = config_of(shape, sparsity, backend), steps + WARM
    x, y = data(config, batches)
    with compile_network(config) as compiled:
        names = compiled.network.populations[0].name, compiled.network.populations[-1].name
        device: Device | None = getattr(compiled.engine, "device", None)
        before = (device.calls, device.kernels) if device else (0, 0)
        metrics, _ = compiled.train({names[0]: x}, {names[1]: y}, 100, callbacks=[_OneEpoch()])
        seconds = metrics.step_seconds[WARM:]
        found = {"ms": 1e3 * statistics.median(seconds), "synapses": sum(c.size for c in compiled.plan.connections)}
        if device is not None:
            found |= {
                "launches": (device.calls - before[0]) / batches,
                "kernels": (device.kernels - before[1]) / batches,
            }
            found |= on_device(compiled.engine.module, compiled.plan, found["ms"])  # type: ignore[attr-defined]
    return found


def on_device(module: Module, plan: Plan, ms: float) -> dict[str, float]:
    """Memory (MB), the least that a step must move (GB), and how many times the time of copying that it takes."""
    memory, least = module.device.memory(), least_bytes(plan) / 1e9
    copied_ms = 1e3 * least / copy_bandwidth(module)
    return {"mb": (memory.total - memory.free) / 1e6, "least gb": least, "times a copy": ms / copied_ms}


def dense(shape: Shape, device: str, steps: int) -> dict[str, float]:
    """The same in PyTorch: median step (ms) and peak memory (MB)."""
    import torch

    config = config_of(shape, 0.0, "cpu")
    sizes, batch, time_steps = sizes_of(config), config.compiler.batch_size, config.compiler.example_timesteps
    network = _torch_network(sizes).to(device)
    delays = [p for name, p in network.named_parameters() if name.endswith("delay")]
    weights = [p for name, p in network.named_parameters() if not name.endswith("delay")]
    optimisers = [torch.optim.Adam(weights, 5e-3), torch.optim.Adam(delays, 0.1)]
    x, y = (torch.from_numpy(a) for a in data(config, 2))
    x = x.permute(0, 2, 1).contiguous()
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for step in range(steps + WARM):
        start = time.perf_counter()
        part = slice((step % 2) * batch, (step % 2 + 1) * batch)
        loss = torch.nn.functional.cross_entropy(network(x[part].to(device), time_steps), y[part].to(device))
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
        loss.item()  # a step is over when its loss is known, as ours
        seconds.append(time.perf_counter() - start)
    found = {"ms": 1e3 * statistics.median(seconds[WARM:])}
    return found | ({"mb": torch.cuda.max_memory_allocated() / 1e6} if cuda else {})


def _torch_network(sizes: list[int]) -> Any:
    """Layers of delays by DCLS, batch norm, leaky neurons that spike, dropout; the last sums its softmax over time."""
    import torch
    from torch.nn import functional

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, u: Any) -> Any:
            ctx.save_for_backward(u)
            return (u >= 0).float()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (u,) = ctx.saved_tensors
            return grad * 2.5 / (1 + (torch.pi * 2.5 * u) ** 2)

    class Delayed(torch.nn.Module):
        """A dense convolution whose kernel has a Gaussian over the lags for every synapse."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(outputs, inputs))
            torch.nn.init.kaiming_uniform_(self.weight)
            self.delay = torch.nn.Parameter(torch.rand(outputs, inputs) * (LAGS - 1))
            self.register_buffer("lags", torch.arange(LAGS - 1, -1, -1, dtype=torch.float32))

        def forward(self, x: Any) -> Any:
            share = torch.exp(-0.5 * ((self.lags - self.delay[..., None]) / SIGMA) ** 2)
            kernel = self.weight[..., None] * share / (share.sum(-1, keepdim=True) + 1e-7)
            return functional.conv1d(functional.pad(x, (LAGS - 1, 0)), kernel)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(Delayed(a, b) for a, b in pairwise(sizes))
            self.norms = torch.nn.ModuleList(torch.nn.BatchNorm1d(size) for size in sizes[1:-1])

        def forward(self, x: Any, time_steps: int) -> Any:
            decay = 1 - 1 / 10.05
            for layer, norm in zip(self.layers, self.norms, strict=False):
                current = norm(layer(x))
                u, s, spikes = torch.zeros_like(current[..., 0]), torch.zeros_like(current[..., 0]), []
                for t in range(time_steps):
                    u = decay * u * (1 - s.detach()) + current[..., t]
                    s = Spike.apply(u - 1.0)
                    spikes.append(s)
                x = torch.stack(spikes, 2)
                x = x * functional.dropout(torch.ones_like(x[..., :1]), 0.4)  # one mask an example
            current = self.layers[-1](x)
            u, z = torch.zeros_like(current[..., 0]), 0
            for t in range(time_steps):
                u = decay * u + current[..., t]
                z = z + u.softmax(1)
            return z

    return Net()


def main() -> None:
    """Measure, print, and keep the figures where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--steps", type=int, default=20, help="steps timed for each figure and round")
    parser.add_argument("--backend", default="cuda", help="cuda, or cpu to see that this script runs")
    parser.add_argument("--torch", metavar="DEVICE", help="measure PyTorch too, on cuda or cpu")
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="how many of the networks, smallest first")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    args = parser.parse_args()
    available = BACKENDS[args.backend]().availability()
    if not available.available:
        raise SystemExit(available.detail)
    best: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(args.rounds):
        for shape in SHAPES[: args.shapes]:
            cases = {f"{100 * s:g} % sparse": ours(shape, s, args.backend, args.steps) for s in SPARSITIES}
            if args.torch:
                cases["PyTorch, dense"] = dense(shape, args.torch, args.steps)
            for name, found in cases.items():
                kept = best.setdefault((str(shape), name), found)
                kept["ms"] = min(kept["ms"], found["ms"])
    rows = [{"network": shape, "what": what} | row for (shape, what), row in best.items()]
    for row in rows:
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    if args.out:
        result = {"machine": available.detail, "rounds": args.rounds, "steps": args.steps, "rows": rows}
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
