"""Any key of a model file set by its dotted path."""

from __future__ import annotations

import tomllib

import pytest
from refused import refused

from genn_delays.cli import main
from genn_delays.runs.models import load_model, model_names
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.settings import flat, read_setting, split_key, value_of, with_settings


@pytest.fixture(scope="module")
def paper():
    return load_model("fsdd_paper")


def changed(before, after) -> set[str]:
    """Keys of sections, or entries of lists, that differ."""
    old, new = before.tables(), after.tables()
    found = set()
    for section in old:
        pairs = [(section, old[section], new[section])]
        if isinstance(old[section], list):
            entries = zip(old[section], new[section], strict=True)
            pairs = [(f"{section}[{n}]", a, b) for n, (a, b) in enumerate(entries)]
        for name, a, b in pairs:
            found |= {f"{name}.{key}" for key in {*a, *b} if a.get(key) != b.get(key)}
    return found


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.optimiser.l1=0.001", "training.optimiser.l1", 0.001),
        ("network.seed = 3", "network.seed", 3),
        ("a.b=adam", "a.b", "adam"),
        ('a.b="adam"', "a.b", "adam"),
        ("a.b=true", "a.b", True),
        ("a.b=[1, 2]", "a.b", [1, 2]),
        ("a.b={kind = 'sgd', alpha = 0.1}", "a.b", {"kind": "sgd", "alpha": 0.1}),
        ("hidden=128,128", "hidden", "128,128"),
        ("a.b=path/to/data.npz", "a.b", "path/to/data.npz"),
        ("a.b=x=y", "a.b", None),
    ],
)
def test_values_are_toml_or_a_word(text, key, value):
    if value is None:
        with refused("--set a.b", "'x=y'", "no TOML value"):
            read_setting(text)
    else:
        assert read_setting(text) == (key, value)


@pytest.mark.parametrize("text", ["training.num_epochs", "=3", "a.b=", "a..b=1", "a b=1", "a.b=1\nc=2", "a.b=[1", ""])
def test_what_is_no_setting_is_refused(text):
    with refused(text.partition("=")[0] or "must be KEY=VALUE"):
        read_setting(text)


def test_keys_may_have_quoted_parts_and_a_star():
    assert split_key('populations."a.b".size') == ("populations", "a.b", "size")
    assert split_key("connections.*.delay_kernel.sigma") == ("connections", "*", "delay_kernel", "sigma")


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("training.optimiser.l1", 0.001, {"training.optimiser"}),
        ("network.seed", 3, {"network.seed"}),
        ("compiler.surrogate.alpha", 2.0, {"compiler.surrogate"}),
        ("rewiring.l1", 1e-4, {"rewiring.l1"}),
        ("populations.hidden.size", 128, {"populations[1].size"}),
        ("populations.hidden.batch_norm.momentum", 0.2, {"populations[1].batch_norm"}),
        ("populations.hidden.batch_norm", False, {"populations[1].batch_norm"}),
        ("populations.*.tau_mem", 5.0, {"populations[1].tau_mem", "populations[2].tau_mem"}),
        ("connections.mel_hidden.delay_kernel.sigma", 6.0, {"connections[0].delay_kernel"}),
        ("connections.hidden_digit.weight.gain", 0.5, {"connections[1].weight"}),
        ("connections.*.delay.high", 10, {"connections[0].delay", "connections[1].delay"}),
        ("connections.*.sparsity", 0.5, {"connections[0].sparsity", "connections[1].sparsity"}),
        ("connections.*.max_delay_steps", 30, {"connections[0].max_delay_steps", "connections[1].max_delay_steps"}),
        ("connections.mel_hidden.delay_kernel", "none", {"connections[0].delay_kernel"}),
    ],
)
def test_a_key_and_nothing_else_is_set(paper, key, value, where):
    after = with_settings(paper, {key: value})
    assert changed(paper, after) == where
    if "*" not in key and value not in (False, "none"):
        assert value_of(after, key) == value


