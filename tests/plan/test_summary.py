"""What is learned and what is not: entries of ``optimisers`` that overlap merge, and the result is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    SET,
    SGD,
    Adam,
    CompiledNetwork,
    Connection,
    DeepR,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.plan.plan import Plan

STEPS = 12


def network(*, batch_norm: bool = False) -> Network:
    described = Network(seed=3)
    with described:
        x = Population(Input(), 6, "x")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.3), 8, "h", batch_norm=batch_norm)
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 3, "o")
        for source, target in ((x, h), (h, o)):
            Connection(source, target, FixedNumber(sparsity=0.5, delay=UniformInt(0, 5)))
    return described


def planned(optimisers: Any, rewiring: Any = None, **arguments: Any) -> Plan:
    return SurrogateCompiler(STEPS).plan(network(**arguments), optimisers=optimisers, rewiring=rewiring)


def compiled(optimisers: Any, rewiring: Any = None) -> CompiledNetwork:
    compiler = SurrogateCompiler(STEPS, batch_size=4, backend="reference")
    return compiler.compile(network(), optimisers=optimisers, rewiring=rewiring)


def data() -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(4, STEPS, 6)).astype(np.float32)
    return {"x": x}, {"o": np.arange(4) % 3}


GENERAL, OWN = Adam(1e-3), SGD(0.5)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("by_name", [True, False])
def test_entries_of_one_and_of_all_merge_by_variable(order: int, by_name: bool) -> None:
    """The delays of one connection beside the weights of all froze that connection's weights."""
    described = network()
    first = described.connections[0]
    said: dict[Any, Any] = {"all_connections": {"weight": GENERAL}, "x_h" if by_name else first: {"delay": OWN}}
    plan = SurrogateCompiler(STEPS).plan(described, optimisers=dict(list(said.items())[::order]))
    assert [(c.optimiser, c.delay_optimiser) for c in plan.connections] == [(GENERAL, OWN), (GENERAL, None)]


@pytest.mark.parametrize(
    ("general", "own", "weight", "delay"),
    [
        ({"weight": GENERAL}, {"weight": OWN}, OWN, None),
        ({"weight": GENERAL, "delay": GENERAL}, {"weight": OWN}, OWN, GENERAL),
        ({"weight": GENERAL, "delay": GENERAL}, {"delay": OWN}, GENERAL, OWN),
        ({"weight": GENERAL, "delay": GENERAL}, {"delay": None}, GENERAL, None),
        ({"weight": GENERAL}, {"weight": "none"}, None, None),
        (GENERAL, {"delay": "sgd"}, GENERAL, SGD()),
        ({"delay": GENERAL}, OWN, OWN, GENERAL),
    ],
)
def test_the_more_specific_entry_wins(general: Any, own: Any, weight: Any, delay: Any) -> None:
    c = planned({"all_connections": general, "x_h": own}).connections[0]
    assert (c.optimiser, c.delay_optimiser) == (weight, delay)


def test_both_learn() -> None:
    """Weights of the connection whose delays are named moved by 0.0."""
    with compiled({"all_connections": {"weight": Adam(0.01)}, "x_h": {"delay": Adam(0.1)}}) as net:
        before = {name: (net.synapses(name).weight.copy(), net.delays(name).copy()) for name in ("x_h", "h_o")}
        net.train(*data(), 3, callbacks=())
        moved = {
            name: (np.abs(net.synapses(name).weight - w).max() > 0, np.abs(net.delays(name) - d).max() > 0)
            for name, (w, d) in before.items()
        }
    assert moved == {"x_h": (True, True), "h_o": (True, False)}


def test_populations_merge_too() -> None:
    said = {"all_populations": {"batch_norm": GENERAL}, "h": {"tau_mem": OWN}}
    learned = planned(said, batch_norm=True).populations[1].learned
    assert learned == {"batch_norm_scale": GENERAL, "batch_norm_shift": GENERAL, "tau_mem": OWN}
    assert planned({**said, "h": {"batch_norm": None}}, batch_norm=True).populations[1].learned == {}
    assert planned(said).populations[1].learned == {"tau_mem": OWN}  # none has a batch norm: nothing is left out
    with refused("all_populations", "batch norm", "tau_mem"):  # without one this was dropped silently
        planned({"all_populations": {"tau_mem": OWN}})


def test_rewiring_of_one_goes_before_that_of_all() -> None:
    rules = planned(None, {"x_h": SET(), "all_connections": DeepR(l1=0.1)}).connections
    assert [c.rewiring for c in rules] == [SET(), DeepR(l1=0.1)]
    rules = planned(None, {"all_connections": DeepR(), "h_o": None}).connections
    assert [c.rewiring for c in rules] == [DeepR(), None]


def test_the_same_said_twice_is_refused() -> None:
    described = network()
    compiler, (first, _) = SurrogateCompiler(STEPS), described.connections
    with refused("optimisers", "twice", "'x_h'"):
        compiler.plan(described, optimisers={first: {"weight": GENERAL}, "x_h": {"delay": GENERAL}})
    with refused("rewiring", "twice", "'x_h'"):
        compiler.plan(described, rewiring={first: SET(), "x_h": SET()})
    with refused("optimisers", "twice", "'h'"):
        compiler.plan(described, optimisers={described.populations[1]: {"tau_mem": OWN}, "h": {"tau_mem": OWN}})


def test_summary_and_the_first_line_of_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"all_connections": {"weight": Adam(0.01)}, "x_h": {"delay": Adam(0.1)}}
    with compiled(said, {"x_h": DeepR(l1=1e-5)}) as net:
        lines = net.summary().splitlines()
        net.train(*data(), 1)
    assert lines == [
        "network of seed 3: 3 populations, 2 connections, 36 synapses, 1.15 kB of state",
        "population  neurons  model               role",
        "x                 6  Input               input",
        "h                 8  LeakyIntegrateFire",
        "o                 3  LeakyIntegrate      output by 'sum_softmax'",
        "connection  source  target  synapses  sparsity  delays (steps)  while training              bytes",
        "x_h         x       h             24      50 %  0 to 5          rewired by DeepR(l1=1e-05)  864 B",
        "h_o         h       o             12      50 %  0 to 5                                      288 B",
        "learned: weights of x_h, h_o by Adam(alpha=0.01); delays of x_h by Adam(alpha=0.1); "
        "not learned: delays of h_o",
    ]
    assert capsys.readouterr().err.splitlines()[0] == lines[-1]


def test_what_is_not_learned_is_told() -> None:
    with compiled({"h_o": {"weight": Adam()}}) as net:
        assert net.summary().splitlines()[-1] == (
            "learned: weights of h_o by Adam(alpha=0.001); not learned: weights of x_h; delays of all connections"
        )
