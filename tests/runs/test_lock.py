"""A run folder has one writer, and a run whose folder is taken away beneath it ends in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from refused import refused

from genn_delays.errors import RunFolderError
from genn_delays.runs.lock import locked

fcntl = pytest.importorskip("fcntl", reason="POSIX locks")


def errors(done) -> str:
    """The one line of an error, after what notes there are."""
    assert done.status == 2, done
    line = done.err.splitlines()[-1]
    assert line.startswith("genn-delays: error: ") and "Traceback" not in done.err
    return line


def _make(kind: str, path: Path, target: Path) -> None:
    if kind == "link":
        path.symlink_to(target)
    elif kind == "dangling":
        path.symlink_to(target.with_name("nothing"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_lock_that_is_no_file_is_refused_and_nothing_behind_it_is_touched(call, small, tmp_path, kind, resume):
    target, out = tmp_path / "thesis.txt", tmp_path / "run"
    target.write_text("years of work")
    out.mkdir()
    _make(kind, out / ".lock", target)
    line = errors(call("train", small(), "--out", out, "--quiet", *resume))
    assert str(out / ".lock") in line and ("symbolic link" in line) == (kind in ("link", "dangling"))
    assert target.read_text() == "years of work"
    assert not (tmp_path / "nothing").exists()
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_a_file_of_the_locks_name_keeps_its_content_while_it_is_locked(tmp_path):
    (tmp_path / "other").write_text("kept")
    (tmp_path / ".lock").hardlink_to(tmp_path / "other")
    with locked(tmp_path, print):
        assert (tmp_path / "other").read_text() == "kept"
    assert (tmp_path / "other").read_text() == "kept" and not (tmp_path / ".lock").exists()


_MANY = """
import os, sys
from pathlib import Path
from genn_delays.errors import RunFolderError
from genn_delays.runs.lock import locked
folder, held = Path(sys.argv[1]), 0
while held < 500:
    try:
        with locked(folder, print):
            (folder / "inside").mkdir()  # an error where somebody is inside already
            (folder / "inside").rmdir()
            held += 1
    except RunFolderError as error:
        assert "another process" in str(error), error
"""


def test_two_processes_are_never_inside_at_once(tmp_path):
    """Some open the lock's file at the moment at which its holder removes it."""
    command = [sys.executable, "-c", _MANY, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    several = [subprocess.Popen(command, **pipes) for _ in range(3)]
    ends = [(process.communicate()[1], process.returncode) for process in several]
    assert ends == [("", 0)] * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_a_note(call, small, tmp_path, monkeypatch, code):
    def without(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", without)
    done = call("train", small(), "--out", tmp_path / "run", "--epochs", 1, "--quiet")
    assert done.status == 0
    (line,) = done.err.splitlines()
    assert line.startswith(f"genn-delays: the file system of {tmp_path / 'run'} has no locks ({os.strerror(code)})")
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_is_taken_is_another_process(tmp_path, monkeypatch, code):
    def taken(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", taken)
    with refused("another process", str(tmp_path), error=RunFolderError), locked(tmp_path, print):
        pass


def _delete(out: Path) -> None:
    while out.exists():  # the run may write in between
        shutil.rmtree(out, ignore_errors=True)


def _move(out: Path) -> None:
    out.rename(out.with_name("moved"))


def _replace(out: Path) -> None:
    _move(out)
    shutil.copytree(out.with_name("moved"), out)


def _remove_config(out: Path) -> None:
    (out / "config.toml").unlink()


def _remove_best(out: Path) -> None:
    (out / "checkpoints" / "best.safetensors").unlink()


@pytest.mark.parametrize("take_away", [_delete, _move, _replace, _remove_config, _remove_best])
def test_what_is_taken_away_beneath_a_run_ends_it_with_an_error(small, tmp_path, take_away):
    out = tmp_path / "run"
    # the best epoch is an early one, so that its checkpoint is not written again: nothing is learned
    model = small(("alpha = 0.01", "alpha = 1e-30"), ('rule = "deep_r"\nl1 = 1e-4', 'rule = "none"'))
    command = [sys.executable, "-m", "genn_delays", "train", str(model), "--out", str(out), "--epochs", "100000"]
    with subprocess.Popen([*command, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (out / "checkpoints" / "last.safetensors").exists():
                assert process.poll() is None
                time.sleep(0.01)
            take_away(out)
            printed, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 2 and printed == ""
    (line,) = err.splitlines()
    assert line.startswith("genn-delays: error: ") and str(out) in line and "while this run" in line
    if take_away in (_delete, _move):
        assert not (out / "config.toml").exists()
        assert not (out / "result.json").exists()


def test_what_another_process_did_between_reading_and_locking_is_seen(call, small, tmp_path, monkeypatch):
    """The other one ends when this one has read the configuration and has not locked the folder yet."""
    from genn_delays.runs import train as module

    out, model = tmp_path / "run", small()
    assert call("train", model, "--out", out, "--epochs", 1, "--quiet").status == 0
    load, done = module.load_data, []

    def meanwhile(config, **given):
        if not done:
            done.append(True)
            done.append(call("train", model, "--out", out, "--resume", "--epochs", 4, "--quiet").status)
        return load(config, **given)

    monkeypatch.setattr(module, "load_data", meanwhile)
    line = errors(call("train", model, "--out", out, "--resume", "--epochs", 2, "--quiet"))
    assert done == [True, 0]
    assert "--epochs" in line and "is 4" in line
    assert "num_epochs = 4" in (out / "config.toml").read_text()
