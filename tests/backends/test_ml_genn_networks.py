"""Networks written for mlGeNN and read from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ml_genn_here import connectivity, initializers, ml_genn, neurons, synapses
from small_eventprop import small

from genn_delays import (
    Adam,
    Dense,
    EventPropCompiler,
    FixedProbability,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Normal,
    Sparse,
    SurrogateCompiler,
    Uniform,
    from_ml_genn,
    to_ml_genn,
)
from genn_delays.backends.genn import build

pytestmark = pytest.mark.genn


# --- ours to mlGeNN's and back ---------------------------------------------------------------------------------------


def test_round_trip_keeps_every_synapse() -> None:
    network = small(LeakyIntegrateFire(tau_mem=15.0, v_thresh=Uniform(0.5, 1.0), v=0.1, scale_i=True))
    described = to_ml_genn(network)
    again = from_ml_genn(described.network)
    for c, other in zip(network.connections, again.connections, strict=True):
        for mine, theirs in zip(c.synapses, other.synapses, strict=True):
            np.testing.assert_array_equal(theirs, mine)
        assert other.max_delay_steps == c.max_delay_steps
        assert other.synapse == c.synapse
        assert described.connections[c].max_delay_steps == c.max_delay_steps
    assert [p.name for p in again.populations] == ["in", "hidden", "out"]
    assert [c.name for c in again.connections] == ["in_hidden", "hidden_hidden", "to_the_output"]
    for p, other in zip(network.populations[1:], again.populations[1:], strict=True):
        assert described.populations[p].name == p.name
        assert other.neuron.readout == p.neuron.readout
        values = other.parameters()
        for name, mine in p.parameters().items():
            np.testing.assert_allclose(values[name], mine, rtol=1e-7, err_msg=name)


def test_weights_of_other_units_are_scaled() -> None:
    network = small(LeakyIntegrateFire(tau_mem=15.0), LeakyIntegrate(tau_mem=30.0, readout="max_var"))
    again = from_ml_genn(to_ml_genn(network))
    for c, other, tau in zip(network.connections, again.connections, (15.0, 15.0, 30.0), strict=True):
        np.testing.assert_array_equal(other.synapses.weight, c.synapses.weight * np.float32(tau))
        assert other.target.neuron.scale_i


def test_names_are_such_as_genn_takes() -> None:
    network = small(names=("a b", "a-b"))
    described = to_ml_genn(network)
    assert [p.name for p in described.network.populations] == ["in", "a_b", "a_b_2"]
    assert [c.name for c in described.network.connections] == ["in_a_b", "a_b_a_b", "to_the_output"]


def test_a_trained_network_carries_real_delays() -> None:
    network = small()
    x, y = {"in": [(np.arange(7) * 2.0, np.arange(7))]}, {"out": np.array([1])}
    optimisers = {"in_hidden": {"weight": Adam(0.1), "delay": Adam(0.3)}}
    with EventPropCompiler(40, 1).compile(network, optimisers=optimisers) as compiled:
        compiled.train(x, y, 3, callbacks=())
        described = to_ml_genn(compiled)
        trained = [compiled.synapses(c) for c in network.connections]
        delays = [compiled.delays(c) for c in network.connections]
    for c, s, delay in zip(network.connections, trained, delays, strict=True):
        carried = described.connections[c].connectivity
        np.testing.assert_array_equal(carried.delay, delay)
        np.testing.assert_array_equal(carried.weight, s.weight)
    assert (delays[0] % 1 != 0).any()
    for other, s in zip(from_ml_genn(described.network).connections, trained, strict=True):
        np.testing.assert_array_equal(other.synapses.delay, s.delay)  # rounded, not cut off (ml_genn 137)


# --- mlGeNN's as ours ------------------------------------------------------------------------------------------------


def sparse(random: np.random.Generator, count: int, sizes: tuple[int, int], weight: float, delays: int) -> Any:
    pairs = random.choice(sizes[0] * sizes[1], count, replace=False)
    found = connectivity.FixedProbability(
        0.5, random.normal(weight, 0.7 * weight, count), delay=random.integers(0, delays, count)
    )
    found.pre_ind, found.post_ind = np.divmod(pairs, sizes[1])
    return found


def theirs(neuron: Any, synapse: Callable[[], Any], weight: float) -> Any:
    random, network = np.random.default_rng(5), ml_genn.Network()
    with network:
        a = ml_genn.Population(neurons.SpikeInput(), 6, record_spikes=True, name="a")
        h = ml_genn.Population(neuron, 5, record_spikes=True, name="h")
        o = ml_genn.Population(neurons.LeakyIntegrate(tau_mem=15.0, readout="avg_var"), 2, name="o")
        ml_genn.Connection(a, h, sparse(random, 20, (6, 5), weight, 6), synapse())
        ml_genn.Connection(h, h, sparse(random, 8, (5, 5), 0.5 * weight, 4), synapse())
        ml_genn.Connection(h, o, connectivity.Dense(random.normal(0.0, 1.0, (5, 2)), delay=3), synapse())
    return network


def simulated(network: Any, steps: int, dt: float, events: Any) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of the hidden population and the output's potential at every step, as mlGeNN has them."""
    from ml_genn.compilers import InferenceCompiler
    from ml_genn.utils.data import preprocess_spikes

    a, h, o = network.populations
    one = InferenceCompiler(steps, dt=dt, backend="single_threaded_cpu").compile(network, "read")
    groups, potential = one.neuron_populations, []
    folder = build.folder_for(f"tests of reading {id(network)}")
    build.build(one.genn_model, folder)
    one.genn_model.load(num_recording_timesteps=steps)
    one.set_input({a: [preprocess_spikes(events[0] - dt / 2, events[1], 6)]})
    for _ in range(steps):
        one.genn_model.step_time()
        groups[o].vars["V"].pull_from_device()
        potential.append(groups[o].vars["V"].view.ravel().copy())
    one.genn_model.pull_recording_buffers_from_device()
    times, ids = groups[h].spike_recording_data[0]
    spikes = np.zeros((5, steps), dtype=bool)
    spikes[ids, np.rint(times / dt).astype(int)] = True
    one.genn_model.unload()
    build.release(folder)
    return spikes, np.array(potential).T


