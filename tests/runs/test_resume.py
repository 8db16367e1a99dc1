"""A run that is killed at any moment and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genn_delays.callbacks.metrics_writer import read_metrics

EPOCHS = 5

# Kills its own process just before or just after a file gets its name for the n-th time.
_KILLED = """
import os, signal, sys
from pathlib import Path
from genn_delays.cli import main
when, name, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
replace, count = Path.replace, 0
def killing(self, target):
    global count
    count += Path(target).name == name
    here = Path(target).name == name and count == number
    if here and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = replace(self, target)
    if here:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
Path.replace = killing
sys.exit(main(sys.argv[4:]))
"""


def checkpoints(out: Path) -> dict[str, bytes]:
    return {name: (out / "checkpoints" / f"{name}.safetensors").read_bytes() for name in ("last", "best")}


def figures(out: Path) -> list[dict[str, object]]:
    """The lines of metrics without what depends on the clock."""
    clock = ("seconds", "step_ms")
    return [{k: v for k, v in line.items() if k not in clock} for line in read_metrics(out / "metrics.jsonl")]


@pytest.fixture
def whole(call, small, tmp_path) -> Path:
    """An uninterrupted run."""
    out = tmp_path / "whole"
    assert call("train", small(), "--out", out, "--epochs", EPOCHS).status == 0
    return out


def killed(*arguments: object, at: tuple[str, str, int]) -> None:
    command = [sys.executable, "-c", _KILLED, *map(str, [*at, *arguments])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_at_many_moments_in_a_row(call, small, tmp_path, whole):
    out = tmp_path / "run"
    arguments = ("train", small(), "--out", out, "--epochs", EPOCHS, "--resume", "--quiet")
    # as soon as the configuration is there; before the first checkpoint is whole; in the second epoch, whose metrics
    # and best are written but not its last; in the third, with its best half written
    for at in (
        ("after", "config.toml", 1),
        ("before", "last.safetensors", 1),
        ("before", "last.safetensors", 2),
        ("before", "best.safetensors", 2),
    ):
        killed(*arguments, at=at)
    assert 0 < len(figures(out)) < EPOCHS
    assert any(path.name != ".probe" for path in out.rglob(".*"))  # a half-written file
    done = call(*arguments, "--json")
    assert done.status == 0
    assert "going on with" in done.err
    assert checkpoints(out) == checkpoints(whole)
    assert figures(out) == figures(whole)
    result, expected = (json.loads((run / "result.json").read_text()) for run in (out, whole))
    for key in expected.keys() - {"seconds", "step_ms", "out"}:
        assert result[key] == expected[key], key
    assert not [path for path in out.rglob(".*") if path.name != ".probe"]  # half-written files are gone


def test_killed_from_outside_while_it_computes(call, small, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    common = ("--epochs", 12, "--batch-size", 32)
    assert call("train", small(), "--out", whole, *common, "--quiet").status == 0
    command = [sys.executable, "-m", "genn_delays.cli", "train", str(small()), "--out", str(out), *map(str, common)]
    with subprocess.Popen([*command, "--quiet"], stderr=subprocess.PIPE) as process:
        while len(read_metrics(out / "metrics.jsonl")) < 4:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert len(read_metrics(out / "metrics.jsonl")) < 12
    assert call("train", "--resume", "--out", out, "--threads", 1).status == 0  # with a bar now and one thread
    assert checkpoints(out) == checkpoints(whole)
    assert figures(out) == figures(whole)


@pytest.mark.parametrize("validation", [0.1, 0])
def test_more_epochs_continue_as_if_asked_for_at_once(call, small, tmp_path, validation):
    whole, out = tmp_path / "whole", tmp_path / "run"
    call("train", small(), "--out", whole, "--epochs", EPOCHS, "--validation", validation)
    call("train", small(), "--out", out, "--epochs", 2, "--validation", validation, "--quiet")
    before = (out / "config.toml").read_text()
    done = call("train", small(), "--out", out, "--epochs", EPOCHS, "--resume", "--quiet")
    assert done.status == 0
    assert checkpoints(out) == checkpoints(whole)
    assert (out / "config.toml").read_text() == before.replace("num_epochs = 2", f"num_epochs = {EPOCHS}")


def test_a_finished_run_is_left_as_it_is(call, small, whole):
    before = checkpoints(whole)
    done = call("train", "--resume", "--out", whole, "--json", "--quiet")
    assert done.status == 0
    assert json.loads(done.out)["epochs"] == EPOCHS
    assert checkpoints(whole) == before


@pytest.mark.parametrize("make", [False, True])
def test_nothing_there_yet_starts_from_the_beginning(call, small, tmp_path, make):
    out = tmp_path / "run"
    if make:
        out.mkdir()
    done = call("train", small(), "--out", out, "--resume", "--epochs", 1, "--quiet")
    assert done.status == 0
    assert "no checkpoint yet" in done.err
    assert len(figures(out)) == 1


def test_settings_not_given_again_stay_the_runs(call, small, tmp_path):
    out = tmp_path / "run"
    first = ("--sparsity", 0.9, "--seed", 2, "--batch-size", 64, "--rewiring", "none", "--validation", 0.2)
    call("train", small(), "--out", out, *first, "--quiet", "--epochs", 1)
    assert call("train", small(), "--out", out, "--resume", "--epochs", 2, "--quiet").status == 0
    text = (out / "config.toml").read_text()
    for line in ("sparsity = 0.9", "seed = 2", "batch_size = 64", 'rule = "none"', "validation = 0.2"):
        assert line in text


@pytest.mark.parametrize(
    ("option", "value", "old"),
    [
        ("--sparsity", "0.5", "0.75"), ("--sparsity", "0", "0.75"), ("--seed", "1", "0"), ("--batch-size", "64", "128"),
        ("--backend", "reference", "cpu"), ("--rewiring", "none", "deep_r"), ("--growth-delay", "redraw", "pair"),
        ("--dale", None, "False"), ("--validation", "0", "0.1"), ("--epochs", "1", "5"),
    ],
)  # fmt: skip
def test_a_changed_setting_is_an_error_that_names_it(call, small, whole, option, value, old):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    for model in ([small()], []):
        done = call("train", *model, "--resume", "--out", whole, option, *([] if value is None else [value]))
        assert done.status == 2
        assert option in done.err and old in done.err and str(whole) in done.err
        assert "Traceback" not in done.err and len(done.err.splitlines()) == 1
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_model_that_changed_since_is_an_error_that_names_the_place(call, small, whole):
    done = call("train", small(("tau_mem = 30.0", "tau_mem = 20.0")), "--resume", "--out", whole)
    assert done.status == 2
    assert "populations[1].tau_mem" in done.err and "30.0" in done.err and "20.0" in done.err


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda out: (out / "checkpoints/last.safetensors").write_bytes(b"half"), "last.safetensors"),
        (lambda out: (out / "checkpoints/best.safetensors").unlink(), "best.safetensors"),
        (lambda out: (out / "metrics.jsonl").write_text('{"epoch": 0'), "metrics.jsonl"),
        (lambda out: (out / "metrics.jsonl").unlink(), "metrics.jsonl"),
        (lambda out: (out / "config.toml").write_text("[model"), "config.toml"),
        (lambda out: (out / "config.toml").unlink(), "config.toml"),
    ],
)
def test_a_damaged_folder_is_an_error_and_nothing_is_lost(call, small, whole, damage, named):
    damage(whole)
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    done = call("train", small(), "--resume", "--out", whole, "--epochs", EPOCHS + 1, "--quiet")
    assert done.status == 2
    error = done.err.splitlines()[-1]
    assert error.startswith("genn-delays: error: ") and named in error
    assert "Traceback" not in done.err
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_corrupt_best_checkpoint_is_an_error_of_evaluate(call, whole):
    (whole / "checkpoints/best.safetensors").write_bytes(b"")
    done = call("evaluate", whole, "--quiet")
    assert done.status == 2
    assert "best.safetensors is damaged" in done.err
    assert call("evaluate", whole, "--quiet", "--checkpoint", "last").status == 0


def test_a_folder_of_something_else_is_an_error(call, small, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("words")
    done = call("train", small(), "--resume", "--out", tmp_path / "thesis")
    assert done.status == 2
    assert "is not a run folder" in done.err
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.txt"]


def edit(out: Path, old: str, new: str) -> None:
    text = (out / "config.toml").read_text()
    assert old in text, old
    (out / "config.toml").write_text(text.replace(old, new, 1))


EDITS = [
    ("tau_mem = 30.0", "tau_mem = 20.0", "populations[1].tau_mem", False),
    ("v_thresh = 1.0", "v_thresh = 1.5", "populations[1].v_thresh", False),
    ('readout = "sum_softmax"', 'readout = "sum_var"', "populations[2].readout", False),
    ("gain = 2.0", "gain = 1.0", "connections[0].weight.gain", False),
    ("high = 9", "high = 8", "connections[0].delay.high", False),
    ("sparsity = 0.75", "sparsity = 0.5", "connections[0].sparsity", False),
    ("seed = 0", "seed = 1", "network.seed", False),
    ("example_timesteps = 30", "example_timesteps = 31", "compiler.example_timesteps", False),
    ("detach_reset = true", "detach_reset = false", "compiler.detach_reset", False),
    ("batch_size = 128", "batch_size = 64", "compiler.batch_size", True),
    ('backend = "cpu"', 'backend = "reference"', "compiler.backend", True),
    ("\nalpha = 0.01", "\nalpha = 0.02", "training.optimiser.alpha", True),
    ("shuffle = true", "shuffle = false", "training.shuffle", True),
    ("validation = 0.1", "validation = 0.2", "training.validation", True),
    ("l1 = 0.0001", "l1 = 0.001", "rewiring.l1", True),
    ('neuron = "leaky_integrate_fire"', 'neuron = "leaky_integrate_fire"\ndropout = 0.5', "[1].dropout", False),
    ('growth_delay = "pair"', 'growth_delay = "redraw"', "rewiring.growth_delay", True),
]


def test_an_edited_configuration_is_an_error_that_names_what_differs(call, small, tmp_path):
    out = tmp_path / "run"
    assert call("train", small(), "--out", out, "--epochs", 1, "--quiet").status == 0
    text = (out / "config.toml").read_text()
    for old, new, key, evaluates in EDITS:
        (out / "config.toml").write_text(text)
        edit(out, old, new)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        done = call("train", "--resume", "--out", out, "--epochs", 2, "--quiet")
        assert done.status == 2 and len(done.err.splitlines()) == 1, done
        assert key in done.err and str(out / "config.toml") in done.err and "was trained with" in done.err, done
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
        if not evaluates:  # of the others nothing but the way of training differs
            done = call("evaluate", out, "--quiet")
            assert done.status == 2 and key in done.err, done
    assert call("evaluate", out, "--quiet").status == 0  # with another growth_delay


def test_edits_of_what_may_change_are_taken(call, small, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert call("train", small(), "--out", whole, "--epochs", 2, "--quiet").status == 0
    assert call("train", small(), "--out", out, "--epochs", 1, "--quiet", "--threads", 1).status == 0
    edit(out, "num_epochs = 1", "num_epochs = 2")
    edit(out, "threads = 1\n", "threads = 2\n")
    edit(out, 'name = "small"', 'name = "small"\ndescription = "a note of mine"')
    assert call("train", "--resume", "--out", out, "--quiet").status == 0
    assert checkpoints(out) == checkpoints(whole)


def test_fewer_epochs_than_are_done_are_refused(call, small, whole):
    edit(whole, f"num_epochs = {EPOCHS}", "num_epochs = 2")
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    done = call("train", "--resume", "--out", whole, "--quiet")
    assert done.status == 2
    assert "num_epochs" in done.err and "is 2" in done.err and f"{EPOCHS} epochs are done" in done.err
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_long_lists_are_compared_too_and_kept_as_a_digest(call, tmp_path):
    source = """
