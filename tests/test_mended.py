"""Faults that were found and mended; each docstring says what went wrong."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from networks import Case
from refused import refused

from genn_delays import (
    SGD,
    Adam,
    Connection,
    Dense,
    FixedNumber,
    Input,
    LeakyIntegrate,
    Network,
    Normal,
    Population,
    SurrogateCompiler,
    Uniform,
    UserNeuron,
    fold_batch_norm,
)
from genn_delays.cli import main
from genn_delays.errors import InvalidValueError
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides

CHAIN = """
[model]
name = "chain"
[[populations]]
name = "pixels"
neuron = "spike_input"
size = 64
[[populations]]
name = "hidden"
neuron = "leaky_integrate_fire"
size = 16
[[populations]]
name = "digit"
neuron = "leaky_integrate"
size = 10
readout = "sum_softmax"
[[connections]]
source = "pixels"
target = "hidden"
connectivity = "fixed_number"
sparsity = 0.75
delay = { kind = "uniform_int", low = 0, high = 9 }
[[connections]]
source = "hidden"
target = "digit"
connectivity = "fixed_number"
sparsity = 0.75
[compiler]
example_timesteps = 30
batch_size = 128
[training]
dataset = "digits"
num_epochs = 1
[rewiring]
rule = "deep_r"
"""
SCHEDULE = 'optimiser = { kind = "adam", schedule = { kind = "cosine_annealing", length = 2 } }'


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains the chain, its text changed, by the command line; gives the exit status."""
    monkeypatch.setattr("genn_delays.runs.curve.draw_learning_curve", lambda *arguments: None)

    def train(*options, old="num_epochs = 1", new="num_epochs = 1", model=True):
        path = tmp_path / "chain.toml"
        path.write_text(CHAIN.replace(old, new, 1))
        return main(["train", *([str(path)] if model else []), "--out", str(tmp_path / "run"), "--quiet", *options])

    return train


# --- clip_norm on the reference --------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip_norm", [0.05, 1e6])
def test_clipped_training_is_the_same_on_both_backends(clip_norm):
    """KeyError on `reference`: it has no population gradients of an input."""
    case, found = Case(seed=3), []
    for backend in ("cpu", "reference"):
        compiled = case.compile(backend, {"clip_norm": clip_norm}, optimisers={"all_connections": {"weight": SGD(0.1)}})
        compiled.train(*case.data(), 3, callbacks=())
        found.append([compiled.synapses(c).weight for c in compiled.network.connections])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


# --- a user's neuron -------------------------------------------------------------------------------------------------


def users(jump, threshold="v - 0.5", **parameters):
    network = Network(seed=4)
    with network:
        a = Population(Input(), 6, name="in")
        parameters = {"tau_mem": Uniform(4.0, 12.0), "zero": 0.0, **parameters}
        h = Population(
            UserNeuron(vars={"v": ("-v / tau_mem + Isyn", jump)}, threshold=threshold, param_vals=parameters),
            8,
            name="hidden",
        )
        o = Population(LeakyIntegrate(readout="sum_var"), 3, name="out")
        Connection(a, h, FixedNumber(sparsity=0.3, weight=Normal(0.2, 0.5)))
        Connection(h, o, Dense())
    return network


@pytest.mark.parametrize("jump", ["zero", "0", "0.1"])
def test_a_reset_to_a_written_number_has_the_same_bits_on_both_backends(jump):
    """ "zero" passes: with a number the reference goes on in float64, so its potentials are others."""
    x = {"in": np.random.default_rng(7).random((41, 15, 6)).astype(np.float32)}
    found = []
    for backend in ("cpu", "reference"):
        with SurrogateCompiler(15, 41, backend=backend).compile(users(jump), optimisers={}) as compiled:
            compiled.predict(x)
            found.append(compiled.engine.variable(1, "v"))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("jump", "threshold"), [("v / tau_mem", "v - 0.5"), ("zero", "v - 4 / tau_mem")])
def test_a_constant_in_a_jump_or_a_threshold_is_learned_or_refused(jump, threshold, backend):
    """It is listed as something to learn, and training ends with a KeyError."""
    x, y = {"in": np.random.default_rng(7).random((3, 15, 6)).astype(np.float32)}, {"out": np.arange(3)}
    try:
        compiled = SurrogateCompiler(15, 3, backend=backend).compile(
            users(jump, threshold), optimisers={"hidden": {"tau_mem": Adam(0.1)}}
        )
    except InvalidValueError as error:
        assert "tau_mem" in str(error)
    else:
        compiled.train(x, y, 1, callbacks=())


# --- the command line ------------------------------------------------------------------------------------------------


def test_hidden_is_kept_on_resume_like_every_other_option(train):
    """What is not given again stays the run's; with MODEL given again, --hidden does not."""
    assert train("--hidden", "12,12") == 0
    assert train("--resume", "--epochs", "2") == 0


def test_another_hidden_on_resume_is_named_in_a_line_that_can_be_read(train, capsys):
    """Both lists of populations are printed where the number of layers differs."""
    assert train("--hidden", "12,12") == 0
    capsys.readouterr()
    assert train("--resume", "--hidden", "8", model=False) == 2
    error = capsys.readouterr().err
    assert "--hidden" in error and len(error) < 400


