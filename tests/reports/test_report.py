"""Reports: what is on the page, that it is whole by itself and the same every time, and what is refused."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from page import Page
from refused import refused

from genn_delays.backends import BACKENDS
from genn_delays.reports import report, write_report
from genn_delays.reports.settings import differences, setting_text, settings_of
from genn_delays.runs.evaluate import evaluate
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.models import load_model

SECTIONS = [
    "Result", "Network", "Learning curves", "Receptive fields", "A test example", "Spikes", "Confusion of classes",
    "Synapses", "Configuration", "What it ran on",
]  # fmt: skip


SILENT = [title for title in SECTIONS if title != "Spikes"]
"""Of a network without a population that spikes, inputs apart."""


def check_whole(html: str) -> Page:
    """The page, whose parts are all in it and in order."""
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>") and page.of("html") == [{"lang": "en"}]
    assert {name for name, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(a["href"].startswith("#") and a["href"][1:] in ids for a in page.of("a"))
    assert all(s["aria-labelledby"] in ids for s in page.of("section"))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]
    assert not re.search(r"(?:src|href|action|srcset)\s*=\s*[\"']?\s*(?:https?:|//|file:)", html)
    for image in page.of("img"):
        kind, data = re.fullmatch(r"data:image/(png|svg\+xml);base64,(.*)", image["src"]).groups()
        content = base64.b64decode(data, validate=True)
        assert content.startswith(b"\x89PNG") if kind == "png" else ElementTree.fromstring(content) is not None
        assert len(image["alt"]) > 10 and int(image["width"]) > 50 and int(image["height"]) > 50
    levels = [level for level, *_ in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    return page


# --- what is on the page ---------------------------------------------------------------------------------------------


def test_a_run_on_a_page(call, digits, tmp_path):
    out = tmp_path / "new" / "digits.html"
    done = call("report", digits, "--out", out)
    assert (done.status, done.out, done.err) == (0, f"{out}\n", "")
    page = check_whole(out.read_text())
    assert [text for level, _, text in page.headings if level == 3] == SECTIONS
    assert str(digits) in page.text
    result = json.loads((digits / "result.json").read_text())
    told = dict(page.tables["Result"])
    assert told["test accuracy, last epoch"] == f"{100 * result['test_accuracy']:.2f} %"
    assert told["test accuracy, chosen epoch"].startswith(f"{100 * result['selected_test_accuracy']:.2f} % (epoch")
    assert told["synapses"] == f"{result['synapses']:,}"
    assert [row[0] for row in page.tables["Connections"][1:]] == ["pixels_hidden", "hidden_digit"]
    settings = dict(page.tables["Every setting"][1:])
    assert settings["populations.hidden.size"] == "32" and settings["training.dataset"] == "digits"
    assert dict(page.tables["What it ran on"])["genn_delays"] and "left out" not in page.text.lower()
    alts = [image["alt"] for image in page.of("img")]
    assert sum(alt.startswith("Receptive field of") for alt in alts) == 10
    head, hidden = page.tables["Spikes"]
    assert (head[0], hidden[:2]) == ("population", ["hidden", "32"]) and float(hidden[2]) > 1
    found = evaluate(RunFolder(digits))
    rows = page.tables["Accuracy by class"][1:]
    assert sum(int(row[1]) for row in rows) == found.examples == 359
    right = sum(round(int(row[1]) * float(row[2].removesuffix(" %")) / 100) for row in rows)
    assert right == round(found.test_accuracy * found.examples)
    assert f"{right} of 359 test examples are right" in page.text and f"after epoch {found.epoch}" in page.text
    for start in ("Accuracy over 2 epochs", "Loss over", "Rewirings", "Spikes of pixels", "Spikes of hidden", "v of"):
        assert any(alt.startswith(start) for alt in alts), start


@pytest.mark.parametrize(("model", "settings"), [("yin_yang", {"epochs": 1}), ("store_recall", {"epochs": 1})])
def test_other_kinds_of_runs(trained, model, settings):
    """EventProp, and recurrent networks, whose receptive fields have no end."""
    page = check_whole(report([trained(model, **settings)]))
    assert ("The network has a cycle" in page.text) == (model == "store_recall")
    assert [text for level, _, text in page.headings if level == 3] == SECTIONS


def test_runs_side_by_side(trained, digits):
    other = trained("digits", hidden="32", sparsity=0.9, seed=3)
    page = check_whole(report([digits, other]))
    head, *rows = page.tables["Settings that differ"]
    assert head == ["setting", "1: digits, seed 0", "2: digits, seed 3"]
    assert {name: values for name, *values in rows} == {
        "network.seed": ["0", "3"], "compiler.rng_seed": ["0", "3"],
        "connections.pixels_hidden.sparsity": ["0.75", "0.9"], "connections.hidden_digit.sparsity": ["0.75", "0.9"],
    }  # fmt: skip
    results = {name: values for name, *values in page.tables["Results"]}
    for run, told in zip((digits, other), results["test accuracy, last epoch"], strict=True):
        assert told == f"{100 * json.loads((run / 'result.json').read_text())['test_accuracy']:.2f} %"
    headings = [text for level, _, text in page.headings if level == 2]
    assert headings == ["Contents", "Side by side", "Run 1: digits, seed 0", "Run 2: digits, seed 3"]
    assert page.headings[2][2] == "Side by side" and page.headings[3][2] == "Settings that differ"
    assert any(image["alt"].startswith("Test accuracy over the epochs of all runs") for image in page.of("img"))


def test_the_same_runs_give_the_same_page(small, copy, monkeypatch, tmp_path):
    """From other folders, with other threads and with a user's own settings of matplotlib."""
    import matplotlib

    monkeypatch.chdir(small.parent)
    (small.parent / "again").symlink_to(copy, target_is_directory=True)
    first = report(["run", "again"], threads=1, example=3)
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20.0)
    assert write_report([Path("run"), "again"], tmp_path / "a.html", threads=2, example=3).read_text() == first
    assert matplotlib.rcParams["font.size"] == 20.0
    page = check_whole(first)
    assert "<code>run</code>" in first and str(small.parent) not in first and str(copy) not in first
    assert "All settings are the same." in page.text and "Settings that differ" not in page.tables
    assert page.text.count("Example 3 of the test set") == 2


