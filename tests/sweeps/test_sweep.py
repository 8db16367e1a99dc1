"""Sweeps: every run is the one that `train` gives, results are data, and what was finished is never done again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from genn_delays.cli import main

SPEC = """
[sweep]
model = "digits"
seeds = [0, 1]

[set]
hidden = 16
epochs = 2
batch_size = 512

[grid]
sparsity = [0.5, 0.75]
"""


@pytest.fixture
def spec(tmp_path: Path):
    """Writes a sweep file, with texts replaced."""

    def write(*replacements: tuple[str, str]) -> Path:
        text = SPEC
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return path

    return write


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def same(rows: list[dict]) -> list[dict]:
    """Rows without the times that they took."""
    return [{key: value for key, value in row.items() if key not in ("seconds", "step_ms")} for row in rows]


def test_runs_are_those_of_train_and_results_are_data(spec, tmp_path, capsys):
    out = tmp_path / "out"
    path = spec(("seeds = [0, 1]", "seeds = [1]"))
    assert main(["sweep", str(path), "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["runs"], summary["finished"], summary["failed"]) == (2, 2, [])
    assert "[2/2, 0 s left]" in said.err
    rows = lines(out)
    assert [(row["series"], row["sparsity"], row["seed"]) for row in rows] == [("small", 0.5, 1), ("small", 0.75, 1)]
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert (
        [row["run"] for row in table] == [row["run"] for row in rows] == ["sparsity=0.5_seed=1", "sparsity=0.75_seed=1"]
    )

    alone = tmp_path / "alone"
    flags = "--hidden 16 --epochs 2 --batch-size 512 --sparsity 0.75 --seed 1 --threads 1 --quiet"
    assert main(["train", "digits", *flags.split(), "--out", str(alone)]) == 0
    run = out / rows[1]["run"]
    for name in ("config.toml", "checkpoints/last.safetensors", "checkpoints/best.safetensors"):
        assert (run / name).read_bytes() == (alone / name).read_bytes(), name

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.parent != out}
    assert main(["sweep", str(path), "--out", str(out), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kept"] == 2
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert lines(out) == rows
