"""Phantom spikes: what becomes of an output neuron under ``first_spike_time`` that does not spike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convergence import differences
from networks import largest_difference
from refused import refused

from genn_delays import (
    CPU,
    Adam,
    AdaptiveLeakyIntegrateFire,
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    RelativeMeanSquareError,
    Sparse,
    SparseCategoricalCrossentropy,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
    UserNeuron,
)
from genn_delays.backends.cuda.compiler import compile_cubin, find_compiler
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.errors import BackendUnavailableError
from genn_delays.learning.readouts import FirstSpikeTime
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model

LEARNED = {"all_connections": {"weight": Adam(), "delay": Adam()}}
LOSSES = {
    "crossentropy": SparseCategoricalCrossentropy(label_smoothing=0.1, softmax_temperature=3.0, ttfs_alpha=0.5),
    "relative": RelativeMeanSquareError(2.0),
    "square": "per_neuron_mean_square_error",
}
OUTPUTS: dict[str, Any] = {
    "lif": LeakyIntegrateFire(tau_mem=9.0, v_thresh=0.9, readout="first_spike_time"),
    "adaptive": AdaptiveLeakyIntegrateFire(
        tau_mem=9.0, v_thresh=0.9, tau_adapt=20.0, beta=0.2, readout="first_spike_time"
    ),
    "refractory": LeakyIntegrateFire(tau_mem=9.0, v_thresh=0.9, tau_refrac=2.0, readout="first_spike_time"),
    "user": UserNeuron(
        vars={"w": ("-w / 30.0", "w + 1"), "v": ("-v / tau + Isyn - 0.05 * w", "0")}, threshold="v - 0.9",
        param_vals={"tau": 9.0}, readout="first_spike_time",
    ),
}  # fmt: skip
"""The last one's potential is not its first variable."""
STEPS, LANES = 24, 37


def described(output: Any, recurrent: bool = False, seed: int = 0) -> Network:
    """Of its three outputs one is always silent."""
    network = Network(seed=seed)
    with network:
        a, b = Population(SpikeInput(), 8, "in"), Population(LeakyIntegrateFire(tau_mem=9.0, v_thresh=3.0), 12)
        c = Population(output, 3, "out")
        Connection(a, b, Dense(weight=Normal(0.15, 0.1), delay=UniformInt(0, 4)), Exponential(4.0))
        weight = np.random.default_rng(seed).normal(0.08, 0.08, (12, 3))
        weight[:, 2] = -0.01
        pre, post = (grid.ravel() for grid in np.indices((12, 3)))
        Connection(b, c, Sparse(pre, post, weight.ravel(), pre % 5), Exponential(4.0))
        if recurrent:
            Connection(c, c, Dense(weight=Normal(-0.1, 0.1), delay=UniformInt(2, 4)), Exponential(4.0))
    return network


