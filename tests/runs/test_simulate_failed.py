"""A simulation that fails leaves no file, and none of anybody else is touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genn_delays.errors import InvalidValueError, RunFolderError
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.reserved import Interrupted, reserved

MODEL = """
[model]
name = "failing"

[[populations]]
name = "e"
neuron = "user_neuron"
size = 400
vars = { v = ["-v / tau + Isyn", "0"] }
threshold = "v - 1"
param_vals = { tau = 10.0 }
integration = "linear_euler"
drives = [{ kind = "poisson_drive", rate = 300.0, weight = 0.6 }]

[simulation]
duration = 200.0
dt = 1.0
record = { e = ["spikes", "v"] }
"""
GROWING = MODEL.replace('"-v / tau + Isyn", "0"', '"v / 0.1 + Isyn", "v"').replace("v - 1", "-v - 1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model that works and one whose variable overflows."""
    monkeypatch.chdir(tmp_path)
    Path("good.toml").write_text(MODEL)
    Path("growing.toml").write_text(GROWING)
    return tmp_path


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".toml")


@pytest.mark.parametrize("out", [["--out", "deep/in/run"], []])
def test_folders_that_it_made_are_gone(call, here, out):
    done = call("simulate", "growing.toml", *out, "--quiet")
    assert done.status == 2 and "is not finite since step" in done.err and done.err.count("\n") == 1
    assert everything(here) == []


def test_a_folder_that_was_there_stays_and_can_be_used(call, here):
    Path("run").mkdir()
    assert call("simulate", "growing.toml", "--out", "run", "--quiet").status == 2
    assert Path("run").is_dir() and everything(here) == ["run"]
    assert call("simulate", "good.toml", "--out", "run", "--quiet").status == 0
    assert {"run/config.toml", "run/result.json", "run/spikes/e.npz", "run/traces/e.npz"} <= {
        str(path.relative_to(here)) for path in here.rglob("*")
    }
    assert not Path("run/.lock").exists()


def test_a_network_that_cannot_be_compiled_leaves_nothing(call, here):
    Path("bad.toml").write_text(MODEL.replace("tau = 10.0", "tau = 0.4"))
    assert call("simulate", "bad.toml", "--out", "run", "--quiet").status == 2
    assert everything(here) == []


def test_a_file_that_cannot_be_written(call, here):
    """As on a full disk: the configuration fits, what was recorded does not."""
    resource = pytest.importorskip("resource")
    assert call("simulate", "good.toml", "--out", "first", "--quiet").status == 0  # compiles the kernels
    shutil.rmtree("first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        done = call("simulate", "good.toml", "--out", "run", "--quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert done.status == 2 and "cannot write run/spikes/e.npz" in done.err and done.err.count("\n") == 1, done
    assert everything(here) == []


def test_files_of_others_stay(here):
    """Somebody puts a file into the folder of a simulation that fails."""
    with pytest.raises(InvalidValueError), reserved(RunFolder("run"), "m", print) as place:
        for name in ("notes.txt", "config.toml", ".1-0123abcd-config.toml", "spikes/e.npz", "mine/e.npz"):
            (place.folder.path / name).parent.mkdir(exist_ok=True)
            (place.folder.path / name).write_text("x")
        raise InvalidValueError("it fails")
    assert everything(here) == ["run", "run/mine", "run/mine/e.npz", "run/notes.txt"]


def test_a_folder_that_is_removed_meanwhile_does_not_come_back(here):
    with (
        pytest.raises(RunFolderError, match=r"run was removed.*nothing is kept"),
        reserved(RunFolder("run"), "m", print) as place,
    ):
        shutil.rmtree("run")
        place.check_kept()
    assert everything(here) == []


def test_an_interruption_while_pictures_are_drawn_keeps_the_rest(here):
    with pytest.raises(Interrupted) as interrupted, reserved(RunFolder("run"), "m", print) as place:
        (place.folder.path / "result.json").write_text("{}")
        place.complete = True
        raise KeyboardInterrupt
    assert interrupted.value.said == "all but the pictures is in run"
    assert everything(here) == ["run", "run/result.json"]


def start(*arguments: str) -> subprocess.Popen[str]:
    def heed() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    command = [sys.executable, "-m", "genn_delays", "simulate", "good.toml", "--out", "run", *arguments]
    pipe = subprocess.PIPE
    found = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed)
    while not Path("run/.lock").exists():
        assert found.poll() is None, found.communicate()
        time.sleep(0.01)
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals and locks")
def test_an_interruption_and_a_second_simulation_into_the_folder(call, here):
    """While one simulates, another is refused; interrupted, it leaves nothing."""
    with start("--backend", "reference", "--duration", "1e6") as process:
        try:
            done = call("simulate", "good.toml", "--out", "run", "--quiet")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert done.status == 2 and "another process is writing" in done.err and "run" in done.err
    assert process.returncode == 130 and out == "", err
    assert "genn-delays: interrupted; nothing of the simulation is kept" in err and "Traceback" not in err, err
    assert everything(here) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals and locks")
def test_what_a_killed_one_leaves_is_an_empty_folder(call, here):
    with start("--backend", "reference", "--duration", "1e6") as process:
        process.kill()
    assert everything(here) == ["run", "run/.lock"]
    assert call("simulate", "good.toml", "--out", "run", "--quiet").status == 0
