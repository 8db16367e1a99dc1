"""A run from the command line: what it prints, and what is in its folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

JSON_KEYS = {
    "dataset", "backend", "synapses", "sparsity", "epochs", "train_accuracy", "test_accuracy", "best_test_accuracy",
    "rewirings", "step_ms", "seconds",
}  # fmt: skip


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_leaves_a_complete_folder(call, small, tmp_path, pictures):
    out = tmp_path / "run"
    done = call("train", small(), "--out", out, "--json", "--epochs", 3, "--seed", 5)
    assert done.status == 0
    assert "epoch 3/3" in done.err  # the progress bar
    result = json.loads(done.out.splitlines()[-1])
    assert result.keys() >= JSON_KEYS
    assert (result["dataset"], result["backend"], result["epochs"], result["seed"]) == ("digits", "cpu", 3, 5)
    assert result["synapses"] == 64 * 64 // 4 + 64 * 10 // 4
    assert result["sparsity"] == 0.75
    assert result["seconds"] > 0 and result["step_ms"] > 0 and result["rewirings"] > 0
    assert result == json.loads((out / "result.json").read_text())
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {
        "config.toml", "metrics.jsonl", "result.json", "learning_curve.png", "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    }  # fmt: skip
    lines = lines_of(out / "metrics.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert all(type(figure) in (int, float) for line in lines for figure in line.values())
    assert all(line["rewirings"] == line["rewirings_pixels_hidden"] + line["rewirings_hidden_digit"] for line in lines)
    assert lines[-1]["test_accuracy"] == result["test_accuracy"]
    assert lines[-1]["train_accuracy"] == result["train_accuracy"]
    assert max(line["test_accuracy"] for line in lines) == result["best_test_accuracy"]
    assert sum(line["rewirings"] for line in lines) == result["rewirings"]
    validation = [line["validation_accuracy"] for line in lines]
    assert result["selected_epoch"] == int(np.argmax(validation)) + 1
    assert result["selected_test_accuracy"] == lines[result["selected_epoch"] - 1]["test_accuracy"]
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_figures_are_those_that_evaluate_finds(call, small, tmp_path):
    out = tmp_path / "run"
    result = json.loads(call("train", small(), "--out", out, "--json", "--quiet", "--epochs", 3).out)
    for checkpoint, key in (("best", "selected_test_accuracy"), ("last", "test_accuracy")):
        found = call("evaluate", out, "--checkpoint", checkpoint, "--json", "--quiet")
        assert found.status == 0
        evaluation = json.loads(found.out)
        assert evaluation["test_accuracy"] == result[key]
        assert evaluation["selected_by"] == ("validation set" if checkpoint == "best" else None)
    text = call("evaluate", out)
    assert f"test accuracy {100 * result['selected_test_accuracy']:.2f} %" in text.out
    assert "best checkpoint" in text.out and "chosen on the validation set" in text.out


def test_files_and_screen_count_epochs_alike(call, small, tmp_path):
    out = tmp_path / "run"
    done = call("train", small(), "--out", out, "--epochs", 3)
    result, lines = json.loads((out / "result.json").read_text()), lines_of(out / "metrics.jsonl")
    learned, *epochs = done.err.splitlines()
    assert learned.startswith("learned: ")
    assert [line.split("/")[0] for line in epochs] == [f"epoch {line['epoch']}" for line in lines]
    assert f"epoch {result['selected_epoch']}, chosen on the validation set" in done.out
    assert f"epoch {result['best_test_epoch']}, chosen on the test set" in done.out
    for checkpoint, epoch in (("best", result["selected_epoch"]), ("last", 3)):
        assert f"{checkpoint} checkpoint, epoch {epoch}" in call("evaluate", out, "--checkpoint", checkpoint).out
        found = json.loads(call("evaluate", out, "--checkpoint", checkpoint, "--json", "--quiet").out)
        assert found["epoch"] == epoch


def test_a_batch_larger_than_the_data_is_all_of_them(call, small, tmp_path):
    exact = call("train", small(), "--out", tmp_path / "exact", "--batch-size", 1295, "--quiet")
    more = call("train", small(), "--out", tmp_path / "more", "--batch-size", 5000, "--quiet")
    assert (exact.status, more.status) == (0, 0)
    assert exact.err == "" and "batch_size is 5000: all 1295 training examples are one batch" in more.err
    losses = [[line["train_loss"] for line in lines_of(tmp_path / n / "metrics.jsonl")] for n in ("exact", "more")]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert call("evaluate", tmp_path / "more", "--quiet").status == 0


def test_evaluate_agrees_on_both_backends(call, small, tmp_path):
    out = tmp_path / "run"
    call("train", small(), "--out", out, "--quiet", "--epochs", 1)
    cpu, reference = (json.loads(call("evaluate", out, "--json", "--backend", b).out) for b in ("cpu", "reference"))
    assert cpu["test_accuracy"] == reference["test_accuracy"]
    assert reference["backend"] == "reference"


def test_without_validation_the_best_is_labelled_as_chosen_on_the_test_set(call, small, tmp_path):
    out = tmp_path / "run"
    done = call("train", small(), "--out", out, "--validation", 0, "--quiet")
    best = next(line for line in done.out.splitlines() if "best test accuracy" in line)
    assert "chosen on the test set" in best
    assert "validation" not in done.out.replace(str(out), "")
    result = json.loads((out / "result.json").read_text())
    assert result["selected_by"] == result["best_test_chosen_on"] == "test set"
    assert result["selected_test_accuracy"] == result["best_test_accuracy"]
    assert result["validation_accuracy"] is None
    assert "chosen on the test set" in call("evaluate", out).out
    assert json.loads(call("evaluate", out, "--json").out)["selected_by"] == "test set"


def test_with_validation_every_figure_says_what_it_was_chosen_on(call, small, tmp_path):
    done = call("train", small(), "--out", tmp_path / "run", "--quiet")
    rows = {line.split("  ")[1]: line for line in done.out.splitlines()[1:]}
    assert "last epoch" in rows["test accuracy"]
    assert "chosen on the validation set" in rows["selected test accuracy"]
    assert "chosen on the test set" in rows["best test accuracy"]
    assert done.err == ""


def test_default_folders_are_numbered(call, small, tmp_path, monkeypatch):
    model = small()
    monkeypatch.chdir(tmp_path)
    for number in ("001", "002"):
        done = call("train", model, "--quiet", "--epochs", 1, "--json")
        assert json.loads(done.out)["out"] == f"runs/small-{number}"
        assert (tmp_path / f"runs/small-{number}" / "result.json").exists()


def test_settings_reach_the_network(call, small, tmp_path):
    out = tmp_path / "run"
    done = call(
        "train", small(), "--out", out, "--json", "--quiet", "--sparsity", 0.875, "--epochs", 1, "--batch-size", 64,
        "--threads", 1, "--rewiring", "deep_r", "--growth-delay", "redraw", "--dale", "--validation", 0.2, "--seed", 3,
    )  # fmt: skip
    assert json.loads(done.out)["synapses"] == (64 * 64 + 64 * 10) // 8
    text = (out / "config.toml").read_text()
    for line in (
        "sparsity = 0.875", "batch_size = 64", "threads = 1", 'growth_delay = "redraw"', "dale = true",
        "validation = 0.2", "seed = 3", "rng_seed = 3", "l1 = 0.0001", "[versions]", 'compiler = "',
    ):  # fmt: skip
        assert line in text, line
    tensors = load_file(out / "checkpoints" / "last.safetensors")
    signs = {}
    for pre, weight in zip(tensors["pixels_hidden.pre"], tensors["pixels_hidden.weight"], strict=True):
        if weight:
            assert signs.setdefault(int(pre), weight > 0) == (weight > 0)  # Dale's law


def test_sparsity_zero_turns_rewiring_off(call, small, tmp_path):
    done = call("train", small(), "--out", tmp_path / "run", "--sparsity", 0, "--epochs", 1, "--json", "--quiet")
    result = json.loads(done.out)
    assert (result["rewiring"], result["rewirings"], result["sparsity"]) == ("none", 0, 0.0)
    assert 'rule = "none"' in (tmp_path / "run" / "config.toml").read_text()


def test_a_resolved_configuration_gives_the_same_bits(call, small, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    call("train", small(), "--out", first, "--quiet", "--sparsity", 0.8, "--seed", 9, "--threads", 1)
    call("train", first / "config.toml", "--out", second, "--quiet", "--threads", 2)
    for name in ("last", "best"):
        files = [(run / "checkpoints" / f"{name}.safetensors").read_bytes() for run in (first, second)]
        assert files[0] == files[1]


def test_a_run_on_the_reference_backend(call, small, tmp_path):
    out = tmp_path / "run"
    done = call(
        "train", small(), "--out", out, "--backend", "reference", "--epochs", 1, "--json", "--quiet", "--threads", 2,
        "--sparsity", 0.9,
    )  # fmt: skip
    assert json.loads(done.out)["backend"] == "reference"
    assert "threads are the cpu backend's; threads = 2 changes nothing" in done.err
    assert "compiler" not in (out / "config.toml").read_text().split("[versions]")[1]


def test_the_digits_model_learns_what_it_promises(call, tmp_path):
    result = json.loads(call("train", "digits", "--out", tmp_path / "run", "--json", "--quiet").out)
    assert result["sparsity"] == 0.75 and result["rewiring"] == "deep_r" and result["rewirings"] > 1000
    assert result["test_accuracy"] >= 0.95
    assert result["seconds"] < 60


def test_the_fsdd_model_learns_real_recordings(call, tmp_path, spoken_digits):
    done = call(
        "train",
        "fsdd",
        "--sparsity",
        0.875,
        "--epochs",
        8,
        "--data-dir",
        spoken_digits,
        "--out",
        tmp_path / "run",
        "--json",
    )
    result = json.loads(done.out)
    assert result["synapses"] == 40 * 256 // 8 + 256 * 10 // 8
    assert result["selected_test_accuracy"] > 0.5
    assert "epoch 8/8" in done.err
    assert call("evaluate", tmp_path / "run", "--quiet").status == 0  # finds the data where training found them


def test_an_interrupted_run_says_how_to_go_on(small, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "genn_delays.cli", "train", str(small()), "--out", str(out), "--epochs", "100000"]

    def heed() -> None:  # a shell that starts this in the background lets its children ignore the signal
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipe = subprocess.PIPE
    with subprocess.Popen([*command, "--quiet"], stdout=pipe, stderr=pipe, text=True, preexec_fn=heed) as process:
        try:
            while not (out / "checkpoints" / "last.safetensors").exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.strip() == f"genn-delays: interrupted; go on with: genn-delays train --resume --out {out}"


@pytest.mark.parametrize("rule", ["deep_r", "none"])
def test_the_learning_curve_is_drawn_for_one_epoch_and_for_many(tmp_path, rule, pictures):
    from genn_delays.runs.curve import draw_learning_curve
    from genn_delays.runs.result import Result

    for epochs in (1, 20):
        result = Result(
            "m", "digits", "cpu", 0, 10, 0.5, epochs, 0.9, None, 0.9, 0, "test set", 0.9, 0.9, 0, "test set", rule, 3,
            1.0, 1.0, "out",
        )  # fmt: skip
        lines = [
            {
                "epoch": e + 1, "train_accuracy": 0.5, "train_loss": None if e else 1.0, "rewirings": e,
                "test_accuracy": 0.4, "test_loss": 1.1,
            }
            for e in range(epochs)
        ]  # fmt: skip
        path = tmp_path / "curve.png"
        draw_learning_curve(path, lines, result)
        first = path.read_bytes()
        draw_learning_curve(path, lines, result)
        assert path.read_bytes() == first


@pytest.mark.parametrize(("delays", "accuracy"), [("learned", 1.0), ("fixed", 0.5)])
def test_delays_alone_solve_sequence_detection(call, tmp_path, delays, accuracy):
    """With weights that stay as they are, EventProp's delays make the difference between chance and no error."""
    out = tmp_path / "run"
    done = call("train", "sequence_detection", "--delays", delays, "--out", out, "--json", "--quiet")
    assert json.loads(done.out)["test_accuracy"] == accuracy
    assert ("nothing is learned" in done.err) == (delays == "fixed")
    last = load_file(out / "checkpoints" / "last.safetensors")
    assert set(last["inputs_order.weight"]) == {1.0}
    delay = last["inputs_order.delay"].astype(int)  # of the synapses 0-0, 1-0, 0-1, 1-1
    longer = [delay[0] - delay[1], delay[3] - delay[2]]  # of a class's first input than of its second
    assert all(8 <= steps <= 15 for steps in longer) if delays == "learned" else longer == [0, 0]
    found = json.loads(call("evaluate", out, "--json", "--quiet").out)  # the folder can be read
    assert found["test_accuracy"] == accuracy
