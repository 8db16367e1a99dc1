"""Trained networks, fed event by event: spikes and outputs of ``predict``, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genn_delays import (
    Adam,
    BatchNorm,
    Connection,
    DeepR,
    Exponential,
    FixedNumber,
    GaussianKernel,
    GennDelaysError,
    InferenceCompiler,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SimulationCompiler,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    trained_network,
)

STEPS, EXAMPLES = 40, 6


def network(*, spikes: bool = True, synapse: Any = "delta", norm: bool = False, kernel: bool = True) -> Network:
    """Two hidden layers, the second recurrent unless it is normalised; time constants of their own."""
    found = Network(seed=4)
    with found:
        a = Population(SpikeInput() if spikes else Input(), 20, "in")
        b = Population(LeakyIntegrateFire(tau_mem=Uniform(5.0, 20.0), v_thresh=0.5), 40, "b",
                       batch_norm=BatchNorm(shift=0.1) if norm else None)  # fmt: skip
        c = Population(LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, tau_refrac=2.0), 30, "c")
        out = Population(LeakyIntegrate(tau_mem=Uniform(5.0, 20.0), readout="sum_var"), 3, "out")
        pairs = [(a, b), (b, c), (a, c), (c, out)] + ([] if norm else [(c, c)])
        for p, q in pairs:
            spread = GaussianKernel(sigma=3.0) if kernel and p is not q else None
            rule = FixedNumber(sparsity=0.7, weight=Normal(0.15, 0.4), delay=UniformInt(int(p is q), 9))
            Connection(p, q, rule, synapse, max_delay_steps=12, delay_kernel=spread)
    return found


def data(*, spikes: bool = True) -> tuple[Any, Any]:
    random = np.random.default_rng(2)
    y = {"out": random.integers(0, 3, EXAMPLES)}
    if spikes:
        return {"in": [np.nonzero(random.random((STEPS, 20)) < 0.15) for _ in range(EXAMPLES)]}, y
    return {"in": random.integers(0, 16, (EXAMPLES, STEPS, 20)) / 16.0}, y


def trained(described: Network, x: Any, y: Any) -> Any:
    """The network after some epochs: rewired, delays learned."""
    learned = {c: {"weight": Adam(0.02), "delay": Adam(0.5)} for c in described.connections}
    compiled = SurrogateCompiler(STEPS, EXAMPLES).compile(
        described,
        optimisers={**learned, **{p: {"batch_norm": Adam(0.01)} for p in described.populations if p.batch_norm}},
        rewiring={"b_c": DeepR(l1=0.01)},
    )
    before = compiled.synapses("b_c")
    compiled.train(x, y, num_epochs=5, callbacks=[])
    assert not np.array_equal(before.pre, compiled.synapses("b_c").pre)
    assert not np.array_equal(compiled.delays("in_b"), np.rint(compiled.delays("in_b")))
    return compiled


def on_binary_grid(compiled: Any) -> None:
    """Weights as multiples of 2^-8: sums of them are exact in any order."""
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        state.synapses = state.synapses._replace(weight=np.rint(state.synapses.weight * 256) / np.float32(256))
        compiled.engine.set_state(c.index, state)


def rasters(compiled: Any, x: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Outputs, and spikes ``[neuron, time, example]``, by predict."""
    z = compiled.predict(x)[0][compiled.population("out")]
    return z, {name: compiled.engine.spikes(compiled.population(name).index) for name in ("b", "c")}


