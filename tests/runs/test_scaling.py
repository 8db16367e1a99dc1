"""Smaller networks have the mean and the variance of the input of the network of full size."""

from __future__ import annotations

import json

import pytest
from refused import refused

from genn_delays.runs.scaling import scaled
from genn_delays.runs.simulated import SimulationConfig, SimulationOverrides

RATES = {"a": 12.0, "b": 30.0}
RULES = [
    {"connectivity": "fixed_in_degree", "n": 100},
    {"connectivity": "fixed_in_degree", "n": 100, "multapses": True},
    {"connectivity": "fixed_out_degree", "n": 80},
    {"connectivity": "fixed_total_number", "n": 20000, "multapses": True},
    {"connectivity": "fixed_probability", "p": 0.2},
    {"connectivity": "fixed_number", "sparsity": 0.75},
    {"connectivity": "dense"},
]
WEIGHTS = [
    0.3,
    {"kind": "constant", "value": 0.3},
    {"kind": "uniform", "low": -0.1, "high": 0.7},
    {"kind": "normal", "mean": 0.3, "sd": 0.1},
    {"kind": "normal_clipped", "mean": 0.3, "sd": 1e-4, "low": 0.0},
]


def model(rule, weight=0.3, synapse="delta", drives=None, **simulation):
    """Population a, 400 neurons, onto b, 300 neurons."""
    return SimulationConfig.from_tables(
        {
            "model": {"name": "two"},
            "populations": [
                {"name": "a", "neuron": "leaky_integrate_fire", "size": 400},
                {"name": "b", "neuron": "leaky_integrate_fire", "size": 300, "drives": drives or []},
            ],
            "connections": [
                {"source": "a", "target": "b", "weight": weight, "delay": 3, "synapse": synapse, **rule}
            ],
            "simulation": {"duration": 10.0, "rates": RATES, **simulation},
        }
    )  # fmt: skip


def mean_weight(weight):
    """And the relative spread, which must not change."""
    if isinstance(weight, float):
        return weight, 0.0
    values = {key: value for key, value in weight.items() if key != "kind"}
    middle = values.get("mean", values.get("value", sum(values.values()) / 2))
    return middle, (values.get("sd", values.get("high", middle) - middle)) / middle


def degree(config):
    """Mean synapses of a target."""
    a, b = (p.size for p in config.populations)
    table = config.connections[0].connectivity
    return {
        "fixed_in_degree": lambda: table["n"], "fixed_out_degree": lambda: table["n"] * a / b,
        "fixed_total_number": lambda: table["n"] / b, "fixed_probability": lambda: table["p"] * a,
        "fixed_number": lambda: (1 - table["sparsity"]) * a, "dense": lambda: a,
    }[table["connectivity"]]()  # fmt: skip


def current(config):
    drives = config.populations[1].drives or []
    return sum(d["amplitude"] for d in drives if d["kind"] == "current")


