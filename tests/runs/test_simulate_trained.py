"""A training run through `simulate`: its test set event by event, beside what `evaluate` and `predict` say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genn_delays.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of two epochs, trained once."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    settings = ["--set", "populations.hidden.size=64", "--set", "training.optimiser.alpha=0.01"]
    assert main(["train", "digits", "--epochs", "2", *settings, "--out", str(folder), "--quiet"]) == 0
    return folder


def test_accuracy_and_spikes_are_those_of_the_trained_network(call, run):
    done = call("simulate", run, "--json", "--quiet")
    assert done.status == 0 and done.err == ""
    found = json.loads(done.out)
    evaluated = json.loads(call("evaluate", run, "--json", "--quiet").out)
    assert found["predicted_accuracy"] == evaluated["test_accuracy"] and found["examples"] == evaluated["examples"]
    assert found["epoch"] == evaluated["epoch"] and found["checkpoint"] == "best"
    assert abs(found["accuracy"] - found["predicted_accuracy"]) < 0.01 and found["equal_answers"] > 0.99
    (hidden,) = found["populations"]
    assert hidden["name"] == "hidden" and hidden["predicted"] > 1000
    assert hidden["equal"] == found["equal_spikes"] > 0.999
    assert found["largest_difference"] < 1e-2
    assert not (Path(run) / "spikes").exists()


def test_the_summary_and_a_part_of_the_test_set(call, run):
    done = call("simulate", run, "--examples", 7, "--checkpoint", "last", "--backend", "reference", "--quiet")
    assert done.status == 0
    for part in ("last checkpoint, epoch 2", "7 test examples of digits, 30 ms each", "equal answers", "hidden"):
        assert part in done.out, done.out


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--duration", "10"], ("--duration is an option for models", "the folder of a run")),
        (["--set", "simulation.dt=1"], ("--set is an option for models",)),
        (["--out", "there"], ("--out is an option for models",)),
        (["--examples", "0"], ("--examples", "from 1 to 359", "0")),
        (["--examples", "100000"], ("--examples", "from 1 to 359", "100000")),
        (["--backend", "genn"], ("backend (of simulations)", "genn", "cpu, reference")),
        (["--checkpoint", "worst"], ("--checkpoint", "worst")),
        (["--threads", "0"], ("threads", "0")),
        (["--data", "yin_yang"], ("data set 'yin_yang' has 5 inputs", "'pixels'", "64")),
    ],
)
def test_options_that_do_not_fit_are_one_clear_error(call, run, options, parts):
    done = call("simulate", run, *options)
    assert done.status == 2 and done.out == "" and done.err.count("\n") == 1, done.err
    assert all(part in done.err for part in parts), done.err


def test_options_of_runs_and_folders_that_are_none(call, tmp_path, run):
    done = call("simulate", "brunel", "--examples", "3")
    assert done.status == 2 and "--examples is an option for folders of training runs" in done.err
    done = call("simulate", tmp_path)
    assert done.status != 0 and "is not a run folder" in done.err and done.err.count("\n") == 1
    done = call("simulate", "digits")
    assert done.status == 2 and "`genn-delays simulate` takes the folder of its run" in done.err