def data(kind: str, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(seed)
    x = random.random((LANES, STEPS, 8)) < 0.06
    if kind == "square":
        return {"in": x}, {"out": random.uniform(0, STEPS, (LANES, 3)).astype(np.float32)}
    return {"in": x}, {"out": random.integers(0, 3, LANES)}


def gradients(network: Network, kind: str, backend: Any, **arguments: Any) -> tuple[dict[Any, Any], np.ndarray]:
    """By variable and connection, and which outputs were silent, ``[neuron, lane]``."""
    x, y = data(kind)
    with EventPropCompiler(STEPS, LANES, LOSSES[kind], backend=backend, **arguments).compile(
        network, optimisers=LEARNED
    ) as c:
        found = {
            (v, k.name): g.astype(np.float64) for v in ("weight", "delay") for k, g in c.gradients(x, y, v)[1].items()
        }
        return found, ~c.engine.spikes(network.outputs[0].index).any(axis=1)


# --- the definition --------------------------------------------------------------------------------------------------


def test_only_silent_neurons_are_pushed_and_only_to_spike() -> None:
    random = np.random.default_rng(5)
    spikes = (random.random((4, 9, 11)) < 0.1).astype(np.float32)
    dz, inverse_slope = random.normal(size=(4, 11)), np.array([1.0, 2.0, 3.0, 4.0])
    found = FirstSpikeTime().phantom_push(spikes, dz, inverse_slope)
    silent = spikes.sum(axis=1) == 0
    assert 0 < silent.sum() < silent.size and (dz[silent] < 0).any()
    for i, b in np.ndindex(found.shape):
        expected = -inverse_slope[i] * dz[i, b] if silent[i, b] and dz[i, b] > 0 else 0.0
        assert found[i, b] == np.float32(expected)


def test_mlgenns_phantom_spike() -> None:
    """Version 2: the right neuron's LambdaV grows by ttfs_alpha / (0.01 D)^2 / batch_size; ours is its last term."""
    alpha, duration, tau, size = 0.3, 40.0, 20.0, 5
    loss = SparseCategoricalCrossentropy(ttfs_alpha=alpha).on("first_spike_time", duration)
    assert loss is not None
    z, y = np.full((3, size), duration), np.zeros(size, np.int32)
    _, dz = loss.evaluate(z, y)
    push = FirstSpikeTime().phantom_push(np.zeros((3, 1, size)), dz, np.full(3, tau))
    term = alpha / (0.0001 * duration * duration)
    np.testing.assert_allclose(-push[0] / tau, (1 - 1 / 3 + term) / size)  # all are silent: softmax is 1 / 3
    assert (push[1:] == 0).all()


def test_gradient_by_hand(backend: Any) -> None:
    """dL/dw of a neuron that one spike reaches: the push times the potential at the end for a weight of 1."""
    tau, tau_syn, steps, delay, sent, weight = 12.0, 5.0, 30, 4, 7, 0.05
    network = Network()
    with network:
        a = Population(SpikeInput(), 1, "in")
        o = Population(LeakyIntegrateFire(tau_mem=tau, integration="exact", readout="first_spike_time"), 2, "out")
        c = Connection(a, o, Sparse([0, 0], [0, 1], [weight, weight], [delay, delay]), Exponential(tau_syn))
    loss = SparseCategoricalCrossentropy(softmax_temperature=2.0, ttfs_alpha=0.25)
    x, y = {"in": [([float(sent)], [0])]}, {"out": np.array([1])}
    late = steps - sent - delay  # V(t) = w (exp(-t / tau) - exp(-t / tau_syn)) / (1 / tau_syn - 1 / tau)
    potential = (np.exp(-late / tau) - np.exp(-late / tau_syn)) / (1 / tau_syn - 1 / tau)
    slope = 0.5 / 2.0 + 0.25 / (0.01 * steps) ** 2
    for arguments, inverse_slope in (({}, 20.0), ({"phantom_spike": 3.0}, 3.0), ({"phantom_spike": 0.0}, 0.0)):
        with EventPropCompiler(steps, 1, loss, backend=backend, **arguments).compile(network) as compiled:
            found = compiled.gradients(x, y)[1][c]
        np.testing.assert_allclose(found, [0.0, -inverse_slope * slope * potential], rtol=1e-4)


# --- the engines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("name", "recurrent"), [*((name, False) for name in OUTPUTS), ("lif", True)])
def test_equals_reference(kernels: Any, name: str, recurrent: bool, kind: str) -> None:
    network = described(OUTPUTS[name], recurrent)
    found, silent = gradients(network, kind, kernels)
    expected, same = gradients(network, kind, "reference")
    np.testing.assert_array_equal(silent, same)
    assert silent[2].all() and 0.1 < silent[:2].mean() < 0.9
    without, _ = gradients(network, kind, "reference", phantom_spike=0.0)
    for key, g in expected.items():
        assert largest_difference(found[key], g) < 1e-5, key
        if recurrent and key[1] == "out_out":
            continue  # the silent neuron receives next to nothing
        assert largest_difference(without[key], g) > 1e-3, key
    last = network.connections[1].synapses.post == 2
    assert (without["weight", network.connections[1].name][last] == 0).all()


def test_tiles_of_lanes(monkeypatch: Any) -> None:
    network = described(OUTPUTS["lif"], recurrent=True)
    whole, _ = gradients(network, "crossentropy", CPU(threads=2))
    monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
    tiled, _ = gradients(network, "crossentropy", CPU(threads=2))
    for key, g in whole.items():
        assert largest_difference(tiled[key], g) < 1e-6


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("phantom_spike", [0.0, 20.0])
def test_cuda_compiles_without_a_warning(recurrent: bool, phantom_spike: float) -> None:
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    compiler = EventPropCompiler(STEPS, LANES, phantom_spike=phantom_spike)
    plan = compiler.plan(described(OUTPUTS["user"], recurrent), optimisers=LEARNED)
    assert compile_cubin(emit_cuda(plan), "sm_90", warnings_are_errors=True)[:4] == b"\x7fELF"


@pytest.mark.genn
@pytest.mark.parametrize("name", OUTPUTS)
def test_genn_equals_reference(name: str) -> None:
    pytest.importorskip("pygenn")
    network = described(OUTPUTS[name])
    found, silent = gradients(network, "crossentropy", "genn")
    expected, same = gradients(network, "crossentropy", "reference")
    np.testing.assert_array_equal(silent, same)
    for key, g in expected.items():
        assert largest_difference(found[key], g) < 1e-5, key


@pytest.mark.parametrize("v_thresh", [0.5, 50.0])
def test_steps_come_to_the_exact_gradient(v_thresh: float) -> None:
    """In continuous time the push acts at the same moment; with a threshold out of reach nothing else does."""

    def network(dt: float) -> Network:
        result = Network()
        with result:
            a = Population(SpikeInput(), 2, "in")
            b = Population(LeakyIntegrateFire(tau_mem=8.0, integration="exact"), 2, "hidden")
            o = Population(
                LeakyIntegrateFire(tau_mem=12.0, v_thresh=v_thresh, integration="exact", readout="first_spike_time"),
                2, "out",
            )  # fmt: skip
            for source, target, pre, post, weight, delay in (
                (a, b, [0, 1], [0, 1], [0.7, 0.75], 2), (b, o, [0, 1, 0, 1], [0, 0, 1, 1], [0.6, 0.3, 0.02, 0.01], 3),
            ):  # fmt: skip
                steps = [round(delay / dt)] * len(pre)
                Connection(source, target, Sparse(pre, post, weight, steps), Exponential(4.0))
        return result

    x = {"in": [([1.0, 9.0], [0, 1]), ([4.0, 6.0], [1, 0])]}  # one steep spike of each hidden neuron
    y = {"out": np.array([1, 0])}
    first, last = (differences(network, x, y, 40.0, dt, "reference") for dt in (1.0, 0.0625))
    for key, error in last.items():
        assert error < 0.05 and error < 0.3 * first[key], (key, first[key], error)


# --- what it is for --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"phantom_spike": 0.0}])
def test_a_silent_neuron_is_heard_again(arguments: dict[str, float], backend: Any) -> None:
    network = Network()
    with network:
        a = Population(SpikeInput(), 2, "in")
        o = Population(LeakyIntegrateFire(tau_mem=20.0, readout="first_spike_time"), 2, "out")
        c = Connection(a, o, Sparse([0, 1], [0, 1], [0.3, 0.1], [0, 0]), Exponential(5.0))
    x, y = {"in": [([1.0, 3.0, 5.0], [0, 0, 0]), ([1.0, 3.0, 5.0], [1, 1, 1])]}, {"out": np.array([0, 1])}
    with EventPropCompiler(30, 2, backend=backend, **arguments).compile(network, optimisers={c: Adam(0.01)}) as net:
        assert net.evaluate(x, y)[0][o].result == 0.5
        net.train(x, y, 40, callbacks=())
        assert net.evaluate(x, y)[0][o].result == (0.5 if arguments else 1.0)
        assert (net.synapses(c).weight[1] == np.float32(0.1)) == bool(arguments)


# --- the argument ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "strong", True])
def test_bad_numbers(value: Any) -> None:
    with refused("phantom_spike", "[0, inf)", str(value)):
        EventPropCompiler(10, phantom_spike=value)


def test_it_is_eventprops() -> None:
    with refused("phantom_spike"):
        SurrogateCompiler(10, phantom_spike=1.0)


def test_a_model_file_has_it() -> None:
    tables = load_model("yin_yang").tables()
    assert tables["compiler"]["phantom_spike"] == 20.0
    tables["compiler"]["phantom_spike"] = 3.5
    assert Config.from_tables(tables).compiler.phantom_spike == 3.5
    tables["compiler"]["phantom_spike"] = -1.0
    with refused("[compiler]", "phantom_spike", "-1"):
        Config.from_tables(tables)
