"""Runs that an earlier version wrote: taken where they mean the same today, else refused with what can be done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import save

STRENGTHS = ("reg_strength_upper = 0.0\nreg_strength_lower = 0.0", "reg_lambda_upper = 0.0\nreg_lambda_lower = 0.0")
"""As today's files say it, and as earlier ones do."""


@pytest.fixture
def run(call, small, tmp_path) -> Path:
    """A run of one epoch whose configuration and figures are those of an earlier version."""
    out = tmp_path / "run"
    assert call("train", small(), "--out", out, "--epochs", 1, "--quiet").status == 0
    text = (out / "config.toml").read_text()
    assert STRENGTHS[0] in text
    (out / "config.toml").write_text(text.replace(*STRENGTHS))
    line = json.loads((out / "metrics.jsonl").read_text())
    per_connection = {key[10:]: line.pop(key) for key in [*line] if key.startswith("rewirings_")}
    del line["newborn_rewirings"]
    line |= {"epoch": 0, "rewirings": per_connection}
    (out / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return out


def as_format_2(path: Path) -> None:
    """A checkpoint that says of itself what those of earlier versions do."""
    with safe_open(str(path), framework="numpy") as file:
        about = json.loads(file.metadata()["genn_delays"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    path.write_bytes(save(tensors, {"genn_delays": json.dumps({**about, "format": 2})}))


def test_names_of_earlier_versions_are_taken_where_they_say_nothing(call, run):
    """A strength of nothing is the same on every scale, yet all runs of earlier versions were called damaged for it."""
    done = call("train", "--resume", "--out", run, "--epochs", 2, "--quiet")
    assert done.status == 0, done.err
    assert STRENGTHS[0] in (run / "config.toml").read_text()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(type(line["rewirings"]) is int for line in lines)
    assert call("evaluate", run, "--quiet").status == 0


@pytest.mark.parametrize("value", ["1e-8", "-1", "true", '"0"', "[0]", "nan"])
def test_names_of_earlier_versions_that_say_something_are_refused(call, run, value):
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("reg_lambda_lower = 0.0", f"reg_lambda_lower = {value}"))
    for words in (("train", "--resume", "--out", run), ("evaluate", run), ("train", run / "config.toml")):
        done = call(*words)
        assert done.status == 2
        assert "'reg_lambda_lower'" in done.err and "reg_strength_lower" in done.err


def test_a_checkpoint_of_another_format_says_what_can_be_done(call, run, tmp_path):
    for path in (run / "checkpoints").iterdir():
        as_format_2(path)
    for words in (("train", "--resume", "--out", run, "--epochs", 2), ("evaluate", run)):
        done = call(*words, "--quiet")
        assert done.status == 2
        line = done.err.splitlines()[-1]
        assert "has format 2, of another version" in line and "reads format 3" in line
        assert "with the version that wrote it, or train again" in line and "config.toml" in line
    again = call("train", run / "config.toml", "--out", tmp_path / "again", "--epochs", 1, "--quiet")
    assert again.status == 0, again.err