def test_a_kernel_without_learned_delays_can_be_resumed(train):
    """It counts as --delays fixed, which takes the kernel away, which is then a change."""
    kernel = {"old": "high = 9 }", "new": 'high = 9 }\ndelay_kernel = "gaussian"'}
    assert train(**kernel) == 0
    assert train("--resume", "--epochs", "2", model=False) == 0


def test_a_schedule_shorter_than_the_run_leaves_no_folder(train, tmp_path):
    """It is found only when the folder and its config.toml are there, which then bar the way."""
    assert train("--epochs", "3", old="num_epochs = 1", new=f"num_epochs = 1\n{SCHEDULE}") == 2
    assert not (tmp_path / "run").exists()


def test_a_resume_that_is_refused_for_its_schedule_changes_nothing(train, tmp_path):
    """The larger number of epochs stays in config.toml, so that the run cannot go on at all any more."""
    assert train(old="num_epochs = 1", new=f"num_epochs = 1\n{SCHEDULE}") == 0
    before = (tmp_path / "run" / "config.toml").read_text()
    assert train("--resume", "--epochs", "3", model=False) == 2
    assert (tmp_path / "run" / "config.toml").read_text() == before
    assert train("--resume", "--epochs", "2", model=False) == 0


@pytest.mark.parametrize("hidden", [[2.5], 16.7, [True], []], ids=repr)
def test_sizes_in_overrides_of_a_model_are_whole_numbers(hidden):
    """``[overrides] hidden = [2.5]`` is 2 neurons, ``true`` is 1, ``[]`` takes all hidden layers away."""
    with refused("--hidden"):
        Overrides(hidden=hidden).apply(Config.from_tables(tomllib.loads(CHAIN)))


def test_another_rule_rewires_the_connections_that_the_model_names():
    """[rewiring] connections is lost where --rewiring names another rule."""
    config = Config.from_tables(tomllib.loads(CHAIN))
    config = replace(config, rewiring=replace(config.rewiring, connections=("pixels_hidden",)))
    assert Overrides(rewiring="rigl").apply(config).rewiring.connections == ("pixels_hidden",)


def test_no_dale_asks_for_nothing_of_any_rule():
    """As with rewiring 'none': RigL and SET have no signs to switch off."""
    config = Config.from_tables(tomllib.loads(CHAIN))
    assert Overrides(rewiring="rigl", dale=False).apply(config) == Overrides(rewiring="rigl").apply(config)


# --- what a newcomer met ---------------------------------------------------------------------------------------------


def test_what_was_learned_is_restored_where_it_is_learned_no_more(tmp_path, backend):
    """A time constant was silently the initial one after loading into a network compiled without its optimiser."""
    case = Case(seed=3)
    x, y = case.data()
    name = case.network().populations[1].name
    learner = case.compile(backend, optimisers={"all_connections": Adam(), name: {"tau_mem": Adam(0.5)}})
    learner.train(x, y, 3, callbacks=())
    learner.save(tmp_path / "x.safetensors")
    plain = case.compile(backend)
    before = plain.evaluate(x, y)[0].loss
    plain.load(tmp_path / "x.safetensors")
    assert plain.evaluate(x, y)[0].loss == learner.evaluate(x, y)[0].loss != before


def test_sparsity_counts_pairs_not_synapses(train, tmp_path):
    """With several synapses a pair the share of pairs without one was -196 % in the extreme."""
    assert train("--kernel-count", "5", "--rewiring", "none") == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["sparsity"] == pytest.approx(0.75, abs=0.01)


def test_another_rule_in_an_extending_model_takes_its_own_arguments(tmp_path):
    """The other model's L1 was inherited and refused; so was its expected figure."""
    path = tmp_path / "m.toml"
    path.write_text('[model]\nname = "m"\nextends = "fsdd_paper"\n[rewiring]\nrule = "rigl"\ninterval = 5\n')
    config = load_model(str(path))
    assert config.rewiring.rule["interval"] == 5 and "l1" not in config.rewiring.rule
    assert config.model.expected == "" and "2306.17670" in config.model.citation


def test_a_rule_that_will_never_act_is_remarked(train, capsys):
    """RigL every 100 steps in a run of 13 did nothing and said nothing."""
    assert train("--rewiring", "rigl") == 0
    assert "nothing will be rewired" in capsys.readouterr().err


def test_deep_r_rigl_is_a_rule_in_model_files_too():
    tables = tomllib.loads(CHAIN.replace('rule = "deep_r"', 'rule = "deep_r_rigl"'))
    assert Config.from_tables(tables).rewiring.rule["growth"] == "gradient"


def test_classes_in_place_of_objects_and_near_names_are_told():
    case = Case(seed=3)
    with refused("class", "Adam(...)"):
        case.compile("reference", optimisers={"all_connections": Adam})
    with refused("'all_connection'", "Did you mean 'all_connections'?"):
        case.compile("reference", optimisers={"all_connection": Adam()})
    with refused("fold_batch_norm", "compiled network"):
        fold_batch_norm(case.network())
