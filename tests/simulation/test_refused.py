"""Requests and networks that cannot work: one clear error each, before anything runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genn_delays as gd
from genn_delays import (
    Conductance,
    Connection,
    Current,
    Dense,
    Exponential,
    FixedProbability,
    GennDelaysError,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    NoiseCurrent,
    PoissonDrive,
    PoissonInput,
    Population,
    Simulation,
    SimulationCompiler,
    SpikeInput,
    Spikes,
    SpikeSource,
    StepCurrent,
    SurrogateCompiler,
    Trace,
    UniformInt,
    UserNeuron,
)
from genn_delays import memory as gd_memory


def small(**arguments: Any) -> Network:
    """An input and a recurrent population; arguments are those of the recurrent connection's connectivity."""
    network = Network(seed=2)
    with network:
        a = Population(SpikeInput(), 5, "a")
        b = Population(LeakyIntegrateFire(), 8, "b")
        Connection(a, b, Dense(weight=0.1, delay=0))
        Connection(b, b, FixedProbability(p=0.5, weight=0.1, **{"delay": UniformInt(1, 4), **arguments}))
    return network


def one(neuron: Any, size: int = 3, **arguments: Any) -> Network:
    network = Network()
    with network:
        Population(neuron, size, "p", **arguments)
    return network


def run(network: Network, dt: float = 0.1, record: Any = None, steps: int = 2) -> Simulation:
    with SimulationCompiler(dt).compile(network, record) as simulation:
        simulation.run(steps * dt)
    return simulation


BOTH = [PoissonDrive(1.0, 1.0, Exponential(2.0)), Current(1.0)]

