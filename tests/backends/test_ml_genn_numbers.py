"""The porting guide on mlGeNN's numbers, by mlGeNN itself (docs/porting_ml_genn.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_genn_here import connectivity, ml_genn, neurons, synapses

import genn_delays as gd
from genn_delays.compilers.event_prop_compiler import default_params as ours

pytestmark = [pytest.mark.genn, pytest.mark.filterwarnings("ignore")]
T = 12
theirs = ml_genn.compilers.event_prop_compiler.default_params


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def of_ml_genn(neuron: Any, synapse: Any, times: list[float], weight: float, dt: float, defaults: Any) -> Any:
    network = ml_genn.Network(defaults)
    with network:
        x = ml_genn.Population(neurons.SpikeInput(max_spikes=100), 1)
        h = ml_genn.Population(neuron(), 1)
        ml_genn.Connection(x, h, connectivity.Dense(weight), synapse())
    compiler = ml_genn.compilers.InferenceCompiler(
        evaluate_timesteps=T, dt=dt, batch_size=1, backend="single_threaded_cpu"
    )
    spikes = ml_genn.utils.data.preprocess_spikes(np.array(times), np.zeros(len(times), int), 1)
    compiled = compiler.compile(network, "numbers")
    with compiled:
        _, recorded = compiled.predict({x: [spikes]}, [h], callbacks=[ml_genn.callbacks.VarRecorder(h, "v", key="v")])
    return np.array(recorded["v"])[0, :, 0]


def of_ours(
    neuron: Any,
    synapse: Any,
    times: list[float],
    weight: float,
    dt: float,
    defaults: Any,
    delay: int = 0,
    bias: Any = 0,
) -> Any:
    network = gd.Network(default_params=defaults)
    with network:
        x = gd.Population(gd.SpikeInput(), 1)
        h = gd.Population(neuron(), 1, "h", bias=bias)
        gd.Connection(x, h, gd.Dense(weight=weight, delay=delay), synapse)
    compiled = gd.SurrogateCompiler(T, dt=dt, backend="reference").compile(network)
    spikes = (np.array(times), np.zeros(len(times), int))
    return compiled.predict({x: [spikes]}, callbacks=[gd.VarRecorder(h, key="v")])[1]["v"][0][:, 0]


def theirs_li(**given: Any) -> Any:
    return lambda: neurons.LeakyIntegrate(readout="sum_var", **given)


def ours_li(**given: Any) -> Any:
    return lambda: gd.LeakyIntegrate(readout="sum_var", **given)


@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_default_params_with_exponential_synapses(dt: float) -> None:
    times = [2 * dt, 5 * dt]
    mine = of_ours(ours_li(), gd.Exponential(5.0), times, 0.5, dt, ours)
    assert mine[-1] > 0
    assert mine == pytest.approx(
        of_ml_genn(theirs_li(), lambda: synapses.Exponential(5.0), times, 0.5, dt, theirs), rel=1e-3
    )


@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_a_delta_synapse_is_a_step_later_and_adds_its_weight(dt: float) -> None:
    exact = ours_li(integration="exact")
    found = of_ml_genn(theirs_li(), lambda: "delta", [3 * dt], 0.5, dt, {})
    factor = 20.0 * (1 - np.exp(-dt / 20.0))
    assert found == pytest.approx(of_ours(exact, "delta", [3 * dt], 0.5 / factor, dt, {}, delay=1), abs=1e-5)
    assert np.flatnonzero(found)[0] == 4 and found[4] == 0.5


def test_a_spike_between_two_steps_is_in_the_next() -> None:
    found = of_ml_genn(theirs_li(), lambda: "delta", [2.3], 0.5, 1.0, {})
    assert np.array_equal(found, of_ml_genn(theirs_li(), lambda: "delta", [3.0], 0.5, 1.0, {}))
    mine = [of_ours(ours_li(), "delta", [t], 0.5, 1.0, {}) for t in (2.0, 2.3)]
    assert np.array_equal(*mine)


def test_a_bias_is_added_in_every_step() -> None:
    found = of_ml_genn(theirs_li(bias=0.1), lambda: "delta", [0.1], 0.0, 0.1, {})
    mine = of_ours(ours_li(), "delta", [0.1], 0.0, 0.1, {}, bias=0.1 / 0.1)
    assert found == pytest.approx(mine, rel=1e-3)


def test_what_is_recorded_is_after_the_reset() -> None:
    lif = {"relative_reset": False}
    found = of_ml_genn(
        lambda: neurons.LeakyIntegrateFire(readout="spike_count", **lif), lambda: "delta", [3.0], 1.2, 1.0, {}
    )
    assert not found.any()
    assert of_ours(lambda: gd.LeakyIntegrateFire(readout="spike_count"), "delta", [3.0], 1.2, 1.0, {}).max() > 1.0


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_integrate_fire_is_read_as_ours(dt: float) -> None:
    """As ``from_ml_genn`` reads it: the same potentials where nothing is reset, to rounding."""
    network = ml_genn.Network()
    with network:
        x = ml_genn.Population(neurons.SpikeInput(max_spikes=100), 1)
        h = ml_genn.Population(neurons.IntegrateFire(v_thresh=5.0, readout="spike_count"), 1, name="h")
        ml_genn.Connection(x, h, connectivity.Dense(0.7))
    read = gd.from_ml_genn(network, dt)
    times = [2 * dt, 4 * dt]
    found = of_ml_genn(
        lambda: neurons.IntegrateFire(v_thresh=5.0, readout="spike_count"), lambda: "delta", times, 0.7, dt, {}
    )
    compiled = gd.SurrogateCompiler(T, dt=dt, backend="reference").compile(read)
    spikes = (np.array(times), np.zeros(2, int))
    mine = compiled.predict({read.inputs[0]: [spikes]}, callbacks=[gd.VarRecorder("h", key="v")])[1]["v"][0][:, 0]
    assert mine == pytest.approx(found, abs=1e-6) and mine[-1] == pytest.approx(1.4)
