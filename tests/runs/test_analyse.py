"""``genn-delays analyse`` on a small run: its figures are those of the functions, and its errors are one line."""

import json
import shutil

import numpy as np
import pytest
from real_targets import write_model

from genn_delays.analysis import highest_morans_i, receptive_fields
from genn_delays.runs.build import compile_network
from genn_delays.runs.folder import RunFolder

NAMES = ("receptive_fields", "morans_i", "synapses", "behaviour")
PICTURES = {f"{name}.{ending}" for name in NAMES for ending in ("png", "pdf")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder for a run that is trained once; see `run`."""
    return tmp_path_factory.mktemp("analysed") / "run"


@pytest.fixture
def run(trained, call, small):
    """The folder of a run of the small model."""
    if not trained.exists():
        assert call("train", small(), "--quiet", "--out", trained).status == 0
    return trained


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes longer than everything else here."""
    monkeypatch.setattr("genn_delays.runs.analysis_pictures.draw", lambda *arguments: None)


def test_figures_files_and_pictures(call, run):
    called = call("analyse", run, "--checkpoint", "last", "--permutations", 20, "--units", 2, "--quiet", "--json")
    assert called.status == 0 and called.err == ""
    place = run / "analysis"
    assert {path.name for path in place.iterdir()} == {"analysis.json", "receptive_fields.npz", *PICTURES}
    found = json.loads(called.out)
    assert json.loads((place / "analysis.json").read_text()) == found
    assert len(called.out.splitlines()) == 1
    with np.load(place / "receptive_fields.npz") as arrays:
        before, after = arrays["untrained"], arrays["trained"]
    assert before.shape == after.shape == (10, 64, 19)
    with compile_network(RunFolder(run).read_config()) as compiled:
        assert np.array_equal(receptive_fields(compiled).values, before)
        compiled.load(RunFolder(run).last)
        assert np.array_equal(receptive_fields(compiled).values, after)
    fields = found["receptive_fields"]
    for part, values in (("trained", after), ("untrained", before)):
        assert fields[part]["highest_morans_i"] == highest_morans_i(values, 20).highest.tolist()
        assert fields[part]["units"] == list(range(10))
    assert fields["mann_whitney"]["sizes"] == [10, 10]
    result = json.loads((run / "result.json").read_text())
    assert found["classes"]["accuracy"] == pytest.approx(result["test_accuracy"])
    assert sum(c["synapses"] for c in found["connections"].values()) == result["synapses"]
    rewired = found["rewiring"]
    assert sum(sum(n) for kind in ("established", "newborn") for n in rewired[kind].values()) == result["rewirings"]
    assert found["epoch"] == len(rewired["epochs"]) == 2
    assert found["spikes"]["hidden"]["examples"] == np.sum(found["classes"]["confusion"])
    for picture in place.glob("*.pdf"):
        assert b"Date" not in picture.read_bytes()  # the same run gives the same file


def test_the_same_run_gives_the_same_files(call, run, tmp_path, no_pictures):
    for place in ("one", "two"):
        assert call("analyse", run, "--permutations", 20, "--out", tmp_path / place).status == 0
    for name in ("analysis.json", "receptive_fields.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_table(call, run, tmp_path, no_pictures):
    called = call("analyse", run, "--permutations", 5, "--quiet", "--out", tmp_path / "a")
    assert called.status == 0
    assert "10 of 'digit', 64 x 19 (pixels, delays)" in called.out
    assert "Mann-Whitney            U = " in called.out and f"{tmp_path / 'a'}" in called.out


def test_a_hidden_population(call, run, tmp_path, no_pictures):
    called = call("analyse", run, "--population", "hidden", "--permutations", 3, "--json", "--out", tmp_path)
    fields = json.loads(called.out)["receptive_fields"]
    assert (fields["population"], fields["shape"]) == ("hidden", [64, 10])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--checkpoint", "first"), "unknown --checkpoint 'first'; known: best, last"),
        (("--population", "hiden"), "unknown population 'hiden'; known: digit, hidden, pixels. Did you mean 'hidden'"),
        (("--population", "pixels"), "population 'pixels' is an input"),
        (("--units", 0), "--units must be from 1 to 100, got 0"),
        (("--units", "many"), "--units must be a whole number from 1 to 100, got 'many'"),
        (("--permutations", 0), "--permutations must be at least 1, got 0"),
        (("--seed", -1), "--seed must be from 0"),
        (("--truncate", -1), "--truncate must be at least 0, got -1"),
        (("--unit", 3), "unknown option of analyse '--unit'"),
        (("--out", ""), "--out must not be empty"),
    ],
)
def test_options_that_do_not_fit(call, run, options, message):
    called = call("analyse", run, *options)
    assert called.status == 2 and called.out == ""
    assert message in called.err and len(called.err.splitlines()) == 1


