"""Options that change the network a model describes: delays, kernel count, hidden layers, sparsity and rewiring."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from itertools import pairwise

import pytest
from refused import refused

from genn_delays.learning import Adam, CosineAnnealing
from genn_delays.rewiring import DeepR
from genn_delays.runs.build import build_network, compile_arguments, plan_of, validate
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides, overrides_in


@pytest.fixture
def config(small) -> Config:
    return Config.from_tables(tomllib.loads(small().read_text()))


def edited(config: Config, **tables) -> Config:
    """A configuration with keys of some sections replaced; a list holds those of every table of the section."""
    given = config.tables()
    for section, changes in tables.items():
        if isinstance(changes, list):
            given[section] = [{**old, **new} for old, new in zip(given[section], changes, strict=True)]
        else:
            given[section] = {**given.get(section, {}), **changes}
    return Config.from_tables(given)


# --- delays ----------------------------------------------------------------------------------------------------------


def test_learned_delays_are_those_published(config):
    """A kernel for every connection and Adam with cosine annealing for its delays; all else is the model's."""
    learned = Overrides(delays="learned").apply(config)
    assert overrides_in(learned).delays == "learned" and overrides_in(config).delays == "fixed"
    for before, c in zip(config.connections, learned.connections, strict=True):
        assert c.delay_kernel == {"kind": "gaussian", "final_sigma": 0.23, "shrink": 0.25}
        assert replace(c, delay_kernel=None) == before
    network = build_network(learned)
    optimisers = compile_arguments(learned, network)["optimisers"]
    for c in network.connections:
        assert optimisers[c] == {"weight": Adam(0.01), "delay": Adam(0.1, schedule=CosineAnnealing())}
    assert Overrides(delays="fixed").apply(learned) == config


def test_a_model_that_learns_delays_learns_them_as_it_says():
    config = load_model("fsdd_paper")
    assert Overrides(delays="learned").apply(config) == config
    triangle = edited(config, connections=[{"delay_kernel": "triangle"}, {"delay_kernel": "none"}])
    assert Overrides(delays="learned").apply(triangle) == triangle


def test_a_kernel_that_is_there_is_kept(config):
    given = edited(config, connections=[{"delay_kernel": {"kind": "triangle", "sigma": 3.0}}, {}])
    kernels = [c.delay_kernel["kind"] for c in Overrides(delays="learned").apply(given).connections]
    assert kernels == ["triangle", "gaussian"]


def test_fixed_delays_are_single_taps():
    """`fsdd_paper` without learned delays: whole lags, nothing of kernels or delay optimisers left."""
    plan = plan_of(Overrides(delays="fixed").apply(load_model("fsdd_paper")))
    whole = plan_of(load_model("fsdd_paper"))
    for c, before in zip(plan.connections, whole.connections, strict=True):
        assert (c.kernel, c.delay_optimiser, c.gradient_taps, c.real_delays) == (None, None, None, False)
        assert before.gradient_taps == "gaussian_" and before.real_delays
        assert c.optimiser == before.optimiser and c.rewiring == before.rewiring and c.max_delay == 24


def test_connections_without_delays_have_none_to_learn(config):
    """Where a connection's largest delay is 0 there is nothing to optimise; the other's are learned."""
    given = edited(config, connections=[{"delay": 0}, {}])
    plan = plan_of(Overrides(delays="learned").apply(given))
    assert [c.delay_optimiser is None for c in plan.connections] == [True, False]


# --- kernel count, sparsity ------------------------------------------------------------------------------------------


def test_kernel_count_is_of_every_pair(config):
    plan, single = plan_of(Overrides(kernel_count=3).apply(config)), plan_of(config)
    assert [c.size for c in plan.connections] == [3 * c.size for c in single.connections]
    assert [c.capacity for c in plan.connections] == [3, 3]


def test_kernel_count_of_explicit_synapses(config):
    explicit = {"source": "pixels", "target": "hidden", "connectivity": "sparse", "pre": [0, 1], "post": [2, 3]}
    tables = config.tables()
    tables["connections"][0] = explicit
    counted = Overrides(kernel_count=2).apply(Config.from_tables(tables))
    assert [c.connectivity.get("kernel_count") for c in counted.connections] == [None, 2]
    tables["connections"][1] |= {"connectivity": "sparse", "pre": [0], "post": [0]}
    del tables["connections"][1]["sparsity"], tables["connections"][1]["kernel_count"]
    del tables["connections"][1]["distinct_delays"]
    with refused("--kernel-count 2", "no connection of this model has a kernel_count", "sparse"):
        Overrides(kernel_count=2).apply(Config.from_tables(tables))


