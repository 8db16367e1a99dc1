"""Time of a training step of one layer beside the dense convolution over delays, in one run, interleaved.

    python experiments/torch_layer/step_time.py --out experiments/torch_layer/step_time.json

A step is forward, backward (gradients of input and weights) and Adam, for random spikes (5 %) and a random gradient of
the output; 80 steps, batch 256, delays 0-24. The dense layer has a weight for every pair and lag, as a network with
fixed delays has in PyTorch. With `--kernel gaussian` both learn delays (DCLS), at the last width, and the dense layer
makes its weights over lags from a weight and a delay a pair. With `--device cuda` both run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.functional import conv1d, pad

from genn_delays import UniformInt
from genn_delays.torch import SparseDelayed

T, B, LAST = 80, 256, 24


class Dense(torch.nn.Module):
    """All pairs over all delays."""

    def __init__(self, size_in: int, size_out: int, width: float | None) -> None:
        super().__init__()
        pairs = (size_out, size_in)
        self.width = width
        self.weight = torch.nn.Parameter(torch.randn((*pairs, LAST + 1) if width is None else pairs) * 0.02)
        if width is not None:
            self.delay = torch.nn.Parameter(torch.rand(pairs) * LAST)

    def forward(self, x: Any) -> Any:
        """``[batch, in, time]`` to ``[batch, out, time]``."""
        weight = self.weight
        if self.width is not None:
            lags = torch.arange(LAST, -1.0, -1.0, device=self.delay.device)
            share = torch.exp(-(((lags - self.delay[..., None]) / self.width) ** 2) / 2)
            weight = weight[..., None] * share / share.sum(-1, keepdim=True)
        return conv1d(pad(x, (LAST, 0)), weight)


def step_of(layer: Any, x: Any, gradient: Any) -> Callable[[], None]:
    """A whole training step."""
    optimizer = torch.optim.Adam(layer.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        layer(x).backward(gradient)
        optimizer.step()

    return step


def seconds(step: Callable[[], None], device: str) -> float:
    """Of one call, until a GPU is done with it."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - start


def measure(
    size_in: int, size_out: int, kernel: str | None, sparsities: list[float], repeats: int, device: str = "cpu"
) -> dict[str, Any]:
    """Medians and all samples in seconds, by sparsity and for the dense layer."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(size_in, T, B, generator=generator) < 0.05).float().to(device)
    gradient = torch.randn(size_out, T, B, generator=generator).to(device)
    steps = {}
    for sparsity in sparsities:
        layer = SparseDelayed(size_in, size_out, sparsity, UniformInt(0, LAST), delay_kernel=kernel, seed=0)
        layer = layer.to(device)
        if kernel is not None:
            layer.sigma = 0.23
        own = x.permute(1, 2, 0).requires_grad_()
        steps[str(sparsity)] = step_of(layer, own, gradient.permute(1, 2, 0))
    dense = Dense(size_in, size_out, None if kernel is None else 0.5).to(device)
    turned = (t.permute(2, 0, 1).contiguous() for t in (x.detach(), gradient))
    steps["dense"] = step_of(dense, next(turned).requires_grad_(), next(turned))
    for step in steps.values():
        step()
    samples = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            samples[name].append(seconds(step, device))
    return {
        "in": size_in, "out": size_out, "kernel": kernel, "device": device, "threads": torch.get_num_threads(),
        "median": {name: median(values) for name, values in samples.items()}, "samples": samples,
    }  # fmt: skip


def main() -> None:
    """All layers, as a table and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="40x256,256x256")
    parser.add_argument("--kernel", action="append", choices=["none", "gaussian"])
    parser.add_argument("--sparsity", default="0,0.5,0.75,0.875,0.969,0.99")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = []
    for size in options.sizes.split(","):
        for kernel in options.kernel or ["none", "gaussian"]:
            size_in, size_out = (int(n) for n in size.split("x"))
            sparsities = [float(s) for s in options.sparsity.split(",")]
            own = None if kernel == "none" else kernel
            done = measure(size_in, size_out, own, sparsities, options.repeats, options.device)
            found.append(done)
            dense = done["median"]["dense"]
            print(f"{size} {kernel}: dense {1e3 * dense:.0f} ms", flush=True)
            for name, value in done["median"].items():
                print(f"  {name}: {1e3 * value:.2f} ms, dense / sparse {dense / value:.1f}", flush=True)
            if options.out:
                options.out.write_text(json.dumps({"torch": str(torch.__version__), "runs": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
