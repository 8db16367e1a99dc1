"""Drives of a running simulation: read, written, and from then on the network that has them from the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from simulated import BACKENDS, differences

from genn_delays import (
    Connection,
    Current,
    Exponential,
    FixedProbability,
    GennDelaysError,
    LeakyIntegrateFire,
    Network,
    NoiseCurrent,
    PoissonDrive,
    PoissonInput,
    Population,
    Simulation,
    SimulationCompiler,
    SpikeInput,
    StepCurrent,
    Trace,
    UniformInt,
    UserNeuron,
)
from genn_delays.simulation.checkpoints import FORMAT, WITH_DRIVES
from genn_delays.training.checkpoints import read_tensors

ALL: dict[str, Any] = {name: BACKENDS[name] for name in ("reference", "cpu 1", "cpu 2")} | {"cuda": CUDAOnHost()}
SIZE = 90
RATES = np.linspace(0.0, 800.0, SIZE)
BEFORE: dict[tuple[str, str], Any] = {
    ("p", "rate"): 300.0, ("p", "weight"): 0.25, ("p", "rate_2"): 100.0, ("p", "weight_2"): 0.5,
    ("p", "amplitude"): 0.0, ("p", "mean"): 0.0, ("p", "sd"): 0.01, ("in", "rate"): 20.0,
}  # fmt: skip
AFTER: dict[tuple[str, str], Any] = {
    ("p", "rate"): RATES, ("p", "weight"): 0.5, ("p", "rate_2"): 4000.0,
    ("p", "weight_2"): np.where(np.arange(SIZE) % 2, 0.125, -0.125), ("p", "amplitude"): RATES / 10000,
    ("p", "mean"): 0.01, ("p", "sd"): 0.05, ("in", "rate"): np.linspace(0.0, 90.0, 30),
}  # fmt: skip


def network(numbers: dict[tuple[str, str], Any]) -> Network:
    """Synapses and a drive act together, another drive alone; weights are on a binary grid."""
    found = Network(seed=5)
    n = {name if p == "p" else p: value for (p, name), value in numbers.items()}
    with found:
        drives = [
            PoissonDrive(n["rate"], n["weight"]), StepCurrent([0.01, 0.0], repeat=True), Current(n["amplitude"]),
            PoissonDrive(n["rate_2"], n["weight_2"], Exponential(3.0)), NoiseCurrent(n["sd"], n["mean"]),
        ]  # fmt: skip
        p = Population(LeakyIntegrateFire(tau_mem=10.0), SIZE, "p", drives=drives)
        source = Population(PoissonInput(n["in"]), 30, "in")
        rule = FixedProbability(0.4, weight=2.0, delay=UniformInt(1, 9))
        Connection(p, p, FixedProbability(0.2, weight=-0.25, delay=UniformInt(1, 9)))
        Connection(source, p, rule)
        Population(SpikeInput(), 3, "fed")
    return found


def compiled(backend: str, numbers: dict[tuple[str, str], Any] = BEFORE) -> Simulation:
    record = {"p": ["spikes", Trace("v")], "in": "spikes"}
    return SimulationCompiler(1.0, backend=ALL[backend]).compile(network(numbers), record)


def change(simulation: Simulation, numbers: dict[tuple[str, str], Any]) -> None:
    for (population, name), value in numbers.items():
        simulation.set(population, name, value)
        size = simulation.population(population).size
        assert np.array_equal(simulation.get(population, name), np.full(size, value, np.float32))


def everything(simulation: Simulation) -> dict[str, Any]:
    found: dict[str, Any] = {f"{s} of p": simulation.get("p", s) for s in simulation.plan.populations[0].states}
    for name in ("p", "in"):
        found[f"times of {name}"], found[f"neurons of {name}"] = simulation.spikes(name)
    return found | {"trace": simulation.trace("p", "v")[1], "pending": simulation.engine.pending()}


@pytest.mark.parametrize("backend", list(ALL))
def test_it_is_the_network_that_has_them_from_the_beginning(backend: str) -> None:
    with compiled("reference", AFTER) as expected:
        expected.run(60.0)
        whole = everything(expected)
    with compiled(backend) as simulation:
        assert all((simulation.get(*key) == np.float32(value)).all() for key, value in BEFORE.items())
        change(simulation, AFTER)
        simulation.run(60.0)
        assert differences(everything(simulation), whole) == []
        assert whole["times of p"].size > 50 and whole["times of in"].size > 20
        simulation.reset()
        simulation.run(60.0)
        assert differences(everything(simulation), whole) == []  # they stay


@pytest.mark.parametrize("backend", list(ALL)[1:])
def test_while_it_runs(backend: str) -> None:
    """There and back, and over a silent time; thresholds of rates are more and fewer."""
    found = []
    for name in ("reference", backend):
        with compiled(name) as simulation:
            for numbers in (AFTER, {("p", "rate"): 0.0, ("p", "rate_2"): 0.0, ("in", "rate"): 0.0}, BEFORE):
                simulation.run(20.0)
                change(simulation, numbers)
            simulation.run(20.0)
            found.append(everything(simulation))
    assert differences(*found) == []


def test_a_drive_that_is_silent_at_first_can_be_switched_on() -> None:
    silent = {**BEFORE, ("p", "rate_2"): 0.0}
    found = []
    for numbers in (BEFORE, silent):
        with compiled("cpu 1", numbers) as simulation:
            simulation.set("p", "rate_2", 100.0)
            simulation.run(30.0)
            found.append(everything(simulation))
    assert differences(*found) == []


@pytest.mark.parametrize(("first", "second"), [("cpu 2", "reference"), ("reference", "cuda"), ("cuda", "cpu 1")])
def test_a_checkpoint_has_them(first: str, second: str, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with compiled(first) as simulation:
        simulation.run(10.0)
        change(simulation, AFTER)
        simulation.run(10.0)
        simulation.save(path)
        simulation.run(20.0)
        v, spikes = simulation.get("p", "v"), [a[simulation.spikes("p")[0] >= 20.0] for a in simulation.spikes("p")]
    assert spikes[0].size > 10 and read_tensors(path)[1]["format"] == WITH_DRIVES
    with compiled(second) as other:
        other.set("p", "rate", 5.0)
        other.load(path)
        assert all((other.get(*key) == np.float32(value)).all() for key, value in AFTER.items())
        other.run(20.0)
        assert np.array_equal(other.get("p", "v"), v)
        assert all(np.array_equal(a, b) for a, b in zip(other.spikes("p"), spikes, strict=True))


def test_a_checkpoint_without_any_brings_those_that_were_compiled(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with compiled("cpu 1") as simulation:
        simulation.run(10.0)
        simulation.save(path)
        assert read_tensors(path)[1]["format"] == FORMAT
        change(simulation, AFTER)
        simulation.load(path)
        assert all((simulation.get(*key) == np.float32(value)).all() for key, value in BEFORE.items())
    with compiled("cpu 1", AFTER) as other, pytest.raises(GennDelaysError, match=r"another network: .*numbers"):
        other.load(path)


@pytest.mark.parametrize("backend", ["reference", "cpu 1", "cuda"])
def test_what_does_not_fit(backend: str) -> None:
    with compiled(backend) as simulation:
        for population, name, value, parts in [
            ("p", "rate", -1.0, ["rate of drive 0 of population 'p'", "from 0 to 1e+06 Hz", "-1"]),
            ("p", "rate_2", 2e6, ["rate of drive 3 of population 'p'", "1000 events a step", "2e+06"]),
            ("p", "rate", float("nan"), ["rate of population 'p'", "nan"]),
            ("p", "rate", [1.0, 2.0], ["rate of population 'p'", "(90,)"]),
            ("p", "sd", -0.5, ["sd of drive 4 of population 'p'", "at least 0", "-0.5"]),
            ("p", "amplitude", 1e39, ["amplitude of population 'p'", "single precision"]),
            ("p", "values", 1.0, ["variable of population 'p', or parameter", "'values'", "amplitude", "rate_2"]),
            ("in", "rate", 1001.0, ["rate of population 'in'", "from 0 to 1000 Hz", "1001"]),
            ("in", "weight", 1.0, ["'in'", "'weight'", "rate"]),
            ("fed", "rate", 1.0, ["'fed'", "'rate'"]),
            ("p", "weight", 1e9, ["drives of population 'p'", "overflow the grid", "largest rate and weight"]),
            ("p", "rate", 900000.0, ["drives of population 'p'", "overflow the grid"]),
        ]:
            with pytest.raises(GennDelaysError) as error:
                simulation.set(population, name, value)
            assert all(part in str(error.value) for part in parts), error.value
        assert all((simulation.get(*key) == np.float32(value)).all() for key, value in BEFORE.items())


def test_where_the_neuron_has_a_parameter_of_that_name() -> None:
    found = Network(seed=1)
    with found:
        equations: Any = {"vars": {"v": ("-v * rate + Isyn", "0")}, "threshold": "v - 1"}
        neuron = UserNeuron(**equations, param_vals={"rate": 0.1}, integration="linear_euler")
        Population(neuron, 4, "p", drives=[PoissonDrive(100.0, 0.5), Current(0.25)])
    with SimulationCompiler(1.0, backend="reference").compile(found) as simulation:
        assert (simulation.get("p", "rate") == np.float32(0.1)).all()
        assert (simulation.get("p", "drive_rate") == 100.0).all()
        simulation.set("p", "drive_rate", 200.0)
        simulation.set("p", "rate", 0.2)
        assert (simulation.get("p", "rate") == np.float32(0.2)).all()
        assert (simulation.get("p", "drive_rate") == 200.0).all()
