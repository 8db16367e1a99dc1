"""Batches of few examples are computed with neurons in the place of lanes; that changes no bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import Case, largest_difference
from test_against_reference import name, run

from genn_delays import (
    CPU,
    Adam,
    Connection,
    DeepR,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.codegen import few
from genn_delays.plan.exchanged import EventData, Pass

NUMBERED = [Case.numbered(seed) for seed in range(0, 36, 6)]
PUBLISHED = [Case.published(seed) for seed in range(0, 28, 9)]
CURRENT_BASED = [Case.current_based(seed) for seed in range(0, 48, 6)]
FIXED_DELAYS = [replace(Case.current_based(seed), learn_delays=False) for seed in range(1, 48, 6)]
CASES = [
    replace(case, batch_size=(1, 2, 3, 4, 8)[number % 5])
    for number, case in enumerate(NUMBERED + PUBLISHED + CURRENT_BASED + FIXED_DELAYS)
]
T = 60


def label(case: Case) -> str:
    """What a case is called in the list of tests."""
    return f"{name(case)}-batch{case.batch_size}-{'exact' if case.event_prop else 'surrogate'}"


@pytest.fixture
def by_rows(monkeypatch):
    """A function after which networks are compiled in the form for many lanes."""
    return lambda: monkeypatch.setattr(few, "FEW_LANES", 0)


def few_populations(compiled: Any) -> tuple[int, int]:
    """The numbers of populations of which the forward and the backward pass are in the form for few lanes."""
    plan = compiled.plan
    return tuple(sum(form(plan, p) for p in plan.populations) for form in (few.few_forward, few.few_backward))


@pytest.mark.parametrize("case", CASES, ids=label)
def test_few_lanes_equal_reference_and_rows(case, by_rows):
    found, expected = run(case, CPU(threads=2)), run(case, "reference")
    for a, b in zip([*found[2], *found[3]], [*expected[2], *expected[3]], strict=True):
        np.testing.assert_array_equal(a, b)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for a, b in zip(found[1], expected[1], strict=True):
        assert largest_difference(a, b) < 1e-5
    by_rows()
    other = run(case, CPU(threads=1))
    assert other[0] == found[0]
    for a, b in zip([*found[1], *found[2], *found[3]], [*other[1], *other[2], *other[3]], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_cases_have_it_in_both_passes():
    forms = []
    for case in CASES:
        with case.compile("cpu") as compiled:
            forms.append(few_populations(compiled))
    assert sum(forward > 0 for forward, _ in forms) > 20
    assert sum(backward > 0 for _, backward in forms) > 5


def wide(mixed: bool) -> Network:
    """A network of several blocks, whose sources have none to many spikes; `mixed` with real-valued input too."""
    network = Network(seed=3)
    with network:
        spikes = Population(SpikeInput(), 40, name="spikes")
        values = Population(Input(), 7, name="values") if mixed else None
        first = Population(LeakyIntegrateFire(tau_mem=20.0), 90, name="first")
        second = Population(LeakyIntegrateFire(tau_mem=10.0), 33, name="second")
        out = Population(LeakyIntegrate(tau_mem=20.0, readout="avg_var"), 5, name="out")
        pairs = [(spikes, first), (first, second), (second, out), (spikes, second)]
        pairs += [(values, first), (values, second)] if values else []
        for source, target in pairs:
            connectivity = FixedNumber(0.6, weight=KaimingUniform(6.0), delay=UniformInt(0, 2 * T))
            Connection(source, target, connectivity, Exponential(5.0))
    return network


def inputs(mixed: bool, count: int = 7) -> tuple[dict[str, Any], dict[str, Any]]:
    """Examples and labels; a source's rate of spikes is its own."""
    random = np.random.default_rng(5)
    x = {"spikes": (random.random((count, T, 40)) < np.linspace(0, 0.3, 40)).astype(np.float32)}
    if mixed:
        x["values"] = random.normal(size=(count, T, 7)).astype(np.float32)
    return x, {"out": random.integers(0, 5, count)}


def train(kind: Any, mixed: bool, batch_size: int, threads: int, **compiler_arguments: Any) -> list[np.ndarray]:
    """All synapses and the outputs after three epochs of DEEP R."""
    compiler = kind(T, batch_size, backend=CPU(threads=threads), **compiler_arguments)
    learned: dict[str, Any] = {"optimisers": {"all_connections": {"weight": Adam(1e-2)}}}
    with compiler.compile(wide(mixed), rewiring={"all_connections": DeepR(l1=0.05)}, **learned) as compiled:
        x, y = inputs(mixed)
        compiled.train(x, y, 3, callbacks=())
        synapses = [compiled.synapses(c) for c in compiled.network.connections]
        found = [getattr(s, field) for s in synapses for field in ("pre", "post", "delay", "weight")]
        assert min(few_populations(compiled)) > 0 or kind is SurrogateCompiler or few.FEW_LANES == 0
        return [*found, *compiled.predict(x)[0].values()]


@pytest.mark.parametrize("kind", [EventPropCompiler, SurrogateCompiler])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("mixed", [False, True])
def test_training_has_the_same_bits(kind, batch_size, mixed, by_rows, monkeypatch):
    """Of any form, of blocks of any width, of any number of threads, through rewiring."""
    found = train(kind, mixed, batch_size, 2)
    monkeypatch.setattr(few, "BLOCK_FLOATS", 1)
    narrow = train(kind, mixed, batch_size, 2)
    by_rows()
    rows = train(kind, mixed, batch_size, 1)
    for other in (narrow, rows):
        for a, b in zip(found, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_regularised_spikes_have_the_same_bits(by_rows):
    arguments = {"reg_strength_upper": 1e-3, "reg_nu_upper": 1.0}
    found = train(EventPropCompiler, False, 2, 1, **arguments)
    by_rows()
    for a, b in zip(found, train(EventPropCompiler, False, 2, 1, **arguments), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("order", ["time", "neuron", "random"])
def test_events_in_any_order(order, batch_size):
    """Examples are loaded as they come; spikes are the same, as are those that are read back."""
    x, _ = inputs(False)
    random, dense = np.random.default_rng(0), x["spikes"]
    parts = []
    for example in dense:
        step, neuron = np.nonzero(example)
        orders = {"time": np.lexsort((neuron, step)), "neuron": np.lexsort((step, neuron))}
        own = orders[order] if order in orders else random.permutation(step.size)
        parts.append((neuron[own].astype(np.int32), step[own].astype(np.int32)))
    start = np.cumsum([0, *(len(neuron) for neuron, _ in parts)])
    events = EventData(start, *(np.concatenate(every) for every in zip(*parts, strict=True)))
    with EventPropCompiler(T, batch_size, backend="cpu").compile(wide(False)) as compiled:
        expected, _ = compiled.predict(x)
        found = []
        for first in range(0, len(dense), batch_size):
            examples = np.arange(first, min(first + batch_size, len(dense)))
            compiled.engine.load({0: events}, examples)
            compiled.engine.forward(Pass(False, 0, {}))
            found.append(compiled.engine.output(3))
            own = dense[examples].transpose(2, 1, 0)
            np.testing.assert_array_equal(compiled.engine.spikes(0), own.astype(bool))
            assert compiled.engine.spike_count(0) == own.sum()
        np.testing.assert_array_equal(np.concatenate(found), next(iter(expected.values())))
