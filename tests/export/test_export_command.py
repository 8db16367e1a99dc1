"""``genn-delays export``: the receipt, the file, the status, and every wrong argument before anything is computed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from genn_delays.cli import main
from genn_delays.export import read

INSTALLED = importlib.util.find_spec("nir") is not None
needs_nir = pytest.mark.skipif(not INSTALLED, reason="nir is not installed: pip install '.[nir]'")
pytestmark = pytest.mark.nir


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    folder = tmp_path_factory.mktemp("export") / "run"
    arguments = ["train", "digits", "--hidden", "16", "--epochs", "1", "--quiet", "--out", str(folder)]
    assert main(arguments) == 0
    return folder


@needs_nir
def test_the_receipt_of_a_run(run, tmp_path, capsys):
    from genn_delays.runs.build import build_compiler, check_data, load_data
    from genn_delays.runs.folder import RunFolder

    capsys.readouterr()
    out = tmp_path / "new" / "digits.nir"
    status = main(["export", str(run), "--target", "loihi2", "--bits", "8", "--out", str(out), "--json", "--quiet"])
    printed, error = capsys.readouterr()
    assert (status, error) == (0, "")
    receipt = json.loads(printed)
    assert receipt["file"] == str(out) and receipt["encoding"] == "sparse" and receipt["target"] == "loihi2"
    assert [c["kind"] for c in receipt["changes"]].count("weights quantised") == 2
    config = RunFolder(run).read_config()
    data, network = load_data(config), read(out)
    check_data(config, network, data)
    with build_compiler(config).compile(network) as compiled:  # the file says what the receipt says
        metrics, _ = compiled.evaluate({network.inputs[0]: data.x_test}, {network.outputs[0]: data.y_test})
    assert metrics.accuracy == receipt["accuracy_after"] and receipt["examples"] == len(data.y_test)
    assert receipt["accuracy_before"] is not None
    assert list(out.parent.iterdir()) == [out]


@needs_nir
def test_a_refusal_is_the_status_and_in_the_text(run, tmp_path, capsys):
    out = tmp_path / "digits.nir"
    assert main(["export", str(run), "--target", "xylo", "--no-evaluate", "--quiet", "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "refused: network: 64 input neurons; Xylo (XyloAudio 2) has at most 16" in printed
    assert "changed            nothing" in printed and "accuracy" not in printed
    assert out.is_file()


@needs_nir
def test_a_model_before_training(tmp_path, capsys):
    out = tmp_path / "digits.nir"
    arguments = ["--encoding", "dense", "--max-delay", "3", "--delays", "rescale", "--no-evaluate", "--out", str(out)]
    assert main(["export", "digits", *arguments]) == 0
    assert "delays rescaled" in capsys.readouterr().out
    assert max(int(c.synapses.delay.max()) for c in read(out).connections) == 3
    assert np.isfinite(read(out).connections[0].synapses.weight).all()


@needs_nir
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits"], "required: --out"),
        (["digit", "--out", "x.nir"], "unknown run folder, model or path"),
        (["digits", "--out", ""], "--out must not be empty"),
        (
            ["digits", "--out", "x.nir", "--target", "loihi"],
            "unknown --target 'loihi'; known: loihi2, spinnaker2, xylo",
        ),
        (["digits", "--out", "x.nir", "--format", "onnx"], "unknown --format 'onnx'; known: nir"),
        (["digits", "--out", "x.nir", "--encoding", "csr"], "unknown --encoding 'csr'"),
        (["digits", "--out", "x.nir", "--bits", "eight"], "--bits must be a whole number from 2 to 16, got 'eight'"),
        (["digits", "--out", "x.nir", "--max-delay", "0"], "--max-delay must be from 1 to"),
        (["digits", "--out", "x.nir", "--max-delay", "3", "--delays", "cut"], "unknown --delays 'cut'"),
        (["digits", "--out", "x.nir", "--checkpoint", "first"], "unknown --checkpoint 'first'"),
        (["digits", "--out", "x.nir", "--int8"], "unknown option of export '--int8'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_nir_nothing_is_computed(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    assert main(["export", "digits", "--out", str(tmp_path / "x.nir")]) == 2
    assert "pip install 'genn-delays[nir]'" in capsys.readouterr().err
