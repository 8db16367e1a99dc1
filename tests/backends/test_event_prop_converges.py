"""EventProp on the grid of time steps comes to the event-exact gradient as the steps become shorter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convergence import check_convergence

from genn_delays import (
    AdaptiveLeakyIntegrateFire,
    Connection,
    Exponential,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    Uniform,
)

DURATION = 40.0
CASES = {
    "lif": (LeakyIntegrateFire(tau_mem=8.0, integration="exact"), True, 32),
    "linear_euler": (LeakyIntegrateFire(tau_mem=8.0), True, 32),
    "scale_i": (LeakyIntegrateFire(tau_mem=Uniform(5.0, 9.0), scale_i=True, integration="exact"), False, 50),
    "v_reset": (LeakyIntegrateFire(tau_mem=8.0, v_reset=-0.4, integration="exact"), True, 23),
    "relative": (LeakyIntegrateFire(tau_mem=8.0, relative_reset=True, integration="exact"), False, 7),
    "refractory": (LeakyIntegrateFire(tau_mem=8.0, tau_refrac=3.0, v_reset=0.2, integration="exact"), True, 9),
    "adaptive": (AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3, integration="exact"), True, 7),
    "adaptive_refractory": (
        AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3, tau_refrac=3.0, integration="exact"),
        True,
        2,
    ),
}
"""Neuron, whether it is recurrent, and the seed of a network in which it spikes steeply."""


def described(neuron: Any, recurrent: bool, seed: int, dt: float, output: Any) -> Network:
    random = np.random.default_rng(seed)
    network = Network(seed=seed)
    with network:
        a = Population(SpikeInput(), 6, name="in")
        b = Population(neuron, 4, name="hidden")
        c = Population(output, 3, name="out")
        strong = 8.0 if neuron.scale_i else 1.0
        parts = [(a, b, 0.15 * strong, 0.08 * strong), (b, c, 0.0, 0.3)]
        if recurrent:
            parts.append((b, b, -0.03 * strong, 0.05 * strong))
        for source, target, mean, spread in parts:
            pre, post = (grid.ravel() for grid in np.meshgrid(np.arange(source.size), np.arange(target.size)))
            weight, delay = random.normal(mean, spread, pre.size), random.integers(1, 6, pre.size)
            steps = np.rint(delay / dt).astype(int)
            Connection(source, target, Sparse(pre, post, weight, steps), Exponential(4.0), max_delay_steps=steps.max())
    return network


def data(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    random, examples = np.random.default_rng(seed), []
    for _ in range(2):
        key = np.unique(random.integers(0, 25, 12) * 6 + random.integers(0, 6, 12))
        examples.append((key // 6 * 1.0, key % 6))
    return {"in": examples}, {"out": random.integers(0, 3, 2)}


@pytest.mark.parametrize("name", CASES)
def test_gradients_come_to_the_exact_ones(name: str, backend: str) -> None:
    neuron, recurrent, seed = CASES[name]
    output = LeakyIntegrate(tau_mem=12.0, readout="avg_var", integration="exact")
    check_convergence(lambda dt: described(neuron, recurrent, seed, dt, output), *data(seed), DURATION, backend)


@pytest.mark.parametrize(("name", "seed"), [("lif", 7), ("adaptive_refractory", 21)])
def test_so_do_those_of_first_spike_times(name: str, seed: int, backend: str) -> None:
    neuron, recurrent, _ = CASES[name]
    output = LeakyIntegrateFire(tau_mem=12.0, v_thresh=0.4, integration="exact", readout="first_spike_time")
    # of spikes that are there: phantom ones feel hidden spikes that barely reach their threshold, which steps miss
    check_convergence(
        lambda dt: described(neuron, recurrent, seed, dt, output), *data(seed), DURATION, backend, phantom_spike=0.0
    )
