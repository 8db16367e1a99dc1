"""Networks that are measured, and random data in their shape: no data set is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..network import Network
from ..neurons import SpikeInput
from ..plan.plan import Plan
from ..runs.config import Config, config_of
from ..training.compiled_network import CompiledNetwork

DESIGN = "40-256-10"
"""The network of the delay-learning papers without its batch norm and dropout."""
SPIKES = "40-256-10_spikes"
"""The same for EventProp: exponential synapses, spikes as inputs."""
WIDE = "256-2048-2048-20"
"""A larger one, for its memory."""


def built_in(name: str) -> Config:
    """One of the networks above."""
    tables = {DESIGN: _design, SPIKES: _spikes, WIDE: _wide}[name]()
    return config_of(f"network {name}", tables)


def _design() -> dict[str, Any]:
    delay = {"kind": "uniform_int", "low": 0, "high": 24}
    how = {"connectivity": "fixed_number", "sparsity": 0.875, "weight": "kaiming_uniform", "delay": delay}
    return {
        "model": {"name": DESIGN},
        "populations": [
            {"name": "mel", "neuron": "input", "size": 40},
            {"name": "hidden", "neuron": "leaky_integrate_fire", "size": 256, "tau_mem": 10.05},
            {"name": "digit", "neuron": "leaky_integrate", "size": 10, "tau_mem": 10.05, "readout": "sum_softmax"},
        ],
        "connections": [{"source": "mel", "target": "hidden", **how}, {"source": "hidden", "target": "digit", **how}],
        "compiler": {"example_timesteps": 80, "batch_size": 256},
        "training": {"dataset": "fsdd", "num_epochs": 60, "optimiser": {"kind": "adam", "alpha": 1e-3}},
        "rewiring": {"rule": "deep_r"},
    }


def _spikes() -> dict[str, Any]:
    tables = _design()
    membrane = {"tau_mem": 20.0, "scale_i": True, "integration": "exact"}
    tables["model"] = {"name": SPIKES}
    tables["populations"] = [
        {"name": "mel", "neuron": "spike_input", "size": 40},
        {"name": "hidden", "neuron": "leaky_integrate_fire", "size": 256, **membrane},
        {"name": "digit", "neuron": "leaky_integrate", "size": 10, **membrane, "readout": "avg_var"},
    ]
    weight, synapse = {"kind": "kaiming_uniform", "gain": 28.0}, {"kind": "exponential", "tau": 5.0}
    tables["connections"] = [{**c, "weight": weight, "synapse": synapse} for c in tables["connections"]]
    tables["compiler"]["kind"] = "eventprop"
    tables["training"]["dataset"] = "fsdd_spikes"
    return tables


def layered(name: str, sizes: tuple[int, ...], sparsity: float, time_steps: int, batch_size: int) -> dict[str, Any]:
    """The tables of a model file: layers of real inputs, of leaky integrate-and-fire neurons and of outputs.

    Args:
        sizes: neurons of the inputs, of every hidden layer and of the outputs.
        sparsity: of the connection between any two layers that follow each other; delays are 0 to 24 steps.
    """
    names = ["in", *(f"hidden{n}" for n in range(1, len(sizes) - 1)), "out"]
    neurons = ["input", *["leaky_integrate_fire"] * (len(sizes) - 2), "leaky_integrate"]
    populations = [{"name": n, "neuron": k, "size": s} for n, k, s in zip(names, neurons, sizes, strict=True)]
    populations[1:] = [{**p, "tau_mem": 10.05} for p in populations[1:]]
    populations[-1]["readout"] = "sum_softmax"
    delay = {"kind": "uniform_int", "low": 0, "high": 24}
    how = {"connectivity": "fixed_number", "sparsity": sparsity, "weight": "kaiming_uniform", "delay": delay}
    return {
        "model": {"name": name},
        "populations": populations,
        "connections": [{"source": a, "target": b, **how} for a, b in pairwise(names)],
        "compiler": {"example_timesteps": time_steps, "batch_size": batch_size},
        "training": {"dataset": "shd", "num_epochs": 60, "optimiser": {"kind": "adam", "alpha": 1e-3}},
        "rewiring": {"rule": "deep_r"},
    }


def _wide() -> dict[str, Any]:
    return layered(WIDE, (256, 2048, 2048, 20), 0.99, 50, 16)


@dataclass(frozen=True)
class Case:
    """A network as it is timed.

    Attributes:
        config: with its backend and batch.
        epoch: ``"first"`` or ``"last"`` of its training: where learning rates and the width of delay kernels stand.
        ready: called with the compiled network before anything is timed.
        batches: of a sample.
        look: called with the compiled network and its inputs after timing; its result is added to the facts of the
        record.
    """

    config: Config
    epoch: str = "first"
    ready: Callable[[CompiledNetwork], None] = lambda compiled: None
    batches: int = 2
    look: Callable[[CompiledNetwork, dict[Any, Any]], dict[str, Any]] = lambda compiled, x: {}


HIGHEST = 1.6
"""Real-valued inputs are drawn from [0, 1.6), the range of the mel spectrograms."""


def spike_share(size: int) -> float:
    """Share of neuron-steps of a spike input that have a spike: a tenth, and a fiftieth of large ones."""
    return 0.1 if size < 100 else 0.02


def random_data(network: Network, plan: Plan, examples: int, seed: int = 0) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Inputs and labels (or targets) of so many examples, the same for a seed."""
    random = np.random.default_rng(seed)
    T = plan.time_steps
    x: dict[Any, Any] = {}
    for p in network.inputs:
        values = random.random((examples, T, p.size), dtype=np.float32)
        spikes = isinstance(p.neuron, SpikeInput)
        x[p] = (values < spike_share(p.size)).astype(np.float32) if spikes else values * np.float32(HIGHEST)
    y: dict[Any, Any] = {}
    for p in network.outputs:
        loss = plan.populations[p.index].loss
        assert loss is not None
        if loss.labelled:
            y[p] = random.integers(0, p.size, examples)
        else:
            shape = (examples, T, p.size) if loss.stepwise else (examples, p.size)
            y[p] = random.random(shape, dtype=np.float32)
    return x, y
