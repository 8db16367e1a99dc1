"""Sweeps on data of one's own: the runs of `train`, all on the same content, however often the sweep is begun."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from real_targets import write_model

from genn_delays.cli import main

SPEC = """
[sweep]
model = "own.toml"

[grid]
sparsity = [0.25, 0.5]
"""


def swept(capsys: pytest.CaptureFixture[str], spec: Path, out: Path) -> tuple[int, str]:
    """The status of a sweep, and its messages."""
    capsys.readouterr()
    status = main(["sweep", str(spec), "--out", str(out)])
    return status, capsys.readouterr().err


def test_real_targets_in_a_sweep(capsys, tmp_path) -> None:
    """Losses are the figures; finished runs are kept while the content is the same, wherever it is, or gone."""
    model, spec, out = write_model(tmp_path, "step"), tmp_path / "own_sweep.toml", tmp_path / "out"
    spec.write_text(SPEC)
    status, told = swept(capsys, spec, out)
    assert status == 0 and told.count("test loss") == 2 and "accuracy" not in told
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["test_accuracy"] for row in rows] == [None, None]
    alone = tmp_path / "alone"
    assert main(["train", str(model), "--sparsity", "0.5", "--threads", "1", "--out", str(alone), "--quiet"]) == 0
    assert json.loads((alone / "result.json").read_text())["test_loss"] == rows[1]["test_loss"]
    place = Path("checkpoints", "last.safetensors")
    assert (out / "sparsity=0.5" / place).read_bytes() == (alone / place).read_bytes()

    status, told = swept(capsys, spec, out)
    assert status == 0 and "2 finished before" in told
    data = tmp_path / "data.npz"
    moved = data.rename(tmp_path / "moved.npz")
    status, told = swept(capsys, spec, out)  # the data are gone, what was computed is not
    assert status == 0 and "2 finished before" in told
    spec.write_text(SPEC + '[set]\ndata = "moved.npz"\n')
    status, told = swept(capsys, spec, out)
    assert status == 0 and "2 finished before" in told
    moved.write_bytes((write_model(tmp_path / "other", "example").parent / "data.npz").read_bytes())
    moved.rename(data)
    spec.write_text(SPEC)
    status, told = swept(capsys, spec, out)
    assert status == 0 and "2 finished before" in told  # these targets do not fit the model: nothing can be read


def test_changed_content_is_an_error_and_unreadable_content_fails_its_runs(capsys, tmp_path) -> None:
    write_model(tmp_path, "example")
    spec, out = tmp_path / "own_sweep.toml", tmp_path / "out"
    spec.write_text(SPEC.replace("sparsity = [0.25, 0.5]", 'data = ["data.npz", "gone.npz"]'))
    status, told = swept(capsys, spec, out)
    assert status == 1 and "there is no data set" in told and told.count("test loss") == 1
    (tmp_path / "gone.npz").write_bytes((tmp_path / "data.npz").read_bytes())
    status, told = swept(capsys, spec, out)
    assert status == 0 and "1 finished before" in told and told.count("test loss") == 1
    data = tmp_path / "data.npz"
    with np.load(data) as given:
        arrays = dict(given)
    np.savez(data, **{**arrays, "y_train": arrays["y_train"] + 0.25})
    status, told = swept(capsys, spec, out)
    assert status == 2 and "training.data_sha256 of run data=data.npz" in told and told.count("\n") == 1
