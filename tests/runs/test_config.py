"""Model files: every table maps onto constructors, everything else is one clear error, and it all goes round."""

from __future__ import annotations

import inspect
import tomllib

import numpy as np
import pytest
import tomli_w

from genn_delays.connectivity.connectivity import CONNECTIVITY
from genn_delays.delays import DELAY_INITIALIZERS
from genn_delays.errors import InvalidValueError
from genn_delays.initializers import INITIALIZERS
from genn_delays.learning import OPTIMISERS, SURROGATES, AdamW, OneCycle
from genn_delays.neurons import NEURONS
from genn_delays.rewiring import REWIRING, DeepR
from genn_delays.runs.build import build_compiler, build_network, compile_arguments, plan_of, validate
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model, model_names
from genn_delays.runs.overrides import Overrides, overrides_in
from genn_delays.runs.resume import differences
from genn_delays.runs.sections import METHOD_KEYS
from genn_delays.runs.tables import arguments_of
from genn_delays.training.registry import COMPILERS


def tables(small) -> dict:
    return tomllib.loads(small().read_text())


@pytest.mark.parametrize("name", model_names(kind="training"))
def test_models_of_the_library_go_round_and_build(name):
    config = load_model(name)
    text = tomli_w.dumps(config.tables())
    assert Config.from_tables(tomllib.loads(text)) == config
    validate(config)
    assert config.model.name == name
    assert config.model.description and config.model.citation and config.model.expected


def test_defaults_are_written_out(small):
    config = Config.from_tables(tables(small))
    found = config.tables()
    assert found["populations"][1]["v_thresh"] == 1.0
    assert found["connections"][1]["weight"] == {"kind": "kaiming_uniform", "gain": 1.0}
    assert found["compiler"]["surrogate"] == {"kind": "arctan", "alpha": 5.0}
    assert found["training"]["optimiser"] == {
        "kind": "adam", "alpha": 0.01, "l1": 0.0, "weight_decay": 0.0, "decoupled_l1": False, "beta1": 0.9,
        "beta2": 0.999, "epsilon": 1e-8,
    }  # fmt: skip
    assert found["rewiring"] == {
        "rule": "deep_r", "l1": 1e-4, "temperature": 0.0, "dale": False, "growth": "random", "growth_delay": "pair",
        "decoupled_l1": False,
    }  # fmt: skip
    assert Config.from_tables(found) == config


@pytest.mark.parametrize("kind", COMPILERS)
def test_defaults_of_the_compiler_are_the_compilers(small, kind):
    own = {name: p.default for name, p in inspect.signature(COMPILERS[kind]).parameters.items()}
    given = tables(small)
    given["compiler"] = {"kind": kind, "example_timesteps": 30}
    found = Config.from_tables(given).compiler
    assert set(METHOD_KEYS[kind]) <= set(own)
    for name, value in own.items():
        if name in ("surrogate", "losses"):
            assert getattr(found, name)["kind"] == value
        elif name not in ("example_timesteps", "batch_size", "communicator", "moved"):
            assert getattr(found, name) == value, name


def test_weights_can_be_fixed_where_delays_are_learned(small):
    given = tables(small)
    given["training"] |= {"optimiser": "none", "delay_optimiser": "adam"}
    given["rewiring"] = {"rule": "none"}
    config = Config.from_tables(given)
    assert Config.from_tables(tomllib.loads(tomli_w.dumps(config.tables()))) == config
    assert {c.optimiser for c in plan_of(config).connections} == {None}
    assert all(c.delay_optimiser for c in plan_of(config).connections if c.max_delay > 0)
    nothing = Overrides(delays="fixed").apply(config)  # a control; its run folder has to be readable
    assert Config.from_tables(tomllib.loads(tomli_w.dumps(nothing.tables()))) == nothing
    assert {(c.optimiser, c.delay_optimiser) for c in plan_of(nothing).connections} == {(None, None)}