def build():
    pairs = [(i, j) for i in range(64) for j in range(10)]
    return {
        "model": {"name": "listed"},
        "populations": [{"name": "in", "neuron": "spike_input", "size": 64},
                        {"name": "out", "neuron": "leaky_integrate", "size": 10, "readout": "sum_var"}],
        "connections": [{"source": "in", "target": "out", "connectivity": "sparse", "pre": [i for i, _ in pairs],
                         "post": [j for _, j in pairs], "weight": 0.01, "delay": [(i + j) % 5 for i, j in pairs]}],
        "compiler": {"example_timesteps": 30, "batch_size": 256},
        "training": {"dataset": "digits", "num_epochs": 1},
    }
"""
    (tmp_path / "listed.py").write_text(source)
    out = tmp_path / "run"
    assert call("train", tmp_path / "listed.py", "--out", out, "--quiet").status == 0
    assert call("evaluate", out, "--quiet").status == 0
    assert call("train", "--resume", "--out", out, "--epochs", 2, "--quiet").status == 0
    edit(out, "delay = [\n    0,", "delay = [\n    4,")
    done = call("train", "--resume", "--out", out, "--epochs", 3, "--quiet")
    assert done.status == 2 and "connections[0].delay" in done.err


def test_a_checkpoint_that_does_not_say_its_configuration_is_gone_on_with(call, small, whole, tmp_path, monkeypatch):
    """As those of version 0.1.0."""
    from genn_delays.runs.resume import Configuration

    out = tmp_path / "old"
    with monkeypatch.context() as m:
        m.setattr(Configuration, "state", lambda self: {})
        assert call("train", small(), "--out", out, "--epochs", 2, "--quiet").status == 0
    assert call("evaluate", out, "--quiet").status == 0
    assert call("train", "--resume", "--out", out, "--epochs", EPOCHS, "--quiet").status == 0
    assert checkpoints(out) == checkpoints(whole)


@pytest.mark.parametrize(("make", "what"), [(False, "does not exist"), (True, "holds no run yet")])
def test_resuming_nothing_without_a_model_names_the_folder(call, tmp_path, make, what):
    if make:
        (tmp_path / "nosuch").mkdir()
    done = call("train", "--resume", "--out", tmp_path / "nosuch")
    assert done.status == 2
    assert f"run folder {tmp_path / 'nosuch'} {what}" in done.err and "give MODEL" in done.err


def test_checkpoints_are_not_written_through_a_link(call, whole, tmp_path):
    """A stranger's run folder whose checkpoints are a link to another run's wrote into that one."""
    other = (whole / "checkpoints").rename(tmp_path / "other")
    (whole / "checkpoints").symlink_to(other)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert call("evaluate", whole, "--quiet").status == 0
    done = call("train", "--resume", "--out", whole, "--epochs", EPOCHS + 1, "--quiet")
    assert done.status == 2 and len(done.err.splitlines()) == 1, done
    assert f"{whole / 'checkpoints'} is a symbolic link" in done.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_configuration_of_populations_that_are_not_there(call, whole, end):
    """KeyError, where it was looked for the sizes of hidden layers."""
    edit(whole, f'{end} = "hidden"', f'{end} = "nothing"')
    for arguments in (
        ("train", "--resume", "--out", whole),
        ("train", whole / "config.toml", "--hidden", "8", "--out", whole / "new"),
        ("evaluate", whole),
    ):
        done = call(*arguments, "--quiet")
        assert done.status == 2 and len(done.err.splitlines()) == 1, done
    assert "unknown population" in done.err and "'nothing'" in done.err


def test_a_checkpoint_of_a_nonsensical_configuration_is_refused(call, whole):
    """Its checksum is right: TypeError."""
    from safetensors import safe_open
    from safetensors.numpy import save

    from genn_delays.training.checkpoints import digest_of

    files = {}
    for path in (whole / "checkpoints").iterdir():
        with safe_open(str(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            files[path] = json.loads(file.metadata()["genn_delays"]), tensors
    sections = ("training", "rewiring", "compiler", "populations")
    wrong = [{section: value} for section in sections for value in ([1], 3, "x", {"x": 1})]
    for tables in [*wrong, {"training": None}, {"compiler": None}, {"connections": [{}]}, {"network": {"seed": "x"}}]:
        for path, (about, tensors) in files.items():
            found = json.loads(json.dumps(about))
            found["progress"]["callbacks"]["Configuration 0"] |= tables
            del found["digest"]
            found["digest"] = digest_of(tensors, found)
            path.write_bytes(save(tensors, {"genn_delays": json.dumps(found, sort_keys=True)}))
        for arguments in (("evaluate", whole), ("train", "--resume", "--out", whole, "--epochs", EPOCHS + 1)):
            done = call(*arguments, "--quiet")
            assert done.status == 2 and len(done.err.splitlines()) == 1, (tables, done)
            assert ".safetensors" in done.err, (tables, done)