# --- what is left out ------------------------------------------------------------------------------------------------


def test_a_run_whose_training_has_not_ended_and_names_that_look_like_html(copy):
    nasty = "<script>alert(1)<script>&"
    run = copy.rename(copy.parent / nasty)
    (run / "result.json").unlink()
    config = run / "config.toml"
    text, changed = re.subn('(?m)^description = ".*"$', f'description = "{nasty}"', config.read_text())
    assert changed == 1
    config.write_text(text)
    page = check_whole(report([run]))
    assert "has not ended" in page.text and page.text.count(nasty) == 2
    assert [text for level, _, text in page.headings if level == 3] == SILENT


def test_without_its_data_set_a_run_is_shown_as_far_as_it_goes(call, copy, tmp_path):
    config, name = copy / "config.toml", 'dataset = "sequence_detection"'
    config.write_text(config.read_text().replace(name, f'{name}\ndata_dir = "/not/there"'))
    out = tmp_path / "a.html"
    done = call("report", copy, "--out", out)
    assert done.status == 0 and "'sequence_detection' is not at hand" in done.err and "/not/there" in done.err
    page = check_whole(out.read_text())
    titles = [text for level, _, text in page.headings if level == 3]
    assert titles == [
        "Result",
        "Left out",
        *(t for t in SILENT[1:] if t not in ("A test example", "Confusion of classes")),
    ]
    assert "Confusion of classes, spikes and a test example: data set 'sequence_detection' is not at" in page.text
    assert page.text.count("/not/there") == 1  # where the run's own configuration says it


@pytest.mark.skipif(BACKENDS["cuda"]().availability().available, reason="a GPU is here")
def test_without_its_backend_a_run_is_shown_as_far_as_it_goes(call, copy, tmp_path):
    config = copy / "config.toml"
    config.write_text(config.read_text().replace('backend = "cpu"', 'backend = "cuda"'))
    out = tmp_path / "a.html"
    done = call("report", copy, "--out", out, "--quiet")
    assert done == (0, f"{out}\n", "")
    page = check_whole(out.read_text())
    assert "backend 'cuda' is not available here (--backend names another)" in page.text
    assert sum("Receptive field" in image["alt"] for image in page.of("img")) == 2
    assert call("report", copy, "--out", out, "--backend", "cpu").err == ""
    assert "Left out" not in out.read_text()


# --- what is refused -------------------------------------------------------------------------------------------------


def refuse(call, tmp_path, arguments, *parts):
    """The command fails with one line that holds every part, and writes nothing."""
    before = sorted(tmp_path.rglob("*"))
    done = call("report", *arguments)
    assert done.status == 2 and done.out == "" and done.err.count("\n") == 1
    for part in parts:
        assert str(part) in done.err, f"{part!r} is not in {done.err!r}"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_without_a_checkpoint(call, small, copy, tmp_path):
    out = tmp_path / "a.html"
    shutil.rmtree(copy / "checkpoints")
    refuse(call, tmp_path, [small, copy, "--out", out], copy, "no checkpoint", "best.safetensors")


