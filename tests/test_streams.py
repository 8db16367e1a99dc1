"""Standard streams that are closed, full, gone or poor in letters end no command and no training."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genn_delays.callbacks import BatchProgressBar
from genn_delays.metrics import Metrics
from genn_delays.streams import Tolerant, say

SMALL = """
[model]
name = "small"
[[populations]]
name = "pixels"
neuron = "spike_input"
size = 64
[[populations]]
name = "digit"
neuron = "leaky_integrate"
size = 10
readout = "sum_softmax"
[[connections]]
source = "pixels"
target = "digit"
connectivity = "fixed_number"
sparsity = 0.5
[compiler]
example_timesteps = 30
batch_size = 256
[training]
dataset = "digits"
num_epochs = 2
[rewiring]
rule = "deep_r"
"""
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of the shell in which $G is the command."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    variables = {**kept, "G": f"{sys.executable} -m genn_delays", **environment}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("2>&-", 0), (">&-", 0), ("<&- >&- 2>&-", 0), ("2> >(true)", 0), ("> >(true)", 0),
        pytest.param("2>/dev/full", 0, marks=needs_full), pytest.param(">/dev/full", 2, marks=needs_full),
        pytest.param(">/dev/full 2>/dev/full", 2, marks=needs_full),
    ],
)  # fmt: skip
def test_training_ends_whatever_the_streams_are(tmp_path, redirection, status):
    (tmp_path / "small.toml").write_text(SMALL)
    done = shell(f"$G train small.toml --out run {redirection}", tmp_path)
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr and "Error" not in done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] == 2
    for path in (tmp_path / "run").rglob("*"):  # no line of a progress bar in any file
        assert path.is_dir() or b"accuracy 1" not in path.read_bytes()
    assert shell(f"$G evaluate run {redirection}", tmp_path).returncode == status


@needs_full
@pytest.mark.parametrize("words", ["--help", "info", "train --help", "show-code digits", "--version"])
def test_a_full_output_is_one_error_and_a_closed_one_is_none(tmp_path, words):
    done = shell(f"$G {words} >/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, "genn-delays: error: the output: No space left on device\n")
    done = shell(f"$G {words} >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_an_error_that_nobody_hears_has_its_status(tmp_path, redirection):
    done = shell(f"$G train nosuch {redirection}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_what_is_piped_has_no_carriage_returns(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = subprocess.run(
        [sys.executable, "-m", "genn_delays", "train", "small.toml", "--out", "run"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert b"\r" not in done.stdout + done.stderr and b"\x1b" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("batches in" in line and "loss" in line and "validation" in line for line in lines)


def test_in_a_terminal_the_bar_grows(tmp_path):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    (tmp_path / "small.toml").write_text(SMALL)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    with subprocess.Popen(
        [sys.executable, "-m", "genn_delays", "train", "small.toml", "--out", "run"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        seen = b""
        while True:
            try:
                seen += os.read(master, 65536)
            except OSError:  # the other end is closed
                break
    os.close(master)
    assert process.returncode == 0
    assert b"\repoch 2/2: " in seen and b"100%" in seen, seen


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_letters_that_an_encoding_lacks_are_escaped(tmp_path, encoding):
    name = "größe≠0"
    (tmp_path / f"{name}.toml").write_text(SMALL.replace('"pixels"', f'"{name}"'), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "genn_delays", "show-code", f"{name}.toml"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert f"p[0]  {name}:".encode(encoding, "backslashreplace") in done.stdout


class _Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("stream", [None, _Broken(OSError(28, "full")), _Broken(BrokenPipeError()), io.StringIO()])
def test_a_progress_bar_without_a_stream_ends_nothing(monkeypatch, stream):
    if type(stream) is io.StringIO:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = BatchProgressBar()
    bar.set_params(None, 2, 1)  # type: ignore[arg-type]
    bar.on_epoch_begin(0)
    bar.on_batch_end(0, Metrics({}))
    bar.on_epoch_end(0, Metrics({}))
    say("nothing")
    assert not Tolerant(stream).isatty()
