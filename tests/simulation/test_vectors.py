"""Nonlinear neurons as users get them, compiled to vectors, against `reference`: every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from simulated import contents, differences

from genn_delays import AdaptiveExponential, Current, HodgkinHuxley, Network, Population, SimulationCompiler
from genn_delays.backends.cpu import CPU


@pytest.mark.parametrize(
    ("neuron", "dt", "low", "high"),
    [
        (AdaptiveExponential(), 0.1, 0.0, 1500.0),
        (HodgkinHuxley(integration="rk4", v=np.linspace(-90.0, 40.0, 300).tolist()), 0.02, 0.0, 20.0),
    ],
    ids=["AdEx", "Hodgkin-Huxley"],
)
def test_every_bit_of_vectors(neuron: Any, dt: float, low: float, high: float) -> None:
    """300 neurons: whole vectors and the rest, with exponentials on both sides of their choices."""
    found = {}
    for backend in ("reference", CPU(threads=1)):
        network = Network(seed=0)
        with network:
            Population(neuron, 300, drives=[Current(np.linspace(low, high, 300).tolist())], name="p")
        with SimulationCompiler(dt, backend=backend).compile(network, {"p": "spikes"}) as simulation:
            simulation.run(500 * dt)
            found[str(backend)] = contents(simulation)
    one, other = found.values()
    assert differences(one, other) == []
    assert one["spike times of p"].size > 50
