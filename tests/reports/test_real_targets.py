"""Reports of runs on data of one's own: real targets, which have losses in place of accuracies; missing classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from page import Page
from real_targets import write_model

from genn_delays.reports import report
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.runs.train import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A run of two epochs of each kind of targets."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genn_delays.runs.curve.draw_learning_curve", lambda *arguments: None)
        for targets in ("example", "step", "classes"):
            folder = tmp_path_factory.mktemp(targets)
            model = write_model(folder, targets)
            train(new_config(str(model), Overrides(threads=1)), RunFolder(folder / "run"))
            found[targets] = folder / "run"
    return found


@pytest.mark.parametrize("targets", ["example", "step"])
def test_losses_in_place_of_accuracies(call, runs, targets, tmp_path) -> None:
    run, out = runs[targets], tmp_path / "a.html"
    done = call("report", run, "--out", out)
    assert done == (0, f"{out}\n", "")
    page = Page(out.read_text())
    result = json.loads((run / "result.json").read_text())
    told = dict(page.tables["Result"])
    assert not any("accuracy" in name for name in told)
    assert told["test loss, last epoch"] == f"{result['test_loss']:.6g}"
    assert told["training loss, last epoch"] == f"{result['train_loss']:.6g}"
    assert told["test loss, chosen epoch"].startswith(f"{result['selected_test_loss']:.6g} (epoch ")
    assert told["test loss, best epoch"].startswith(f"{result['best_test_loss']:.6g} (epoch ")
    titles = [text for level, _, text in page.headings if level == 3]
    assert "A test example" in titles and "Spikes" in titles and "Confusion of classes" not in titles
    assert "Confusion of classes: targets are real numbers." in page.text
    assert "Example 0 of the test set, whose targets are real numbers." in page.text
    alts = [image["alt"] for image in page.of("img")]
    assert any(alt.startswith("Loss over 2 epochs") for alt in alts)
    assert not any(alt.startswith(("Accuracy", "Confusion")) for alt in alts)
    if targets == "example":
        assert [row[:2] for row in page.tables["Targets"][1:]] == [["0", "0.5"], ["1", "0"], ["2", "0"]]
    else:
        assert any(alt.startswith("Targets of out") for alt in alts) and "Targets" not in page.tables


def test_classes_and_real_targets_side_by_side(runs) -> None:
    page = Page(report([runs["classes"], runs["example"], runs["step"]]))
    results = {name: values for name, *values in page.tables["Results"]}
    assert [value == "-" for value in results["test accuracy, last epoch"]] == [False, True, True]
    assert [value == "-" for value in results["test loss, last epoch"]] == [True, False, False]
    alts = [image["alt"] for image in page.of("img")]
    accuracies = next(alt for alt in alts if alt.startswith("Test accuracy over"))
    losses = next(alt for alt in alts if alt.startswith("Test loss over"))
    assert "1: own" in accuracies and "2: own" not in accuracies and "2: own" in losses and "3: own" in losses


def test_a_class_without_test_examples(runs) -> None:
    page = Page(report([runs["classes"]]))
    assert [row[:2] for row in page.tables["Accuracy by class"][1:]] == [["0", "4"], ["1", "3"], ["2", "0"]]
    assert page.tables["Accuracy by class"][3][2:] == ["-", ""] and "nan" not in page.text


def test_a_damaged_loss(call, runs, tmp_path) -> None:
    metrics = runs["step"] / "metrics.jsonl"
    before = metrics.read_text()
    first, *others = before.splitlines()
    line = json.loads(first)
    try:
        metrics.write_text("\n".join([json.dumps({**line, "test_loss": None}), *others]) + "\n")
        done = call("report", runs["step"], "--out", tmp_path / "a.html")
    finally:
        metrics.write_text(before)
    assert done.status == 2 and "test_loss in line 1" in done.err and done.err.count("\n") == 1