def test_sparsity_zero_is_dense_and_not_rewired(config):
    plan = plan_of(Overrides(sparsity=0).apply(config))
    assert [c.size for c in plan.connections] == [64 * 64, 64 * 10]
    assert [c.rewiring for c in plan.connections] == [None, None]


# --- hidden layers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[32], [64, 64], [16, 48, 8]])
def test_hidden_layers_are_a_chain_of_copies(config, sizes):
    """Neurons, batch norm and dropout of the last hidden layer, connections like the one into it; the ends stay."""
    given = edited(config, populations=[{}, {"batch_norm": True, "dropout": 0.25}, {}])
    found = Overrides(hidden=",".join(map(str, sizes))).apply(given)
    assert [p.size for p in found.populations] == [64, *sizes, 10]
    names = [p.name for p in found.populations]
    assert names == ["pixels", *("hidden", "hidden2", "hidden3")[: len(sizes)], "digit"]
    assert [(c.source, c.target) for c in found.connections] == list(pairwise(names))
    hidden = given.populations[1]
    for p in found.populations[1:-1]:
        assert replace(p, name="hidden", size=64) == hidden
    first, last = given.connections
    for c in found.connections[:-1]:
        assert replace(c, source="pixels", target="hidden") == first
    assert replace(found.connections[-1], source="hidden") == last
    validate(found)


def test_hidden_layers_of_a_model_with_two():
    """Layers that are there keep their own; more are copies of the last, fewer leave the first."""
    model = load_model("shd_dcls_2l_1kc")
    given = edited(
        model,
        populations=[{}, {"dropout": 0.1}, {"dropout": 0.2}, {}],
        connections=[{"weight": 1.0}, {"weight": 2.0}, {"weight": 3.0}],
    )
    three, one = (Overrides(hidden=text).apply(given) for text in ("256, 128, 64", "32"))
    assert [p.dropout for p in three.populations] == [0.0, 0.1, 0.2, 0.2, 0.0]
    assert [p.name for p in three.populations[1:-1]] == ["hidden1", "hidden2", "hidden3"]
    assert [c.connectivity["weight"] for c in three.connections] == [1.0, 2.0, 2.0, 3.0]
    assert [p.dropout for p in one.populations] == [0.0, 0.1, 0.0]
    assert [c.connectivity["weight"] for c in one.connections] == [1.0, 3.0]
    assert Overrides(hidden="256,256").apply(given) == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("256,x", ("--hidden", "whole numbers separated by commas", "'256,x'")),
        ("256,,64", ("--hidden", "whole numbers", "'256,,64'")),
        ("", ("--hidden", "whole numbers", "''")),
        ("2.5", ("--hidden", "whole numbers", "'2.5'")),
        ("64,0", ("--hidden", "at least 1", "0")),
        ("-64", ("--hidden", "at least 1", "-64")),
    ],
)
def test_bad_sizes_of_hidden_layers(config, text, words):
    with refused(*words):
        Overrides(hidden=text).apply(config)


def test_a_name_that_is_taken(config):
    given = edited(
        config,
        populations=[{}, {"name": "hidden2"}, {}],
        connections=[{"target": "hidden2"}, {"source": "hidden2"}],
    )
    with refused("--hidden", "already called 'hidden2'"):
        Overrides(hidden="64,64").apply(given)
    assert [p.name for p in Overrides(hidden="32").apply(given).populations] == ["pixels", "hidden2", "digit"]


@pytest.mark.parametrize("shape", ["loop", "skip", "no hidden layer"])
def test_hidden_layers_of_what_is_no_chain(config, shape):
    tables = config.tables()
    if shape == "no hidden layer":
        tables["populations"] = [tables["populations"][0], tables["populations"][2]]
        tables["connections"] = [tables["connections"][0] | {"target": "digit"}]
    else:
        source, target = {"loop": ("hidden", "hidden"), "skip": ("pixels", "digit")}[shape]
        delay = {"kind": "uniform_int", "low": 1, "high": 9}
        more = {"source": source, "target": target, "connectivity": "dense", "delay": delay}
        tables["connections"] = [*tables["connections"], more]
    with refused("--hidden", "not a chain"):
        Overrides(hidden="64,64").apply(Config.from_tables(tables))


