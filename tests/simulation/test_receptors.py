"""Several synapse models onto one population: every bit as `reference`, and the courses that they are defined by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from simulated import contents, differences

import genn_delays as gd

BACKENDS = {"reference": "reference", "cpu 1": gd.CPU(threads=1), "cpu 2": gd.CPU(threads=2)}
MODELS: list[Any] = [
    "delta", gd.Exponential(3.0), gd.Exponential(gd.Uniform(5.0, 9.0)), gd.Alpha(2.0), gd.Alpha(gd.Uniform(1.0, 4.0)),
    gd.Conductance(5.0, 1.5), gd.Conductance(10.0, gd.Uniform(-1.0, -0.2)),
]  # fmt: skip
LINEAR = MODELS[:5]


def leaky(integration: str) -> Any:
    return gd.UserNeuron(
        vars={"v": ("(-v + Isyn) / tau", "0")}, threshold="v - 1", param_vals={"tau": gd.Uniform(8.0, 12.0)},
        output_var_name="v", integration=integration,
    )  # fmt: skip


def random_network(seed: int) -> gd.Network:
    """Two populations with up to five kinds of synapses and drives, with and without currents and a bias."""
    draw = np.random.default_rng(seed)
    integration = ("euler", "rk4", "exact", "linear_euler")[seed % 4]
    known = MODELS if seed % 4 < 2 else LINEAR
    network = gd.Network(seed=seed)
    with network:
        source = gd.Population(gd.PoissonInput(60.0), 50, "in")
        every = [source]
        for name in ("a", "b"):
            drives: list[Any] = [gd.Current(gd.Uniform(0.0, 1.5))] if draw.random() < 0.5 else []
            if draw.random() < 0.5:
                kind = known[int(draw.integers(len(known)))]
                drives.append(gd.PoissonDrive(800.0, 0.3 * _unit(kind), kind))
            bias: Any = gd.Uniform(0.0, 0.1) if draw.random() < 0.5 else 0.0
            size = int(draw.integers(20, 150))
            every.append(gd.Population(leaky(integration), size, name, drives=drives, bias=bias))
        for target in every[1:]:
            for k, number in enumerate(draw.choice(len(known), int(draw.integers(1, 6)))):
                rule = gd.FixedProbability(
                    0.2, weight=gd.Uniform(0.0, 0.6 * _unit(known[number])), delay=gd.UniformInt(1, 20)
                )
                gd.Connection(every[k % 3], target, rule, known[number], f"{target.name}{k}")
    return network


def _unit(synapse: Any) -> float:
    """Conductances above 2 / dt would let the potential oscillate and grow."""
    return 0.05 if isinstance(synapse, gd.Conductance) else 1.0


def run(network: gd.Network, backend: Any, steps: int) -> dict[str, Any]:
    record: dict[Any, Any] = {p: "spikes" if p.neuron.is_input else ["spikes", "v"] for p in network.populations}
    with gd.SimulationCompiler(0.5, backend=backend).compile(network, record) as simulation:
        simulation.run(steps * 0.5)
        return contents(simulation)


@pytest.mark.parametrize("seed", range(12))
def test_every_bit(seed: int) -> None:
    network = random_network(seed)
    found = {name: run(network, backend, 150) for name, backend in BACKENDS.items()}
    for name in BACKENDS:
        assert differences(found["reference"], found[name]) == [], name
    assert sum(found["reference"][f"spike times of {name}"].size for name in "ab") > 0


def one_spike(synapses: list[Any], integration: str, dt: float, variables: dict[str, Any], **values: Any) -> Any:
    """A neuron's `v` after one spike of weight 1 at 0 ms through each synapse, delay 0."""
    network = gd.Network()
    with network:
        source = gd.Population(gd.SpikeSource([0.0], [0]), 1, "in")
        neuron = gd.UserNeuron(
            vars=variables, param_vals={"tau": 10.0}, var_vals=values, output_var_name="v", integration=integration
        )
        p = gd.Population(neuron, 1, "p")
        for k, synapse in enumerate(synapses):
            gd.Connection(source, p, gd.OneToOne(weight=1.0, delay=0), synapse, f"c{k}")
    with gd.SimulationCompiler(dt).compile(network, {p: "v"}) as simulation:
        simulation.run(30.0)
        times, v = simulation.trace(p, "v")
    return np.asarray(times), v[:, 0]


def test_alpha_has_its_course_beside_another_kind() -> None:
    """``dv/dt = -v / 10 + Isyn`` with an alpha current (2 ms) and an exponential one (5 ms), in closed form."""
    times, v = one_spike([gd.Alpha(2.0), gd.Exponential(5.0)], "exact", 0.1, {"v": ("-v / tau + Isyn", None)})
    t, rate, a, b = times, 0.1, 1 / 2.0, 1 / 5.0
    kernel = (t / (rate - a) - 1 / (rate - a) ** 2) * np.exp(-a * t) + np.exp(-rate * t) / (rate - a) ** 2
    expected = np.e / 2.0 * kernel + (np.exp(-b * t) - np.exp(-rate * t)) / (rate - b)
    np.testing.assert_allclose(v, expected, atol=2e-5)


@pytest.mark.parametrize(("integration", "dt", "error"), [("rk4", 0.1, 1e-5), ("euler", 0.01, 2e-3)])
def test_conductances_draw_to_their_reversal_potentials(integration: str, dt: float, error: float) -> None:
    """Against SciPy: two conductances of other time constants and reversal potentials."""
    from scipy.integrate import solve_ivp

    synapses = [gd.Conductance(5.0, 1.0), gd.Conductance(8.0, -0.5)]
    times, v = one_spike(synapses, integration, dt, {"v": ("-v / tau + Isyn", None)}, v=0.2)

    def slope(t: float, y: Any) -> list[float]:
        return [-y[0] / 10 + y[1] * (1.0 - y[0]) + y[2] * (-0.5 - y[0]), -y[1] / 5, -y[2] / 8]

    start = float(v[0])
    expected = solve_ivp(slope, (0, times[-1]), [start, 1, 1], t_eval=times, rtol=1e-9, atol=1e-9).y[0]
    np.testing.assert_allclose(v, expected, atol=error)
    assert v.max() > 0.21 and v.min() < -0.05


def test_the_only_kind_of_synapse_has_the_numbers_of_training() -> None:
    """Each parameter of its initialisers as well."""
    network = gd.Network(seed=4)
    with network:
        source = gd.Population(gd.SpikeInput(), 3, "in")
        p = gd.Population(leaky("euler"), 9, "p")
        gd.Connection(source, p, gd.Dense(), gd.Conductance(gd.Uniform(1.0, 9.0), gd.Uniform(-1.0, 2.0)))
    from genn_delays.plan.receptors import joined

    values, training = joined(p).values, p.parameters()
    assert values.keys() == training.keys()
    assert all(np.array_equal(values[name], training[name]) for name in values)
    assert joined(p).equations == p.equations()