STILL = {"integrate_during_refrac": False}
READ = {
    "absolute": (lambda: neurons.LeakyIntegrateFire(tau_mem=10.0, relative_reset=False), 0.4),
    "relative": (lambda: neurons.LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.7), 0.4),
    "refractory": (
        lambda: neurons.LeakyIntegrateFire(tau_mem=10.0, v_reset=-0.3, relative_reset=False, tau_refrac=3.0, **STILL),
        0.4,
    ),
    "scale_i": (lambda: neurons.LeakyIntegrateFire(tau_mem=10.0, relative_reset=False, scale_i=True), 4.0),
    "arrays": (lambda: neurons.LeakyIntegrateFire(tau_mem=np.arange(5.0, 10.0), v_thresh=np.linspace(0.5, 1, 5)), 0.4),
    "adaptive": (lambda: neurons.AdaptiveLeakyIntegrateFire(tau_mem=10.0, tau_adapt=50.0, beta=0.3), 0.4),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_delta_synapses_have_the_same_dynamics(name: str, dt: float) -> None:
    neuron, weight = READ[name]
    network = theirs(neuron(), synapses.Delta, weight)
    key = np.unique(np.random.default_rng(1).integers(0, 60 * 6, 60))
    events = key // 6 * dt, key % 6
    spikes, potential = simulated(network, 60, dt, events)
    with SurrogateCompiler(60, 1, dt=dt).compile(from_ml_genn(network, dt)) as compiled:
        compiled.engine.keep_variables(2)
        compiled.predict({"a": [events]})
        np.testing.assert_array_equal(compiled.engine.spikes(1)[:, :, 0], spikes)
        found = compiled.engine.variable(2, "v")[:, :, 0]
    assert spikes.sum() > 10
    np.testing.assert_allclose(found, potential, atol=1e-5 * np.abs(potential).max())


