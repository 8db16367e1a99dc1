"""Three hidden layers of 16,384, of whose pairs one in 10,000 is connected."""

from itertools import pairwise

SIZES = (700, 16384, 16384, 16384, 20)


def build():
    names = ["in", *(f"hidden{n}" for n in range(1, len(SIZES) - 1)), "out"]
    neurons = ["input", *["leaky_integrate_fire"] * (len(SIZES) - 2), "leaky_integrate"]
    populations = [{"name": n, "neuron": k, "size": s} for n, k, s in zip(names, neurons, SIZES, strict=True)]
    for p in populations[1:]:
        p["tau_mem"] = 10.05
    populations[-1]["readout"] = "sum_softmax"
    delay = {"kind": "uniform_int", "low": 0, "high": 24}
    how = {"connectivity": "fixed_number", "sparsity": 0.9999, "weight": "kaiming_uniform", "delay": delay}
    return {
        "model": {"name": "very_wide"},
        "populations": populations,
        "connections": [{"source": a, "target": b, **how} for a, b in pairwise(names)],
        "compiler": {"example_timesteps": 100, "batch_size": 16},
        "training": {"dataset": "shd", "num_epochs": 60, "optimiser": {"kind": "adam", "alpha": 1e-3}},
        "rewiring": {"rule": "deep_r"},
    }