def simulated(compiled: Any, x: Any, backend: str = "cpu") -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The same by a simulation."""
    source, real = x["in"], not isinstance(x["in"], list)
    described = trained_network(compiled, {"in": source}) if real else compiled
    first = "b" if real else compiled.population("b")  # the compiled network's own populations are keys as well
    compiler = SimulationCompiler(1.0, backend=backend)
    with compiler.compile(described, {first: "spikes", "c": "spikes", "out": "v"}) as simulation:
        for number in range(EXAMPLES):
            simulation.run(float(STEPS), None if real else {"in": source[number]})
            simulation.reset(keep_time=True)
        found = {}
        for name in ("b", "c"):
            times, neurons = simulation.spikes(name)
            example, step = np.divmod(times.astype(int), STEPS)
            found[name] = np.zeros((simulation.population(name).size, STEPS, EXAMPLES), bool)
            found[name][neurons, step, example] = True
        v = simulation.trace("out", "v")[1].reshape(EXAMPLES, STEPS, 3)
    return v.sum(axis=1, dtype=np.float32), found


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("synapse", ["delta", Exponential(4.0)], ids=str)
def test_spikes_of_predict_for_weights_on_the_binary_grid(synapse: Any, backend: str) -> None:
    """Rewired, with delays learned under a kernel (rounded), recurrent."""
    x, y = data()
    with trained(network(synapse=synapse), x, y) as compiled:
        on_binary_grid(compiled)
        z, expected = rasters(compiled, x)
        ours, found = simulated(compiled, x, backend)
    for name, raster in expected.items():
        assert raster.sum() > 100
        assert np.array_equal(raster, found[name]), name
    np.testing.assert_allclose(ours, z, rtol=1e-5, atol=1e-5)


def test_real_values_become_currents() -> None:
    x, y = data(spikes=False)
    with trained(network(spikes=False), x, y) as compiled:
        on_binary_grid(compiled)
        z, expected = rasters(compiled, x)
        ours, found = simulated(compiled, x)
    assert all(np.array_equal(expected[name], found[name]) and found[name].any() for name in expected)
    np.testing.assert_allclose(ours, z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spikes", [True, False])
def test_batch_norm_is_folded(spikes: bool) -> None:
    """Its factors round, so that not every spike need be equal; nearly all are."""
    x, y = data(spikes=spikes)
    with trained(network(norm=True, spikes=spikes), x, y) as compiled:
        z, expected = rasters(compiled, x)
        ours, found = simulated(compiled, x)
    for name, raster in expected.items():
        assert raster.sum() > 100
        assert (raster & found[name]).sum() >= 0.99 * (raster | found[name]).sum()
    assert np.array_equal(z.argmax(axis=1), ours.argmax(axis=1))


def test_learned_time_constants_come_with_a_checkpoint(tmp_path: Any) -> None:
    """The network compiled for inference learns none, and has those of the checkpoint."""
    x, y = data()
    path = tmp_path / "trained.safetensors"
    with SurrogateCompiler(STEPS, EXAMPLES).compile(
        network(kernel=False), optimisers={"b": {"tau_mem": Adam(0.5)}, "all_connections": {"weight": Adam(0.01)}}
    ) as compiled:
        compiled.train(x, y, num_epochs=3, callbacks=[])
        compiled.save(path)
        on_binary_grid(compiled)
        _, expected = rasters(compiled, x)
    with InferenceCompiler(STEPS, batch_size=EXAMPLES).compile(network(kernel=False)) as compiled:
        before = trained_network(compiled).populations[1].neuron.tau_mem
        compiled.load(path)
        on_binary_grid(compiled)
        assert not np.array_equal(trained_network(compiled).populations[1].neuron.tau_mem, before)
        _, found = simulated(compiled, x)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_examples_begin_anew_while_time_goes_on() -> None:
    x, _ = data()
    with (
        InferenceCompiler(STEPS).compile(network(kernel=False)) as compiled,
        SimulationCompiler(1.0).compile(compiled, {"out": "v", "b": "spikes"}) as simulation,
    ):
        for number in (0, 1, 0):
            simulation.run(float(STEPS), {"in": x["in"][number]})
            simulation.reset(keep_time=True)
        assert simulation.step == 3 * STEPS
        first, second, third = simulation.trace("out", "v")[1].reshape(3, STEPS, 3)
        assert np.array_equal(first, third) and not np.array_equal(first, second)
        simulation.reset()
        assert simulation.step == 0 and simulation.spikes("b")[0].size == 0
        with pytest.raises(GennDelaysError, match="keep_time must be true or false, got 1"):
            simulation.reset(keep_time=1)  # type: ignore[arg-type]


def test_what_cannot_be_simulated() -> None:
    x = data(spikes=False)[0]["in"]
    with (
        InferenceCompiler(STEPS).compile(network(spikes=False, kernel=False)) as real,
        InferenceCompiler(STEPS).compile(network(spikes=False, synapse=Exponential(3.0), kernel=False)) as current,
        InferenceCompiler(STEPS).compile(network(kernel=False)) as events,
    ):
        for call, parts in [
            (lambda: SimulationCompiler(0.1).compile(real), ["dt must be 1 ms", "got 0.1"]),
            (lambda: SimulationCompiler(1.0).compile(real), ["'in'", "Input()", "trained_network(compiled, {"]),
            (lambda: trained_network(real, {"in": x[:, :, :7]}), ["'in'", "[time, 20]", "(6, 40, 7)"]),
            (lambda: trained_network(real, {"in": np.full((STEPS, 20), np.nan)}), ["'in'", "finite"]),
            (lambda: trained_network(real, {"b": x}), ["'b'", "not of real values"]),
            (lambda: trained_network(real, 3), ["inputs must be a dict", "3"]),  # type: ignore[arg-type]
            (lambda: trained_network(current, {"in": x}), ["'in_b'", "Exponential", "'delta'"]),
            (lambda: trained_network(events, {"in": x}), ["'in'", "simulation.run"]),
            (lambda: trained_network(network()), ["needs a compiled network", "Network"]),  # type: ignore[arg-type]
            (lambda: SimulationCompiler(1.0).compile(events, {"d": "spikes"}), ["population", "'d'", "b, c, in, out"]),
        ]:  # fmt: skip
            with pytest.raises(GennDelaysError) as error:
                call()
            assert all(part in str(error.value) for part in parts), error.value