@pytest.mark.parametrize("none", ["none", {"kind": "none"}], ids=repr)
def test_delays_can_be_fixed_by_name(small, none):
    """As weights can, so that a sweep may list both; a kernel may spread synapses that stay where they are."""
    given = tables(small)
    given["training"] |= {"delay_optimiser": none}
    given["connections"][0] |= {"delay_kernel": {"kind": "gaussian", "sigma": 2.0, "final_sigma": 2.0}}
    config = Config.from_tables(given)
    assert config.training.delay_optimiser is None
    assert {c.delay_optimiser for c in plan_of(config).connections} == {None}
    assert "delay_optimiser" not in config.tables()["training"]
    given["training"]["delay_optimiser"] = "nome"
    with pytest.raises(InvalidValueError, match=r"delay_optimiser 'nome'.*Did you mean 'none'"):
        Config.from_tables(given)


def test_settings_of_another_compiler_are_errors_and_go_where_it_is_exchanged(small):
    given = tables(small)
    given["compiler"] |= {"kind": "eventprop"}
    with pytest.raises(InvalidValueError, match=r"\[compiler\] surrogate is not a setting of kind = 'eventprop'"):
        Config.from_tables({**given, "compiler": {**given["compiler"], "surrogate": "arctan"}})
    for key in ("surrogate", "detach_reset"):
        given["compiler"].pop(key, None)
    config = Config.from_tables(given)
    assert config.compiler.surrogate is None
    assert config.compiler.grad_limit == 100.0
    back = Overrides(compiler="surrogate").apply(config)
    assert (back.compiler.grad_limit, back.compiler.surrogate["kind"]) == (None, "arctan")
    assert Overrides(compiler="eventprop").apply(back) == config
    with pytest.raises(InvalidValueError, match=r"--compiler.*'event_prop'.*eventprop, surrogate"):
        Overrides(compiler="event_prop").apply(config)


@pytest.mark.parametrize(
    "registry", [NEURONS, CONNECTIVITY, INITIALIZERS, DELAY_INITIALIZERS, OPTIMISERS, REWIRING, SURROGATES]
)
def test_arguments_of_everything_in_a_registry_can_be_told(registry):
    for constructor in registry.values():
        arguments_of(constructor)


def test_objects_have_the_values_of_their_tables(small):
    given = tables(small)
    given["populations"][1] |= {"tau_mem": {"kind": "uniform", "low": 10.0, "high": 20.0}, "integration": "exact"}
    given["connections"][0] |= {"delay": 3, "weight": 0.5, "name": "first", "max_delay_steps": 12}
    given["compiler"] |= {"surrogate": {"kind": "triangle", "width": 0.5}, "detach_reset": False, "dt": 0.5}
    given["compiler"] |= {"example_timesteps": 60}
    given["rewiring"]["connections"] = ["hidden_digit"]
    given["network"] = {"seed": 7}
    config = Config.from_tables(given)
    network = build_network(config)
    assert network.seed == 7
    tau = network.populations[1].parameters()["tau_mem"]
    assert tau.min() >= 10 and tau.max() <= 20 and tau.std() > 1
    first = network.connections[0]
    assert (first.name, first.max_delay_steps) == ("first", 12)
    assert set(first.synapses.delay) == {3} and set(first.synapses.weight) == {np.float32(0.5)}
    compiler = build_compiler(config)
    assert (compiler.surrogate.width, compiler.detach_reset, compiler.dt) == (0.5, False, 0.5)
    arguments = compile_arguments(config, network)
    assert list(arguments["rewiring"]) == ["hidden_digit"]
    assert [arguments["optimisers"][c]["weight"].alpha for c in network.connections] == [0.01, 0.01]
    plan = plan_of(config)
    assert [c.rewiring is not None for c in plan.connections] == [False, True]
    assert Config.from_tables(config.tables()) == config


def test_a_schedule_in_a_table(small):
    given = tables(small)
    schedule = {"kind": "one_cycle", "maximum": 0.01, "per": "batch"}
    given["training"]["optimiser"] = {"kind": "adam_w", "schedule": schedule}
    config = Config.from_tables(tomllib.loads(tomli_w.dumps(Config.from_tables(given).tables())))
    assert config.training.optimiser["schedule"]["rise"] == 0.3
    optimisers = compile_arguments(config, build_network(config))["optimisers"].values()
    assert [o["weight"] for o in optimisers] == [AdamW(schedule=OneCycle(0.01, per="batch"))] * 2
    given["training"]["optimiser"]["schedule"] = {"kind": "one_cycle"}
    with pytest.raises(InvalidValueError, match="schedule lacks 'maximum'"):
        Config.from_tables(given)


