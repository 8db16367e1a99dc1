"""Runs on data of one's own: trained, evaluated and resumed from anywhere, and only on the data that were meant."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.io import wavfile

from genn_delays.costs import Report
from genn_delays.runs.build import load_data
from genn_delays.runs.costs import costs_of_run
from genn_delays.runs.models import load_model

MODEL = """
[model]
name = "own"

[[populations]]
name = "in"
neuron = "{neuron}"
size = {size}

[[populations]]
name = "hidden"
neuron = "leaky_integrate_fire"
size = 32

[[populations]]
name = "out"
neuron = "leaky_integrate"
size = {classes}
readout = "sum_softmax"

[[connections]]
source = "in"
target = "hidden"
connectivity = "dense"
weight = {{ kind = "kaiming_uniform", gain = 2.0 }}
delay = {{ kind = "uniform_int", low = 0, high = 5 }}

[[connections]]
source = "hidden"
target = "out"
connectivity = "dense"
weight = "kaiming_uniform"

[compiler]
example_timesteps = {steps}
batch_size = 16

[training]
{data}
num_epochs = 3
validation = 0.2
optimiser = {{ kind = "adam", alpha = 0.01 }}
"""

SPIKES = {"neuron": "spike_input", "size": 8, "classes": 3, "steps": 20}
SOUND = {"neuron": "input", "size": 16, "classes": 2, "steps": 20}


def model(folder: Path, dataset: str, kind: dict[str, Any] = SPIKES, more: str = "", **changes: Any) -> Path:
    """A model file with the path of its data."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "own.toml"
    path.write_text(MODEL.format(**{**kind, "data": f'dataset = "{dataset}"\n{more}', **changes}))
    return path


