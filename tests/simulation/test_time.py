"""Time goes on: from call to call, over recordings that are fetched in between, after save, load and reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from refused import refused
from simulated import BACKENDS, compiled, contents, differences, random_network

from genn_delays import (
    Connection,
    Dense,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    PoissonInput,
    Population,
    SimulationCompiler,
    Sparse,
    SpikeSource,
    Trace,
)
from genn_delays.backends.cpu import simulation as on_cpu
from genn_delays.simulation import simulation as running


@pytest.mark.parametrize("seed", [3, 8])
def test_two_runs_are_one(seed: int) -> None:
    with compiled(random_network(seed), "cpu") as simulation:
        simulation.run(70.0)
        whole = contents(simulation)
    with compiled(random_network(seed), "cpu") as simulation:
        for duration in (1.0, 0.0, 26.0, 43.0):
            simulation.run(duration)
        assert (simulation.step, simulation.time) == (70, 70.0)
        assert differences(contents(simulation), whole) == []


@pytest.mark.parametrize("threads", ["cpu 1", "cpu 2"])
def test_a_long_run_stops_to_fetch_recordings(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feed-forward populations run behind each other, and stand at different steps when recordings are fetched."""
    with compiled(random_network(5), BACKENDS[threads]) as simulation:
        simulation.run(300.0)
        whole = contents(simulation)
    monkeypatch.setattr(on_cpu, "RECORDED", 1)
    monkeypatch.setattr(running, "TRACE_BYTES", 4000)
    with compiled(random_network(5), BACKENDS[threads]) as simulation:
        simulation.run(300.0)
        assert differences(contents(simulation), whole) == []


@pytest.mark.parametrize("name", ["reference", "cpu 2"])
def test_reset_begins_again(name: str) -> None:
    with compiled(random_network(2), BACKENDS[name]) as simulation:
        simulation.run(40.0)
        first = contents(simulation)
        simulation.run(13.0)
        simulation.reset()
        assert simulation.step == 0
        simulation.run(40.0)
        assert differences(contents(simulation), first) == []


@pytest.mark.parametrize("name", ["reference", "cpu 1"])
def test_a_variable_that_is_set(name: str) -> None:
    """It decays from there; the exact solution of ``dv/dt = -v / tau``."""
    network = Network()
    with network:
        Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=5.0, integration="exact"), 100, "p")
    with SimulationCompiler(0.1, backend=BACKENDS[name]).compile(network) as simulation:
        simulation.set("p", "v", np.linspace(-1, 1, 100))
        simulation.run(12.5)
        exact = np.linspace(-1, 1, 100) * np.exp(-12.5 / 10)
        np.testing.assert_allclose(simulation.get("p", "v"), exact, rtol=2e-5)
        simulation.set("p", "v", 2.0)
        assert (simulation.get("p", "v") == 2.0).all()


def test_recordings_written_to_a_file(tmp_path: Path) -> None:
    with compiled(random_network(9), "cpu") as simulation:
        simulation.run(50.0)
        simulation.run(50.0)
        expected = contents(simulation)
    path = tmp_path / "deep" / "run.h5"
    with compiled(random_network(9), "cpu", record_to=path) as simulation:
        simulation.run(50.0)
        simulation.run(50.0)
        assert differences(contents(simulation), expected) == []
        with pytest.raises(ValueError, match="written to a file"):
            simulation.reset()
    with h5py.File(path) as file:
        assert file.attrs["dt"] == 1.0
        steps = file["random/spike_steps"][:]
        assert np.array_equal(steps * 1.0, expected["spike times of random"])


def test_a_spike_arrives_after_its_delay() -> None:
    """One spike, one synapse of weight w and delay d: `v` moves by w dt in the step d steps later."""
    network = Network()
    with network:
        a = Population(PoissonInput(1000.0), 1, "a")  # a spike every step of 1 ms
        b = Population(LeakyIntegrateFire(tau_mem=20.0, v_thresh=9.0), 1, "b")
        Connection(a, b, Dense(weight=0.25, delay=7))
    with SimulationCompiler(1.0).compile(network, {b: Trace("v")}) as simulation:
        simulation.run(10.0)
        v = simulation.trace(b, "v")[1][:, 0]
        assert (v[:7] == 0).all()
        assert v[7] == 0.25


def test_the_longest_delay() -> None:
    """65,535 steps, beside a short one from the same neuron; a spike waits without cost."""
    network = Network()
    with network:
        a = Population(SpikeSource([0.0, 2.0], [0, 0]), 1, "a")
        b = Population(LeakyIntegrate(tau_mem=1.0), 1, "b")
        Connection(a, b, Sparse([0, 0], [0, 0], [0.25, 0.5], [3, 65_535], multapses=True))
    with SimulationCompiler(1.0).compile(network, {b: Trace("v")}) as simulation:
        simulation.run(65_540.0)
        v = simulation.trace(b, "v")[1][:, 0]
        assert {int(t): float(v[t]) for t in np.flatnonzero(v)} == {3: 0.25, 5: 0.25, 65_535: 0.5, 65_537: 0.5}


def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with compiled(random_network(4), "cpu") as simulation:
        simulation.run(200.0)
        whole = contents(simulation)
    with compiled(random_network(4), "cpu") as simulation:
        fetched, sink = 0, simulation._sink
        spikes = sink.spikes

        def interrupt(*arguments: Any) -> None:
            nonlocal fetched
            fetched += 1
            spikes(*arguments)
            if fetched == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(sink, "spikes", interrupt)
        with pytest.raises(KeyboardInterrupt):
            simulation.run(200.0)
        assert 0 < simulation.step <= 200
        simulation.run(200.0 - simulation.step)
        assert simulation.step == 200
        found = contents(simulation)
        same = [name for name in found if not name.startswith("spike")]
        assert differences({n: found[n] for n in same}, {n: whole[n] for n in same}) == []


def test_names_that_are_one_group_in_a_file(tmp_path: Path) -> None:
    """Nothing of an older file is lost for it."""
    network, path = Network(), tmp_path / "x.h5"
    path.write_bytes(b"older")
    with network:
        for name in ("a/b", "a_b"):
            Population(LeakyIntegrateFire(), 2, name)
    with refused("'a/b'", "'a_b'", "one group"):
        SimulationCompiler(1.0).compile(network, {"a/b": "v", "a_b": "v"}, record_to=path)
    assert path.read_bytes() == b"older"


def test_traces_of_many_neurons_in_a_file(tmp_path: Path) -> None:
    """HDF5 holds small attributes only, if it is not asked for others."""
    network = Network()
    with network:
        Population(LeakyIntegrateFire(v=0.5), 20_000, "a")
    with SimulationCompiler(1.0).compile(network, {"a": "v"}, record_to=tmp_path / "x.h5") as simulation:
        simulation.run(2.0)
        assert simulation.trace("a", "v")[1].shape == (2, 20_000)


def test_recordings_of_a_closed_simulation_are_in_their_file(tmp_path: Path) -> None:
    """KeyError of h5py's."""
    path = tmp_path / "x.h5"
    with compiled(random_network(9), "cpu", record_to=path) as simulation:
        simulation.run(5.0)
    with refused("closed", str(path)):
        simulation.spikes("random")


def test_spikes_of_a_time_that_never_comes() -> None:
    """NumPy warned of the cast, and the spike came at a negative step."""
    network = Network()
    with network:
        Population(SpikeSource([1e300], [0]), 1, "a")
    with refused("'a'", "1e+300", "below"):
        SimulationCompiler(1.0).compile(network)
