"""What GeNN is given, without GeNN: every plan has its code, readable, the same for the same plan."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from networks import Case

from genn_delays import (
    SET,
    Connection,
    DeepR,
    LeakyIntegrate,
    Network,
    Population,
    RigL,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    UserNeuron,
)
from genn_delays.backends.genn.clock import Clock
from genn_delays.codegen.genn import Fate, has_fate, listing, neuron_code

CASES = [Case.numbered(seed) for seed in range(12)] + [Case.current_based(seed) for seed in range(24)]


def plan_of(case, **arguments):
    return case.compile("reference", **arguments).plan


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.seed}-{c.neuron}")
def test_every_plan_has_code(case):
    plan = plan_of(case)
    text = listing(plan)
    assert text == listing(plan_of(case))
    for p in plan.populations:
        assert f"population_{p.index} ({p.name})" in text
        for line in p.model.equations if p.model else ():
            assert line in text
    assert ("backward" in text) == (plan.event_prop is not None)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.seed}-{c.neuron}")
def test_it_is_genns_language(case):
    """Functions are overloaded there: no expf; the input current is what arrives; nothing is left of a template."""
    text = "\n".join(line for line in listing(plan_of(case)).splitlines() if not line.lstrip().startswith("//"))
    assert not re.search(r"\b(exp|log|sqrt|fmax|fmin|pow|fabs)f\(", text)
    assert "{{" not in text and "{%" not in text
    assert ">>" not in text  # GeNN 5.4 does not know it
    for line in text.splitlines():
        if "Isyn" in line:
            assert "const scalar arriving = " in line
        assert line.count("(") - line.count(")") in (-1, 0, 1)
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("rule", "fates"),
    [(DeepR(), False), (DeepR(growth_delay="redraw"), False), (DeepR(growth="gradient"), True), (SET(), True),
     (RigL(), True)],
    ids=repr,
)  # fmt: skip
def test_rules_have_their_updates(rule, fates):
    plan = plan_of(replace(Case.current_based(11), neuron="plain"), rewiring={"all_connections": rule})
    text = listing(plan)
    assert all(has_fate(c) == fates for c in plan.connections)
    assert text.count("remove_synapse()") == text.count("add_synapse(") == len(plan.connections)
    assert (f"fate == {int(Fate.LIVING)}" in text) == fates
    assert not any(re.search(rf"\b{fate.name}\b", text) for fate in Fate)
    assert ("fresh0" in text) == (rule.growth_delay == "redraw")


def test_names_that_code_has_itself():
    """A parameter `depth` beside the depth of the population."""
    network = Network()
    with network:
        a = Population(SpikeInput(), 2, name="a")
        h = Population(
            UserNeuron(vars={"v": ("-v / depth + Isyn", "0")}, threshold="v - 1", param_vals={"depth": 5.0}),
            3,
            name="h",
        )
        o = Population(LeakyIntegrate(readout="avg_var"), 2, name="o")
        for source, target in ((a, h), (h, o)):
            Connection(source, target, Sparse([0], [0], [1.0], [0]))
    plan = SurrogateCompiler(5, 1, backend="reference").compile(network).plan
    code = neuron_code(plan, plan.populations[1])
    assert {"depth", "record"} <= set(code.params) and "v_" in code.states and "a__v" in code.numbers


def test_the_clock():
    """Depths are the longest ways; GeNN's delay is ours plus the way, never negative."""
    network = Network()
    with network:
        a = Population(SpikeInput(), 2, name="a")
        one, two, three = (
            Population(UserNeuron(vars={"v": ("-v / 5 + Isyn", "0")}, threshold="v - 1"), 2, name=n)
            for n in ("one", "two", "three")
        )
        o = Population(LeakyIntegrate(readout="avg_var"), 2, name="o")
        ways = [(a, one), (one, two), (two, one), (two, three), (a, three), (three, o), (a, o)]
        for source, target in ways:
            Connection(source, target, Sparse([0], [0], [1.0], [1]))
    plan = SurrogateCompiler(5, 1, backend="reference").compile(network).plan
    clock = Clock(plan)
    assert clock.depth == [0, 1, 1, 2, 3]
    assert clock.deepest == 3
    assert clock.steps == 5 + 3 + 1
    assert [clock.layer_offset(c) for c in plan.connections] == [0, -1, -1, 0, 1, 0, 2]
    assert all(clock.layer_offset(c) + c.min_delay >= 0 for c in plan.connections)