# --- rewiring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("deep_r", {"rule": "deep_r", "growth": "random", "l1": 1e-4}),
        ("deep_r_rigl", {"rule": "deep_r", "growth": "gradient", "l1": 1e-4}),
        ("rigl", {"rule": "rigl", "fraction": 0.3, "interval": 100, "end": 0.75}),
        ("set", {"rule": "set", "fraction": 0.3, "interval": 100}),
        ("none", {"rule": "none"}),
    ],
)
def test_rewiring_rules_on_a_model_that_has_another(config, rule, expected):
    """DEEP R keeps the model's own settings but for its growth, another rule has its defaults."""
    for first in ("deep_r", "deep_r_rigl", "rigl", "set", "none"):
        before = Overrides(rewiring=first).apply(config)
        found = Overrides(rewiring=rule).apply(before)
        kept = {**expected, **({"l1": DeepR().l1} if "l1" in expected and first in ("rigl", "set", "none") else {})}
        assert found.rewiring.rule.items() >= kept.items(), first
        assert found.rewiring.label == rule and overrides_in(found).rewiring == rule
        validate(found)


def test_rewiring_keeps_the_connections_it_is_for(config):
    given = edited(config, rewiring={"connections": ["pixels_hidden"]})
    for growth in ("deep_r", "deep_r_rigl"):
        plan = plan_of(Overrides(rewiring=growth).apply(given))
        assert [c.rewiring is not None for c in plan.connections] == [True, False]


@pytest.mark.parametrize("rule", ["deep_r", "deep_r_rigl", "rigl", "set"])
def test_growth_at_the_best_delay(config, rule):
    plan = plan_of(Overrides(rewiring=rule, growth_delay="best").apply(config))
    for c in plan.connections:
        assert c.rewiring.growth_delay == "best" and c.rewiring.uses_gradient


# --- the command line ------------------------------------------------------------------------------------------------


OPTIONS = {
    "learned": ("--delays", "learned", "--kernel-count", 2, "--hidden", "16,12", "--rewiring", "deep_r_rigl"),
    "rigl": ("--hidden", 24, "--rewiring", "rigl", "--growth-delay", "best", "--delays", "learned"),
    "dense": ("--sparsity", 0, "--hidden", "16", "--delays", "learned"),
}
MORE = {"rigl": (('rule = "deep_r"\nl1 = 1e-4', 'rule = "rigl"\ninterval = 3'),)}