def write_spikes(path: Path, seed: int = 0) -> Path:
    """Sixty examples of three classes, told apart by which neuron spikes first."""
    draws = np.random.default_rng(seed)
    y = np.arange(60) % 3
    times = np.concatenate([np.where(np.arange(8) // 3 == c, 1.0, 8.0) + draws.random(8) for c in y])
    starts = np.arange(0, 8 * 60 + 1, 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, times=times, neurons=np.tile(np.arange(8), 60), starts=starts, y=y, num_neurons=8)
    return path


def checked(called: Any, *named: str) -> None:
    """The call ended with one error on one line that names everything; a remark may stand before it."""
    assert called.status == 2 and called.out == ""
    *_, line = called.err.splitlines()
    assert called.err.count("genn-delays: error: ") == 1 and line.startswith("genn-delays: error: ")
    for word in named:
        assert word in line, line


def result(called: Any) -> dict[str, Any]:
    assert called.status == 0, called.err
    found: dict[str, Any] = json.loads(called.out)
    return found


def config(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "config.toml").read_text())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_spikes(tmp_path / "model" / "data" / "my.npz")


def test_trained_evaluated_and_resumed_from_elsewhere(call, data, tmp_path, monkeypatch) -> None:
    """The relative path starts at the model file, the run keeps it absolute, and the bits are those of one piece."""
    path = model(tmp_path / "model", "data/my.npz")
    monkeypatch.chdir(tmp_path)
    whole = result(call("train", path, "--out", "whole", "--json", "--quiet"))
    assert whole["dataset"] == str(data.resolve())
    assert whole["test_accuracy"] > 0.8
    assert result(call("train", "model/own.toml", "--out", "run", "--epochs", 1, "--json", "--quiet"))["epochs"] == 1
    kept = config(tmp_path / "run")["training"]
    assert kept["dataset"] == str(data.resolve()) and len(kept["data_sha256"]) == 64
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = result(call("train", "--resume", "--out", tmp_path / "run", "--epochs", 3, "--json", "--quiet"))
    assert resumed["test_accuracy"] == whole["test_accuracy"]
    place = Path("checkpoints") / "last.safetensors"
    assert (tmp_path / "run" / place).read_bytes() == (tmp_path / "whole" / place).read_bytes()
    found = result(call("evaluate", tmp_path / "run", "--checkpoint", "last", "--json", "--quiet"))
    assert found["test_accuracy"] == whole["test_accuracy"] and found["examples"] == 12
    again = result(call("train", tmp_path / "run" / "config.toml", "--out", "again", "--json", "--quiet"))
    assert again["test_accuracy"] == whole["test_accuracy"]


def test_on_the_command_line_a_path_starts_at_the_current_folder(call, data, tmp_path, monkeypatch) -> None:
    path = model(tmp_path / "model", "nothing/there.npz")
    monkeypatch.chdir(data.parent)
    found = result(call("train", path, "--data", "my.npz", "--out", tmp_path / "run", "--json", "--quiet"))
    assert found["dataset"] == str(data.resolve())
    by_file = model(tmp_path / "model", "data/my.npz")
    other = result(call("train", by_file, "--out", tmp_path / "other", "--json", "--quiet"))
    assert other["test_accuracy"] == found["test_accuracy"]
    monkeypatch.chdir(tmp_path)
    assert call("train", path, "--resume", "--out", tmp_path / "run", "--quiet").status == 0
    assert isinstance(costs_of_run(str(tmp_path / "run"), 4), Report)


def test_a_model_may_extend_another_on_data_of_its_own(tmp_path) -> None:
    extended = '[model]\nname = "mine"\nextends = "digits"\n'
    for number, more in enumerate(('[training]\ndataset = "my.npz"', '[overrides]\ndata = "my.npz"')):
        path = tmp_path / f"{number}.toml"
        path.write_text(extended + more)
        assert load_model(str(path)).training.dataset == str(tmp_path.resolve() / "my.npz")


def test_a_python_model_names_its_data_in_the_same_way(data, tmp_path) -> None:
    tables = tomllib.loads(model(tmp_path / "x", "data/my.npz").read_text())
    path = tmp_path / "model" / "own.py"
    path.write_text(f"def build():\n    return {tables!r}\n")
    assert len(load_data(load_model(str(path))).y_test) == 12


def test_dense_spikes_are_the_same_as_lists(call, data, tmp_path) -> None:
    with np.load(data) as lists:
        x = np.zeros((60, 10, 8), bool)
        x[np.repeat(np.arange(60), 8), lists["times"].astype(int), lists["neurons"]] = True
        np.savez(tmp_path / "dense.npz", x=x, y=lists["y"])
    path = model(tmp_path / "model", "data/my.npz")
    first = result(call("train", path, "--out", tmp_path / "a", "--json", "--quiet"))
    second = result(call("train", path, "--data", tmp_path / "dense.npz", "--out", tmp_path / "b", "--json", "--quiet"))
    for figure in ("train_accuracy", "test_accuracy", "validation_accuracy"):
        assert first[figure] == second[figure]


@pytest.fixture
def run(call, data, tmp_path) -> Path:
    """A run of one epoch."""
    path = model(tmp_path / "model", "data/my.npz")
    assert call("train", path, "--out", tmp_path / "run", "--epochs", 1, "--quiet").status == 0
    return tmp_path / "run"


@pytest.mark.parametrize("changed", ["gone", "other"])
def test_data_that_are_gone_or_changed(call, run, data, changed) -> None:
    before = (run / "checkpoints" / "last.safetensors").read_bytes()
    if changed == "gone":
        data.unlink()
        named = ["there is no data set", str(data.resolve()), "--data"]
    else:
        write_spikes(data, seed=1)
        named = [str(data.resolve()), "has changed", config(run)["training"]["data_sha256"]]
    checked(call("evaluate", run), *named)
    checked(call("train", "--resume", "--out", run, "--epochs", 2), *named)
    checked(call("costs", run), *named)
    assert (run / "checkpoints" / "last.safetensors").read_bytes() == before


def test_data_that_were_moved(call, run, data, tmp_path) -> None:
    """The run goes on with the same content in another place, and keeps that place."""
    moved = data.rename(tmp_path / "moved.npz")
    other = write_spikes(tmp_path / "other.npz", seed=1)
    resume = ("train", "--resume", "--out", run, "--epochs", 2, "--quiet")
    checked(call(*resume, "--data", other), str(other), "has changed")
    assert call(*resume, "--data", moved).status == 0
    assert config(run)["training"]["dataset"] == str(moved.resolve())
    assert call("evaluate", run, "--quiet").status == 0
    assert call("train", "--resume", "--out", run, "--epochs", 3, "--quiet").status == 0


def test_a_run_is_evaluated_on_other_data(call, run, tmp_path) -> None:
    """Asked for in so many words, other content is no error."""
    other = write_spikes(tmp_path / "other.npz", seed=1)
    found = result(call("evaluate", run, "--data", other, "--json", "--quiet"))
    assert found["dataset"] == str(other.resolve())
    assert call("costs", run, "--data", other, "--examples", 4).status == 0


def test_a_relative_path_in_a_run_starts_at_the_run(call, run, data, tmp_path, monkeypatch) -> None:
    """A run and its data can so be moved together, by hand."""
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace(str(data.resolve()), "../model/data/my.npz"))
    monkeypatch.chdir("/")
    assert call("evaluate", run, "--quiet").status == 0
    assert call("train", "--resume", "--out", run, "--epochs", 2, "--quiet").status == 0


def test_a_run_does_not_go_on_with_data_by_name(call, run) -> None:
    checked(call("train", "--resume", "--out", run, "--data", "digits"), "training.dataset", "'digits'")


def test_an_edited_configuration_is_recognised(call, run) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("data_sha256 =", "split_seed = 3\ndata_sha256 ="))
    checked(call("train", "--resume", "--out", run, "--epochs", 2), "training.split_seed", "3")


