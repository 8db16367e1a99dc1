"""Bad input: exit status 2, one line that names the thing and the value, no traceback, nothing computed or lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from genn_delays import GeNN
from genn_delays.backends.cpu.compiler import find_compiler
from genn_delays.paths import CACHE_VARIABLE


def check(done, *named: str) -> None:
    assert done.status == 2, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("genn-delays: error: ")
    assert "Traceback" not in done.err
    for text in named:
        assert text in lines[0], (text, lines[0])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--sparsity", "1"], ["--sparsity", "[0, 1)", "1.0"]),
        (["--sparsity", "-0.1"], ["--sparsity", "[0, 1)", "-0.1"]),
        (["--sparsity", "nan"], ["--sparsity", "nan"]),
        (["--sparsity", "half"], ["--sparsity", "'half'"]),
        (["--sparsity", "0.99999"], ["sparsity 0.99999 leaves no synapse"]),
        (["--epochs", "0"], ["--epochs", "at least 1", "0"]),
        (["--epochs", "2.5"], ["--epochs", "'2.5'"]),
        (["--batch-size", "0"], ["--batch-size", "at least 1"]),
        (["--threads", "0"], ["--threads", "from 1 to 1024"]),
        (["--threads", "1025"], ["--threads", "1025"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--seed", str(1 << 64)], ["--seed", str(1 << 64)]),
        (["--validation", "1"], ["--validation", "[0, 1)"]),
        (["--validation", "-1"], ["--validation", "[0, 1)"]),
        (["--backend", "cdua"], ["--backend", "'cdua'", "cpu, cuda, genn, reference"]),
        (["--rewiring", "deepr"], ["--rewiring", "'deepr'", "deep_r"]),
        (["--sparsity", "0", "--rewiring", "deep_r"], ["--rewiring deep_r", "--sparsity 0"]),
        (["--rewiring", "none", "--dale"], ["--dale", "'none'"]),
        (["--rewiring", "none", "--growth-delay", "pair"], ["--growth-delay"]),
        (["--growth-delay", "worst"], ["growth_delay", "'worst'", "best, pair, redraw"]),
        (["--data-dir", "/no/such/folder"], ["data_dir", "/no/such/folder", "does not exist"]),
        (["--sparsty", "0.5"], ["'--sparsty'", "Did you mean '--sparsity'?"]),
        (["--sparsty=0.5"], ["'--sparsty'", "Did you mean '--sparsity'?"]),
        (["--epochs"], ["--epochs", "expected one argument"]),
        (["--resume"], ["--resume needs --out"]),
        (["another"], ["'another'"]),
    ],
)
def test_bad_options(call, small, tmp_path, options, named):
    out = [] if "--resume" in options else ["--out", tmp_path / "run"]
    check(call("train", small(), *out, *options), *named)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("sparsity = 0.75", "sparsity = 1.5", ["pixels -> hidden", "sparsity", "1.5"]),
        ("sparsity = 0.75", "sparsity = 0.0", ["sparsity 0", "pixels_hidden"]),
        ("low = 0", "low = -1", ["delay", "-1"]),
        ("high = 9", "high = 70000", ["65535", "70000"]),
        ("size = 64", "size = 0", ["'pixels'", "number of neurons", "0"]),
        ("size = 64", "size = 63", ["'digits'", "64 inputs", "63"]),
        ("size = 10", "size = 9", ["'digits'", "10 classes", "9"]),
        ("size = 10", "size = 11", ["'digits'", "10 classes", "11"]),
        ("example_timesteps = 30", "example_timesteps = 29", ["30 ms", "29"]),
        ("example_timesteps = 30", "example_timesteps = 30\ndt = 0.5", ["30 ms", "0.5"]),
        ('"spike_input"', '"input"', ["'spike_input'", "'pixels'"]),
        ('readout = "sum_softmax"', "", ["no output"]),
        ('name = "hidden"', 'name = "pixels"', ["'pixels'", "must differ"]),
        ('target = "hidden"', 'target = "hiddn"', ["'hiddn'", "'hidden'"]),
        ('source = "hidden"', 'source = "pixels"', ["'hidden'"]),
        ('dataset = "digits"', 'dataset = "mnist"', ["'mnist'", "digits, fsdd"]),
        ("batch_size = 128", "batchsize = 128", ["'batchsize'", "'batch_size'"]),
        ('dataset = "digits"', 'dataset = "digits"\n[extra]\nx = 1', ["'extra'"]),
    ],
)  # fmt: skip
def test_bad_models(call, small, tmp_path, old, new, named):
    path = small((old, new))
    if 'source = "pixels"' in new:
        # an orphan: nobody's target and nobody's source
        path.write_text(path.read_text().replace('target = "hidden"', 'target = "digit"'))
    check(call("train", path, "--out", tmp_path / "run"), *named)
    assert not (tmp_path / "run").exists()


def test_a_delay_of_zero_on_a_cycle(call, small, tmp_path):
    path = small()
    loop = '[[connections]]\nsource = "hidden"\ntarget = "hidden"\nconnectivity = "dense"\n\n[compiler]'
    path.write_text(path.read_text().replace("[compiler]", loop).replace('rule = "deep_r"\nl1 = 1e-4', ""))
    check(call("train", path, "--out", tmp_path / "run"), "'hidden_hidden'", "at least 1 step", "0")
    assert not (tmp_path / "run").exists()


def test_dense_data_of_the_wrong_length(small):
    import numpy as np

    from genn_delays.datasets import Dataset
    from genn_delays.errors import InvalidValueError
    from genn_delays.runs.build import build_network, check_data
    from genn_delays.runs.models import load_model

    config = load_model(str(small(('"spike_input"', '"input"'))))
    y = np.zeros(2, np.int64)

    def data(steps: int, inputs: int) -> Dataset:
        x = np.zeros((2, steps, inputs), np.float32)
        return Dataset("d", "", "", inputs, 10, steps, x, y, x, y)

    network = build_network(config)
    assert [p.name for p in check_data(config, network, data(30, 64))] == ["pixels", "digit"]
    for steps, inputs, named in ((31, 64, "31 time steps"), (29, 64, "29 time steps"), (30, 40, "40 inputs")):
        with pytest.raises(InvalidValueError, match=named):
            check_data(config, network, data(steps, inputs))


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_never_overwritten(call, small, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.toml").write_text("mine")
    check(call("train", small(), "--out", out), str(out), "not empty", "--resume")
    assert (out / "config.toml").read_text() == "mine"
    assert [path.name for path in out.iterdir()] == ["config.toml"]


def test_folders_that_cannot_be_written(call, small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    check(call("train", small(), "--out", tmp_path / "file"), "is a file")
    check(call("train", small(), "--out", tmp_path / "file" / "run"), "is not a folder")
    check(call("train", small(), "--out", ""), "--out")
    model = small()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "runs").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    check(call("train", model), "runs", "is not a folder")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root can write everywhere")
def test_a_folder_without_permission(call, small, tmp_path):
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    check(call("train", small(), "--out", place / "run"), "no permission", str(place))


@pytest.mark.parametrize("run", ["nothing", "empty", "file"])
def test_evaluate_of_what_is_no_run(call, tmp_path, run):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    check(call("evaluate", tmp_path / run), str(tmp_path / run))


def test_evaluate_checkpoint_names(call, small, tmp_path):
    assert call("train", small(), "--out", tmp_path / "run", "--epochs", 1, "--quiet").status == 0
    check(call("evaluate", tmp_path / "run", "--checkpoint", "bset"), "--checkpoint", "'bset'", "'best'")
    check(call("evaluate", tmp_path / "run", "--backend", "gpu"), "--backend", "'gpu'")
    (tmp_path / "run" / "checkpoints" / "last.safetensors").unlink()
    check(call("evaluate", tmp_path / "run", "--checkpoint", "last", "--quiet"), "last.safetensors")


# --- compilers and caches --------------------------------------------------------------------------------------------


@pytest.fixture
def failing_compiler(tmp_path, monkeypatch):
    """A compiler that says its version and refuses everything else."""
    path = tmp_path / "cxx"
    path.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "fake 1.0" && exit 0\necho "x.cpp:3: error: no luck" >&2\nexit 1\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(path))
    yield path
    find_compiler.cache_clear()


def test_a_compiler_that_fails(call, small, tmp_path, failing_compiler, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    done = call("train", small(), "--out", tmp_path / "run", "--quiet")
    check(done, "x.cpp:3: error: no luck", "kernels", ".log")
    assert not (tmp_path / "run").exists()
    (log,) = (tmp_path / "cache" / "kernels").glob("*.log")
    assert "no luck" in log.read_text()


def test_a_compiler_that_is_not_there(call, small, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    check(call("train", small(), "--out", tmp_path / "run"), "/no/such/compiler", "CXX")
    assert not (tmp_path / "run").exists()


def test_an_archive_with_recordings_missing(call, tmp_path):
    path = tmp_path / "free-spoken-digit-dataset-1.0.9.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("top/recordings/0_george_0.wav", b"")
    check(call("train", "fsdd", "--data-dir", path, "--out", tmp_path / "run"), "lacks 2499 recordings")
    path.write_bytes(b"no archive")
    check(call("train", "fsdd", "--data-dir", path, "--out", tmp_path / "run"), str(path))
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_another_process_writes(call, small, tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="POSIX locks")
    out = tmp_path / "run"
    assert call("train", small(), "--epochs", "1", "--out", out, "--quiet").status == 0
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        check(call("train", "--resume", "--epochs", "2", "--out", out, "--quiet"), "another process", str(out))
    assert call("train", "--resume", "--epochs", "2", "--out", out, "--quiet").status == 0


def test_a_run_that_lost_its_last_checkpoint_is_not_begun_again(call, small, tmp_path):
    out = tmp_path / "run"
    assert call("train", small(), "--epochs", "2", "--out", out, "--quiet").status == 0
    (out / "checkpoints" / "last.safetensors").unlink()
    before = (out / "metrics.jsonl").read_bytes()
    check(call("train", "--resume", "--epochs", "3", "--out", out, "--quiet"), "last.safetensors", "2 epochs")
    assert (out / "metrics.jsonl").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_output_device():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "genn_delays.cli", "info"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
    assert done.returncode == 2 and "Traceback" not in done.stderr and "No space left" in done.stderr


@pytest.mark.parametrize("option", ["--data-dir", "--out"])
def test_empty_texts_are_not_the_current_folder(call, option):
    check(call("train", "digits", option, ""), option, "must not be empty")
    check(call("evaluate", ""), "RUN must not be empty")


@pytest.mark.genn
def test_what_genn_cannot_train_is_refused_before_data_are_looked_for(call, tmp_path):
    if not GeNN().availability().available:
        pytest.skip(GeNN().availability().detail)
    nowhere = tmp_path / "nowhere"
    check(call("train", "fsdd", "--backend", "genn", "--data-dir", nowhere), "'genn'", "EventPropCompiler")


def deep(text: str) -> str:
    """A list in a list in a list, and so on."""
    return text + "\n[extra]\na = " + "[" * 100_000


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (deep, "nested too deeply"),
        (lambda s: s + "\n[" + ".".join(["a"] * 20_000) + "]", "nested too deeply"),
        (lambda s: s.replace("size = 64", "size = " + "9" * 5000, 1), "not a TOML file"),
        (lambda s: s.replace("size = 64", "size = 0x" + "f" * 5000, 1), "64 bits"),
        (lambda s: s.replace("num_epochs = 2", "num_epochs = " + "9" * 400, 1), "64 bits"),
    ],
)  # fmt: skip
def test_files_beyond_measure(call, small, tmp_path, change, named):
    path = small()
    path.write_text(change(path.read_text()))
    check(call("train", path, "--out", tmp_path / "run"), str(path), named)
    assert not (tmp_path / "run").exists()


def test_a_mark_before_the_first_letter_is_not_read(call, small, tmp_path):
    path = small()
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert call("train", path, "--out", tmp_path / "run", "--quiet", "--epochs", 1).status == 0


def test_names_that_are_no_text(call, small, tmp_path):
    """A file's name may be any bytes; what config.toml has to keep must be UTF-8."""
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(odd).mkdir()
    check(call("train", small(), "--data-dir", odd, "--out", tmp_path / "run"), "--data-dir", "UTF-8", r"\udcff")
    assert call("train", small(), "--out", f"{odd}/run", "--quiet", "--epochs", 1).status == 0
    assert call("evaluate", f"{odd}/run", "--quiet").status == 0


@pytest.mark.parametrize("place", ["/", ".", "..", "folder", "folder/"])
def test_code_is_not_written_over_a_folder(call, tmp_path, monkeypatch, place):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    check(call("show-code", "digits", "--output", place), "is a folder")
    check(call("show-code", "digits", "--output", ""), "--output must not be empty")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.parametrize(
    "name", ["config.toml", "metrics.jsonl", "checkpoints/last.safetensors", "checkpoints/best.safetensors"]
)
@pytest.mark.parametrize("kind", ["folder", "dangling", "pipe"])
def test_what_is_no_file_in_a_run_folder(call, small, tmp_path, name, kind):
    out = tmp_path / "run"
    assert call("train", small(), "--epochs", "2", "--out", out, "--quiet").status == 0
    (out / name).unlink()
    if kind == "folder":
        (out / name).mkdir()
    elif kind == "dangling":
        (out / name).symlink_to("nowhere")
    else:
        os.mkfifo(out / name)
    check(call("train", "--resume", "--epochs", "3", "--out", out, "--quiet"), Path(name).name)
    evaluated = call("evaluate", out, "--quiet")
    assert evaluated.status == (2 if name.endswith(("config.toml", "best.safetensors")) else 0)