def test_a_text_or_a_table_replaces_the_whole_table(paper):
    plain = load_model("digits").training.optimiser  # adam
    sgd = with_settings(paper, {"training.optimiser": "sgd"}).training.optimiser
    assert sgd["kind"] == "sgd" and "schedule" not in sgd and sgd["l1"] == 0.0
    adam = with_settings(paper, {"training.optimiser": {"kind": "adam", "alpha": plain["alpha"]}}).training.optimiser
    assert adam == plain
    both = with_settings(paper, {"training.optimiser.l1": 0.1, "training.optimiser": "sgd"}).training.optimiser
    assert both == {**sgd, "l1": 0.1}  # in any order


def test_another_kind_keeps_the_arguments_that_both_have(paper):
    sgd = with_settings(paper, {"training.optimiser.kind": "sgd"}).training.optimiser
    assert sgd["kind"] == "sgd" and sgd["l1"] == 0.01 and sgd["schedule"] == paper.training.optimiser["schedule"]
    assert "beta1" not in sgd
    made = with_settings(paper, {"connections.*.connectivity": "dense", "rewiring.rule": "none"}).connections
    assert [c.connectivity["connectivity"] for c in made] == ["dense"] * 2
    assert [c.connectivity["weight"] for c in made] == [c.connectivity["weight"] for c in paper.connections]
    assert "sparsity" not in made[0].connectivity
    hidden = with_settings(paper, {"populations.hidden.neuron": "adaptive_leaky_integrate_fire"}).populations[1]
    assert (hidden.neuron["tau_mem"], hidden.dropout) == (10.05, 0.4)
    eventprop = with_settings(load_model("digits_eventprop"), {"compiler.kind": "surrogate"}).compiler
    assert eventprop.grad_limit is None and eventprop.surrogate is not None
    assert with_settings(paper, {"rewiring.rule": "none"}).rewiring.name == "none"
    assert with_settings(paper, {"rewiring.rule": "deep_r_rigl"}).rewiring.label == "deep_r_rigl"


def test_half_a_table_is_completed_by_defaults_as_in_a_file():
    digits = load_model("digits")
    made = with_settings(digits, {"training.delay_optimiser.alpha": 0.2, "training.delay_optimiser.kind": "adam"})
    assert made.training.delay_optimiser["alpha"] == 0.2 and made.training.delay_optimiser["beta1"] == 0.9
    with refused("setting training.delay_optimiser.alpha = 0.2", "lacks 'kind'"):
        with_settings(digits, {"training.delay_optimiser.alpha": 0.2})
    made = with_settings(digits, {"connections.*.delay_kernel.kind": "gaussian"})
    assert all(c.delay_kernel["kind"] == "gaussian" for c in made.connections)


def test_options_go_by_their_names_before_dotted_keys(paper):
    made = with_settings(paper, {"connections.mel_hidden.sparsity": 0.5, "sparsity": 0.9, "delays": "fixed"})
    assert [c.connectivity["sparsity"] for c in made.connections] == [0.5, 0.9]
    assert with_settings(paper, {"sparsity": 0.9, "seed": 2}) == Overrides(sparsity=0.9, seed=2).apply(paper)
    assert value_of(made, "delays") == "fixed" and value_of(made, "connections.*.sparsity") is None


