"""`fsdd_paper`'s network out of SparseDelayed and plain PyTorch neurons, trained by PyTorch's Adam with rewire.

    python experiments/torch_layer/fsdd.py --seeds 0,1,2 --epochs 60 --out experiments/torch_layer/fsdd.json

The same data, sizes, equations, initial weights' bounds, schedules and rule as models/fsdd_paper.toml; random numbers
of their own. Accuracies are those of the test set after the last epoch, and of the best one, chosen on the test set.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genn_delays import DeepR, KaimingUniform, UniformInt
from genn_delays.datasets import load_dataset
from genn_delays.torch import Adam, SparseDelayed, rewire, shrink

DECAY, ALPHA = 1 - 1 / 10.05, 5.0


class Spike(torch.autograd.Function):
    """The step function, with the derivative of an arctan."""

    @staticmethod
    def forward(ctx: Any, u: Any) -> Any:
        ctx.save_for_backward(u)
        return (u >= 0).float()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (u,) = ctx.saved_tensors
        return gradient * (ALPHA / 2) / (1 + (math.pi * ALPHA / 2 * u) ** 2)


class FSDD(nn.Module):
    """40 mel bands, 256 leaky integrate-and-fire neurons with batch norm and dropout, 10 leaky integrators."""

    def __init__(self, sparsity: float) -> None:
        super().__init__()
        options = {"delay": UniformInt(0, 24), "delay_kernel": "gaussian", "dale": True}
        self.hidden = SparseDelayed(40, 256, sparsity, weight=KaimingUniform(), **options)
        self.digit = SparseDelayed(256, 10, sparsity, weight=KaimingUniform(0.3), **options)
        self.norm = nn.BatchNorm1d(256)

    def forward(self, x: Any) -> Any:
        """``[time, batch, 40]`` to ``[batch, 10]``."""
        current = self.hidden(x)
        current = self.norm(current.reshape(-1, 256)).reshape(current.shape)
        u = s = torch.zeros(current.shape[1:])
        spikes = []
        for now in current:
            u = DECAY * u * (1 - s.detach()) + now
            s = Spike.apply(u - 1.0)
            spikes.append(s)
        sent = torch.stack(spikes)
        if self.training:  # one mask an example
            sent = sent * nn.functional.dropout(torch.ones(sent.shape[1:]), 0.4)
        u = z = torch.zeros(sent.shape[1], 10)
        for now in self.digit(sent):
            u = DECAY * u + now
            z = z + u.softmax(1)
        return z


def accuracy(model: FSDD, x: Any, y: Any) -> float:
    """Share of right answers."""
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def train(seed: int, epochs: int, sparsity: float, data_dir: str | None, kind: Any) -> dict[str, Any]:
    """One training."""
    torch.manual_seed(seed)
    data = load_dataset("fsdd", data_dir, quiet=True)
    x, y = torch.from_numpy(data.x_train).transpose(0, 1).contiguous(), torch.from_numpy(data.y_train).long()
    x_test, y_test = torch.from_numpy(data.x_test).transpose(0, 1).contiguous(), torch.from_numpy(data.y_test).long()
    model = FSDD(sparsity)
    delays = [model.hidden.delay, model.digit.delay]
    others = [p for p in model.parameters() if all(p is not d for d in delays)]
    weights, positions = kind(others, 5e-3), kind(delays, 0.1)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(weights, 5e-3, epochs),
        torch.optim.lr_scheduler.CosineAnnealingLR(positions, epochs),
    ]
    rule = DeepR(l1=0.01, dale=True, growth="gradient")
    start, found, replaced = time.perf_counter(), [], 0
    for epoch in range(epochs):
        model.train()
        shrink(model, epoch, epochs)
        for batch in torch.randperm(y.numel()).split(256):
            loss = nn.functional.cross_entropy(model(x[:, batch]), y[batch])
            for optimizer in (weights, positions):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (weights, positions):
                optimizer.step()
            replaced += rewire(model, rule, [weights, positions])
        for schedule in schedules:
            schedule.step() if epoch < epochs - 1 else None
        found.append(accuracy(model, x_test, y_test))
        print(f"seed {seed} epoch {epoch + 1}: loss {loss.item():.3f}, test accuracy {found[-1]:.3f}", flush=True)
    return {
        "seed": seed,
        "epochs": epochs,
        "optimizer": f"{kind.__module__.split('.')[0]} {kind.__name__}",
        "sparsity": sparsity,
        "last": found[-1],
        "best": max(found),
        "replaced": replaced,
        "synapses": model.hidden.topology.size + model.digit.topology.size,
        "seconds": time.perf_counter() - start,
        "accuracies": found,
    }


def main() -> None:
    """Trainings one after the other; every one is written when it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--sparsity", type=float, default=0.875)
    parser.add_argument("--data-dir")
    parser.add_argument(
        "--own-count", action="store_true", help="genn_delays.torch.Adam, which counts the steps of every synapse"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fsdd.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = []
    for seed in options.seeds.split(","):
        kind = Adam if options.own_count else torch.optim.Adam
        runs.append(train(int(seed), options.epochs, options.sparsity, options.data_dir, kind))
        options.out.write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