def test_a_users_neuron_in_a_table(small):
    given = tables(small)
    given["populations"][1] = {
        "name": "hidden",
        "neuron": "user_neuron",
        "size": 64,
        "vars": {"v": ["-v / tau_mem + Isyn", "0"], "a": ["-a / tau_a", "a + 1"], "b": ["-b / tau_a + Isyn"]},
        "threshold": "v - 1 - 0.2 * a",
        "param_vals": {"tau_mem": 10.0, "tau_a": {"kind": "normal", "mean": 50.0, "sd": 1.0}},
    }
    config = Config.from_tables(given)
    neuron = build_network(config).populations[1].neuron
    assert neuron.equations().variables["b"] == ("-b / tau_a + Isyn", None)
    assert plan_of(config).populations[1].model.states == ("v", "a", "b")
    assert Config.from_tables(tomllib.loads(tomli_w.dumps(config.tables()))) == config


def change(given: dict, place: str, value: object) -> None:
    """``change(t, "populations.1.size", 3)``; a value of ... removes the key."""
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in path:
        given = given.setdefault(part, {}) if isinstance(given, dict) else given[part]
    if value is ...:
        del given[last]
    else:
        given[last] = value


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("compilers", {}, ["'compilers'", "Did you mean 'compiler'?"]),
        ("compiler.batchsize", 3, ["[compiler]", "'batchsize'", "Did you mean 'batch_size'?"]),
        ("populations.1.tau_men", 3, ["[[populations]] 'hidden'", "'tau_men'", "'tau_mem'"]),
        ("populations.1.neuron", "leaky_integrate_and_fire", ["'hidden'", "'leaky_integrate_fire'"]),
        ("connections.0.connectivity", "fixednumber", ["pixels -> hidden", "'fixed_number'"]),
        ("connections.0.sparsty", 0.5, ["pixels -> hidden", "'sparsty'", "'sparsity'"]),
        ("connections.0.sparsity", ..., ["pixels -> hidden", "lacks 'sparsity'"]),
        ("connections.0.weight.kind", "kaiming", ["pixels -> hidden", "weight", "'kaiming_uniform'"]),
        ("connections.0.weight.gian", 1, ["'gian'", "'gain'"]),
        ("connections.0.delay.kind", "uniform", ["delay", "'uniform_int'"]),
        ("connections.0.delay.low", -1, ["delay", "from 0", "-1"]),
        ("connections.0.delay.high", 65_536, ["delay", "65535", "65536"]),
        ("connections.0.max_delay_steps", 5, ["max_delay_steps = 5", "9"]),
        ("connections.0.source", "pixel", ["population 'pixel'", "'pixels'"]),
        ("connections.0.source", ..., ["[[connections]] source"]),
        ("populations.1.size", 0, ["'hidden'", "at least 1", "0"]),
        ("populations.1.size", ..., ["'hidden'", "size"]),
        ("populations.1.tau_mem", -3.0, ["'hidden'", "tau_mem", "-3"]),
        ("populations.1.name", "pixels", ["'pixels'", "names must differ"]),
        ("populations.1.name", 3, ["[[populations]] name", "3"]),
        ("populations.2.readout", "sum", ["readout", "'sum'"]),
        ("populations.2.readout", ..., ["no output"]),
        ("populations", [], ["[[populations]]"]),
        ("populations", {}, ["[[populations]]"]),
        ("connections", ..., ["[connections]"]),
        ("compiler", 3, ["[compiler]", "3"]),
        ("compiler.example_timesteps", ..., ["[compiler]", "example_timesteps"]),
        ("compiler.example_timesteps", 0, ["example_timesteps", "at least 1"]),
        ("compiler.example_timesteps", "30", ["example_timesteps", "'30'"]),
        ("compiler.batch_size", 0, ["batch_size", "at least 1"]),
        ("compiler.threads", 0, ["threads", "from 1 to 1024"]),
        ("compiler.backend", "cpp", ["backend", "'cpp'", "cpu"]),
        ("compiler.losses", "mse", ["loss", "'mse'"]),
        ("compiler.surrogate", "arktan", ["surrogate", "'arctan'"]),
        ("compiler.surrogate", {"alpha": 2}, ["[compiler] surrogate", "kind"]),
        ("compiler.surrogate", {"kind": "arctan", "alpha": 0}, ["alpha", "0"]),
        ("compiler.detach_reset", 1, ["detach_reset", "true or false"]),
        ("compiler.dt", 0, ["dt", "0"]),
        ("compiler.rng_seed", -1, ["rng_seed", "-1"]),
        ("network.seed", -1, ["seed", "-1"]),
        ("network.sed", 1, ["[network]", "'sed'", "'seed'"]),
        ("training.dataset", "mnist", ["dataset", "'mnist'", "digits"]),
        ("training.dataset", ..., ["[training]", "dataset"]),
        ("training.num_epochs", 0, ["num_epochs", "at least 1"]),
        ("training.validation", 1.0, ["validation", "[0, 1)"]),
        ("training.shuffle", "yes", ["shuffle", "'yes'"]),
        ("training.optimiser", "rmsprop", ["optimiser", "'rmsprop'", "adam"]),
        ("training.optimiser.alpha", "fast", ["alpha", "'fast'"]),
        ("training.optimiser.lr", 0.1, ["'lr'", "alpha"]),
        ("rewiring.rule", "deepr", ["'deepr'", "'deep_r'", "none"]),
        ("rewiring.rule", "none", ["'none' takes no 'l1'"]),
        ("rewiring.l1", -1.0, ["[rewiring]", "l1", "-1"]),
        ("rewiring.growth_delay", "worst", ["growth_delay", "'worst'", "best, pair, redraw"]),
        ("rewiring", {"rule": "rigl", "dale": True}, ["[rewiring]", "'dale'", "fraction"]),
        ("rewiring", {"rule": "rigl", "fraction": 1.5}, ["[rewiring]", "RigL fraction", "(0, 1]", "1.5"]),
        ("rewiring", {"rule": "rigl", "growth": "random"}, ["[rewiring]", "'growth'", "growth_delay"]),
        ("rewiring.growth", "weight", ["growth", "'weight'", "gradient, random"]),
        ("rewiring.candidates", 0, ["candidates", "at least 1", "0"]),
        ("populations.1.dropout", 1.0, ["'hidden'", "dropout", "[0, 1)", "1.0"]),
        ("populations.0.batch_norm", True, ["'pixels'", "batch_norm", "input"]),
        ("connections.0.kernel_count", 0, ["pixels -> hidden", "kernel_count", "0"]),
        ("connections.0.delay_kernel", "gausian", ["delay kernel", "'gausian'", "gaussian"]),
        ("connections.0.delay_kernel", {"kind": "gaussian", "sigma": 0.0}, ["sigma", "(0, inf)", "0.0"]),
        ("rewiring.connections", ["hiden_digit"], ["'hiden_digit'", "'hidden_digit'"]),
        ("rewiring.connections", "hidden_digit", ["connections", "list"]),
        ("model.name", ..., ["[model]", "name"]),
        ("model.name", "a/b", ["name", "'a/b'"]),
        ("model.nam", "x", ["[model]", "'nam'"]),
        ("model.citation", 3, ["citation", "3"]),
        ("populations.1.v", [1.0, object()], ["object"]),
    ],
)  # fmt: skip
def test_errors_name_section_key_and_value(small, place, value, named):
    given = tables(small)
    change(given, place, value)
    with pytest.raises(InvalidValueError) as caught:
        validate(Config.from_tables(given))
    for text in named:
        assert text in str(caught.value), (text, str(caught.value))


