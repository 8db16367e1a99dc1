"""Sweeps over a Dask scheduler. This file needs no other, as it checks the extra `cluster` alone, outside the clone."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genn_delays.cli import main

INSTALLED = importlib.util.find_spec("distributed") is not None
needs_dask = pytest.mark.skipif(not INSTALLED, reason="distributed is not installed: pip install '.[cluster]'")
SPEC = """
[sweep]
model = "digits"
seeds = [1]

[set]
hidden = 16
epochs = 2
batch_size = 512

[grid]
sparsity = [0.5, 0.75, 0.9]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory):
    """The address of a scheduler with two workers, in processes of their own."""
    folder = tmp_path_factory.mktemp("dask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    dask = [sys.executable, "-m", "distributed.cli."]
    worker = [address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder), "--no-nanny"]
    commands = [["dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]]
    commands += [["dask_worker", *worker]] * 2
    processes = []
    try:
        for name, *arguments in commands:
            command = [*dask[:2], dask[2] + name, *arguments]
            processes.append(
                subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        wait_for_workers(address, processes)
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def wait_for_workers(address: str, processes: list[subprocess.Popen]) -> None:
    from genn_delays.errors import GennDelaysError
    from genn_delays.sweeps.cluster import connected

    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert all(process.poll() is None for process in processes)
        try:
            with connected(address) as client:
                client.wait_for_workers(2, timeout=60)
                return
        except GennDelaysError:  # it does not listen yet
            time.sleep(0.1)


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@needs_dask
@pytest.mark.cluster
def test_two_workers_give_the_bits_of_one_process(spec, tmp_path, scheduler):
    cluster, local = tmp_path / "cluster", tmp_path / "local"
    assert main(["sweep", str(spec), "--out", str(cluster), "--quiet", "--scheduler", scheduler]) == 0
    assert main(["sweep", str(spec), "--out", str(local), "--quiet", "--processes", "1"]) == 0
    times = ("seconds", "step_ms")
    found = [[{k: v for k, v in row.items() if k not in times} for row in lines(out)] for out in (cluster, local)]
    assert len(found[0]) == 3 and found[0] == found[1]
    for row in found[0]:
        for name in ("config.toml", "checkpoints/last.safetensors", "checkpoints/best.safetensors"):
            both = [(out / row["run"] / name).read_bytes() for out in (cluster, local)]
            assert both[0] == both[1], (row["run"], name)
    assert not list(cluster.glob(".cluster-*"))


@needs_dask
@pytest.mark.cluster
def test_a_run_that_fails_on_a_worker_is_listed(spec, tmp_path, scheduler, capsys):
    spec.write_text(SPEC.replace("sparsity = [0.5, 0.75, 0.9]", "populations.pixels.size = [63, 64]"))
    assert main(["sweep", str(spec), "--out", str(tmp_path / "out"), "--json", "--scheduler", scheduler]) == 1
    (failed,) = json.loads(capsys.readouterr().out)["failed"]
    assert failed["run"] == "size=63_seed=1" and "population 'pixels'" in failed["error"]
    assert len(lines(tmp_path / "out")) == 1


@needs_dask
@pytest.mark.cluster
def test_a_worker_that_does_not_see_the_folder_is_an_error(tmp_path):
    from genn_delays.sweeps.cluster import token_error, train_on_worker

    token = tmp_path / "token"
    token.write_text("word")
    assert token_error(str(token), "word") is None
    for path, word in ((token, "another"), (tmp_path / "gone", "word")):
        expected = f"it does not see the folder {tmp_path}; workers must share it under the same path (--out)"
        assert train_on_worker(str(tmp_path / "run"), 1, str(path), word) == expected
    assert not (tmp_path / "run").exists()


@needs_dask
@pytest.mark.cluster
@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("", "--scheduler must be an address such as tcp://HOST:8786, got ''"),
        ("127.0.0.1", "--scheduler must be an address such as tcp://HOST:8786, got '127.0.0.1'"),
        ("http://127.0.0.1:8787", "--scheduler must be an address"),
        ("silent", "no Dask scheduler answers at tcp://127.0.0.1:"),
        ("closed", "no Dask scheduler answers at tcp://127.0.0.1:"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_an_error(spec, tmp_path, capsys, monkeypatch, address, part):
    monkeypatch.setattr("genn_delays.sweeps.cluster.TIMEOUT", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if address in ("silent", "closed"):
            if address == "silent":  # it accepts, and says nothing
                server.listen()
            address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert main(["sweep", str(spec), "--out", str(tmp_path / "out"), "--quiet", "--scheduler", address]) == 2
    said = capsys.readouterr().err
    assert part in said and len(said.splitlines()) == 1
    assert lines(tmp_path / "out") == []


@pytest.mark.skipif(INSTALLED, reason="distributed is installed")
def test_without_dask_the_error_says_what_to_install(spec, tmp_path, capsys):
    assert main(["sweep", str(spec), "--out", str(tmp_path / "out"), "--quiet", "--scheduler", "tcp://a:1"]) == 2
    said = capsys.readouterr().err
    assert "--scheduler needs Dask's package distributed" in said and "pip install 'genn-delays[cluster]'" in said
