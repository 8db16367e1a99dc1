"""Reports: what is on the page, that it is whole by itself and the same every time, and what is refused."""

from __future__ import annotations

import base64
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
    "Result", "Network", "Learning curves", "Receptive fields", "A test example", "Confusion of classes", "Synapses",
    "Configuration", "What it ran on",
]  # fmt: skip


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
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
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
    for start in ("Accuracy over 2 epochs", "Loss over", "Rewirings", "Spikes of pixels", "Spikes of hidden", "v of"):
        assert any(alt.startswith(start) for alt in alts), start


def test_the_numbers_on_test_data_are_those_of_evaluate(digits):
    page = Page(report([digits]))
    found = evaluate(RunFolder(digits))
    rows = page.tables["Accuracy by class"][1:]
    assert sum(int(row[1]) for row in rows) == found.examples == 359
    right = sum(round(int(row[1]) * float(row[2].removesuffix(" %")) / 100) for row in rows)
    assert right == round(found.test_accuracy * found.examples)
    assert f"{right} of 359 test examples are right" in page.text
    assert f"after epoch {found.epoch}" in page.text


def test_another_example_is_shown(call, digits, tmp_path):
    assert call("report", digits, "--example", 358, "--out", tmp_path / "a.html").status == 0
    assert "Example 358 of the test set" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("model", "settings"),
    [("digits_eventprop", {"hidden": "24", "epochs": 1}), ("store_recall", {"hidden": "16", "epochs": 1})],
)
def test_other_kinds_of_runs(trained, model, settings):
    """EventProp, and recurrent networks, whose receptive fields have no end."""
    page = check_whole(report([trained(model, **settings)]))
    assert [text for level, _, text in page.headings if level == 3] == SECTIONS


def test_runs_side_by_side(trained, digits):
    other = trained("digits", hidden="32", sparsity=0.9, seed=3)
    page = check_whole(report([digits, other]))
    head, *rows = page.tables["Settings that differ"]
    assert head == ["setting", "1: digits, seed 0", "2: digits, seed 3"]
    assert dict((name, values) for name, *values in rows) == {
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


def test_equal_runs_differ_in_nothing(digits, copy):
    page = Page(report([digits, copy]))
    assert "All settings are the same." in page.text and "Settings that differ" not in page.tables


def test_the_same_runs_give_the_same_page(digits, tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.chdir(digits.parent)
    pages = [report(["run"], threads=1)]
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20.0)  # a user's own settings
    pages += [report([Path("run")], threads=2), write_report(["run"], tmp_path / "a.html").read_text()]
    assert pages[0] == pages[1] == pages[2]
    assert str(digits.parent) not in pages[0] and "<code>run</code>" in pages[0]
    assert matplotlib.rcParams["font.size"] == 20.0


def test_names_are_escaped(copy):
    config = copy / "config.toml"
    text = config.read_text()
    assert 'name = "digits"' in text
    nasty = '<script>alert(1)</script>&\\"'
    config.write_text(text.replace('name = "digits"', f'name = "{nasty}"\ndescription = "{nasty}"'))
    page = check_whole(report([copy]))
    assert page.text.count('<script>alert(1)</script>&"') >= 3


# --- what is left out ------------------------------------------------------------------------------------------------


def test_a_run_whose_training_has_not_ended(copy):
    (copy / "result.json").unlink()
    page = check_whole(report([copy]))
    assert "has not ended" in page.text
    assert [text for level, _, text in page.headings if level == 3] == SECTIONS


def test_without_its_data_set_a_run_is_shown_as_far_as_it_goes(call, copy, tmp_path):
    config = copy / "config.toml"
    config.write_text(config.read_text().replace('dataset = "digits"', 'dataset = "digits"\ndata_dir = "/not/there"'))
    out = tmp_path / "a.html"
    done = call("report", copy, "--out", out)
    assert done.status == 0 and "'digits' is not at hand" in done.err and "/not/there" in done.err
    page = check_whole(out.read_text())
    titles = [text for level, _, text in page.headings if level == 3]
    assert titles == ["Result", "Left out", *(t for t in SECTIONS[1:] if t not in ("A test example", SECTIONS[5]))]
    assert "Confusion of classes, and a test example's spikes: data set 'digits' is not at hand" in page.text
    assert page.text.count("/not/there") == 1  # where the run's own configuration says it
    assert call("report", copy, "--out", out, "--quiet").err == ""


@pytest.mark.skipif(BACKENDS["cuda"]().availability().available, reason="a GPU is here")
def test_without_its_backend_a_run_is_shown_as_far_as_it_goes(call, copy, tmp_path):
    config = copy / "config.toml"
    config.write_text(config.read_text().replace('backend = "cpu"', 'backend = "cuda"'))
    out = tmp_path / "a.html"
    done = call("report", copy, "--out", out)
    assert done.status == 0 and "backend 'cuda' is not available here" in done.err
    page = check_whole(out.read_text())
    assert "Left out" in page.text and sum("Receptive field" in i["alt"] for i in page.of("img")) == 10
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


def test_a_run_without_a_checkpoint(call, digits, copy, tmp_path):
    out = tmp_path / "a.html"
    shutil.rmtree(copy / "checkpoints")
    refuse(call, tmp_path, [digits, copy, "--out", out], copy, "no checkpoint", "best.safetensors")


def test_what_is_no_run(call, tmp_path):
    out = tmp_path / "a.html"
    (tmp_path / "empty").mkdir()
    refuse(call, tmp_path, [tmp_path / "empty", "--out", out], "empty", "not a run folder", "config.toml")
    refuse(call, tmp_path, [tmp_path / "none", "--out", out], "there is no run folder", "none")
    refuse(call, tmp_path, ["", "--out", out], "RUN must not be empty")
    refuse(call, tmp_path, ["--out", out], "RUN")
    with refused("one RUN at least"):
        report([])


def test_damaged_runs(call, copy, tmp_path):
    out = tmp_path / "a.html"
    (copy / "result.json").write_text("{")
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "result.json")
    (copy / "result.json").write_text("[]")
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "result.json", "[]")
    (copy / "metrics.jsonl").write_text('{"epoch": 1}\n')
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "metrics.jsonl", "train_accuracy")
    (copy / "metrics.jsonl").write_text("")
    refuse(call, tmp_path, [copy, "--out", out], "damaged", "metrics.jsonl")
    (copy / "result.json").unlink()
    (copy / "config.toml").write_text((copy / "config.toml").read_text().replace("size = 32", "size = 31"))
    refuse(call, tmp_path, [copy, "--out", out], "size", "31", "32")


