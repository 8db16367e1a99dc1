"""Neurons without a leak: their spikes by a loop, their gradients beside a leak that is next to none, one to one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refused import refused

import genn_delays as gd

T, LANES, SIZE = 30, 6, 5
random = np.random.default_rng(0)
CURRENTS = random.random((LANES, T, SIZE)).astype(np.float32)
SPIKES = (random.random((LANES, T, SIZE)) < 0.4).astype(np.float32)
LABELS = np.arange(LANES) % 3


@pytest.mark.parametrize("relative", [False, True])
def test_spikes_are_those_of_a_loop(any_backend: str, relative: bool) -> None:
    """mlGeNN's ``IntegrateFireInput`` is one of them behind a real-valued input."""
    network = gd.Network()
    with network:
        x = gd.Population(gd.Input(), SIZE, "x")
        h = gd.Population(gd.IntegrateFire(v_thresh=2.0, v_reset=-0.5, relative_reset=relative), SIZE, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 3, "o")
        gd.Connection(x, h, gd.OneToOne(weight=0.5))
        gd.Connection(h, o, gd.Dense(weight=1.0))
    compiled = gd.SurrogateCompiler(T, LANES, dt=2.0, backend=any_backend).compile(network)
    _, recorded = compiled.predict({x: CURRENTS}, callbacks=[gd.SpikeRecorder(h, "s"), gd.VarRecorder(h, "v", "v")])
    v, total = np.zeros((LANES, SIZE), np.float32), 0
    for t in range(T):
        v = v + np.float32(0.5) * CURRENTS[:, t] * np.float32(2.0)
        assert np.allclose([value[t] for value in recorded["v"]], v, atol=1e-5)
        spiked = v >= 2.0
        total += spiked.sum()
        v = np.where(spiked, v - np.float32(2.0) if relative else np.float32(-0.5), v)
    assert sum(len(times) for times in recorded["s"][0]) == total > 20


def gradients(neuron: gd.Neuron, compiler: Any, synapse: Any) -> list[Any]:
    network = gd.Network()
    with network:
        x, h = gd.Population(gd.SpikeInput(), SIZE, "x"), gd.Population(neuron, SIZE, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="avg_var"), 3, "o")
        gd.Connection(x, h, gd.OneToOne(weight=gd.Uniform(0.1, 0.4), delay=gd.UniformInt(0, 4)), synapse)
        gd.Connection(h, o, gd.Dense(weight=gd.Normal(0.0, 0.5)), synapse)
    loss, found = compiler(T, LANES, backend="reference").compile(network).gradients({x: SPIKES}, {o: LABELS})
    assert all(np.abs(g).max() > 0 for g in found.values())
    return [loss, *(value for g in found.values() for value in g)]


@pytest.mark.parametrize(
    ("compiler", "synapse"), [(gd.SurrogateCompiler, "delta"), (gd.EventPropCompiler, gd.Exponential(5.0))]
)
def test_gradients_are_those_of_hardly_a_leak(compiler: Any, synapse: Any) -> None:
    without = gradients(gd.IntegrateFire(), compiler, synapse)
    hardly = gradients(gd.LeakyIntegrateFire(tau_mem=1e6), compiler, synapse)
    assert without == pytest.approx(hardly, rel=1e-2, abs=1e-4)


def test_one_to_one_is_trained_and_rewired(backend: Any) -> None:
    network = gd.Network()
    with network:
        x, h = gd.Population(gd.SpikeInput(), SIZE, "x"), gd.Population(gd.IntegrateFire(), SIZE, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="sum_softmax"), 3, "o")
        gd.Connection(x, h, gd.OneToOne(weight=np.full(SIZE, 0.6), delay=np.arange(SIZE)))
        gd.Connection(h, o, gd.Dense(weight=gd.Normal(0.0, 0.5)))
    compiled = gd.SurrogateCompiler(T, 4, backend=backend).compile(
        network, optimisers={"all_connections": gd.Adam(0.1)}, rewiring={"x_h": gd.SET(fraction=0.4, interval=2)}
    )
    metrics, _ = compiled.train({x: SPIKES}, {o: LABELS}, 4, callbacks=[])
    trained = compiled.synapses("x_h")
    assert trained.pre.size == SIZE and metrics.rewirings["x_h"] > 0


def test_bad_values() -> None:
    with refused("IntegrateFire takes v_thresh by name"):
        gd.IntegrateFire(5.0)  # type: ignore[misc]
    with refused("v_thresh must be above v_reset"):
        gd.IntegrateFire(v_thresh=0.0)
    with refused("readout", "the neuron spikes"):
        gd.IntegrateFire(readout="sum_var")