def test_every_key_of_every_model_can_be_set_to_its_own_value():
    for name in model_names(kind="training"):
        config = load_model(name)
        tables = config.tables()
        settings = {f"{s}.{k}": v for s in ("network", "compiler", "training") for k, v in tables[s].items()}
        settings |= {f"populations.{p['name']}.{k}": v for p in tables["populations"] for k, v in p.items()}
        assert with_settings(config, settings) == config, name


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("training.optimizer.l1", 0.1, ["'optimizer'", "Did you mean 'optimiser'?"]),
        ("training.optimiser.alfa", 0.1, ["'alfa'", "Did you mean 'alpha'?"]),
        ("trainning.num_epochs", 3, ["'trainning'", "Did you mean 'training.num_epochs'?"]),
        ("populations.hiden.size", 3, ["'hiden'", "Did you mean 'hidden'?"]),
        ("populations.hidden.tau_men", 3.0, ["'tau_men'", "Did you mean 'tau_mem'?"]),
        ("connections.mel_hiden.sparsity", 0.5, ["'mel_hiden'", "Did you mean 'mel_hidden'?"]),
        ("connections.*.sparsitty", 0.5, ["none of the connections (mel_hidden, hidden_digit)", "sparsitty"]),
        ("connections.*.delay_kernel.sgima", 0.5, ["none of the connections", "delay_kernel.sgima"]),
        ("l1", 0.1, ["'l1'", "did you mean 'training.optimiser.l1', "]),
        ("sparsitty", 0.1, ["'sparsitty'", "Did you mean 'sparsity'?"]),
        ("versions.numpy", "2", ["unknown section 'versions'"]),
        ("populations", [], ["populations.NAME.KEY"]),
        ("populations.hidden", 3, ["populations.NAME.KEY"]),
        ("training.dataset.name", "digits", ["dataset is 'fsdd', which has no 'name'"]),
        ("training.num_epochs", "many", ["training.num_epochs = 'many'", "whole number"]),
        ("training.num_epochs", [3], ["training.num_epochs = [3]", "whole number"]),
        ("compiler.backend", "gpu", ["compiler.backend = 'gpu'", "unknown backend"]),
        ("training.optimiser", "adm", ["training.optimiser = 'adm'", "Did you mean 'adam'?"]),
        ("training.optimiser.kind", "adm", ["training.optimiser.kind = 'adm'", "Did you mean 'adam'?"]),
        ("network", 3, ["network.KEY"]),
    ],
)
def test_what_does_not_exist_or_fit_is_one_error(paper, key, value, parts):
    with refused(*parts):
        with_settings(paper, {key: value, "training.shuffle": False})


def test_settings_of_a_file_need_no_quotes():
    tables = tomllib.loads(
        """
        sparsity = 0.5
        training.optimiser.l1 = 0.1
        training.delay_optimiser = { kind = "adam", alpha = 0.2 }
        connections.a_b.delay = 3
        "connections.*.delay_kernel" = "none"
        """
    )
    assert flat(tables) == {
        "sparsity": 0.5,
        "training.optimiser.l1": 0.1,
        "training.delay_optimiser": {"kind": "adam", "alpha": 0.2},
        "connections.a_b.delay": 3,
        "connections.*.delay_kernel": "none",
    }


def test_train_takes_settings_and_keeps_them_on_resume(small, call, tmp_path):
    model, out = small(), tmp_path / "run"
    settings = ["--set", "populations.hidden.size=24", "--set", "training.num_epochs=1"]
    assert main(["train", str(model), *settings, "--quiet", "--out", str(out)]) == 0
    text = (out / "config.toml").read_text()
    assert "size = 24" in text and "num_epochs = 1" in text
    again = call("train", "--resume", "--out", out, "--quiet", "--set", "populations.hidden.size=32")
    assert again.status == 2 and "populations[1].size of the run" in again.err and "cannot become 32" in again.err
    more = ["--set", "training.num_epochs=2", "--set", "populations.hidden.size=24"]
    assert call("train", model, "--resume", "--out", out, "--quiet", *more).status == 0
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_wrong_setting_of_train_is_an_error_before_there_is_a_folder(small, call, tmp_path):
    done = call("train", small(), "--set", "training.optimiser.alpah=1", "--out", tmp_path / "run")
    assert done.status == 2 and "Did you mean 'alpha'?" in done.err and not (tmp_path / "run").exists()


def test_data_of_ones_own_are_found_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key in ("data", "training.dataset"):
        name, value = read_setting(f"{key}=words.npz")
        found = with_settings(load_model("digits"), {name: value})
        assert found.training.dataset == str(tmp_path.resolve() / "words.npz")
