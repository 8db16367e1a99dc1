"""Parameters of a running simulation: read, written, and from then on the network that has them from the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import BACKENDS, contents, differences

from genn_delays import (
    Connection,
    Exponential,
    FixedProbability,
    GennDelaysError,
    LeakyIntegrateFire,
    Network,
    PoissonDrive,
    Population,
    Simulation,
    SimulationCompiler,
    SpikeInput,
    Trace,
    Uniform,
    UniformInt,
)

SIZE = 90
TAU = np.linspace(6.0, 18.0, SIZE)


def network(**changed: Any) -> Network:
    """A recurrent population with two kinds of synapses and a bias."""
    given = {"tau_mem": 10.0, "v_thresh": 0.6, "tau_refrac": 2.0, "bias": 0.01, "tau": 3.0, **changed}
    found = Network(seed=5)
    with found:
        noise = PoissonDrive(400.0, 0.2)
        bias, tau = given.pop("bias"), given.pop("tau")
        p = Population(LeakyIntegrateFire(**given), SIZE, "p", drives=noise, bias=bias)
        rule = FixedProbability(0.2, weight=Uniform(-0.02, 0.04), delay=UniformInt(1, 9))
        Connection(p, p, rule, Exponential(tau))
        Population(SpikeInput(), 3, "in")
    return found


CHANGED: dict[str, Any] = {"tau_mem": TAU, "v_thresh": np.float32(0.5), "tau_refrac": 3.0, "bias": 0.02, "tau": 4.0}
NAMES = {"tau": "tau_syn"}


def compiled(described: Network, backend: str) -> Simulation:
    return SimulationCompiler(1.0, backend=BACKENDS[backend]).compile(
        described, {"p": ["spikes", Trace("v")], "in": "spikes"}
    )


@pytest.mark.parametrize("backend", ["reference", "cpu 1", "cpu 2"])
def test_it_is_the_network_that_has_them_from_the_beginning(backend: str) -> None:
    with compiled(network(**CHANGED), "reference") as expected:
        expected.run(80.0)
        whole = contents(expected)
    with compiled(network(), backend) as simulation:
        for name, value in CHANGED.items():
            simulation.set("p", NAMES.get(name, name), value)
            assert np.array_equal(simulation.get("p", NAMES.get(name, name)), np.full(SIZE, value, np.float32))
        simulation.run(80.0)
        assert differences(contents(simulation), whole) == []
        assert whole["spike times of p"].size > 50
        simulation.reset()
        simulation.run(80.0)
        assert differences(contents(simulation), whole) == []  # they stay


@pytest.mark.parametrize("backend", ["cpu 1", "cpu 2"])
def test_while_it_runs(backend: str) -> None:
    """Numbers that become one for all neurons, and one that becomes many, are other code."""
    found = []
    for name in ("reference", backend):
        with compiled(network(), name) as simulation:
            for value in (8.0, TAU, 12.0):
                simulation.run(25.0)
                simulation.set("p", "tau_mem", value)
            simulation.run(25.0)
            found.append(contents(simulation))
    assert differences(*found) == []


def test_a_checkpoint_is_of_the_parameters(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with compiled(network(), "cpu 1") as simulation:
        simulation.set("p", "tau_mem", TAU)
        simulation.run(30.0)
        simulation.save(path)
        simulation.run(30.0)
        v = simulation.get("p", "v")
    with compiled(network(), "reference") as other:
        with pytest.raises(GennDelaysError, match="another network: populations: p: numbers"):
            other.load(path)
        other.set("p", "tau_mem", TAU)
        other.load(path)
        other.run(30.0)
        assert np.array_equal(other.get("p", "v"), v)


@pytest.mark.parametrize("backend", ["reference", "cpu 1"])
def test_what_does_not_fit(backend: str) -> None:
    with compiled(network(), backend) as simulation:
        for name, value, parts in [
            ("tau_mem", -1.0, ["tau_mem of population 'p'", "above 0", "-1"]),
            ("tau_mem", 0.5, ["'p'", "1 ms is too long for linear Euler"]),
            ("tau_mem", [1.0, 2.0], ["tau_mem of population 'p'", "(90,)"]),
            ("v_thresh", float("nan"), ["v_thresh of population 'p'", "nan"]),
            ("tau_refrac", 0.2, ["'p'", "tau_refrac", "at least one time step", "0.2"]),
            ("tau", 3.0, ["variable of population 'p', or parameter", "'tau'", "tau_syn"]),
        ]:
            with pytest.raises(GennDelaysError) as error:
                simulation.set("p", name, value)
            assert all(part in str(error.value) for part in parts), error.value
        with pytest.raises(GennDelaysError, match="'v'"):
            simulation.get("in", "v")
        assert (simulation.get("p", "tau_mem") == 10.0).all()
        assert (simulation.get("p", "bias") == np.float32(0.01)).all()
