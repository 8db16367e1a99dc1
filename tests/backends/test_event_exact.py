"""The event-exact engine: against finite differences of its own loss, closed forms, and published formulas by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from refused import refused
from scipy.linalg import expm

from genn_delays import (
    Adam,
    AdaptiveLeakyIntegrateFire,
    CompiledNetwork,
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
from genn_delays.backends.event_exact import EventExact
from genn_delays.backends.event_exact.dynamics import Flow
from genn_delays.learning.readouts import READOUTS
from genn_delays.plan.exchanged import Pass

BOTH = {"all_connections": {"weight": Adam(), "delay": Adam()}}
NEURONS = {
    "lif": LeakyIntegrateFire(tau_mem=8.0),
    "scale_i": LeakyIntegrateFire(tau_mem=Uniform(5.0, 9.0), scale_i=True, integration="exact"),
    "relative": LeakyIntegrateFire(tau_mem=8.0, relative_reset=True),
    "v_reset": LeakyIntegrateFire(tau_mem=8.0, v_reset=-0.4, v=0.3),
    "equal_taus": LeakyIntegrateFire(tau_mem=4.0, scale_i=True, integration="exact"),
    "refractory": LeakyIntegrateFire(tau_mem=8.0, v_reset=0.2, tau_refrac=2.6),
    "refractory_relative": LeakyIntegrateFire(tau_mem=8.0, relative_reset=True, tau_refrac=2.0),
    "adaptive": AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3),
    "adaptive_refractory": AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, beta=0.3, tau_refrac=2.0),
    "user": UserNeuron(
        vars={
            "v": ("-v / tau + Isyn - 0.1 * u + 0.05", "0.3 * v - 0.1 * u**2"),
            "u": ("0.2 * v - 0.05 * u", "u + 0.5 * v"),
        },
        threshold="v - 0.7 - 0.2 * u**2",
        param_vals={"tau": 9.0},
    ),
}
VARIABLES = [name for name, readout in READOUTS.items() if readout.reads != "spikes"]


def described(
    *neurons: Any, spikes: bool = False, recurrent: bool = False, readout: str = "sum_softmax", output: Any = None
) -> Network:
    """Hidden layers of these neurons, the first with a bias; `recurrent`: that one onto itself."""
    network = Network(seed=2)
    with network:
        layers = [Population(SpikeInput() if spikes else Input(), 4, name="in")]
        for n, neuron in enumerate(neurons):
            layers.append(Population(neuron, 5, name=f"hidden{n}", bias=0.02 if n == 0 else None))
        layers.append(Population(output or LeakyIntegrate(tau_mem=12.0, readout=readout), 3, name="out"))
        loop = [(layers[1], layers[1])] if recurrent else []
        for source, target in [*pairwise(layers), *loop]:
            strong = 8.0 if getattr(target.neuron, "scale_i", False) else 1.0
            mean, spread = (-0.05, 0.1) if source is target else (0.12, 0.25)
            weight = Normal(mean * strong, spread * strong)
            connectivity = Dense(weight=weight, delay=UniformInt(1, 4))
            Connection(source, target, connectivity, Exponential(4.0), max_delay_steps=6)
    return network


def data(network: Network, steps: int = 22, lanes: int = 2) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(3)
    x = random.random((lanes, steps, 4))
    x = x < 0.3 if isinstance(network.populations[0].neuron, SpikeInput) else 0.5 * x
    return {"in": x.astype(np.float32)}, {"out": random.integers(0, 3, lanes)}


def compiled_exactly(network: Network, steps: int = 22, dt: float = 1.0, **arguments: Any) -> CompiledNetwork:
    """With real-valued delays: at whole ones an input's spike arrives just when a readout reads, a kink of the loss."""
    compiler = EventPropCompiler(steps, 2, dt=dt, backend=EventExact(), **arguments)
    compiled = compiler.compile(network, optimisers=BOTH)
    random = np.random.default_rng(5)
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        state.position = state.position + random.uniform(0.1, 0.9, state.position.size)
        compiled.engine.set_state(c.index, state)
    return compiled


def loss_at(
    compiled: CompiledNetwork, y: Any, connection: Connection, variable: str, index: int, change: float
) -> float:
    """The loss of what is loaded, with one weight or delay changed; a backward pass would only take time."""
    engine = compiled.engine
    before = engine.state(connection.index)
    state = before.copy()
    (state.position if variable == "delay" else state.synapses.weight)[index] += change
    engine.set_state(connection.index, state)
    engine.forward(Pass())
    ((loss, _),) = engine.loss({compiled.population("out").index: y["out"]}).values()
    engine.set_state(connection.index, before)
    return loss / len(y["out"])