# --- recordings ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """Two classes of twenty noisy tones, low ones and high ones."""
    draws = np.random.default_rng(0)
    t = np.arange(1600) / 8000
    for name, low in (("high", 1800), ("low", 400)):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for number in range(20):
            signal = np.sin(2 * np.pi * draws.uniform(low, 2 * low) * t) + 0.3 * draws.standard_normal(t.size)
            wavfile.write(tmp_path / "tones" / name / f"{number}.wav", 8000, (8000 * signal).astype(np.int16))
    return tmp_path / "tones"


def test_a_folder_of_tones_is_learned(call, tones, tmp_path) -> None:
    """Bands and frames are those of the model."""
    path = model(tmp_path, "tones/", SOUND, "test_share = 0.5")
    found = result(call("train", path, "--out", tmp_path / "run", "--epochs", 40, "--json", "--quiet"))
    assert found["test_accuracy"] > 0.8 and found["dataset"] == str(tones.resolve())
    again = result(call("evaluate", tmp_path / "run", "--checkpoint", "last", "--json", "--quiet"))
    assert again["test_accuracy"] == found["test_accuracy"] and again["examples"] == 20
    shutil.copy(tones / "low" / "0.wav", tones / "low" / "1.wav")
    checked(call("evaluate", tmp_path / "run"), str(tones.resolve()), "has changed")


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": 9}, ["my.npz", "8 inputs", "'in'", "9"]),
        ({"classes": 2}, ["my.npz", "y[2] is 2", "[0, 2)", "model's output"]),
        ({"classes": 4}, ["my.npz", "3 classes", "output has 4"]),
        ({"neuron": "input"}, ["my.npz", "spikes", "'in'", "'spike_input'"]),
        ({"steps": 5}, ["my.npz", "ms", "example_timesteps", "5 steps"]),
    ],
)
def test_data_that_do_not_fit_the_model(call, data, tmp_path, changes, named) -> None:
    path = model(tmp_path / "model", "data/my.npz", **changes)
    checked(call("train", path, "--out", tmp_path / "run"), *named)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("dataset", "more", "named"),
    [
        ("my.npz", "test_share = 1.5", ["[training]", "test_share", "(0, 1)", "1.5"]),
        ("my.npz", 'split_seed = "a"', ["[training]", "split_seed", "'a'"]),
        ("my.npz", "sample_rate = 5", ["[training]", "sample_rate", "5"]),
        ("my.npz", 'data_sha256 = "abc"', ["[training]", "sha256", "'abc'"]),
        ("my.npz", 'data_dir = "x"', ["[training] data_dir", "by name", "my.npz"]),
        ("digits", "test_share = 0.5", ["[training] test_share", "'digits'", "of your own"]),
        ("words", "", ["'words'", "digits", "./words"]),
        ("digit", "", ["'digit'", "Did you mean 'digits'?"]),
        ("my.npz", "test_shar = 0.5", ["'test_shar'", "'test_share'"]),
    ],
)
def test_settings_that_do_not_fit(call, tmp_path, dataset, more, named) -> None:
    checked(call("train", model(tmp_path, dataset, more=more), "--out", tmp_path / "run"), *named)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--data", ""], ["--data", "empty"]),
        (["--data", "digit"], ["--data", "'digit'", "'digits'"]),
        (["--data", "./nothing"], ["there is no data set", "nothing"]),
        (["--data", "my.npz", "--data-dir", "."], ["--data-dir", "my.npz"]),
        (["--data", "./\udcff.npz"], ["--data", "UTF-8"]),
        (["--dataset", "my.npz"], ["'--dataset'", "'--data'"]),
    ],
)
def test_options_that_do_not_fit(call, tmp_path, monkeypatch, options, named) -> None:
    monkeypatch.chdir(tmp_path)
    checked(call("train", "digits", *options), *named)


