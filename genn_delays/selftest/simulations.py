"""Simulations of the self-test: two networks, every bit of which must be that of the definition."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..connectivity import FixedInDegree, FixedProbability, FixedTotalNumber
from ..delays import UniformInt
from ..drives import Current, NoiseCurrent, PoissonDrive, StepCurrent
from ..initializers import Normal, Uniform
from ..network import Connection, Network, Population
from ..neurons import (
    AdaptiveExponential,
    Izhikevich,
    LeakyIntegrateFire,
    PoissonInput,
    QuadraticIntegrateFire,
    SpikeInput,
    SpikeSource,
)
from ..simulation import Simulation, SimulationCompiler
from ..synapses import Conductance, Exponential
from .checks import Findings

STEPS, LATER = 60, 50
"""Steps until the state is saved, and those after it was loaded."""


@dataclass(frozen=True)
class Simulated:
    """A network that is simulated.

    Attributes:
        name: what is special about it.
        linear: neurons of linear equations with every drive and long delays, or nonlinear ones and delays of 0.
        dt: length of a time step (ms).
    """

    name: str
    linear: bool
    dt: float
    quick: bool = True

    def network(self) -> Network:
        """The network."""
        network = Network(seed=3)
        with network:
            _linear() if self.linear else _nonlinear()
        return network


def _linear() -> None:
    """Inputs of all kinds, a circle with delays of 3 steps and more, several synapses a pair, every drive."""
    draw = np.random.default_rng(4)
    inputs = [
        Population(PoissonInput(Uniform(20.0, 200.0)), 90, "random"),
        Population(SpikeSource(draw.uniform(0, STEPS + LATER, 200), draw.integers(0, 30, 200)), 30, "given"),
        Population(SpikeInput(), 10, "fed"),
    ]
    steps = StepCurrent(draw.uniform(-0.1, 0.1, (25, 70)), repeat=True)
    drives: list[Any] = [PoissonDrive(Uniform(100.0, 900.0), 0.02, Exponential(4.0)), steps, Current(0.02)]
    neuron = LeakyIntegrateFire(tau_mem=Uniform(8.0, 20.0), v_thresh=0.6, tau_refrac=2.0)
    a = Population(neuron, 140, "a", drives=[PoissonDrive(500.0, 0.05), NoiseCurrent(sd=0.05)], bias=0.01)
    b = Population(neuron, 70, "b", drives=drives)
    for k, (source, target) in enumerate([*((p, a) for p in inputs), (a, a), (a, b), (b, a)]):
        rule = FixedTotalNumber(
            12 * target.size, multapses=True, weight=Normal(0.03, 0.1), delay=UniformInt(3, (7, 40)[k % 2])
        )
        Connection(source, target, rule, ("delta", Exponential(4.0))[k // 2 % 2], f"c{k}")


def _nonlinear() -> None:
    """Layers that delays of 0 connect, conductances, both rules of integration."""
    source = Population(PoissonInput(400.0), 80, "random")
    layers = [
        Population(Izhikevich(), 60, "izhikevich", drives=[Current(8.0), NoiseCurrent(sd=3.0)]),
        Population(AdaptiveExponential(tau_refrac=0.5), 50, "adex", drives=Current(Uniform(800.0, 1600.0))),
        Population(QuadraticIntegrateFire(integration="rk4"), 30, "quadratic", drives=Current(Uniform(3.0, 9.0))),
    ]
    for p, q, weight in zip([source, *layers], layers, (4.0, 60.0, 1.0), strict=False):
        Connection(p, q, FixedInDegree(10, weight=weight, delay=UniformInt(0, 3)))
    synapse = Conductance(3.0, Uniform(-20.0, 0.0))
    for p in layers:
        rule = FixedProbability(0.2, weight=Uniform(0.0, 0.02), delay=UniformInt(1, 20))
        Connection(p, p, rule, synapse, f"within_{p.name}")


SIMULATIONS = (
    Simulated("a simulation, every input", linear=True, dt=1.0),
    Simulated("a simulation, nonlinear, delays of 0", linear=False, dt=0.1, quick=False),
)
"""All simulations of the self-test."""


def simulated(case: Simulated, backend: Any) -> Findings:
    """Spikes, variables and what is on its way, of a run that is saved in its middle and goes on in another one."""
    found = Findings()
    draw = np.random.default_rng(5)
    inputs = [{"fed": (draw.uniform(0, steps, 60), draw.integers(0, 10, 60))} for steps in (STEPS, LATER)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        for number, steps in enumerate((STEPS, LATER)):
            network = case.network()
            record: dict[Any, Any] = dict.fromkeys(network.populations, "spikes")
            compiler = SimulationCompiler(case.dt, backend=backend, rng_seed=6)
            with compiler.compile(network, record) as simulation:
                if number:
                    simulation.load(path)
                given = inputs[number] if case.linear else None
                simulation.run(steps * case.dt, given, progress=False)
                simulation.save(path)
                _add(found, simulation, f"part {number}")
    return found


def _add(found: Findings, simulation: Simulation, what: str) -> None:
    for p in simulation.plan.populations:
        times, neurons = simulation.spikes(p.name)
        found.exact |= {
            f"spike times of {p.name} of {what}": times,
            f"neurons that spike of {p.name} of {what}": neurons,
        }
        found.exact |= {f"{s} of {p.name} of {what}": simulation.get(p.name, s) for s in p.states}
    found.exact[f"input on its way after {what}"] = simulation.engine.pending()
