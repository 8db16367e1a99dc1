"""Nonlinear neurons in simulations: every bit as `reference`, and spikes as their authors describe them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nonlinear_cases import neurons
from simulated import contents, differences

import genn_delays as gd

BACKENDS = {"reference": "reference", "cpu 1": gd.CPU(threads=1), "cpu 2": gd.CPU(threads=2)}


def driven(seed: int, integration: str) -> gd.Network:
    """The four neurons in their own units, driven by currents, noise and spikes, and connected in a circle."""
    network = gd.Network(seed=seed)
    peak = -42.0 if integration == "rk4" else 20.0  # the inner stages of rk4 overflow on the way to a high peak
    with network:
        noise = gd.Population(gd.PoissonInput(300.0), 70, "noise")
        every = [
            gd.Population(
                gd.AdaptiveExponential(integration=integration, v_peak=peak, tau_refrac=0.7), 90, "adex",
                drives=[gd.Current(gd.Uniform(500.0, 1100.0)), gd.PoissonDrive(3000.0, 30.0, gd.Exponential(2.0))],
            ),
            gd.Population(
                gd.Izhikevich(integration=integration, a=gd.Uniform(0.02, 0.1)), 130, "izhikevich",
                drives=[gd.Current(6.0), gd.NoiseCurrent(sd=5.0)],
            ),
            gd.Population(
                gd.QuadraticIntegrateFire(integration=integration), 40, "quadratic", bias=gd.Uniform(0.0, 3.0),
                drives=gd.StepCurrent(np.linspace(0.0, 2.0, 30), repeat=True),
            ),
            gd.Population(
                gd.HodgkinHuxley(integration=integration), 65, "hodgkin_huxley",
                drives=gd.Current(gd.Uniform(5.0, 12.0)),
            ),
        ]  # fmt: skip
        for k, p in enumerate(every):
            scale = (200.0, 5.0, 1.0, 5.0)[k]
            for q in (noise, every[k - 1], p):
                rule = gd.FixedProbability(0.2, weight=gd.Normal(0.0, scale), delay=gd.UniformInt(1, 30))
                gd.Connection(q, p, rule)
    return network


def run(network: gd.Network, backend: Any, dt: float, steps: int) -> dict[str, Any]:
    record: dict[Any, Any] = {}
    for p in network.populations:
        record[p] = "spikes"
        if not p.neuron.is_input:
            record[p] = ["spikes", *(gd.Trace(s, every=2) for s in p.neuron.equations().variables)]
    with gd.SimulationCompiler(dt, backend=backend, rng_seed=3).compile(network, record) as simulation:
        simulation.run(steps * dt)
        return contents(simulation)


@pytest.mark.parametrize("integration", ["euler", "rk4"])
def test_every_bit(integration: str) -> None:
    network = driven(1, integration)
    found = {name: run(network, backend, 0.02, 1500) for name, backend in BACKENDS.items()}
    for name in BACKENDS:
        assert differences(found["reference"], found[name]) == [], name
    for p in network.populations:
        assert found["reference"][f"spike times of {p.name}"].size > 10, p.name


def test_every_function_and_every_gate() -> None:
    """All functions of equations, refractory periods and neurons that spike as they rise, in steps of 1 ms."""
    network = gd.Network(seed=2)
    with network:
        for name, neuron in neurons().items():
            p = gd.Population(neuron, 33, name, drives=[gd.Current(0.4), gd.NoiseCurrent(sd=0.5)])
            gd.Connection(p, p, gd.FixedProbability(0.3, weight=0.1, delay=gd.UniformInt(1, 9)))
    found = {name: run(network, backend, 1.0, 120) for name, backend in BACKENDS.items()}
    for name in BACKENDS:
        assert differences(found["reference"], found[name]) == [], name
    assert sum(found["reference"][f"spike times of {p.name}"].size > 0 for p in network.populations) > 4


def test_a_rising_neuron_spikes_once_in_each_action_potential() -> None:
    """Hodgkin and Huxley's axon under a constant current fires about 68 times a second at 10 uA/cm2; each of its
    action potentials stays above the threshold for many steps."""
    network = gd.Network()
    with network:
        p = gd.Population(gd.HodgkinHuxley(integration="rk4"), 1, "axon", drives=gd.Current(10.0))
    with gd.SimulationCompiler(0.02).compile(network, {p: ["spikes", "v"]}) as simulation:
        simulation.run(500.0)
        times, (_, v) = simulation.spikes(p)[0], simulation.trace(p, "v")
    above = v[:, 0] >= 0
    assert times.size == np.count_nonzero(above[1:] & ~above[:-1])
    assert np.count_nonzero(above) > 20 * times.size
    assert 32 <= times.size <= 36


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_what_overflows_and_steps_that_are_too_long_are_named(backend: str) -> None:
    network = gd.Network()
    with network:
        neuron = gd.UserNeuron(vars={"v": ("v * v - 1 + Isyn", None)}, output_var_name="v", integration="euler")
        gd.Population(neuron, 5, "q", drives=gd.Current([0.0, 0.0, 40.0, 0.0, 0.0]))
    with (
        gd.SimulationCompiler(0.1, backend=backend).compile(network) as simulation,
        pytest.raises(gd.GennDelaysError, match=r"'v' of neuron 2 of population 'q' is not finite since step \d+"),
    ):
        simulation.run(500.0)
    network = gd.Network()
    with network:
        equations, values = {"v": ("-v / tau + Isyn", None)}, {"tau": 0.05}
        neuron = gd.UserNeuron(vars=equations, param_vals=values, output_var_name="v", integration="euler")
        gd.Population(neuron, 2, "fast")
    with pytest.raises(gd.GennDelaysError, match=r"population 'fast': a step of 0.1 ms is too long.*v decays"):
        gd.SimulationCompiler(0.1, backend=backend).compile(network)
