"""Inputs that act late, and the neuron of the published code that they make, against its formulas in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from refused import refused

from genn_delays import (
    Adam,
    AdaptiveLeakyIntegrateFire,
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
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    UserNeuron,
)
from genn_delays.neurons.neuron import MAX_INPUT_LATENCY

TAU, SIZE, STEPS, LANES = 10.05, 40, 150, 3
F = np.float32


def one_to_one(hidden: Any, output: Any, delay: Any = 0) -> Network:
    """Neurons with one synapse each, so that a current is one product and its sum has no order."""
    network, every = Network(seed=1), np.arange(SIZE)
    with network:
        a = Population(Input(), SIZE, name="a")
        h = Population(hidden, SIZE, name="h")
        o = Population(output, SIZE, name="o")
        Connection(a, h, Sparse(every, every, 1.0, 0))
        Connection(h, o, Sparse(every, every, Normal(0.0, 1.0), delay))
    return network


def predicted(network: Network, x: Any, backend: Any) -> tuple[Any, Any, Any]:
    """Spikes and potentials of the hidden neurons, and potentials of the outputs, ``[neuron, time, batch]``."""
    with SurrogateCompiler(STEPS, LANES, backend=backend).compile(network) as compiled:
        compiled.predict({"a": x})
        engine = compiled.engine
        return engine.spikes(1), engine.variable(1, "v"), engine.variable(2, "v")


def inputs() -> Any:
    return np.random.default_rng(0).uniform(-0.3, 0.7, (LANES, STEPS, SIZE)).astype(F)


def published(current: Any, weight: Any, delay: Any) -> tuple[Any, Any, Any]:
    """The published code's loops over time, in single precision: u, S and the readout's v, ``[time, batch, neuron]``
    each."""
    decay = F(1 - 1 / TAU)
    u, late = np.zeros(current.shape[1:], F), np.zeros(current.shape[1:], F)
    us, spikes = [], []
    for now in current:
        spike = u > F(1)
        us.append(u)
        spikes.append(spike)
        u, late = (decay * u + late) * (F(1) - spike), now
    v, late, vs = np.zeros_like(u), np.zeros_like(u), []
    for t in range(len(current)):
        arriving = [weight[n] * F(spikes[t - d][:, n]) if t >= d else np.zeros(u.shape[0], F) for n, d in delay]
        v, late = decay * v + late, np.stack(arriving, axis=1)
        vs.append(v)
    return np.array(us), np.array(spikes), np.array(vs)


PUBLISHED = LeakyIntegrateFire(tau_mem=TAU, tau_refrac=1.0, input_latency=2)
READOUT = LeakyIntegrate(tau_mem=TAU, input_latency=1, readout="sum_var")


def test_the_published_neuron_to_the_bit(backend: Any) -> None:
    """All spikes, and potentials of all steps: a step of refractory period loses what would be added at a spike."""
    network, x = one_to_one(PUBLISHED, READOUT, UniformInt(0, 24)), inputs()
    spikes, u, v = predicted(network, x, backend)
    synapses = network.connections[1].synapses
    delay = list(enumerate(synapses.delay.tolist()))
    expected_u, expected_spikes, expected_v = published(x.transpose(1, 0, 2), synapses.weight.astype(F), delay)
    assert spikes.sum() > 500 and len(set(synapses.delay.tolist())) > 10
    assert np.array_equal(spikes.transpose(1, 2, 0) > 0, expected_spikes)
    assert np.array_equal(u.transpose(1, 2, 0), expected_u)
    assert np.array_equal(v.transpose(1, 2, 0), expected_v)


def test_it_differs_from_this_projects_neuron() -> None:
    """Else the test above would not know late from early, nor lost from received."""
    x, found = inputs(), []
    for hidden in (
        LeakyIntegrateFire(tau_mem=TAU),
        LeakyIntegrateFire(tau_mem=TAU, tau_refrac=1.0),
        LeakyIntegrateFire(tau_mem=TAU, input_latency=2),
        PUBLISHED,
    ):
        found.append(predicted(one_to_one(hidden, READOUT), x, "cpu")[0].tobytes())
    assert len(set(found)) == 4


@pytest.mark.parametrize("steps", [1, 2, 5, MAX_INPUT_LATENCY])
@pytest.mark.parametrize("kind", [LeakyIntegrateFire, AdaptiveLeakyIntegrateFire])
def test_a_latency_moves_spikes_and_nothing_else(kind: Any, steps: int) -> None:
    x, out = inputs(), LeakyIntegrate(tau_mem=TAU, readout="sum_var")
    spikes, u, _ = predicted(one_to_one(kind(tau_mem=TAU), out), x, "cpu")
    late, late_u, _ = predicted(one_to_one(kind(tau_mem=TAU, input_latency=steps), out), x, "cpu")
    assert spikes.sum() > 200 and not late[:, :steps].any()
    assert np.array_equal(late[:, steps:], spikes[:, :-steps])
    assert np.array_equal(late_u[:, steps:], u[:, :-steps])


def random_network(hidden: Any, output: Any, synapse: Any = "delta") -> Network:
    network = Network(seed=3)
    with network:
        a = Population(Input(), 5, name="a")
        b = Population(hidden, 7, name="b")
        c = Population(output, 3, name="c")
        for source, target in ((a, b), (b, b), (b, c)):
            Connection(source, target, Dense(weight=Normal(0.1, 0.5), delay=UniformInt(1, 4)), synapse)
    return network


NEURONS = {
    "published": (PUBLISHED, True),
    "late": (LeakyIntegrateFire(tau_mem=8.0, input_latency=3), False),
    "late_detached": (LeakyIntegrateFire(tau_mem=8.0, input_latency=1), True),
    "adaptive": (AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3, input_latency=2), False),
}


@pytest.mark.parametrize("synapse", ["delta", Exponential(4.0)], ids=["delta", "exponential"])
@pytest.mark.parametrize("name", NEURONS)
def test_gradients_are_those_of_finite_differences(name: str, synapse: Any) -> None:
    hidden, detach = NEURONS[name]
    network = random_network(hidden, LeakyIntegrate(tau_mem=12.0, input_latency=1, readout="sum_softmax"), synapse)
    learned = {"all_connections": {"weight": Adam()}, "b": {"tau_mem": Adam()}}
    compiler = SurrogateCompiler(25, 4, backend=SMOOTH, detach_reset=detach)
    x = {"a": np.random.default_rng(3).random((4, 25, 5))}
    with compiler.compile(network, optimisers=learned) as compiled:
        for variable in ("weight", "tau_mem"):
            check_gradient(compiled, x, {"c": [0, 1, 2, 1]}, variable)


def test_gradients_are_the_same_everywhere() -> None:
    x, found = {"a": np.random.default_rng(3).random((4, 25, 5))}, []
    for backend in ("reference", "cpu"):
        network = random_network(PUBLISHED, LeakyIntegrate(tau_mem=12.0, input_latency=1, readout="sum_softmax"))
        with SurrogateCompiler(25, 4, backend=backend).compile(network) as compiled:
            gradients = compiled.gradients(x, {"c": [0, 1, 2, 1]})[1]
            found.append((compiled.engine.spikes(1), list(gradients.values())))
    assert found[0][0].any() and np.array_equal(found[0][0], found[1][0])
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert np.abs(one - other).max() <= 1e-5 * np.abs(one).max()


def test_equations_of_a_users_own_may_read_dt_with_any_synapse() -> None:
    """They ended in an error about the cache of derived equations where a synapse was exponential."""
    neuron = UserNeuron(vars={"v": ("-v / 10.05 + late", "0"), "late": ("(Isyn - late) / dt", None)}, threshold="v - 1")
    found = []
    for hidden in (neuron, LeakyIntegrateFire(tau_mem=TAU, input_latency=1)):
        network = random_network(hidden, LeakyIntegrate(readout="sum_var"), Exponential(4.0))
        with SurrogateCompiler(25, 2, backend="cpu").compile(network) as compiled:
            compiled.predict({"a": np.random.default_rng(3).random((2, 25, 5))})
            found.append(compiled.engine.spikes(1))
    assert found[0].any() and np.array_equal(found[0], found[1])


@pytest.mark.parametrize("kind", [LeakyIntegrateFire, LeakyIntegrate, AdaptiveLeakyIntegrateFire])
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"input_latency": -1}, ("input_latency", "from 0 to 16", "-1")),
        ({"input_latency": 17}, ("input_latency", "from 0 to 16", "17")),
        ({"input_latency": 1.5}, ("input_latency", "whole number", "1.5")),
        ({"input_latency": True}, ("input_latency", "whole number", "True")),
        ({"input_latency": [1, 2]}, ("input_latency", "whole number", "[1, 2]")),
        ({"input_latency": 2, "integration": "exact"}, ("input_latency 2", "'linear_euler'", "'exact'")),
    ],
)
def test_bad_latencies(kind: Any, arguments: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refused(*parts):
        kind(**arguments)


@pytest.mark.parametrize("late", ["h", "o"])
def test_event_prop_has_no_steps(late: str) -> None:
    network = Network()
    with network:
        a = Population(SpikeInput(), 2, name="a")
        h = Population(LeakyIntegrateFire(input_latency=2 * (late == "h")), 2, name="h")
        o = Population(LeakyIntegrate(input_latency=int(late == "o"), readout="avg_var"), 2, name="o")
        Connection(a, h, Dense(), Exponential(Uniform(4, 5)))
        Connection(h, o, Dense(), Exponential())
    with refused(f"population {late!r}", "EventProp", "input_latency", "surrogate"):
        EventPropCompiler(10).compile(network)
