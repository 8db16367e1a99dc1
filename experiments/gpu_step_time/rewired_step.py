"""A few training steps that use every kind of kernel, small enough for compute-sanitizer, which slows them down."""

from __future__ import annotations

import sys

import numpy as np

from genn_delays import (
    Adam,
    Connection,
    DeepR,
    FixedNumber,
    GaussianKernel,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    RigL,
    SurrogateCompiler,
    UniformInt,
)  # fmt: skip


def main() -> None:
    """Two epochs of two batches, the last of them smaller."""
    network = Network(seed=0)
    with network:
        x = Population(Input(), 20, name="x")
        h = Population(LeakyIntegrateFire(tau_mem=10.0), 33, name="h", batch_norm=True, dropout=0.3)
        k = Population(LeakyIntegrateFire(tau_mem=10.0), 40, name="k")
        y = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 5, name="y")
        delay, weight = UniformInt(0, 7), KaimingUniform(2.0)
        Connection(x, h, FixedNumber(sparsity=0.8, weight=weight, delay=delay), delay_kernel=GaussianKernel(3.0))
        Connection(h, k, FixedNumber(sparsity=0.8, weight=weight, delay=delay))
        Connection(k, y, FixedNumber(sparsity=0.5, weight=weight, delay=delay))
    compiler = SurrogateCompiler(example_timesteps=37, batch_size=40, backend=sys.argv[1] if sys.argv[1:] else "cuda")
    rules = {"x_h": DeepR(growth="gradient"), "h_k": RigL(interval=1), "k_y": DeepR()}
    optimisers = {name: {"weight": Adam(1e-2)} for name in rules}
    optimisers["x_h"]["delay"] = Adam(0.1)
    random = np.random.default_rng(0)
    inputs, labels = random.random((70, 37, 20), dtype=np.float32), random.integers(0, 5, 70)
    with compiler.compile(network, optimisers=optimisers, rewiring=rules) as compiled:
        metrics, _ = compiled.train({x: inputs}, {y: labels}, num_epochs=2)
        print("rewired", dict(compiled.rewirings), "loss", metrics[y].loss)


if __name__ == "__main__":
    main()