@pytest.mark.parametrize("value", [3, "v", [1], {"v": 3}, {"v": ["a", "b", "c"]}, {"v": ["-v +* 2", "0"]}, {}])
def test_nonsense_equations_are_errors_not_tracebacks(small, value):
    given = tables(small)
    given["populations"][1] = {"name": "hidden", "neuron": "user_neuron", "size": 4, "vars": value, "threshold": "v"}
    with pytest.raises(InvalidValueError):
        plan_of(Config.from_tables(given))


def test_numpy_values_become_plain_ones(small):
    given = tables(small)
    given["populations"][1]["size"] = np.int64(3)
    given["populations"][1]["tau_mem"] = np.array([1.0, 2.0, 3.0])
    given["connections"][0] = {
        "source": "pixels", "target": "hidden", "connectivity": "sparse", "pre": np.arange(3), "post": (0, 1, 2),
        "weight": np.ones(3, np.float32), "delay": [1, 2, 3],
    }  # fmt: skip
    config = Config.from_tables(given)
    assert Config.from_tables(tomllib.loads(tomli_w.dumps(config.tables()))) == config
    assert build_network(config).connections[0].synapses.delay.tolist() == [1, 2, 3]


# --- overrides -------------------------------------------------------------------------------------------------------


def test_what_overrides_a_configuration_can_be_read_from_it(small):
    given = Overrides(
        sparsity=0.5, epochs=7, seed=4, batch_size=16, threads=3, backend="reference", rewiring="deep_r",
        growth_delay="redraw", dale=True, validation=0.25, data_dir="somewhere",
        delays="learned", kernel_count=2, hidden="24", compiler="surrogate",
    )  # fmt: skip
    config = given.apply(Config.from_tables(tables(small)))
    assert overrides_in(config) == given
    assert overrides_in(config).apply(Config.from_tables(tables(small))) == config
    assert {c.connectivity["sparsity"] for c in config.connections} == {0.5}