BAD: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "dt": (lambda: SimulationCompiler(0.0), ["dt", "(0, inf)", "0"]),
    "backend": (lambda: SimulationCompiler(backend="genn"), ["backend of simulations", "genn", "cpu, cuda, reference"]),
    "network": (lambda: SimulationCompiler().compile(3), ["Network", "3"]),  # type: ignore[arg-type]
    "nothing": (lambda: SimulationCompiler().compile(Network()), ["no population"]),
    "cycle": (lambda: run(small(delay=UniformInt(0, 3))), ["'b_b'", "cycle", "at least 1", "got 0"]),
    "real": (lambda: run(one(Input())), ["'p'", "Input()", "SpikeInput()", "StepCurrent"]),
    "norm": (lambda: run(one(LeakyIntegrateFire(), batch_norm=True)), ["'p'", "batch_norm", "fold_batch_norm"]),
    "long step": (lambda: run(one(LeakyIntegrateFire(tau_mem=1.0)), 3.0), ["'p'", "3 ms", "linear Euler"]),
    "short period": (lambda: run(one(LeakyIntegrateFire(tau_refrac=0.01))), ["'p'", "tau_refrac", "0.01"]),
    "rate": (lambda: run(one(PoissonInput(10_001.0))), ["rate", "'p'", "10000 Hz", "10001"]),
    "negative rate": (lambda: PoissonInput(-1.0), ["PoissonInput rate", "[0, inf)", "-1"]),
    "drive's rate": (lambda: run(one(LeakyIntegrateFire(), drives=PoissonDrive(2e7, 1.0))), ["rate of drive 0", "'p'"]),
    "drive": (lambda: one(LeakyIntegrateFire(), drives=[3]), ["drives", "'p'", "3"]),
    "drive of input": (lambda: one(SpikeInput(), drives=Current(1.0)), ["drives", "'p'", "input"]),
    "amplitude": (lambda: run(one(LeakyIntegrateFire(), drives=Current([1.0]))), ["amplitude of drive 0", "(3,)"]),
    "sd": (lambda: run(one(LeakyIntegrateFire(), drives=NoiseCurrent([-1.0, 0, 0]))), ["sd of drive 0", "'p'", "-1"]),
    "steps": (lambda: StepCurrent(3.0), ["StepCurrent values", "[step]"]),
    "steps' width": (
        lambda: run(one(LeakyIntegrateFire(), drives=StepCurrent(np.zeros((4, 2))))),
        ["values of drive 0", "'p'", "[step, 3]", "(4, 2)"],
    ),
    "synapse": (lambda: PoissonDrive(1.0, 1.0, "alfa"), ["PoissonDrive synapse", "alfa", "delta, exponential"]),
    "times": (lambda: SpikeSource([-1.0], [0]), ["SpikeSource times", "at least 0", "-1"]),
    "lengths": (lambda: SpikeSource([1.0, 2.0], [0]), ["SpikeSource neurons", "(2)", "(1,)"]),
    "neuron": (lambda: run(one(SpikeSource([1.0], [3]))), ["SpikeSource", "'p'", "below 3", "got 3"]),
    "record": (lambda: run(small(), record=3), ["record", "3"]),
    "population": (lambda: run(small(), record={"c": "spikes"}), ["population", "'c'", "a, b"]),
    "variable": (lambda: run(small(), record={"b": "u"}), ["variable of population 'b'", "'u'", "v"]),
    "variable of input": (lambda: run(small(), record={"a": "v"}), ["variable of population 'a'", "'v'"]),
    "silent": (lambda: run(one(LeakyIntegrate()), record={"p": "spikes"}), ["'p'", "does not spike"]),
    "neurons": (lambda: run(small(), record={"b": Spikes([8])}), ["'b'", "below 8", "got 8"]),
    "every": (lambda: Trace("v", every=0), ["Trace every", "at least 1", "0"]),
    "twice": (lambda: run(small(), record={"b": ["v", "v"]}), ["'v'", "'b'", "twice"]),
    "nonlinear synapse": (
        lambda: run(one(LeakyIntegrateFire(), drives=PoissonDrive(1.0, 1.0, Conductance(2.0)))),
        ["'p'", "synapse Conductance", "nonlinear", "'euler' or 'rk4'"],
    ),
    "nonlinear synapse beside others": (
        lambda: run(one(LeakyIntegrateFire(), drives=[*BOTH, PoissonDrive(1.0, 1.0, Conductance(2.0))])),
        ["'p'", "synapse Conductance", "nonlinear", "'euler' or 'rk4'"],
    ),
    "unfit equation": (
        lambda: run(one(UserNeuron(vars={"i_syn": ("-i_syn / 3", None)}), drives=BOTH)),
        ["'p'", "'i_syn'", "another name"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_one_clear_error(name: str) -> None:
    make, parts = BAD[name]
    with pytest.raises(GennDelaysError) as error:
        make()
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_training_says_where_random_input_belongs() -> None:
    for source, drives in ((PoissonInput(5.0), ()), (SpikeSource([1.0], [0]), ()), (SpikeInput(), Current(1.0))):
        network, what = (
            Network(),
            "drives of population 'b'" if drives else f"{type(source).__name__} of population 'a'",
        )
        with network:
            a = Population(source, 3, "a")
            b = Population(LeakyIntegrate(readout="var"), 2, "b", drives=drives)
            Connection(a, b, Dense())
        with pytest.raises(GennDelaysError, match=f"{what}.*SimulationCompiler"):
            SurrogateCompiler(10).compile(network)


@pytest.mark.parametrize(
    ("duration", "parts"),
    [(0.25, ["multiple of dt = 0.1", "0.25", "0.2", "0.3"]), (-1.0, ["duration", "-1"]), ("x", ["duration", "'x'"]),
     (float("inf"), ["duration", "inf"]), (5e8, ["at most 4,294,967,295 steps"])],
)  # fmt: skip
def test_durations(duration: Any, parts: list[str]) -> None:
    with SimulationCompiler(0.1).compile(small()) as simulation:
        with pytest.raises(GennDelaysError) as error:
            simulation.run(duration)
        for part in parts:
            assert part in str(error.value)
        simulation.run(0.3)  # 3 * 0.1 is not 0.3 to the last bit
        assert simulation.step == 3


@pytest.mark.parametrize(
    ("inputs", "parts"),
    [
        (3, ["inputs", "3"]),
        ({"b": ([0.0], [0])}, ["'b'", "SpikeInput()"]),
        ({"a": [0.0]}, ["'a'", "times in ms"]),
        ({"a": ([0.0], [5])}, ["'a'", "below 5", "got 5"]),
        ({"a": ([1.0], [0])}, ["'a'", "below the duration of 1 ms"]),
        ({"a": ([0.5], [0.5])}, ["'a'", "whole numbers"]),
    ],
)
def test_inputs(inputs: Any, parts: list[str]) -> None:
    with SimulationCompiler(0.1).compile(small()) as simulation:
        with pytest.raises(GennDelaysError) as error:
            simulation.run(1.0, inputs)
        for part in parts:
            assert part in str(error.value)


def test_variables_and_recordings_that_are_not_there() -> None:
    with SimulationCompiler(0.1).compile(small(), {"b": "spikes"}) as simulation:
        for call, parts in [
            (lambda: simulation.get("b", "w"), ["'b'", "'w'", "v"]),
            (lambda: simulation.set("b", "v", [1.0]), ["v of population 'b'", "(8,)"]),
            (lambda: simulation.set("b", "v", float("nan")), ["v of population 'b'", "nan"]),
            (lambda: simulation.spikes("a"), ["'a'", "not recorded"]),
            (lambda: simulation.trace("b", "v"), ["'v'", "'b'", "not recorded"]),
            (lambda: pickle.dumps(simulation), ["pickled", "save"]),
        ]:
            with pytest.raises(GennDelaysError) as error:
                call()
            for part in parts:
                assert part in str(error.value)
    with pytest.raises(GennDelaysError, match="closed"):
        simulation.run(1.0)


def changed(what: str) -> Simulation:
    network, dt, seed = small(), 0.1, 0
    if what == "dt":
        dt = 0.2
    if what == "rng_seed":
        seed = 1
    if what == "synapses":
        network = small(delay=UniformInt(2, 4))
    if what == "p":
        with network:
            Population(LeakyIntegrateFire(), 3, "p")
    if what == "parameters":
        network.populations[1].neuron = LeakyIntegrateFire(tau_mem=11.0)
    return SimulationCompiler(dt, rng_seed=seed).compile(network)


@pytest.mark.parametrize("what", ["dt", "rng_seed", "synapses", "p", "parameters"])
def test_a_checkpoint_of_another_network(what: str, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with SimulationCompiler(0.1).compile(small()) as simulation:
        simulation.run(1.0)
        simulation.save(path)
    with changed(what) as other:
        with pytest.raises(GennDelaysError, match=f"of another network: .*{what}.*here"):
            other.load(path)
        assert other.step == 0


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with SimulationCompiler(0.1).compile(small()) as simulation:
        simulation.save(path)
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
        with pytest.raises(GennDelaysError, match="damaged"):
            simulation.load(path)
        path.write_bytes(content[:100])
        with pytest.raises(GennDelaysError, match="damaged"):
            simulation.load(path)
        with pytest.raises(GennDelaysError, match="there is no checkpoint"):
            simulation.load(tmp_path / "other")


def test_a_checkpoint_of_training(tmp_path: Path) -> None:
    path, network = tmp_path / "c.safetensors", Network()
    with network:
        a, b = Population(SpikeInput(), 3, "a"), Population(LeakyIntegrate(readout="var"), 2, "b")
        Connection(a, b, Dense())
    with SurrogateCompiler(10).compile(network) as trained:
        trained.save(path)
    with SimulationCompiler(1.0).compile(network) as simulation, pytest.raises(GennDelaysError, match="training"):
        simulation.load(path)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_variable_that_overflows(backend: str) -> None:
    """From 1 it grows elevenfold every step of 1 ms: 11**37 is the last power that single precision holds."""
    network = one(UserNeuron(vars={"v": ("v / 0.1", None)}, var_vals={"v": [0.0, 1.0, 0.0]}))
    simulation = SimulationCompiler(1.0, backend=backend).compile(network)
    with simulation, pytest.raises(GennDelaysError, match=r"'v' of neuron 1 of .*'p' is not finite since step 37 \("):
        simulation.run(200.0)


def test_memory_is_foreseen_before_anything_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gd_memory, "host_memory", lambda: (200_000_000, "a machine which has"))
    network = Network()
    with network:
        a = Population(LeakyIntegrateFire(), 10_000, "a")
        connection = Connection(a, a, gd.FixedNumber(sparsity=0.5, delay=UniformInt(1, 3)))
    with pytest.raises(gd.errors.OutOfMemoryError, match=r"'a_a'.*MB"):
        SimulationCompiler().compile(network)
    assert "synapses" not in vars(connection)


def test_a_ring_that_is_too_large() -> None:
    network = Network()
    with network:
        a = Population(LeakyIntegrateFire(), 100_000, "a")
        Connection(a, a, gd.Sparse([0], [0], [0.1], [65_000]))
    with pytest.raises(gd.errors.OutOfMemoryError):
        SimulationCompiler().compile(network)
