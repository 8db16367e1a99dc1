"""Nonlinear neurons on every backend: spikes and variables are those of `reference`, gradients to 1e-5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nonlinear_cases as cases
import numpy as np
import pytest
from networks import largest_difference

import genn_delays as gd

STEPS = 20
NEURONS = cases.neurons()
RK4 = {f"{name}_rk4": replace(neuron, integration="rk4") for name, neuron in NEURONS.items()}


@pytest.mark.parametrize("batch", [3, 17])
def test_every_neuron_is_the_same_everywhere(kernels: Any, batch: int) -> None:
    """In batches of few examples; and on cycles, with exponential synapses."""
    many, found = batch > 8, []
    for backend in (kernels, "reference"):
        network = cases.network(NEURONS, gd.Exponential(3.0) if many else "delta", recurrent=many)
        with gd.SurrogateCompiler(STEPS, batch, backend=backend, detach_reset=many).compile(network) as compiled:
            found.append(cases.run(compiled, batch, STEPS, gradients=True))
    (activity, gradients), (activity_r, gradients_r) = found
    for name, expected in activity_r.items():
        np.testing.assert_array_equal(activity[name], expected, err_msg=name)
        if name.startswith("spikes"):
            assert expected.any(), f"{name}: none"
    for name, expected in gradients_r.items():
        assert largest_difference(gradients[name], expected) < 1e-5, name
        assert np.abs(expected).max() > 0, f"{name}: nothing is learned"


def test_runge_kutta_is_the_same_everywhere(kernels: Any) -> None:
    found = []
    for backend in (kernels, "reference"):
        network = cases.network(RK4, gd.Exponential(3.0))
        with gd.SurrogateCompiler(STEPS, 17, backend=backend).compile(network) as compiled:
            found.append(cases.run(compiled, 17, STEPS, gradients=False)[0])
    for name, expected in found[1].items():
        np.testing.assert_array_equal(found[0][name], expected, err_msg=name)
    assert sum(bool(s.any()) for name, s in found[1].items() if name.startswith("spikes")) > 4