# --- real targets ----------------------------------------------------------------------------------------------------


def regression(folder: Path, loss: str, readout: str) -> Path:
    path = model(folder, "targets.npz", classes=2)
    text = path.read_text().replace('"sum_softmax"', f'"{readout}"')
    path.write_text(text.replace("batch_size = 16", f'batch_size = 16\nlosses = "{loss}"'))
    return path


@pytest.mark.parametrize("validation", [0.2, 0])
@pytest.mark.parametrize(
    ("loss", "readout"), [("per_neuron_mean_square_error", "avg_var"), ("mean_square_error", "var")]
)
def test_real_targets_are_learned(call, data, tmp_path, pictures, loss, readout, validation) -> None:
    """The figure is the loss in place of the accuracy: printed, kept, resumed, evaluated."""
    with np.load(data) as given:
        y = np.eye(3)[given["y"]][:, :2]
        y = np.repeat(y[:, None], 20, axis=1) if readout == "var" else y
        np.savez(tmp_path / "targets.npz", **{**given, "y": y})
    path = regression(tmp_path, loss, readout)
    options = ("--validation", validation, "--quiet")
    whole = result(call("train", path, "--out", tmp_path / "whole", "--epochs", 6, "--json", *options))
    drawn = imread(tmp_path / "whole" / "learning_curve.png")
    assert drawn.shape[1] == 120 * 6.4  # the loss alone, no place for an accuracy
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["train_loss"] < 0.8 * lines[0]["train_loss"]
    assert whole["test_accuracy"] is None and whole["test_loss"] == lines[-1]["test_loss"]
    assert whole["best_test_loss"] == min(line["test_loss"] for line in lines)
    chosen = [line["validation_loss" if validation else "test_loss"] for line in lines]
    assert whole["selected_epoch"] == int(np.argmin(chosen)) + 1
    assert call("train", path, "--out", tmp_path / "run", "--epochs", 2, *options).status == 0
    resumed = call("train", "--resume", "--out", tmp_path / "run", "--epochs", 6, *options)
    assert resumed.status == 0 and f"test loss               {whole['test_loss']:.6g}" in resumed.out
    assert "accuracy" not in resumed.out
    found = result(call("evaluate", tmp_path / "run", "--checkpoint", "last", "--json", "--quiet"))
    assert found["test_accuracy"] is None and found["test_loss"] == pytest.approx(whole["test_loss"])
    assert "accuracy" not in call("evaluate", tmp_path / "run", "--quiet").out
    assert call("costs", tmp_path / "run", "--examples", 4).status == 0


def test_data_and_losses_of_different_kinds(call, data, tmp_path) -> None:
    """Labels where real targets are needed; and data by name have none."""
    path = regression(data.parent, "mean_square_error", "var")
    checked(call("train", path, "--data", data), "my.npz", "y must be the real targets", "[example, 20, 2]")
    checked(call("train", path, "--data", "digits"), "'mean_square_error'", "'digits'", "class labels")