def test_a_run_given_twice(call, digits, tmp_path):
    twice = [digits, f"{digits.parent}/../{digits.parent.name}/run", "--out", tmp_path / "a.html"]
    refuse(call, tmp_path, twice, "given twice")


def test_a_page_that_cannot_be_written(call, digits, tmp_path):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("kept")
    refuse(call, tmp_path, [digits, "--out", tmp_path / "folder.html"], "cannot write", "is a folder")
    refuse(call, tmp_path, [digits, "--out", tmp_path / "file" / "a.html"], "cannot write", "file is not a folder")
    refuse(call, tmp_path, [digits, "--out", tmp_path / "a.pdf"], "--out", ".html", "a.pdf")
    refuse(call, tmp_path, [digits, "--out", ""], "--out must not be empty")
    assert (tmp_path / "file").read_text() == "kept"


def test_an_old_page_stays_where_a_new_one_fails(call, digits, tmp_path):
    out = tmp_path / "a.html"
    out.write_text("old")
    refuse(call, tmp_path, [digits, tmp_path / "none", "--out", out], "none")
    assert out.read_text() == "old"


def test_wrong_options(call, digits, tmp_path):
    out = ["--out", tmp_path / "a.html"]
    refuse(call, tmp_path, [digits, *out, "--data-dir", tmp_path / "none"], "--data-dir", "none", "does not exist")
    refuse(call, tmp_path, [digits, *out, "--example", 359], "--example", "[0, 358]", "359")
    refuse(call, tmp_path, [digits, *out, "--example", "first"], "--example", "'first'")
    refuse(call, tmp_path, [digits, *out, "--backend", "gpu"], "backend", "gpu", "cpu")
    refuse(call, tmp_path, [digits, *out, "--threads", 0], "threads", "0")
    refuse(call, tmp_path, [digits, *out, "--output", "b"], "--output", "Did you mean '--out'?")


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


def test_settings_as_texts():
    told = {1: "1", 1e-05: "1e-05", 0.875: "0.875", None: "-", "x": "x"}
    assert {value: setting_text(value) for value in told} == told
    assert (setting_text(True), setting_text([1, 2.5]), setting_text([])) == ("true", "1, 2.5", "none")
    long = [setting_text(np.arange(20).tolist()), setting_text(np.arange(1, 21).tolist())]
    assert all(text.startswith("20 values, ") for text in long) and long[0] != long[1]