def check(compiled: CompiledNetwork, x: Any, y: Any, tolerance: float = 1e-6) -> None:
    """The largest gradients of every connection and a middling one, against central differences."""
    step = 1e-6
    for variable in ("weight", "delay"):
        _, gradients = compiled.gradients(x, y, variable)
        for connection, g in gradients.items():
            order = np.argsort(-np.abs(g))
            largest = np.abs(g).max()
            assert largest > 1e-4, "a gradient of nothing would be right too"
            for index in (*order[:2], order[g.size // 3]):
                up, down = (loss_at(compiled, y, connection, variable, index, s * step) for s in (1, -1))
                found = (up - down) / (2 * step)
                assert abs(found - g[index]) < tolerance * largest, (variable, connection.name, index)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("name", NEURONS)
def test_gradients_are_the_derivatives_of_the_loss(name: str, recurrent: bool) -> None:
    """Feed-forward networks get real-valued inputs, recurrent ones spikes."""
    network = described(NEURONS[name], spikes=recurrent, recurrent=recurrent)
    x, y = data(network)
    compiled = compiled_exactly(network)
    compiled.gradients(x, y)
    assert compiled.engine.spike_count(1) > 8
    check(compiled, x, y)


@pytest.mark.parametrize("readout", VARIABLES)
def test_readouts(readout: str) -> None:
    network = described(NEURONS["refractory"], readout=readout, spikes=True)
    check(compiled_exactly(network), *data(network))


def test_two_hidden_layers_and_a_short_time_step() -> None:
    network = described(NEURONS["lif"], NEURONS["adaptive_refractory"], spikes=True, recurrent=True)
    x, y = data(network, 36)
    check(compiled_exactly(network, 36, dt=0.5), x, y)


@pytest.mark.parametrize("neuron", ["lif", "adaptive_refractory"])
def test_losses_of_first_spike_times(neuron: str) -> None:
    output = LeakyIntegrateFire(tau_mem=10.0, readout="first_spike_time")
    network = described(NEURONS[neuron], output=output, spikes=True)
    x, y = data(network)
    compiled = compiled_exactly(network, phantom_spike=0.0)  # the loss does not know of phantom spikes
    compiled.gradients(x, y)
    times = compiled.engine.spike_times(2)
    first = [[t[0] if t.size else 22.0 for t in lanes] for lanes in times]
    np.testing.assert_array_equal(compiled.engine.output(2).T, first)
    assert compiled.engine.spike_count(2) > 4
    check(compiled, x, y)


def test_losses_of_time_steps() -> None:
    network = described(NEURONS["lif"], readout="var")
    x, _ = data(network)
    targets = np.random.default_rng(0).normal(0.5, 0.5, (2, 22, 3)).astype(np.float32)
    check(compiled_exactly(network, losses="mean_square_error"), x, {"out": targets})


def test_a_second_backward_pass_gives_the_same() -> None:
    network = described(NEURONS["refractory"], recurrent=True)
    x, y = data(network)
    compiled = compiled_exactly(network)
    _, first = compiled.gradients(x, y)
    compiled.engine.backward()
    for c, g in first.items():
        np.testing.assert_array_equal(compiled.engine.gradient(c.index), g)


# --- by hand ---------------------------------------------------------------------------------------------------------

TAU_MEM, TAU_SYN, TAU_OUT = 10.0, 5.0, 14.0
W_IN, D_IN, STEP = 6.0, 3.4, 2
W_OUT, D_OUT = np.array([0.8, -0.5]), np.array([1.7, 4.3])


def one_path(steps: int = 30) -> CompiledNetwork:
    """One input, one hidden neuron, two outputs that read it, all with scaled currents."""
    network = Network()
    with network:
        a = Population(SpikeInput(), 1, name="in")
        b = Population(LeakyIntegrateFire(tau_mem=TAU_MEM, scale_i=True, tau_refrac=25.0), 1, name="hidden")
        c = Population(LeakyIntegrate(tau_mem=TAU_OUT, scale_i=True, readout="sum_var"), 2, name="out")
        Connection(a, b, Sparse([0], [0], W_IN, 3), Exponential(TAU_SYN), max_delay_steps=6)
        Connection(b, c, Sparse([0, 0], [0, 1], W_OUT.tolist(), [1, 4]), Exponential(TAU_SYN), max_delay_steps=6)
    compiled = EventPropCompiler(steps, backend=EventExact()).compile(network, optimisers=BOTH)
    for index, position in enumerate((np.array([D_IN]), D_OUT)):
        state = compiled.engine.state(index)
        state.position = position
        state.synapses = state.synapses._replace(weight=(np.array([W_IN]), W_OUT)[index])
        compiled.engine.set_state(index, state)
    return compiled


def events() -> dict[str, Any]:
    x = np.zeros((1, 30, 1), np.float32)
    x[0, STEP] = 1
    return {"in": x}


def spike_time() -> float:
    """Of the hidden neuron: ``v = w (u - u^2)`` with ``u = exp(-t / tau_mem)``, where tau_mem is twice tau_syn."""
    u = (1 + np.sqrt(1 - 4 / W_IN)) / 2
    return STEP + D_IN - TAU_MEM * np.log(u)


def potential(t: Any, tau: float) -> Any:
    """What a unit impulse at 0 makes of a potential."""
    return np.where(t > 0, TAU_SYN / (tau - TAU_SYN) * (np.exp(-t / tau) - np.exp(-t / TAU_SYN)), 0.0)


def test_the_time_of_a_spike_is_that_of_the_closed_form() -> None:
    compiled = one_path()
    compiled.predict(events())
    ((times,),) = compiled.engine.spike_times(1)
    assert times == pytest.approx([spike_time()], abs=1e-12)
    k = np.arange(30)
    expected = [w * potential(k - spike_time() - d, TAU_OUT) for w, d in zip(W_OUT, D_OUT, strict=True)]
    np.testing.assert_allclose(compiled.engine.variable(2, "v")[:, :, 0], expected, atol=1e-12)
    assert np.flatnonzero(compiled.engine.spikes(0)) == STEP
    assert np.flatnonzero(compiled.engine.spikes(1)) == np.ceil(spike_time())
    assert [compiled.engine.spike_count(p) for p in (0, 1)] == [1, 1]
    assert compiled.engine.spike_totals(1) == [1.0]


@pytest.mark.parametrize("matrix", [[[-0.1, 0.1], [0.0, -0.1]], [[-0.1, 0.3], [-0.4, -0.25]]])
@pytest.mark.parametrize("t", [0.0, 0.3, 60.0])
def test_the_flow_is_the_exponential(matrix: list[list[float]], t: float) -> None:
    """Also where there are no eigenvectors to write it with, as with equal time constants."""
    np.testing.assert_allclose(Flow(np.array(matrix)).over(t), expm(np.array(matrix) * t), rtol=1e-12, atol=1e-15)


def test_an_arrival_just_when_a_readout_reads_has_the_derivative_of_coming_earlier() -> None:
    """It is read before it has done anything, so coming later changes nothing: the loss has a kink there."""
    network = Network()
    with network:
        a = Population(SpikeInput(), 1, name="in")
        c = Population(LeakyIntegrate(tau_mem=TAU_OUT, readout="var"), 2, name="out")
        Connection(a, c, Sparse([0, 0], [0, 1], [0.9, 0.5], [3, 27]), Exponential(TAU_SYN), max_delay_steps=28)
    compiled = EventPropCompiler(30, backend=EventExact()).compile(network, optimisers=BOTH)
    y = {"out": np.array([0])}
    _, ((connection, g),) = (lambda loss, found: (loss, found.items()))(*compiled.gradients(events(), y, "delay"))
    at, earlier, later = (loss_at(compiled, y, connection, "delay", 1, change) for change in (0.0, -1e-6, 1e-6))
    assert g[1] == pytest.approx((at - earlier) / 1e-6, rel=1e-5)
    assert g[1] != 0
    assert later == at


def test_gradients_are_those_of_the_published_formulas() -> None:
    """Wunderlich & Pehle 2021 and Mészáros et al. 2025, with their lambdas, -1 / tau of ours:

    ``tau_m lV' = -lV - dl/dV``, ``tau_s lI' = lV - lI`` backwards, at a spike
    ``lV += (v_thresh lV + sum_k w_k (lV - lI)_post(t + d_k)) / (I - V)``, and ``dw = -tau_s sum lI_post(t + d)``,
    ``dd = -w sum (lI - lV)_post(t + d)``.
    """
    compiled = one_path()
    y = {"out": np.array([0])}
    k, t = np.arange(30), spike_time()
    arrival = t + D_OUT
    z = np.array([(w * potential(k - a, TAU_OUT)).sum() for w, a in zip(W_OUT, arrival, strict=True)])
    e = np.exp(z) / np.exp(z).sum() - np.array([1, 0])  # dl/dV at every step
    ago = k[:, None] - arrival
    seen = ago > 0

    def lambdas(v: Any, ago: Any, tau: float) -> tuple[Any, Any]:
        """lV and lI so long before lV was v and lI was 0."""
        slow, fast = np.exp(-ago / tau), np.exp(-ago / TAU_SYN)
        return v * slow, v * tau / (tau - TAU_SYN) * (slow - fast)

    lV, lI = (np.where(seen, part, 0).sum(axis=0) for part in lambdas(-e / TAU_OUT, ago, TAU_OUT))
    current = W_IN * np.exp(-(t - STEP - D_IN) / TAU_SYN)
    # a refractory neuron's lambda is 0 after its only spike
    lV_in, lI_in = lambdas((W_OUT * (lV - lI)).sum() / (current - 1.0), t - STEP - D_IN, TAU_MEM)

    for variable, hidden, out in (
        ("weight", -TAU_SYN * lI_in, -TAU_SYN * lI),
        ("delay", -W_IN * (lI_in - lV_in), -W_OUT * (lI - lV)),
    ):
        _, (first, second) = (lambda loss, found: (loss, found.values()))(*compiled.gradients(events(), y, variable))
        np.testing.assert_allclose(first, [hidden], rtol=1e-9)
        np.testing.assert_allclose(second, out, rtol=1e-9)


# --- what it does not do ---------------------------------------------------------------------------------------------


def test_it_does_not_train() -> None:
    network = described(NEURONS["lif"])
    x, y = data(network)
    with refused("event_exact", "does not train", "gradients()"):
        compiled_exactly(network).train(x, y, 1, callbacks=[])


STUCK = UserNeuron(vars={"v": ("-v / tau + Isyn", "1")}, threshold="v - 1", param_vals={"tau": 20.0})
"""A spike leaves it at its threshold."""


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"batch_norm": True}, ["'b'", "batch_norm", "dropout"]),
        ({"dropout": 0.5}, ["'b'", "batch_norm", "dropout"]),
        ({"synapse": "delta"}, ["'b'", "exponential", "'delta'"]),
        ({"kernel": "gaussian"}, ["'a_b'", "delay_kernel", "GaussianKernel"]),
        (
            {"optimisers": {"all_connections": Adam(), "b": {"tau_mem": Adam()}}},
            ["'b'", "weights and delays", "tau_mem"],
        ),
        ({"reg": 1.0}, ["regularised"]),
        ({"readout": "spike_count"}, ["'c'", "spike times", "'spike_count'"]),
        ({"v": 1.5}, ["'b'", "at the start", "from below"]),
        ({"neuron": STUCK}, ["'b'", "after a spike", "from below"]),
    ],
)
def test_bad_input(change: dict[str, Any], parts: list[str]) -> None:
    network = Network()
    with network:
        a = Population(Input(), 2, name="a")
        b = Population(
            change.get("neuron") or LeakyIntegrateFire(v=change.get("v", 0.0)), 2, name="b",
            batch_norm=change.get("batch_norm"), dropout=change.get("dropout", 0.0),
        )  # fmt: skip
        spiking = change.get("readout")
        output = LeakyIntegrateFire(readout=spiking) if spiking else LeakyIntegrate(readout="sum_var")
        c = Population(output, 3, name="c")
        Connection(a, b, Dense(), change.get("synapse", "exponential"), delay_kernel=change.get("kernel"))
        Connection(b, c, Dense(), "exponential")
    compiler = SurrogateCompiler(10, 1, backend=EventExact(), reg_strength_upper=change.get("reg", 0.0))
    with refused(*parts):
        compiled = compiler.compile(network, optimisers=change.get("optimisers"))
        compiled.gradients({"a": np.full((1, 10, 2), 5, np.float32)}, {"c": np.array([0])})


def test_a_delay_of_zero_on_a_cycle_is_an_error() -> None:
    network = described(NEURONS["lif"], recurrent=True)
    compiled = compiled_exactly(network)
    state = compiled.engine.state(2)
    state.position[3] = 0.0
    compiled.engine.set_state(2, state)
    with refused("'hidden0_hidden0'", "above 0 steps", "got 0"):
        compiled.gradients(*data(network))


def test_unknown_variable() -> None:
    network = described(NEURONS["refractory"])
    compiled = compiled_exactly(network)
    compiled.gradients(*data(network))
    with refused("'hidden0'", "'refrac'", "i_syn, v"):
        compiled.engine.variable(1, "refrac")