def test_no_run_and_no_checkpoint(call, run, tmp_path):
    called = call("analyse", tmp_path / "nothing")
    assert called.status == 2 and "nothing" in called.err
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    shutil.rmtree(bare / "checkpoints")
    called = call("analyse", bare)
    assert called.status == 2
    assert f"there is no checkpoint {bare / 'checkpoints' / 'best.safetensors'}" in called.err


def test_a_network_with_a_cycle_says_what_it_needs(call, small, tmp_path, no_pictures):
    loop = """[[connections]]
source = "hidden"
target = "hidden"
connectivity = "fixed_number"
sparsity = 0.9
delay = 1

[compiler]"""
    model = small(("[compiler]", loop), ("num_epochs = 2", "num_epochs = 1"))
    assert call("train", model, "--quiet", "--out", tmp_path / "run").status == 0
    called = call("analyse", tmp_path / "run")
    assert called.status == 2 and "'hidden_hidden'; give truncate" in called.err
    called = call("analyse", tmp_path / "run", "--truncate", 12, "--permutations", 3, "--json")
    assert json.loads(called.out)["receptive_fields"]["shape"] == [64, 13]


@pytest.mark.parametrize("sparsity", [0.996, 0.9997])
def test_fields_that_are_constant_are_left_out_or_too_many(call, small, tmp_path, no_pictures, sparsity):
    model = small(("sparsity = 0.75", f"sparsity = {sparsity}"), ("num_epochs = 2", "num_epochs = 1"),
                  ('rule = "deep_r"\nl1 = 1e-4', 'rule = "none"'))  # fmt: skip
    assert call("train", model, "--quiet", "--out", tmp_path / "run").status == 0
    called = call("analyse", tmp_path / "run", "--population", "hidden", "--permutations", 3, "--json")
    assert "receptive fields of the untrained 'hidden' are constant" in called.err
    if sparsity > 0.999:
        assert called.status == 2
        assert "1 of the 64 receptive fields of the untrained 'hidden' has a Moran's I" in called.err
    else:
        part = json.loads(called.out)["receptive_fields"]["untrained"]
        assert sorted(part["units"] + part["constant_units"]) == list(range(64))
        assert len(part["highest_morans_i"]) == len(part["units"]) < 64


@pytest.mark.parametrize("rule", ["deep_r", "none"])
@pytest.mark.parametrize("targets", ["example", "step"])
def test_real_targets_have_a_loss_and_no_classes(call, tmp_path, monkeypatch, targets, rule):
    drawn = []
    monkeypatch.setattr("genn_delays.plots.confusion", lambda *arguments: drawn.append("confusion"))
    monkeypatch.setattr("genn_delays.plots.histogram", lambda *arguments: None)
    run = tmp_path / "run"
    assert call("train", write_model(tmp_path, targets, rule), "--out", run, "--quiet").status == 0
    called = call("analyse", run, "--checkpoint", "last", "--permutations", 3, "--units", 1, "--json", "--quiet")
    assert called.status == 0 and "targets are real numbers" in called.err and len(called.err.splitlines()) == 1
    found, result = json.loads(called.out), json.loads((run / "result.json").read_text())
    assert found["classes"] is None and found["test_loss"] == pytest.approx(result["test_loss"], rel=1e-6)
    assert found["spikes"]["hidden"]["examples"] == 7
    assert (run / "analysis" / "behaviour.png").is_file() == (result["rewirings"] > 0) == (rule != "none")
    assert not drawn and (run / "analysis" / "receptive_fields.pdf").is_file()
    told = call("analyse", run, "--checkpoint", "last", "--permutations", 3, "--units", 1).out
    assert f"test loss               {result['test_loss']:.6g}" in told and "accuracy" not in told


def test_a_class_without_test_examples(call, tmp_path, no_pictures):
    run = tmp_path / "run"
    assert call("train", write_model(tmp_path, "classes"), "--out", run, "--quiet").status == 0
    found = json.loads(call("analyse", run, "--permutations", 3, "--json").out)
    assert found["classes"]["accuracy_by_class"][2] is None and sum(found["classes"]["confusion"][2]) == 0
    assert found["test_loss"] is None
    told = call("analyse", run, "--permutations", 3)
    assert told.status == 0 and "nan" not in told.out and "worst class" in told.out


def test_data_that_were_moved_are_named(call, tmp_path, no_pictures):
    run = tmp_path / "run"
    assert call("train", write_model(tmp_path, "classes"), "--out", run, "--quiet").status == 0
    moved = (tmp_path / "data.npz").rename(tmp_path / "moved.npz")
    called = call("analyse", run, "--permutations", 3)
    assert called.status == 2 and "there is no data set" in called.err and "--data" in called.err
    assert call("analyse", run, "--permutations", 3, "--data", moved).status == 0
    called = call("analyse", run, "--permutations", 3, "--data", moved, "--out", moved)
    assert called.status == 2 and "--out must be a folder" in called.err and len(called.err.splitlines()) == 1
