"""Networks from rules: `cpu` builds their rows itself, the same bits as `reference`, which samples synapses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import BACKENDS, contents, differences

import genn_delays as gd

DELAY = gd.UniformInt(1, 40)
PLACES = np.random.default_rng(0).random((150, 2))
RULES: dict[str, Any] = {
    "dense": gd.Dense(weight=gd.Normal(0.0, 0.05), delay=gd.NormalInt(9.0, 4.0, 1, 30)),
    "one_to_one": gd.OneToOne(weight=-0.3, delay=2),
    "probability": gd.FixedProbability(0.2, weight=gd.KaimingUniform(2.0), delay=DELAY, allow_self_connections=False),
    "number": gd.FixedNumber(0.9, weight=gd.Normal(0.1, 0.1), delay=DELAY),
    "in_degree": gd.FixedInDegree(12, weight=gd.NormalClipped(0.1, 0.05, low=0.0), delay=DELAY),
    "out_degree": gd.FixedOutDegree(20, multapses=True, weight=gd.Uniform(-0.1, 0.2), delay=DELAY),
    "total": gd.FixedTotalNumber(3000, multapses=True, weight=gd.NormalClipped(-0.1, 0.05, high=0.0), delay=DELAY),
    "distance": gd.DistanceDependent(PLACES, PLACES, sigma=0.2, period=1.0, speed=0.02, weight=0.05, delay=DELAY),
    "sparse": gd.Sparse([1, 2, 1, 1], [7, 8, 7, 7], [0.5, -1.0, 0.25, 0.1], [4, 4, 4, 30], multapses=True),
}


def network(rules: list[Any], seed: int = 3) -> gd.Network:
    """All within a population of 150 neurons and onto another; two kinds of synapses and drives of both."""
    made, kinds = gd.Network(seed), ("delta", gd.Exponential(3.0))
    with made:
        neuron = gd.LeakyIntegrateFire(tau_mem=10.0)
        drives = [gd.PoissonDrive(2000.0, gd.Uniform(0.1, 0.3), kind) for kind in kinds]
        a = gd.Population(neuron, 150, "a", drives=drives)
        b = gd.Population(neuron, 150, "b", drives=gd.PoissonDrive(2000.0, 0.3))
        for k, rule in enumerate(rules):
            gd.Connection(a, a, rule, kinds[k % 2], f"a{k}")
            if getattr(rule, "allow_self_connections", True):
                gd.Connection(a, b, rule, kinds[(k + 1) % 2], f"b{k}")
    return made


def compiled(made: gd.Network, backend: Any) -> gd.Simulation:
    record: dict[Any, Any] = {p: ["spikes", "v"] for p in made.populations}
    return gd.SimulationCompiler(0.5, backend=backend).compile(made, record)


@pytest.mark.parametrize("names", [*([name] for name in RULES), [*RULES]], ids=lambda names: "+".join(names))
def test_every_bit(names: list[str], tmp_path: Path) -> None:
    """Rules alone and together, through checkpoints, which have the same bytes."""
    found = {}
    for name, backend in BACKENDS.items():
        with compiled(network([RULES[n] for n in names]), backend) as simulation:
            simulation.run(40.0)
            simulation.save(tmp_path / f"{name}.safetensors")
            found[name] = contents(simulation)
        assert differences(found["reference"], found[name]) == [], name
    assert min(found["reference"][f"spike times of {p}"].size for p in "ab") > 10
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with compiled(network([RULES[n] for n in names], seed=4), "cpu") as other:  # its numbers differ
        path = tmp_path / "reference.safetensors"
        with pytest.raises(gd.GennDelaysError, match="of another network: network seed"):
            other.load(path)


def test_rules_of_the_library_are_not_sampled_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gd.Connection, "draw", None)
    with compiled(network([rule for name, rule in RULES.items() if name not in ("sparse", "distance")]), "cpu") as made:
        made.run(5.0)


def test_synapses_that_a_connection_has_are_taken_as_they_are(tmp_path: Path) -> None:
    """As after training: the rule is no longer asked."""
    found, spikes = {}, {}
    for name, backend in [*BACKENDS.items(), ("as drawn", "cpu")]:
        made = network([RULES["in_degree"]])
        for c in made.connections if name != "as drawn" else ():
            s = c.draw()
            c.synapses = gd.Synapses(s.pre, s.post, s.delay, s.weight + np.float32(0.25))
        with compiled(made, backend) as simulation:
            simulation.run(40.0)
            simulation.save(tmp_path / name)
            found[name] = contents(simulation)
            spikes[name] = simulation.spikes("a")[0].size
    for name in BACKENDS:
        assert differences(found["reference"], found[name]) == [], name
    assert differences(found["reference"], found["as drawn"]) != []
    with compiled(network([RULES["in_degree"]]), "cpu") as drawn:
        with pytest.raises(gd.GennDelaysError, match=r"of another network: .*(grid|fingerprint of synapses)"):
            drawn.load(tmp_path / "reference")
        drawn.load(tmp_path / "as drawn")


def test_too_many_threads() -> None:
    with pytest.raises(gd.GennDelaysError, match="threads of a simulation must be at most 256, got 300"):
        compiled(network([RULES["dense"]]), gd.CPU(threads=300))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_weights_beyond_single_precision(backend: str) -> None:
    rule = gd.FixedInDegree(3, weight=gd.Uniform(1e39, 2e39), delay=DELAY)
    with pytest.raises(gd.GennDelaysError, match=r"'a0'.* not finite in single|weight must be finite in single"):
        compiled(network([rule]), backend)