@pytest.fixture
def interrupt(monkeypatch):
    """Ends the next call of the command line before the second epoch is written, as the keyboard would."""

    def arm():
        from genn_delays.runs.train import _Observer

        whole = _Observer.on_epoch_end

        def stop(self, epoch, metrics):
            if epoch == 1:
                monkeypatch.setattr(_Observer, "on_epoch_end", whole)
                raise KeyboardInterrupt
            whole(self, epoch, metrics)

        monkeypatch.setattr(_Observer, "on_epoch_end", stop)

    return arm


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_made_with_options_goes_on_to_the_same_bits(call, small, tmp_path, interrupt, name):
    """What the options made of the model is in the run's folder; an interruption leaves no trace."""
    model, whole, out = small(*MORE.get(name, ())), tmp_path / "whole", tmp_path / "run"
    options = (*OPTIONS[name], "--epochs", 3)
    done = call("train", model, "--out", whole, "--quiet", "--json", *options)
    assert done.status == 0, done.err
    result = json.loads(done.out)
    assert (result["rewirings"] > 0) == (name != "dense")
    interrupt()
    assert call("train", model, "--out", out, "--quiet", *options).status == 130
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1
    assert call("train", "--resume", "--out", out, "--quiet").status == 0
    for checkpoint in ("last", "best"):
        one, two = (run / "checkpoints" / f"{checkpoint}.safetensors" for run in (whole, out))
        assert one.read_bytes() == two.read_bytes()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for option, value, old in (
        ("--delays", "fixed", "learned"),
        ("--kernel-count", 3, "2" if name == "learned" else "1"),
        ("--hidden", "17", ""),
        ("--rewiring", "set", "none" if name == "dense" else result["rewiring"]),
    ):
        changed = call("train", "--resume", "--out", out, option, value)
        assert changed.status == 2 and len(changed.err.splitlines()) == 1, option
        named = ("--hidden", "populations") if option == "--hidden" else (option,)
        assert any(name in changed.err for name in named) and old in changed.err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("replacement", "options", "words"),
    [
        ((), ("--rewiring", "rigl", "--dale"), ("--dale", "'rigl'")),
        ((), ("--rewiring", "set", "--dale"), ("--dale", "'set'")),
        ((), ("--kernel-count", 0), ("--kernel-count", "at least 1", "0")),
        ((), ("--delays", "learnt"), ("--delays", "'learnt'", "Did you mean 'learned'?")),
        ((), ("--hidden", "64,"), ("--hidden", "'64,'")),
        (
            (("sparsity = 0.75", "sparsity = 0.75\ndistinct_delays = true"),),
            ("--kernel-count", 11),
            ("pixels -> hidden", "kernel_count must be at most 10", "11"),
        ),
        (
            (("low = 0, high = 9 }", 'low = 0, high = 9 }\ndelay_kernel = { kind = "gaussian", sigma = -1.0 }'),),
            (),
            ("pixels -> hidden", "GaussianKernel sigma", "(0, inf)", "-1.0"),
        ),
        (
            (("low = 0, high = 9 }", 'low = 0, high = 9 }\ndelay_kernel = "gausian"'),),
            (),
            ("pixels -> hidden", "delay kernel", "'gausian'", "'gaussian'"),
        ),
        ((("tau_mem = 30.0", 'batch_norm = "yes"'),), (), ("'hidden'", "batch_norm", "true or false", "'yes'")),
        ((("tau_mem = 30.0", "dropout = 1.0"),), (), ("'hidden'", "dropout", "[0, 1)", "1.0")),
        ((("l1 = 1e-4", "candidates = 481\ngrowth = 'gradient'\nconnections = ['hidden_digit']"),), (),
         ("candidates", "'hidden_digit'", "at most 480", "481")),
        ((('connectivity = "fixed_number"\nsparsity = 0.75', 'connectivity = "dense"'),), (),
         ("rewiring", "'pixels_hidden'", "all 4096 pairs", "rewiring 'none'")),
    ],
)  # fmt: skip
def test_options_and_models_that_cannot_be(call, small, tmp_path, replacement, options, words):
    """One line that names the thing and the value, and no folder."""
    done = call("train", small(*replacement), "--out", tmp_path / "run", "--quiet", *options)
    assert done.status == 2 and done.out == ""
    assert len(done.err.splitlines()) == 1, done.err
    for word in words:
        assert word in done.err, (word, done.err)
    assert not (tmp_path / "run").exists()


def test_a_schedule_shorter_than_the_run(call, small, tmp_path):
    schedule = 'alpha = 0.01, schedule = { kind = "cosine_annealing", length = 2 } }'
    done = call("train", small(("alpha = 0.01 }", schedule)), "--epochs", 3, "--out", tmp_path / "run", "--quiet")
    assert done.status == 2 and done.out == "" and len(done.err.splitlines()) == 1
    for word in ("CosineAnnealing length", "at least 3", "2"):
        assert word in done.err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_spoken_digits_with_learned_delays(call, tmp_path, spoken_digits):
    """`fsdd` with delays learned as published trains: the loss falls, and delays are real numbers that moved."""
    from safetensors.numpy import load_file

    out = tmp_path / "run"
    done = call("train", "fsdd", "--delays", "learned", "--epochs", 2, "--batch-size", 256, "--data-dir",
                spoken_digits, "--out", out, "--quiet")  # fmt: skip
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[1]["train_loss"] < lines[0]["train_loss"]
    tensors = load_file(out / "checkpoints" / "last.safetensors")
    position = tensors["mel_hidden.position"]
    assert (position % 1 != 0).mean() > 0.5 and position.min() >= 0 and position.max() <= 24


def test_learned_delays_of_eventprop_have_no_kernel():
    config = Overrides(delays="learned").apply(load_model("digits_eventprop"))
    assert config.training.delay_optimiser["alpha"] == 0.1
    assert [c.delay_kernel for c in config.connections] == [None, None]
    assert all(c.delay_optimiser is not None for c in plan_of(config).connections)