def test_no_overrides_change_nothing(small):
    config = Config.from_tables(tables(small))
    assert Overrides().apply(config) == config
    assert overrides_in(config).apply(config) == config


def test_sparsity_leaves_connections_without_one(small):
    given = tables(small)
    given["connections"][1] = {"source": "hidden", "target": "digit", "connectivity": "dense"}
    config = Overrides(sparsity=0.5).apply(Config.from_tables(given))
    assert [c.connectivity.get("sparsity") for c in config.connections] == [0.5, None]
    given["connections"][0] = {"source": "pixels", "target": "hidden", "connectivity": "dense"}
    with pytest.raises(InvalidValueError, match=r"--sparsity 0.5: no connection .*dense"):
        Overrides(sparsity=0.5).apply(Config.from_tables(given))


def test_rewiring_can_be_switched_on_and_off(small):
    config = Config.from_tables(tables(small))
    off = Overrides(rewiring="none").apply(config)
    assert off.rewiring.rule == {"rule": "none"}
    assert Overrides(rewiring="deep_r").apply(off).rewiring.rule["l1"] == DeepR().l1  # the rule's own default
    assert Overrides(rewiring="deep_r").apply(config) == config
    assert Overrides(sparsity=0.0).apply(config).rewiring.name == "none"
    assert Overrides(sparsity=0.0, dale=False).apply(config).rewiring.name == "none"
    for wrong in (Overrides(sparsity=0, rewiring="deep_r"), Overrides(rewiring="none", dale=True),
                  Overrides(sparsity=0, growth_delay="pair")):  # fmt: skip
        with pytest.raises(InvalidValueError, match="rewiring"):
            wrong.apply(config)


def test_differences_name_their_place():
    old = {"a": {"b": [1, {"c": 2}]}, "d": 1}
    assert differences(old, {"a": {"b": [1, {"c": 3}]}, "e": 1}) == [
        ("a.b[1].c", 2, 3), ("d", 1, None), ("e", None, 1)
    ]  # fmt: skip
    assert differences(old, old) == []
    assert differences([1], [1, 2], "x") == [("x", [1], [1, 2])]


@pytest.mark.parametrize("kernel", ["none", {"kind": "none"}])
def test_no_delay_kernel_may_be_said_by_name_or_as_a_table(kernel):
    tables = load_model("fsdd_paper").tables()
    for connection in tables["connections"]:
        connection["delay_kernel"] = kernel
    assert [c.delay_kernel for c in Config.from_tables(tables).connections] == [None] * len(tables["connections"])


@pytest.mark.parametrize("place", ["delay_kernel", "optimiser", "rewiring"])
def test_nothing_takes_no_arguments(place):
    """Whatever may be "none"; it was an error of `inspect`."""
    tables = load_model("fsdd_paper").tables()
    if place == "delay_kernel":
        tables["connections"][0]["delay_kernel"] = {"kind": "none", "x": 1}
    elif place == "optimiser":
        tables["training"]["optimiser"] = {"kind": "none", "x": 1}
    else:
        tables["rewiring"] = {"rule": "none", "x": 1}
    with pytest.raises(InvalidValueError, match=rf"{place}.*'none'.*'x'|{place}.*'x'.*'none'"):
        Config.from_tables(tables)