def test_what_is_no_run(call, tmp_path):
    out = tmp_path / "a.html"
    (tmp_path / "empty").mkdir()
    refuse(call, tmp_path, [tmp_path / "empty", "--out", out], "empty", "not a run folder", "config.toml")
    refuse(call, tmp_path, [tmp_path / "none", "--out", out], "there is no run folder", "none")
    refuse(call, tmp_path, ["", "--out", out], "RUN must not be empty")
    refuse(call, tmp_path, ["--out", out], "RUN")
    with refused("one RUN at least"):
        report([])


def test_damaged_runs(call, small, copy, tmp_path):
    out = tmp_path / "a.html"
    (copy / "result.json").write_text("{")
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "result.json")
    (copy / "result.json").write_text("[]")
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "result.json", "[]")
    (copy / "metrics.jsonl").write_text('{"epoch": 1}\n')
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "metrics.jsonl", "train_accuracy")
    (copy / "metrics.jsonl").write_text("")
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "metrics.jsonl")
    config = copy / "config.toml"
    shutil.copy(small / "metrics.jsonl", copy)
    config.write_text(config.read_text().replace("max_delay_steps = 15", "max_delay_steps = 14"))
    refuse(call, tmp_path, [copy, "--out", out], "max_delay_steps", "14", "15", "best.safetensors")


def test_a_run_given_twice(call, small, tmp_path):
    twice = [small, f"{small.parent}/../{small.parent.name}/run", "--out", tmp_path / "a.html"]
    refuse(call, tmp_path, twice, "given twice")


def test_a_page_that_cannot_be_written(call, small, tmp_path):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("kept")
    refuse(call, tmp_path, [small, "--out", tmp_path / "folder.html"], "cannot write", "is a folder")
    refuse(call, tmp_path, [small, "--out", tmp_path / "file" / "a.html"], "cannot write", "file is not a folder")
    refuse(call, tmp_path, [small, "--out", tmp_path / "a.pdf"], "--out", ".html", "a.pdf")
    refuse(call, tmp_path, [small, "--out", ""], "--out must not be empty")
    assert (tmp_path / "file").read_text() == "kept"


def test_an_old_page_stays_where_a_new_one_fails(call, small, tmp_path):
    out = tmp_path / "a.html"
    out.write_text("old")
    refuse(call, tmp_path, [small, tmp_path / "none", "--out", out], "none")
    assert out.read_text() == "old"


def test_wrong_options(call, small, tmp_path):
    out = ["--out", tmp_path / "a.html"]
    refuse(call, tmp_path, [small, *out, "--data-dir", tmp_path / "none"], "--data-dir", "none", "does not exist")
    refuse(call, tmp_path, [small, *out, "--example", 100000], "--example", "[0, 99]", "100000")
    refuse(call, tmp_path, [small, *out, "--example", "first"], "--example", "'first'")
    refuse(call, tmp_path, [small, *out, "--backend", "gpu"], "backend", "gpu", "cpu")
    refuse(call, tmp_path, [small, *out, "--threads", 0], "threads", "0")
    refuse(call, tmp_path, [small, *out, "--output", "b"], "--output", "Did you mean '--out'?")


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_are_flat_and_have_names():
    found = settings_of(load_model("fsdd_paper"))
    assert found["model.name"] == "fsdd_paper" and "model.citation" not in found
    assert found["connections.mel_hidden.delay.high"] == 24 and found["populations.hidden.batch_norm.momentum"] == 0.1


def test_settings_that_differ():
    first, second = {"a": 1, "b": [1.0, 2.0], "c": "x"}, {"a": 1, "b": [1.0, 3.0], "d": True}
    assert differences([first, second]) == [
        ("b", ([1.0, 2.0], [1.0, 3.0])), ("c", ("x", None)), ("d", (None, True)),
    ]  # fmt: skip
    assert differences([first]) == []


def test_what_a_run_lacks_as_a_whole_is_one_row():
    first = {"populations.h.neuron": "lif", "populations.h.size": 30, "rate.kind": "cosine", "rate.low": 0.1, "n": 1}
    second = {"populations.o.neuron": "li", "populations.o.size": 3, "n": 1, "data.low": 2}
    third = {**second, "populations.o.size": 4}
    assert differences([first, second]) == [
        ("populations.h", ("30 x lif", None)), ("rate", ("cosine", None)), ("populations.o", (None, "3 x li")),
        ("data", (None, "given")),
    ]  # fmt: skip
    assert differences([second, third]) == [("populations.o.size", (3, 4))]


def test_settings_as_texts():
    told = {1: "1", 1e-05: "1e-05", 0.875: "0.875", None: "-", "x": "x"}
    assert {value: setting_text(value) for value in told} == told
    assert (setting_text(True), setting_text([1, 2.5]), setting_text([])) == ("true", "1, 2.5", "none")
    long = [setting_text(np.arange(20).tolist()), setting_text(np.arange(1, 21).tolist())]
    assert all(text.startswith("20 values, ") for text in long) and long[0] != long[1]