@pytest.mark.parametrize("scaled", [(True, True), (False, False), (True, False)])
def test_exponential_synapses_agree_to_first_order(scaled: tuple[bool, bool]) -> None:
    """The potential in question is one that does not depend on spikes of others, so that it cannot jump."""
    errors = []
    for dt in (1.0, 0.25):
        network = ml_genn.Network()
        with network:
            a = ml_genn.Population(neurons.SpikeInput(), 6, name="a")
            h = ml_genn.Population(neurons.LeakyIntegrateFire(v_thresh=100.0), 5, record_spikes=True, name="h")
            o = ml_genn.Population(neurons.LeakyIntegrate(tau_mem=15.0, readout="avg_var", scale_i=scaled[0]), 2)
            ml_genn.Connection(a, h, connectivity.FixedProbability(0.5, 0.1))
            dense = connectivity.Dense(np.arange(1.0, 13.0).reshape(6, 2), delay=np.arange(12).reshape(6, 2))
            ml_genn.Connection(a, o, dense, synapses.Exponential(5.0, scale_i=scaled[1]))
        events = np.array([0.0, 3.0, 9.0, 9.0]), np.array([0, 4, 2, 5])
        _, potential = simulated(network, round(60 / dt), dt, events)
        with SurrogateCompiler(round(60 / dt), 1, dt=dt).compile(from_ml_genn(network, dt)) as compiled:
            compiled.engine.keep_variables(2)
            compiled.predict({"a": [events]})
            found = compiled.engine.variable(2, "v")[:, :, 0]
        errors.append(np.abs(found - potential).max() / np.abs(potential).max())
    assert errors[1] < 0.3 * errors[0]
    assert errors[1] < 0.01


def test_connectivities_and_initialisers_are_read_as_such() -> None:
    network = ml_genn.Network()
    with network:
        a = ml_genn.Population(neurons.SpikeInput(), (5, 8), name="a")
        h = ml_genn.Population(neurons.LeakyIntegrateFire(v=initializers.Uniform(0, 0.5)), 40, name="h")
        o = ml_genn.Population(neurons.LeakyIntegrate(readout="sum_var", scale_i=True), 3, name="h")
        normal = initializers.Normal(1.0, 2.0)
        one = connectivity.OneToOne(np.arange(40.0), delay=2)
        delays = {"delay": initializers.Uniform(0.0, 9.5)}
        ml_genn.Connection(a, h, connectivity.FixedProbability(0.1, 1.0, **delays), max_delay_steps=10)
        ml_genn.Connection(
            h, h, connectivity.FixedProbability(0.2, normal, delay=initializers.Normal(3, 1)), "delta", "r", 7
        )
        ml_genn.Connection(h, o, connectivity.Dense(normal), name="r")
        h2 = ml_genn.Population(neurons.LeakyIntegrateFire(scale_i=True), (40,))
        ml_genn.Connection(h, h2, one)
    ours = from_ml_genn(network, dt=0.5, seed=7)
    assert ours.seed == 7 and ours.populations[0].size == 40
    assert [p.name for p in ours.populations][:3] == ["a", "population1", "population2"]
    factor = 1 / (20.0 * (1 - np.exp(-0.5 / 20.0)))
    sampled, recurrent, dense, single = ours.connections
    assert isinstance(sampled.connectivity, FixedProbability) and sampled.connectivity.p == 0.1
    np.testing.assert_allclose(sampled.synapses.weight, factor, rtol=1e-6)
    assert set(sampled.synapses.delay) == set(range(1, 11)) and sampled.max_delay_steps == 11
    assert isinstance(recurrent.connectivity, Sparse)
    assert (recurrent.synapses.pre != recurrent.synapses.post).all()
    assert 250 < recurrent.synapses.pre.size < 380  # 312 in the mean
    assert abs(recurrent.synapses.weight.std() / factor - 2.0) < 0.3
    assert recurrent.synapses.delay.min() >= 1 and abs(recurrent.synapses.delay.mean() - 4.0) < 0.3
    assert isinstance(dense.connectivity, Dense) and dense.connectivity.weight == Normal(1.0, 2.0)
    np.testing.assert_array_equal(single.synapses.pre, single.synapses.post)
    np.testing.assert_array_equal(single.synapses.weight, np.arange(40.0))
    assert (single.synapses.delay == 3).all()
