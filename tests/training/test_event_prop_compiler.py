"""EventProp: what it refuses, what it keeps, and that it learns weights, delays and structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import Case
from refused import refused

from genn_delays import (
    CPU,
    Adam,
    Connection,
    DeepR,
    Dense,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    GaussianKernel,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    RigL,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
    VarRecorder,
)
from genn_delays.errors import TrainingError
from genn_delays.plan.plan import Plan

T = 30


def described(
    hidden: dict[str, Any] | None = None,
    out: Any = None,
    synapse: Any = None,
    sparsity: float = 0.0,
    recurrent: int | None = None,
    **connection: Any,
) -> Network:
    network = Network(seed=2)
    lif = LeakyIntegrateFire(tau_mem=10.0, scale_i=True, integration="exact")
    with network:
        a, h = Population(SpikeInput(), 6, "a"), Population(lif, 20, "h", **hidden or {})
        o = Population(out or LeakyIntegrate(tau_mem=10.0, scale_i=True, readout="avg_var"), 3, "o")
        given = FixedNumber(sparsity=sparsity, weight=Normal(4.0, 4.0), delay=UniformInt(0, 6))
        Connection(a, h, given, synapse or Exponential(4.0), max_delay_steps=12, **connection)
        Connection(h, o, FixedNumber(sparsity=sparsity, weight=Normal(0.0, 2.0), delay=1), Exponential(4.0))
        if recurrent is not None:
            Connection(h, h, Dense(weight=Normal(0.0, 2.0), delay=recurrent), Exponential(4.0), name="around")
    return network


def data(count: int = 12, rate: float = 0.1) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(5)
    return {"a": (random.random((count, T, 6)) < rate).astype(np.float32)}, {"o": random.integers(0, 3, count)}


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "arguments", "parts"),
    [
        ({"synapse": "delta"}, {}, ["'h'", "no adjoint for synapse 'delta'", "Exponential(tau)"]),
        ({"hidden": {"batch_norm": True}}, {}, ["'h'", "batch norm", "SurrogateCompiler"]),
        ({"hidden": {"dropout": 0.4}}, {}, ["'h'", "dropout", "SurrogateCompiler"]),
        ({"delay_kernel": GaussianKernel()}, {}, ["'a_h'", "delay kernel", "'delay'"]),
        (
            {"out": LeakyIntegrateFire(tau_mem=10.0, readout="spike_count")},
            {},
            ["'o'", "'spike_count'", "no derivative", "SurrogateCompiler"],
        ),
        ({}, {"optimisers": {"h": {"tau_mem": Adam()}}}, ["'h'", "'tau_mem'", "weights and delays"]),
        ({"recurrent": 0}, {}, ["'around'", "cycle", "at least 1 step", "0"]),
    ],
)
def test_what_has_no_adjoint_is_one_error(network: Any, arguments: Any, parts: list[str]) -> None:
    with refused(*parts):
        EventPropCompiler(T).compile(described(**network), **arguments)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"max_spikes": 0}, ["max_spikes", "at least 1", "0"]),
        ({"max_spikes": 2.5}, ["max_spikes", "whole number", "2.5"]),
        ({"grad_limit": 0.0}, ["grad_limit", "(0, inf)", "0.0"]),
        ({"surrogate": "arctan"}, ["'surrogate'"]),
        ({"losses": "relative_mean_square_error"}, ["relative_mean_square_error", "delta"]),
        ({"deep_r_conns": []}, ["deep_r_conns", "rewiring="]),
    ],
)
def test_bad_arguments(arguments: Any, parts: list[str]) -> None:
    with refused(*parts):
        EventPropCompiler(T, **arguments)


# --- spikes and their limit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiler", [EventPropCompiler, SurrogateCompiler])
@pytest.mark.parametrize("recurrent", [None, 1])
def test_the_limit_of_spikes_is_what_a_neuron_reaches_in_an_example(compiler: Any, recurrent: int | None) -> None:
    network, (x, y) = described(recurrent=recurrent), data()
    most = {}
    for backend in ("cpu", "reference"):
        compiled = compiler(T, 12, backend=backend).compile(network)
        with compiled:
            compiled.gradients(x, y)
            counts = compiled.engine.spikes(1).sum(axis=1)
        most[backend] = counts.max()
        neuron = int(counts.max(axis=1).argmax())
        allowed = compiler(T, 12, backend=backend, max_spikes=int(counts.max())).compile(network)
        with allowed:
            allowed.gradients(x, y)
        limited = compiler(T, 12, backend=backend, max_spikes=int(counts.max()) - 1).compile(network)
        with limited, pytest.raises(TrainingError) as error:
            limited.gradients(x, y)
        for part in ("'h'", f"neuron {neuron} spikes {counts.max()} times", f"max_spikes allows {counts.max() - 1}"):
            assert part in str(error.value)
    assert most["cpu"] == most["reference"] > 1


def test_spikes_beyond_every_expectation_find_room() -> None:
    """Nothing is reserved for them: from silence to a spike in every step and back, block by block and all at once."""
    for recurrent in (None, 1):
        compiled = EventPropCompiler(T, 12, backend=CPU(threads=2)).compile(described(recurrent=recurrent))
        with compiled:
            counts = []
            for scale in (0.0, 1.0, 50.0, 0.0, 1.0):
                state = compiled.engine.state(0)
                state.synapses = compiled.network.connections[0].synapses._replace(
                    weight=np.abs(compiled.network.connections[0].synapses.weight) * np.float32(scale)
                )
                compiled.engine.set_state(0, state)
                compiled.gradients(*data(rate=0.5))
                counts.append(compiled.engine.spike_count(1))
            assert counts[0] == counts[3] == 0
            assert counts[1] == counts[4]
            assert counts[2] > 0.7 * 20 * 12 * (T - 7)


def test_hidden_variables_are_kept_only_for_who_records_them() -> None:
    network, (x, y) = described(), data()
    compiled = EventPropCompiler(T, 12).compile(network)
    with compiled:
        compiled.gradients(x, y)
        arrays = compiled.engine._population_arrays
        assert "var0" not in arrays[1]
        assert "var0" in arrays[2], "the readout reads the output's"
        _, recorded = compiled.evaluate(x, y, callbacks=[VarRecorder("h", "i_syn")])
    surrogate = SurrogateCompiler(T, 12).compile(network)
    with surrogate:
        _, expected = surrogate.evaluate(x, y, callbacks=[VarRecorder("h", "i_syn")])
    for one, other in zip(recorded["h_i_syn"], expected["h_i_syn"], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_population_that_nobody_reads_is_only_recorded() -> None:
    with Network(seed=1) as network:
        inputs = Population(SpikeInput(), 3, name="in")
        watched = Population(LeakyIntegrate(tau_mem=10.0), 4, name="watched")
        output = Population(LeakyIntegrate(tau_mem=10.0, readout="avg_var"), 2, name="out")
        Connection(inputs, watched, Dense(weight=1.0, delay=2), synapse=Exponential(4.0))
        Connection(inputs, output, Dense(weight=0.1), synapse=Exponential(4.0))
    x, y = {inputs: np.ones((5, 9, 3), dtype=np.float32)}, {output: np.zeros(5, dtype=np.int64)}
    seen = []
    for backend in ("cpu", "reference"):
        with EventPropCompiler(9, 3, backend=backend).compile(network) as compiled:
            _, gradients = compiled.gradients(x, y)
            assert not gradients[network.connections[0]].any()
            seen.append(compiled.evaluate(x, y, callbacks=[VarRecorder(watched, "v")])[1]["watched_v"])
    for one, other in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one[-1].min() > 0.1


def test_both_compilers_see_the_same_network() -> None:
    network, (x, _) = described(recurrent=2), data()
    outputs = []
    for compiler in (EventPropCompiler, SurrogateCompiler):
        with compiler(T, 5).compile(network) as compiled:
            outputs.append(next(iter(compiled.predict(x)[0].values())))
    np.testing.assert_array_equal(*outputs)


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [DeepR(l1=1e-4), DeepR(growth="gradient", growth_delay="best"), RigL(interval=2)])
def test_rewiring_cpu_equals_reference(rule: Any) -> None:
    """A few epochs with everything at once: weights, delays and structure stay the same synapse by synapse."""
    network, (x, y) = described(sparsity=0.6), data()
    found = []
    for backend in (CPU(threads=2), "reference"):
        compiled = EventPropCompiler(T, 6, backend=backend).compile(
            network,
            optimisers={"all_connections": {"weight": Adam(0.3)}, "a_h": {"weight": Adam(0.3), "delay": Adam(0.4)}},
            rewiring={"a_h": rule},
        )
        with compiled:
            compiled.train(x, y, 4, callbacks=[])
            found.append((compiled.synapses("a_h"), compiled.delays("a_h"), compiled.rewirings["a_h"]))
    (s, delays, rewired), (s_r, delays_r, rewired_r) = found
    assert rewired == rewired_r > 3
    np.testing.assert_array_equal(s.pre, s_r.pre)
    np.testing.assert_array_equal(s.post, s_r.post)
    np.testing.assert_array_equal(s.delay, s_r.delay)
    np.testing.assert_allclose(s.weight, s_r.weight, atol=1e-4)
    np.testing.assert_allclose(delays, delays_r, atol=1e-4)
    assert np.abs(delays - np.rint(delays)).max() > 0.01, "delays are learned as real numbers"
    assert (np.rint(delays) == s.delay).all(), "and rounded where they act"


def test_delays_alone_bring_two_spikes_together() -> None:
    """One neuron that fires only where both inputs arrive at once: the delays find each other, weights are fixed."""
    network = Network()
    with network:
        a = Population(SpikeInput(), 2, "a")
        h = Population(LeakyIntegrateFire(tau_mem=5.0, scale_i=True, integration="exact"), 1, "h")
        o = Population(LeakyIntegrate(tau_mem=5.0, scale_i=True, integration="exact", readout="avg_var"), 2, "o")
        Connection(a, h, Dense(weight=7.0, delay=UniformInt(4, 8)), Exponential(2.0), max_delay_steps=25)
        Connection(h, o, Sparse([0], [1], 30.0, 0), Exponential(2.0))
        Connection(a, o, Sparse([0], [0], 4.0, 0), Exponential(2.0))
    x = [(np.array([0.0, 6.0]), np.array([0, 1]))]
    compiled = EventPropCompiler(T).compile(network, optimisers={"a_h": {"delay": Adam(0.5)}})
    with compiled:
        before = compiled.delays("a_h")
        metrics, _ = compiled.train({a: x}, {o: [1]}, 60, callbacks=[])
        delays = compiled.delays("a_h")
        np.testing.assert_array_equal(compiled.synapses("a_h").weight, np.float32(7.0))
    assert abs(before[0] - (before[1] + 6)) > 2
    assert abs(delays[0] - (delays[1] + 6)) < abs(before[0] - (before[1] + 6))
    assert metrics[o].result == 1.0


@pytest.mark.parametrize("compiler", [EventPropCompiler, SurrogateCompiler])
def test_self_delays_train_and_blocks_of_1_and_8_steps_give_the_same_bits(
    compiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, (x, y) = described(recurrent=8), data()
    found, lengths = [], []
    for longest in (8, 1):
        block_steps = Plan.block_steps

        def shortened(plan: Plan, group: Any, delays: Any, longest: int = longest, of: Any = block_steps) -> int:
            length = of(plan, group, delays)
            if plan.populations[group[0]].cyclic:
                length = min(length, longest)
                lengths.append(length)
            return length

        with monkeypatch.context() as patch, compiler(T, 6, backend=CPU(threads=2)).compile(network) as compiled:
            patch.setattr(Plan, "block_steps", shortened)
            gradients = compiled.gradients(x, y)[1].values()
            spikes = compiled.engine.spikes(1)
            metrics, _ = compiled.train(x, y, 3, callbacks=[])
            found.append([*gradients, spikes, *(compiled.synapses(c).weight for c in network.connections)])
            assert np.isfinite(next(iter(metrics.outputs.values())).loss)
    assert set(lengths) == {8, 1}
    assert found[0][3].any()
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("compiler", [EventPropCompiler, SurrogateCompiler])
def test_a_recurrent_network_learns_by_heart(compiler: Any) -> None:
    network, (x, y) = described(recurrent=1), data()
    with compiler(T, 12).compile(network, optimisers={"all_connections": {"weight": Adam(0.2)}}) as compiled:
        out = network.populations[2]
        first = compiled.train(x, y, 1, callbacks=[])[0].outputs[out]
        last = compiled.train(x, y, 60, callbacks=[])[0].outputs[out]
    assert last.loss < 0.5 * first.loss
    assert last.result > 0.9 > first.result


def test_interrupted_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    network, (x, y) = described(sparsity=0.5, recurrent=1), data()
    optimisers = {"all_connections": {"weight": Adam(0.3)}, "a_h": {"weight": Adam(0.3), "delay": Adam(0.4)}}

    def compiled() -> Any:
        return EventPropCompiler(T, 6).compile(network, optimisers=optimisers, rewiring={"a_h": DeepR(l1=1e-3)})

    with compiled() as whole:
        whole.train(x, y, 4, callbacks=[])
        expected = [whole.engine.state(c.index).arrays() for c in network.connections]
    with compiled() as first:
        first.train(x, y, 2, callbacks=[])
        first.save(tmp_path / "half.safetensors")
    with compiled() as second:
        second.load(tmp_path / "half.safetensors")
        second.train(x, y, 4, callbacks=[])
        found = [second.engine.state(c.index).arrays() for c in network.connections]
    for one, other in zip(found, expected, strict=True):
        for name, values in other.items():
            np.testing.assert_array_equal(one[name], values)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads: int) -> None:
    case = Case.current_based(5)
    assert case.event_prop
    assert case.recurrent
    found = []
    for count in (1, threads):
        with case.compile(CPU(threads=count)) as compiled:
            found.append(
                [*compiled.gradients(*case.data())[1].values(), *compiled.gradients(*case.data(), "delay")[1].values()]
            )
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