@pytest.mark.parametrize("tau", [None, 5.0])
@pytest.mark.parametrize("weight", WEIGHTS, ids=lambda w: w if isinstance(w, float) else w["kind"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["connectivity"])
def test_mean_and_variance_stay(rule, weight, tau):
    synapse = "delta" if tau is None else {"kind": "exponential", "tau": tau}
    full = model(rule, weight, synapse, scale=0.25)
    small = scaled(full)
    assert [p.size for p in small.populations] == [100, 75]
    (w, spread), (v, narrow) = (mean_weight(c.connections[0].connectivity["weight"]) for c in (full, small))
    assert narrow == pytest.approx(spread)
    reach = 0.1 if tau is None else tau  # of a delta synapse: a step
    before = degree(full) * w * RATES["a"] / 1000 * reach
    after = degree(small) * v * RATES["a"] / 1000 * reach + current(small)
    assert after == pytest.approx(before, rel=1e-4) and current(small) > 0.4 * before
    assert degree(small) == pytest.approx(degree(full) / 4)
    assert degree(small) * v**2 == pytest.approx(degree(full) * w**2, rel=1e-4)
    assert small.simulation.scale == 1.0 and scaled(small) == small


def test_a_rounded_degree_is_made_up_for():
    full = model({"connectivity": "fixed_in_degree", "n": 7}, scale=0.3)
    small = scaled(full)
    assert small.connections[0].connectivity["n"] == 2
    v = small.connections[0].connectivity["weight"]
    assert 2 * v * 0.0012 + current(small) == pytest.approx(7 * 0.3 * 0.0012)


DRIVEN = """
[model]
name = "driven"
[[populations]]
name = "b"
neuron = "leaky_integrate_fire"
size = {size}
drives = {{ kind = "poisson_drive", rate = 8000.0, weight = {weight}, synapse = {synapse} }}
[simulation]
duration = 1000.0
"""


@pytest.mark.parametrize(
    ("weight", "synapse"), [(0.05 / 0.1, '"delta"'), (0.05 / 5.0, '{ kind = "exponential", tau = 5.0 }')]
)
def test_driven_neurons_spike_as_often_at_a_smaller_scale(call, tmp_path, weight, synapse):
    """Their input has the same mean and variance, in each form of synapse; a quarter of the mean less is no spikes at
    all, or half of them."""
    path = tmp_path / "driven.toml"
    path.write_text(DRIVEN.format(size=800, weight=weight, synapse=synapse))
    rates = []
    for number, scale in enumerate((1, 0.25)):
        done = call("simulate", path, "--scale", scale, "--out", tmp_path / str(number), "--json", "--quiet")
        assert done.status == 0, done.err
        rates.append(json.loads(done.out)["populations"][0]["rate"])
    assert rates[0] > 3 and rates[1] == pytest.approx(rates[0], rel=0.05)


@pytest.mark.parametrize("rule", RULES[:5], ids=lambda rule: rule["connectivity"])
def test_fewer_neurons_keep_their_synapses(rule):
    """With their weights and drives, and no rates are asked for."""
    drive = {"kind": "poisson_drive", "rate": 50.0, "weight": 0.2, "synapse": "delta"}
    full = model(rule, drives=[drive], scale=0.5, scaling="neurons", rates={})
    small = scaled(full)
    assert [p.size for p in small.populations] == [200, 150]
    assert degree(small) == pytest.approx(degree(full)) and small.populations[1].drives == full.populations[1].drives
    assert small.connections[0].connectivity["weight"] == 0.3 and scaled(small) == small


def test_given_spikes_keep_their_neurons():
    """And what comes from them stays."""
    tables = model({"connectivity": "fixed_out_degree", "n": 90}, scale=0.5, scaling="neurons").tables()
    tables["populations"][0] = {
        "name": "a", "neuron": "spike_source", "size": 400, "times": [1.0], "neurons": [399],
    }  # fmt: skip
    small = scaled(SimulationConfig.from_tables(tables))
    assert [p.size for p in small.populations] == [400, 150]
    assert small.connections[0].connectivity["n"] == 45  # 120 synapses of a target, as before
    by_chance = {"connectivity": "fixed_probability", "p": 0.1, "weight": 0.3, "delay": 3}
    tables["connections"] = [{"source": "a", "target": "b", **by_chance}]
    assert scaled(SimulationConfig.from_tables(tables)).connections[0].connectivity["p"] == 0.1


def test_the_smallest_scale_at_which_neurons_keep_their_synapses():
    for rule, text in zip(RULES, ("100", None, "80", None, "probability of 2", *[None] * 2), strict=True):
        small = model(rule, scale=0.1, scaling="neurons")
        if text is not None:
            with refused("[[connections]] 'a -> b'", "at scale 0.1", "40 sources and 30 targets", text, "larger scale"):
                scaled(small)
    assert scaled(model(RULES[1], scale=0.1, scaling="neurons")).connections[0].connectivity["n"] == 100  # multapses
    with refused("connectivity 'dense'", "fewer neurons"):
        scaled(model(RULES[6], scale=0.5, scaling="neurons"))
    with refused("[simulation] scaling", "'neuron'", "neurons", "synapses"):
        model(RULES[0], scaling="neuron")


def test_what_has_no_smaller_form():
    with refused("connectivity 'one_to_one' has no smaller form", "'a -> b'"):
        scaled(model({"connectivity": "one_to_one"}, scale=0.5))
    with refused("[[connections]] 'a -> b' weight", "kaiming_uniform"):
        scaled(model(RULES[0], {"kind": "kaiming_uniform", "gain": 1.0}, scale=0.5))
    with refused("drives number 1 rate", "[1.0]"):
        drive = {"kind": "poisson_drive", "rate": [1.0], "weight": 1.0}
        scaled(model(RULES[0], drives=[drive], scale=0.5))
    with refused("synapse", "one number tau"):
        synapse = {"kind": "exponential", "tau": {"kind": "uniform", "low": 1.0, "high": 2.0}}
        scaled(model(RULES[0], 0.3, synapse, scale=0.5))
    with refused("mean rate of population 'a'", "rates.a"):
        scaled(model(RULES[0], scale=0.5, rates={"b": 1.0}))


def test_full_size_asks_for_no_rates():
    config = model({"connectivity": "one_to_one"}, rates={})
    assert scaled(config) is config
    assert SimulationOverrides(scale=0.5).apply(config).simulation.scale == 0.5
