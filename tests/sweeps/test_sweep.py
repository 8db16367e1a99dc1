"""Sweeps: every run is the one that `train` gives, results are data, and what was finished is never done again."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from genn_delays.cli import main
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.models import load_model
from genn_delays.sweeps.processes import Process, stop

SPEC = """
[sweep]
model = "digits"
seeds = [1]

[set]
hidden = 16
epochs = 2
batch_size = 512

[grid]
sparsity = [0.5, 0.75]
"""
LONG = ("epochs = 2\nbatch_size = 512", "batch_size = 64"), ("sparsity = [0.5, 0.75]", "epochs = [1, 30]")


def written(path: Path, *replacements: tuple[str, str]) -> Path:
    """The sweep file, with texts replaced."""
    text = SPEC
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path


@pytest.fixture
def spec(tmp_path: Path):
    """Writes a sweep file, with texts replaced."""
    return partial(written, tmp_path / "small.toml")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the long sweep."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(["sweep", str(written(folder / "small.toml", *LONG)), "--out", str(folder / "out"), "--quiet"]) == 0
    return folder / "out"


def lines(out: Path) -> list[dict]:
    path = out / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def without_times(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key not in ("seconds", "step_ms")} for row in rows]


def files(out: Path) -> dict[Path, tuple[int, int]]:
    """Files of runs, with what changes when one is written again."""
    found = [path for path in out.rglob("*") if path.is_file() and path.parent != out]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


def begin(path: Path, out: Path) -> subprocess.Popen:
    """A sweep in a process of its own, one run at a time."""
    command = [sys.executable, "-m", "genn_delays", "sweep", str(path), "--out", str(out), "--processes", "1"]
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # in the background shells let programs ignore it
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear)


def test_runs_are_those_of_train_and_results_are_data(spec, tmp_path, capsys):
    out = tmp_path / "out"
    path = spec()
    assert main(["sweep", str(path), "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["runs"], summary["finished"], summary["failed"]) == (2, 2, [])
    assert "[2/2, 0 s left]" in said.err
    rows = lines(out)
    assert [(row["series"], row["sparsity"], row["seed"]) for row in rows] == [("small", 0.5, 1), ("small", 0.75, 1)]
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    names = ["sparsity=0.5_seed=1", "sparsity=0.75_seed=1"]
    assert [row["run"] for row in table] == [row["run"] for row in rows] == names
    assert list(table[0]) == list(rows[0])

    alone = tmp_path / "alone"
    flags = "--hidden 16 --epochs 2 --batch-size 512 --sparsity 0.75 --seed 1 --threads 1 --quiet"
    assert main(["train", "digits", *flags.split(), "--out", str(alone)]) == 0
    run = out / rows[1]["run"]
    for name in ("config.toml", "checkpoints/last.safetensors", "checkpoints/best.safetensors"):
        assert (run / name).read_bytes() == (alone / name).read_bytes(), name

    before = files(out)
    capsys.readouterr()
    assert main(["sweep", str(path), "--out", str(out), "--quiet", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["kept"] == 2 and said.err == ""
    assert files(out) == before and lines(out) == rows

    changed = spec(("batch_size = 512", "batch_size = 256"))
    assert main(["sweep", str(changed), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"compiler.batch_size of run {names[0]} in {out} is 512 and would now be 256; nothing is overwritten" in said
    assert files(out) == before and lines(out) == rows


def test_a_failed_run_is_listed_and_the_others_go_on(spec, tmp_path, capsys):
    """The data has 64 inputs, which only the run itself can see."""
    out = tmp_path / "out"
    path = spec(("sparsity = [0.5, 0.75]", "populations.pixels.size = [63, 64]"))
    for kept in (0, 1):
        assert main(["sweep", str(path), "--out", str(out), "--json"]) == 1
        said = capsys.readouterr()
        summary = json.loads(said.out)
        assert (summary["finished"], summary["kept"]) == (1, kept)
        (failed,) = summary["failed"]
        assert failed["run"] == "size=63_seed=1" and "has 64 inputs: population 'pixels'" in failed["error"]
        assert "size=63_seed=1: failed: data set 'digits'" in said.err
        assert [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()] == [failed]
        assert [row["populations.pixels.size"] for row in lines(out)] == [64]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_sweep_goes_on_to_the_same_rows(spec, tmp_path, uninterrupted, how):
    path, out = spec(*LONG), tmp_path / "out"
    process = begin(path, out)
    long = out / "epochs=30_seed=1"
    while not (lines(out) and (long / "metrics.jsonl").exists() and (long / "checkpoints/last.safetensors").exists()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert said.splitlines()[-1].startswith("genn-delays: interrupted; nothing that was finished is lost")
    assert [row["epochs"] for row in lines(out)] == [1]
    done = len((long / "metrics.jsonl").read_text().splitlines())
    assert 0 < done < 30
    before = files(out)

    assert main(["sweep", str(path), "--out", str(out), "--quiet"]) == 0
    first = {path: stamp for path, stamp in before.items() if "epochs=1_seed=1" in path.parts}
    assert first and first == {path: files(out)[path] for path in first}
    assert without_times(lines(out)) == without_times(lines(uninterrupted))
    for row in lines(uninterrupted):
        kept = [(folder / row["run"] / "checkpoints/last.safetensors").read_bytes() for folder in (out, uninterrupted)]
        assert kept[0] == kept[1]


def test_two_sweeps_do_not_write_one_folder(spec, tmp_path, capsys):
    path, out = spec(*LONG), tmp_path / "out"
    process = begin(path, out)
    while not (out / ".lock").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    assert main(["sweep", str(path), "--out", str(out)]) == 2
    assert f"another process is writing sweep folder {out}" in capsys.readouterr().err
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


def test_a_crash_of_a_process_is_an_error_of_its_run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_config(load_model("digits"))
    process = Process(folder.path, 1)
    process._process.kill()
    assert process.error() == "its process was ended by signal 9 (SIGKILL)"
    stop([process])


def test_a_folder_that_holds_something_else_is_left_alone(spec, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    assert main(["sweep", str(spec()), "--out", str(tmp_path / "out")]) == 2
    assert "is not empty and holds no sweep (it has no sweep.toml)" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]
