"""Random networks for simulations: small, of every kind that must be handled, functions of one seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from networks import NEURONS

from genn_delays import (
    CPU,
    Connection,
    Current,
    Exponential,
    Network,
    NoiseCurrent,
    Normal,
    PoissonDrive,
    PoissonInput,
    Population,
    Simulation,
    SimulationCompiler,
    Sparse,
    SpikeInput,
    Spikes,
    SpikeSource,
    StepCurrent,
    Trace,
    Uniform,
)

BACKENDS = {"reference": "reference", **{f"cpu {n}": CPU(threads=n) for n in (1, 2, 4)}}
"""All backends and numbers of threads that must give the same bits."""


def random_network(seed: int) -> Network:
    """Recurrent and feed-forward populations, multapses, every input and drive, both kinds of synapses, any delays."""
    draw = np.random.default_rng(seed)
    network, longest = Network(seed=seed), int(draw.choice([1, 3, 25, 300]))
    kinds: list[Any] = ["delta", Exponential(5.0), Exponential(2.0)]
    with network:
        inputs = [
            Population(PoissonInput(Uniform(20.0, 200.0)), int(draw.integers(1, 150)), "random"),
            Population(SpikeSource(draw.uniform(0, 80, 300), draw.integers(0, 40, 300)), 40, "given"),
            Population(SpikeInput(), 10, "fed"),
        ]
        neurons = [_neurons(draw, f"n{k}", kinds) for k in range(int(draw.integers(1, 4)))]
        for k, p in enumerate(neurons):
            sources = [*inputs, *neurons[: k + 1]] if seed % 2 else [*inputs, *neurons]
            for q in sources:
                if draw.random() < 0.7:
                    cyclic = q in neurons and (seed % 2 == 0 or q is p)
                    _connect(draw, q, p, kinds[int(draw.integers(len(kinds)))], 1 if cyclic else 0, longest)
    return network


def _neurons(draw: np.random.Generator, name: str, kinds: list[Any]) -> Population:
    size, drives = int(draw.integers(1, 200)), []
    if draw.random() < 0.5:
        drives.append(PoissonDrive(draw.choice([100.0, 3000.0, 30000.0]), 0.05, kinds[int(draw.integers(3))]))
    if draw.random() < 0.3:
        drives.append(PoissonDrive(Uniform(0.0, 900.0), Normal(0.0, 0.1)))
    if draw.random() < 0.5:
        drives.append(Current(Uniform(0.0, 0.1)))
    if draw.random() < 0.3:
        drives.append(NoiseCurrent(sd=Uniform(0.0, 0.1), mean=0.02))
    if draw.random() < 0.3:
        shape = (30,) if draw.random() < 0.5 else (30, size)
        drives.append(StepCurrent(draw.uniform(-0.1, 0.1, shape), repeat=bool(draw.random() < 0.5)))
    neuron = NEURONS[str(draw.choice(sorted(NEURONS)))]
    bias: Any = Uniform(-0.02, 0.05) if draw.random() < 0.5 else 0.0
    return Population(neuron, size, name, drives=drives, bias=bias)


def _connect(draw: np.random.Generator, a: Population, b: Population, synapse: Any, low: int, high: int) -> None:
    count = int(draw.integers(1, 12 * b.size))
    pre, post = draw.integers(0, a.size, count), draw.integers(0, b.size, count)
    weight = draw.normal(0.05, 0.2, count) * draw.choice([1.0, 1e-3, 10.0])
    Connection(a, b, Sparse(pre, post, weight, draw.integers(low, high + 1, count), multapses=True), synapse)


def compiled(network: Network, backend: Any, **arguments: Any) -> Simulation:
    """A simulation that records all spikes, and a variable of some neurons of every population."""
    record: dict[Any, Any] = {}
    for p in network.populations:
        record[p] = Spikes() if p.index % 2 == 0 else Spikes(range(0, p.size, 2))
        if not p.neuron.is_input:
            variables = list(p.equations().variables)
            record[p] = [record[p], Trace(variables[0], range(0, p.size, 3), every=3), Trace(variables[-1])][:3]
            if len(variables) == 1:
                record[p].pop()
    return SimulationCompiler(1.0, backend=backend, rng_seed=7).compile(network, record, **arguments)


def contents(simulation: Simulation) -> dict[str, Any]:
    """All that a simulation has recorded, and its state."""
    found: dict[str, Any] = {}
    for p in simulation.plan.populations:
        found[f"spike times of {p.name}"], found[f"spike neurons of {p.name}"] = simulation.spikes(p.name)
        found |= {f"{s} of {p.name}": simulation.get(p.name, s) for s in p.states}
    for trace in simulation.recording.traces:
        name = simulation.plan.populations[trace.population].name
        found[f"trace of {trace.variable} of {name}"] = np.column_stack(
            simulation.trace(name, trace.variable)
        )  # its times beside it
    found["pending"] = simulation.engine.pending()
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of contents that differ in any bit."""
    assert one.keys() == other.keys()
    return [name for name in one if not np.array_equal(one[name], other[name])]
