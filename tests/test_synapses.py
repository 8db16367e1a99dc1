"""Exponential synapses, refractory periods and adaptive neurons, with surrogate gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import SMOOTH, check_gradient, loss_at

from genn_delays import (
    Adam,
    AdaptiveExponential,
    AdaptiveLeakyIntegrateFire,
    Alpha,
    Conductance,
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Reference,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)
from genn_delays.errors import InvalidValueError
from genn_delays.synapses import joined

NEURONS = {
    "lif": LeakyIntegrateFire(tau_mem=8.0),
    "exact": LeakyIntegrateFire(tau_mem=Uniform(5.0, 9.0), scale_i=True, integration="exact"),
    "equal": LeakyIntegrateFire(tau_mem=4.0, scale_i=True, integration="exact"),
    "refractory": LeakyIntegrateFire(tau_mem=8.0, tau_refrac=2.6, integration="exact"),
    "adaptive": AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3, tau_refrac=2.0),
    "adaptive_exact": AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3, integration="exact"),
}


def described(neuron: Any, seed: int = 0, *, spikes: bool = False, recurrent: bool = False) -> Network:
    network = Network(seed=seed)
    with network:
        a = Population(SpikeInput() if spikes else Input(), 5, name="a")
        b = Population(neuron, 7, name="b")
        c = Population(LeakyIntegrate(tau_mem=12.0, readout="sum_softmax"), 3, name="c")
        weight = Normal(1.0, 5.0) if getattr(neuron, "scale_i", False) else Normal(0.1, 0.5)
        connectivity = Dense(weight=weight, delay=UniformInt(1, 4))
        for source, target in ((a, b), (b, c), *(((b, b),) if recurrent else ())):
            Connection(source, target, connectivity, Exponential(4.0))
    return network


def data(network: Network, steps: int = 25, lanes: int = 6) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(3)
    spikes = isinstance(network.populations[0].neuron, SpikeInput)
    x = random.random((lanes, steps, 5))
    x = (x < 0.3).astype(np.float32) if spikes else x.astype(np.float32)
    return {"a": x}, {"c": random.integers(0, 3, lanes)}


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("spikes", [False, True])
def test_cpu_equals_reference(name: str, spikes: bool) -> None:
    network = described(NEURONS[name], spikes=spikes, recurrent=spikes)
    x, y = data(network)
    found = []
    optimisers = {"all_connections": {"weight": Adam(), "delay": Adam()}, "b": {"tau_mem": Adam(), "tau_syn": Adam()}}
    for backend in ("cpu", "reference"):
        compiled = SurrogateCompiler(25, 4, backend=backend).compile(network, optimisers=optimisers)
        with compiled:
            gradients = [
                compiled.gradients(x, y, variable)[1] for variable in ("weight", "delay", "tau_mem", "tau_syn")
            ]
            spiked = compiled.engine.spikes(1)
            found.append((gradients, spiked, [compiled.engine.variable(1, s) for s in ("v", "i_syn")]))
    assert found[0][1].any()
    assert np.array_equal(found[0][1], found[1][1])
    for one, other in zip(found[0][2], found[1][2], strict=True):
        assert np.array_equal(one, other)
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one.keys() == other.keys()
        for owner, g in one.items():
            assert np.abs(g - other[owner]).max() <= 1e-5 * np.abs(other[owner]).max(), owner.name


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("variable", ["weight", "tau_mem", "tau_syn"])
def test_gradients_are_those_of_finite_differences(name: str, variable: str) -> None:
    network = described(NEURONS[name], recurrent=True)
    x, y = data(network)
    optimisers = {"all_connections": {"weight": Adam()}, "b": {"tau_mem": Adam(), "tau_syn": Adam()}}
    compiled = SurrogateCompiler(25, 6, backend=SMOOTH).compile(network, optimisers=optimisers)
    with compiled:
        compiled.gradients(x, y)
        check_gradient(compiled, x, y, variable)


def one_synapse(neuron: Any, synapse: Any, steps: int, dt: float = 1.0, weight: float = 1.0) -> Any:
    """A neuron that receives one spike at step 2, with a delay of 3 steps; its variables and spikes."""
    network = Network()
    with network:
        a = Population(SpikeInput(), 1, name="a")
        b = Population(neuron, 1, name="b")
        c = Population(LeakyIntegrate(readout="sum_var"), 1, name="c")
        Connection(a, b, Sparse([0], [0], weight, 3), synapse)
        if b.spiking:
            Connection(b, c, Dense(weight=1.0))
        else:
            Connection(a, c, Dense(weight=1.0))
    x = np.zeros((1, steps, 1), np.float32)
    x[0, 2] = 1
    compiled = SurrogateCompiler(steps, backend="reference", dt=dt).compile(network)
    with compiled:
        compiled.predict({"a": x})
        variables = {s: compiled.engine.variable(1, s)[0, :, 0] for s in compiled.plan.populations[1].model.states}
        return variables, compiled.engine.spikes(1)[0, :, 0] if b.spiking else None


@pytest.mark.parametrize("tau_mem", [10.0, 4.0, 4.0 + 1e-9])
def test_exact_integration_is_the_solution(tau_mem: float) -> None:
    """The potential after a spike, as the difference of two exponentials; equal time constants included."""
    dt, tau = 0.5, 4.0
    neuron = LeakyIntegrate(tau_mem=tau_mem, scale_i=True, integration="exact", readout="sum_var")
    variables, _ = one_synapse(neuron, Exponential(tau), 40, dt)
    t = (np.arange(40) - 5) * dt  # 0 where the spike arrives
    if tau_mem == 10.0:
        v = tau / (tau_mem - tau) * (np.exp(-t / tau_mem) - np.exp(-t / tau))
    else:
        v = t / tau * np.exp(-t / tau)
    assert np.allclose(variables["v"], np.where(t > 0, v, 0), atol=1e-6)
    assert np.allclose(variables["i_syn"], np.where(t >= 0, np.exp(-t / tau), 0), atol=1e-6)


def test_a_refractory_neuron_holds_its_potential_for_whole_steps() -> None:
    neuron = LeakyIntegrateFire(tau_mem=10.0, tau_refrac=3.4, v_reset=-0.5)
    variables, spiked = one_synapse(neuron, Exponential(50.0), 30, weight=2.0)
    first, second = np.flatnonzero(spiked)[:2]
    assert (variables["v"][first + 1 : first + 4] == -0.5).all(), "3.4 ms are 3 steps of 1 ms"
    assert variables["v"][first + 4] > -0.5
    assert second > first + 3


def test_an_adaptive_neuron_spikes_less_and_less() -> None:
    neuron = AdaptiveLeakyIntegrateFire(tau_mem=10.0, tau_adapt=200.0, beta=0.5)
    variables, spiked = one_synapse(neuron, Exponential(1000.0), 100, weight=0.4)
    gaps = np.diff(np.flatnonzero(spiked))
    assert gaps[0] < gaps[-1]
    assert variables["a"].max() > 3


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"synapse": "alhpa"}, ["synapse", "'alhpa'", "alpha, conductance, delta, exponential"]),
        ({"synapse": 3}, ["synapse", "Exponential(5.0)", "3"]),
        ({"tau": 0.0}, ["tau", "(0, inf)", "0"]),
        ({"tau": [1.0, -1.0, 1.0]}, ["tau_syn", "'c'", "above 0", "-1"]),
        ({"second": Exponential(3.0)}, ["a_c", "'c'", "one model"]),
        ({"tau_refrac": 0.0}, ["tau_refrac", "(0, inf)"]),
        ({"tau_refrac": 0.2}, ["tau_refrac", "one time step of 1 ms", "0.2"]),
    ],
)
def test_bad_input(change: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InvalidValueError) as error:
        synapse = change.get("synapse", Exponential(change.get("tau", 5.0)))
        network = Network()
        with network:
            a = Population(Input(), 2, name="a")
            b = Population(LeakyIntegrateFire(tau_refrac=change.get("tau_refrac")), 2, name="b")
            c = Population(LeakyIntegrate(readout="var"), 3, name="c")
            Connection(a, b, Dense(), synapse if "tau" not in change else "delta")
            Connection(a, c, Dense(), synapse)
            Connection(b, c, Dense(), change.get("second", synapse))
        SurrogateCompiler(10).compile(network)
    for part in parts:
        assert part in str(error.value)


# --- alpha synapses and conductances ----------------------------------------------------------------------------------


def onto(neuron: Any, synapse: Any, seed: int = 5) -> Network:
    network = Network(seed=seed)
    with network:
        a, b = Population(Input(), 5, name="a"), Population(neuron, 7, name="b")
        c = Population(LeakyIntegrate(tau_mem=12.0, readout="sum_softmax"), 3, name="c")
        Connection(a, b, Dense(weight=Normal(0.2, 0.3), delay=UniformInt(1, 4)), synapse)
        Connection(b, b, Dense(weight=Normal(0.0, 0.2), delay=UniformInt(1, 4)), synapse)
        Connection(b, c, Dense(weight=Normal(0.1, 0.5)), Exponential(4.0))
    return network


ADEX = AdaptiveExponential.examples()[0]
ONTO: dict[str, tuple[Any, Any]] = {
    "alpha": (LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5), Alpha(3.0)),
    "alpha_exact": (LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, integration="exact"), Alpha(Uniform(2.0, 4.0))),
    "alpha_adex": (ADEX, Alpha(3.0)),
    "conductance": (LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, integration="euler"), Conductance(4.0, 1.5)),
    "conductance_adex": (ADEX, Conductance(Uniform(3.0, 5.0), Uniform(2.5, 4.5))),
}


@pytest.mark.parametrize("name", ONTO)
def test_every_synapse_is_the_same_everywhere(kernels: Any, name: str) -> None:
    found = []
    for backend in (kernels, "reference"):
        network = onto(*ONTO[name])
        with SurrogateCompiler(25, 6, backend=backend).compile(network) as compiled:
            b = compiled.plan.populations[1]
            compiled.engine.keep_variables(1)
            gradients = compiled.gradients(*data(network))[1]
            assert b.model is not None
            values = {s: compiled.engine.variable(1, s) for s in b.model.states}
            found.append((compiled.engine.spikes(1), values, list(gradients.values())))
    assert found[1][0].any()
    np.testing.assert_array_equal(found[0][0], found[1][0])
    for s, expected in found[1][1].items():
        np.testing.assert_array_equal(found[0][1][s], expected, err_msg=s)
    for g, expected in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(g, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ONTO)
def test_gradients_through_every_synapse(name: str) -> None:
    network = onto(*ONTO[name])
    compiled = SurrogateCompiler(20, 2, backend=SMOOTH).compile(network)
    x, y = data(network, 20, 2)
    hard = SurrogateCompiler(20, 2, backend=Reference(dtype="float64")).compile(network)
    hard.gradients(x, y)
    frozen = hard.engine.spiked[1].copy()
    assert frozen.any()
    compiled.engine.frozen_resets = {1: frozen}
    gradients = compiled.gradients(x, y)[1]
    for connection, gradient in gradients.items():
        for index in range(0, gradient.size, max(gradient.size // 5, 1)):
            up, down = (loss_at(compiled, x, y, connection, "weight", index, s * 1e-6) for s in (1, -1))
            assert abs((up - down) / 2e-6 - gradient[index]) < 1e-5 * np.abs(gradient).max(), connection.name


def test_an_alpha_current_peaks_after_tau() -> None:
    """Under exact integration it is ``w (t / tau) exp(1 - t / tau)``, t from the end of the step of the arrival."""
    variables, _ = one_synapse(LeakyIntegrateFire(v_thresh=1e9, integration="exact"), Alpha(4.0), 30, weight=2.0)
    current = variables["i_syn"]
    first = int(np.flatnonzero(variables["a_syn"])[0])
    t = np.arange(current.size - first)
    np.testing.assert_allclose(current[first:], 2.0 * t / 4 * np.exp(1 - t / 4), rtol=2e-5, atol=1e-6)
    assert current.argmax() == first + 4


def test_a_conductance_draws_to_its_reversal_potential() -> None:
    neuron = LeakyIntegrateFire(tau_mem=20.0, v_thresh=1e9, integration="euler")
    variables, _ = one_synapse(neuron, Conductance(3.0, -0.7), 40, weight=0.5)
    v, g = variables["v"], variables["g_syn"]
    expected = v[:-1] + (-v[:-1] / 20 + g[:-1] * (-0.7 - v[:-1]))
    np.testing.assert_allclose(v[1:], expected, rtol=1e-5, atol=1e-7)
    assert -0.7 < v.min() < -0.3


def test_alpha_synapses_have_exact_gradients_of_weights() -> None:
    """EventProp: of a loss of potentials without hidden spikes, against finite differences."""
    network = Network(seed=3)
    with network:
        a = Population(SpikeInput(), 5, name="a")
        c = Population(LeakyIntegrate(tau_mem=12.0, readout="avg_var", scale_i=True, integration="exact"), 3, name="c")
        Connection(a, c, Dense(weight=Normal(1.0, 5.0), delay=UniformInt(1, 4)), Alpha(3.0))
    compiled = EventPropCompiler(30, 4, backend=Reference(dtype="float64"), dt=0.1).compile(network)
    x, y = data(network, 30, 4)
    (connection, gradient), *_ = compiled.gradients(x, y)[1].items()
    for index in range(gradient.size):
        up, down = (loss_at(compiled, x, y, connection, "weight", index, s * 1e-5) for s in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(gradient[index], rel=2e-2, abs=1e-3 * np.abs(gradient).max())


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Alpha(0.0), ["Alpha tau", "(0, inf)"]),
        (lambda: Conductance(-1.0), ["Conductance tau", "(0, inf)"]),
        (lambda: Conductance(5.0, "high"), ["e_syn", "'high'"]),
        (lambda: Conductance(5.0, 1.0), ["Conductance", "nonlinear", "'linear_euler'", "integration='euler'"]),
    ],
)
def test_bad_synapses(make: Any, parts: list[str]) -> None:
    with pytest.raises(InvalidValueError) as error:
        SurrogateCompiler(10).compile(onto(LeakyIntegrateFire(), make()))
    for part in parts:
        assert part in str(error.value)


def test_receptors_of_several_models_are_joined() -> None:
    """`Isyn` is the sum of their currents, whatever else flows in."""
    equations = LeakyIntegrateFire(integration="euler").equations()
    models = [Exponential(5.0), Alpha(2.0), Conductance(5.0, 3.0)]
    receptors = [m.receptor(e, "v") for m, e in zip(models, ("", "_2", "_3"), strict=True)]
    both = joined(equations, [r for r in receptors if r is not None], direct=True)
    assert both.variables["v"][0] == "-v / tau_mem + (Isyn + i_syn + i_syn_2 + (g_syn_3 * (e_syn_3 - v)))"
    assert list(both.variables) == ["v", "i_syn", "a_syn_2", "i_syn_2", "g_syn_3"] and both.impulse is None
    assert both.parameters[-4:] == ("tau_syn", "tau_syn_2", "tau_syn_3", "e_syn_3")
    with pytest.raises(InvalidValueError, match="brings 'i_syn' into"):
        joined(equations, [r for r in (receptors[0], receptors[0]) if r is not None], direct=True)
