"""A run folder that someone changed: figures and progress of right form and wrong content are one line of error.

A picture that cannot be drawn is a remark.
"""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genn_delays.errors import RunFolderError
from genn_delays.runs import curve
from genn_delays.runs.figures import NEEDED, OPTIONAL, check_figures
from genn_delays.runs.folder import RunFolder
from genn_delays.training.checkpoints import digest_of

EPOCHS = 2
WRONG = ["high", [], {}, True, float("nan"), float("inf"), 10**400]


@pytest.fixture
def run(call, small, tmp_path) -> Path:
    """A run of two epochs."""
    out = tmp_path / "run"
    assert call("train", small(), "--out", out, "--epochs", EPOCHS, "--quiet").status == 0
    return out


def refused(call, run, *named):
    """Going on with the run is one line of error, and nothing that was trained changes."""
    kept = [path for path in run.rglob("*") if path.is_file() and path.name != "config.toml"]
    before = {path: path.read_bytes() for path in kept}
    done = call("train", "--resume", "--out", run, "--epochs", EPOCHS + 1, "--quiet")
    assert done.status == 2 and "Traceback" not in done.err
    error = done.err.splitlines()[-1]
    assert error.startswith("genn-delays: error: ")
    for part in named:
        assert part in error, (part, error)
    assert {path: path.read_bytes() for path in kept} == before


def good_lines() -> list[dict]:
    figures = dict.fromkeys((*NEEDED, *OPTIONAL), 0.5)
    return [{"epoch": e} | figures | {"rewirings": e, "rewirings_a": e} for e in range(1, 4)]


@pytest.mark.parametrize("value", WRONG, ids=lambda v: repr(v)[:8])
@pytest.mark.parametrize("name", [*NEEDED, *OPTIONAL, "rewirings", "rewirings_a"])
def test_figures_that_are_no_numbers(name, value, tmp_path):
    lines = good_lines()
    check_figures(RunFolder(tmp_path), lines)
    lines[1][name] = value
    with pytest.raises(RunFolderError, match=rf"{name} in line 2 of metrics.jsonl must be a"):
        check_figures(RunFolder(tmp_path), lines)


@pytest.mark.parametrize("name", NEEDED)
def test_figures_that_are_missing(name, tmp_path):
    lines = good_lines()
    for optional in OPTIONAL:
        del lines[0][optional]
        lines[1][optional] = None
    check_figures(RunFolder(tmp_path), lines)
    del lines[2][name]
    with pytest.raises(RunFolderError, match=rf"{name} in line 3 of metrics.jsonl must be a number, got None"):
        check_figures(RunFolder(tmp_path), lines)


@pytest.mark.parametrize(("name", "value"), [("test_accuracy", None), ("seconds", "long"), ("train_accuracy", {})])
def test_a_run_with_wrong_figures_is_not_gone_on_with(call, run, name, value):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines[-1][name] = value
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused(call, run, str(run), "damaged", name, "metrics.jsonl")


def altered(path: Path, change) -> None:
    """A checkpoint whose progress is another, its digest right."""
    from safetensors import safe_open
    from safetensors.numpy import save

    with safe_open(str(path), framework="numpy") as file:
        about = json.loads(file.metadata()["genn_delays"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    del about["digest"]
    change(about["progress"])
    about["digest"] = digest_of(tensors, about)
    path.write_bytes(save(tensors, {"genn_delays": json.dumps(about, sort_keys=True)}))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p.update(epoch=10**9, step=10**9), "epoch 1000000000"),  # it had not ended after a minute
        (lambda p: p.update(epoch=10**9), "epoch"),
        (lambda p: p["callbacks"]["Checkpoint 0"].update(best_epoch=None), "best_epoch"),
        (lambda p: p["callbacks"]["Checkpoint 0"].update(best_epoch=7), "best_epoch"),
        (lambda p: p["callbacks"]["Checkpoint 0"].update(best="high"), "best must be a number"),
        (lambda p: p["callbacks"].update({"Checkpoint 0": {}}), "Checkpoint 0"),
    ],
    ids=["epochs", "steps", "no best", "late best", "best", "callback"],
)
def test_a_run_with_wrong_progress_is_not_gone_on_with(call, run, change, named):
    altered(run / "checkpoints" / "last.safetensors", change)
    refused(call, run, "damaged", named)


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ImportError("libfreetype"),
                                   MemoryError(), ValueError("two\nlines")])  # fmt: skip
def test_a_picture_that_cannot_be_drawn_is_a_remark(call, small, tmp_path, monkeypatch, error):
    """The result is there by then: it was an error of the run, and a full disk was blamed on the output."""

    def draw(*arguments):
        raise error

    monkeypatch.setattr(curve, "draw_learning_curve", draw)
    out = tmp_path / "run"
    done = call("train", small(), "--out", out, "--epochs", 1, "--json", "--quiet")
    assert done.status == 0 and json.loads(done.out)["epochs"] == 1
    remark = done.err.splitlines()[-1]
    assert "learning_curve.png could not be drawn: " in remark and "the output" not in remark
    assert (out / "result.json").is_file() and not (out / "learning_curve.png").exists()


def test_without_a_drawing_library_a_run_is_whole(small, tmp_path):
    """matplotlib that cannot be imported, in a process of its own."""
    (tmp_path / "broken" / "matplotlib").mkdir(parents=True)
    (tmp_path / "broken" / "matplotlib" / "__init__.py").write_text("raise ImportError('cannot map its memory')")
    out = tmp_path / "run"
    code = "import sys; sys.path.insert(0, sys.argv[1]); from genn_delays.cli import main; sys.exit(main(sys.argv[2:]))"
    command = [
        sys.executable,
        "-c",
        code,
        tmp_path / "broken",
        "train",
        small(),
        "--out",
        out,
        "--epochs",
        "1",
        "--quiet",
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "could not be drawn: cannot map its memory" in done.stderr
    assert (out / "result.json").is_file()


def test_a_file_in_the_place_of_the_picture(call, run, pictures):
    """A folder of its name: the real drawing fails."""
    (run / "learning_curve.png").unlink(missing_ok=True)
    (run / "learning_curve.png").mkdir()
    done = call("train", "--resume", "--out", run, "--epochs", EPOCHS + 1, "--quiet")
    assert done.status == 0 and "learning_curve.png could not be drawn" in done.err
    shutil.rmtree(run / "learning_curve.png")
