"""Training under mpiexec. This file needs no other, as it checks the extra `mpi` alone, outside the clone."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import genn_delays
from genn_delays.cli import main
from genn_delays.communicators import MPI
from genn_delays.errors import BackendUnavailableError, InvalidValueError

BESIDE = Path(sys.executable).with_name("mpiexec")  # the wheel's
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
INSTALLED = importlib.util.find_spec("mpi4py") is not None and MPIEXEC is not None
needs_mpi = pytest.mark.skipif(not INSTALLED, reason="mpi4py or mpiexec is not installed: pip install '.[mpi]'")
TRAIN = [sys.executable, "-m", "genn_delays", "train"]


def mpiexec(*ranks: tuple[int, list[str]], wait: bool = True) -> subprocess.Popen[str]:
    """Starts numbers of ranks with their arguments of ``train``."""
    return processes(*((n, [*TRAIN, *own, "--quiet", "--distributed"]) for n, own in ranks), wait=wait)


def processes(*ranks: tuple[int, list[str]], wait: bool = True) -> subprocess.Popen[str]:
    """Starts numbers of ranks with their commands."""
    command = [MPIEXEC, *(["--allow-run-as-root"] if os.geteuid() == 0 else []), "--oversubscribe"]
    for number, (count, own) in enumerate(ranks):
        command += [*([":"] if number else []), "-n", str(count), *own]
    package = str(Path(genn_delays.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    if wait:
        started.said = started.communicate(timeout=120)  # type: ignore[attr-defined]
    return started


def messages(ended: subprocess.Popen[str]) -> list[str]:
    """What our processes said on standard error."""
    return [line for line in ended.said[1].splitlines() if line.startswith("genn-delays:")]  # type: ignore[attr-defined]


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "checkpoints").iterdir())}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Real values in the shape of spoken digits."""
    draws = np.random.default_rng(1)
    y = np.arange(150) % 10
    x = draws.random((150, 80, 40)) * (0.5 + (np.arange(40) % 10 == y[:, None, None]))
    path = tmp_path_factory.mktemp("data") / "spoken.npz"
    np.savez(path, x=x.astype(np.float32), y=y)
    return str(path)


@needs_mpi
@pytest.mark.mpi
@pytest.mark.parametrize(
    ("model", "numbers", "options"),
    [
        ("digits", (2, 4), ["--epochs", "1"]),
        ("digits_eventprop", (4,), ["--epochs", "1", "--hidden", "128"]),
        ("fsdd_paper", (2, 4), ["--epochs", "2", "--hidden", "32", "--batch-size", "64", "--validation", "0.1"]),
    ],
)
def test_files_are_those_of_one_process(model, numbers, options, spoken, tmp_path):
    """For 2 and 4 ranks, bit for bit; of batch norm, dropout, learned delays and growth by the gradient too."""
    options = [model, *options, *(["--data", spoken] if model == "fsdd_paper" else [])]
    assert main(["train", *options, "--threads", "2", "--quiet", "--out", str(tmp_path / "one")]) == 0
    for ranks in numbers:
        ended = mpiexec((ranks, [*options, "--out", str(tmp_path / f"{ranks}")]))
        assert ended.returncode == 0, ended.said
        assert ended.said[0].count("run folder") == 1
        assert files(tmp_path / f"{ranks}") == files(tmp_path / "one")
        assert {p.name for p in (tmp_path / f"{ranks}").iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}


def rank_of(run: Path, rank: int) -> int:
    """The process of a rank that trains into a folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                said, around = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            named = f"OMPI_COMM_WORLD_RANK={rank}\0".encode() in around
            if named and b"genn_delays\0train" in said and str(run).encode() in said:
                return int(entry.name)
    raise AssertionError("no such rank")


def hit(run: Path, ranks: int, how: signal.Signals, arguments: list[str], patience: float) -> subprocess.Popen[str]:
    """Trains until a signal hits a rank, some time after the first checkpoint."""
    before = (run / "checkpoints" / "last.safetensors").stat().st_mtime_ns if (run / "checkpoints").is_dir() else 0
    started = mpiexec((ranks, [*arguments, "--out", str(run)]), wait=False)
    while started.poll() is None:
        last = run / "checkpoints" / "last.safetensors"
        if last.is_file() and last.stat().st_mtime_ns > before:
            break
        time.sleep(0.02)
    time.sleep(random.uniform(0, patience))
    os.kill(rank_of(run, random.randrange(ranks)), how)
    started.said = started.communicate(timeout=60)  # type: ignore[attr-defined]
    return started


@needs_mpi
@pytest.mark.mpi
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_ranks_and_other_numbers_of_them(tmp_path):
    """A run whose ranks are killed twice, and that other numbers of ranks go on with, has the bits of one process."""
    options = ["digits", "--epochs", "40", "--hidden", "64"]
    run = tmp_path / "run"
    for ranks in (2, 4):
        ended = hit(run, ranks, signal.SIGKILL, [*options, *(["--resume"] if run.exists() else [])], 0.5)
        assert ended.returncode != 0 and "rank" in ended.said[1]
    ended = mpiexec((2, ["--resume", "--out", str(run)]))
    assert ended.returncode == 0, ended.said
    assert main(["train", *options, "--quiet", "--out", str(tmp_path / "one")]) == 0
    assert files(run) == files(tmp_path / "one")


@needs_mpi
@pytest.mark.mpi
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_rank_that_hangs_is_named(tmp_path):
    """By one message, and nothing of the run is left."""
    ended = hit(tmp_path / "run", 2, signal.SIGSTOP, ["digits", "--epochs", "500", "--timeout", "1"], 0.0)
    (message,) = messages(ended)
    assert ended.returncode != 0 and "rank" in message and "did not come within 1 s" in message
    with pytest.raises(AssertionError, match="no such rank"):
        rank_of(tmp_path / "run", 0)


EARLY = """
import hashlib, os, signal, sys, threading
import numpy as np
import genn_delays as gd
from genn_delays.backends.cpu import early_sums
from genn_delays.errors import GennDelaysError, InvalidValueError

early_sums.EARLY_BYTES = 1
how = sys.argv[1]


class Faulty(gd.MPI):
    sent = 0

    def exchange(self, what, sends, receives):
        self.sent += (early := threading.current_thread().name.startswith("genn_delays.gradients"))
        if early and self.sent == 9 and self.rank == 1 and how != "well":
            if how == "raises":
                raise InvalidValueError("no more of this")
            os.kill(os.getpid(), signal.SIGKILL if how == "dies" else signal.SIGSTOP)
        super().exchange(what, sends, receives)


def trained(communicator):
    network = gd.Network(seed=1)
    with network:
        before = gd.Population(gd.Input(), 12, name="in")
        for number in range(2):
            neuron = gd.LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5)
            here = gd.Population(neuron, 20, name=f"hidden{number}", batch_norm=number == 0)
            gd.Connection(before, here, gd.FixedNumber(0.5, weight=gd.KaimingUniform(), delay=gd.UniformInt(0, 9)))
            before = here
        out = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 4, name="out")
        gd.Connection(before, out, gd.FixedNumber(0.5, weight=gd.KaimingUniform(), delay=gd.UniformInt(0, 9)))
    draws = np.random.default_rng(0)
    x, y = draws.random((150, 16, 12)).astype(np.float32), draws.integers(0, 4, 150)
    compiler = gd.SurrogateCompiler(16, 64, backend=gd.CPU(threads=1), communicator=communicator)
    with compiler.compile(network) as compiled:
        compiled.train({"in": x}, {"out": y}, 4, callbacks=[])
        states = [compiled.engine.state(c.index).arrays() for c in network.connections]
    return hashlib.sha256(b"".join(a.tobytes() for state in states for a in state.values())).hexdigest()


communicator = Faulty(timeout=1.0)
try:
    found = trained(communicator)
    early = "early" if communicator.sent else "after"
    if how == "well":
        after = Faulty(overlap=False)
        assert trained(after) == found and not after.sent
        if communicator.rank == 0:
            assert trained(None) == found
            print(early, flush=True)
except GennDelaysError as error:
    if communicator.speaks(error):
        print(f"genn-delays: rank {communicator.rank} says: {error}", file=sys.stderr, flush=True)
    sys.exit(2)
"""
"""Trains a network with gradients that a thread sends, in which a fault befalls rank 1."""


@needs_mpi
@pytest.mark.mpi
def test_bits_of_gradients_sent_early():
    """Those of one process, as with gradients sent after the pass."""
    ended = processes((4, [sys.executable, "-c", EARLY, "well"]))
    assert ended.returncode == 0 and ended.said[0] == "early\n", ended.said


@needs_mpi
@pytest.mark.mpi
@pytest.mark.parametrize(("level", "overlaps"), [("serialized", "True"), ("funneled", "False")])
def test_mpi_for_one_thread_sends_after_the_pass(level, overlaps):
    text = f"import mpi4py; mpi4py.rc.thread_level = {level!r}; import genn_delays as gd; print(gd.MPI().overlaps)"
    ended = processes((1, [sys.executable, "-c", text]))
    assert ended.said[0].split() == [overlaps], ended.said


PATIENCE = """
import threading, time
import numpy as np
import genn_delays as gd

rank, found, errors = gd.MPI(timeout=0.1), np.zeros(3), []
rank.starting = False


def wait():
    try:
        rank.exchange("gradients", [], [(0, found)])
    except gd.errors.CommunicationError as error:
        errors.append(str(error))


for computing in (threading.get_ident(), None):
    rank.computing = computing
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.5 if computing else None)
    if computing:
        assert thread.is_alive() and not errors
        rank.exchange("gradients", [(0, np.ones(3))], [])
        thread.join()
        assert found.tolist() == [1, 1, 1]
print(*errors)
"""


@needs_mpi
@pytest.mark.mpi
def test_a_thread_that_sends_is_patient_while_another_computes():
    """Its rank is not late as long as it has something to do; after that the timeout counts."""
    ended = processes((1, [sys.executable, "-c", PATIENCE]))
    assert "did not come within 0.1 s" in ended.said[0], ended.said


@needs_mpi
@pytest.mark.mpi
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", ["rank 1 says: no more of this"]),
        ("stops", ["rank 0 says: rank 1 did not come within 1 s"]),
        ("dies", []),  # mpiexec says so
    ],
)
def test_faults_while_a_thread_sends_gradients(how, words):
    """They end all within seconds, with one message."""
    ended = processes((2, [sys.executable, "-c", EARLY, how]))
    assert ended.returncode != 0
    if words:
        (message,) = messages(ended)
        assert all(word in message for word in words)
    else:
        assert "rank 1" in ended.said[1] and "signal 9" in ended.said[1], ended.said


@needs_mpi
@pytest.mark.mpi
@pytest.mark.parametrize(
    ("counts", "first", "second", "words"),
    [
        ((4, 4), ["digits"], ["digits"], ["8 ranks", "4 partial sums", "64 examples"]),
        ((1, 1), ["digits"], ["yin_yang"], ["of rank 1", "of rank 0"]),
        ((1, 1), ["digits"], ["digits", "--sparsity", "7"], ["rank 1", "--sparsity", "7"]),
        (
            (1, 1),
            ["digits", "--backend", "reference"],
            ["digits", "--backend", "reference"],
            ["'reference'", "'cpu' or 'cuda'"],
        ),
    ],
)
def test_one_error_of_one_rank(counts, first, second, words, tmp_path):
    """Before anything is computed or written."""
    ranks = [
        (n, [*own, "--epochs", "1", "--out", str(tmp_path / "run")])
        for n, own in zip(counts, (first, second), strict=True)
    ]
    ended = mpiexec(*ranks)
    (message,) = messages(ended)
    assert ended.returncode != 0 and "error" in message and all(word in message for word in words)
    assert not (tmp_path / "run").exists()


@needs_mpi
@pytest.mark.mpi
def test_a_folder_that_is_not_shared(tmp_path):
    """Resumed, where each rank sees another one."""
    for name in ("a", "b"):
        assert main(["train", "digits", "--epochs", (name == "a" and "1") or "2", "--hidden", "16", "--quiet",
                     "--out", str(tmp_path / name)]) == 0  # fmt: skip
    ended = mpiexec(*((1, ["--resume", "--epochs", "3", "--out", str(tmp_path / name)]) for name in ("a", "b")))
    (message,) = messages(ended)
    assert ended.returncode != 0 and "is not shared: rank 1" in message and str(tmp_path / "b") in message


def test_without_mpi4py(monkeypatch, capsys):
    """One error that says what to install."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(BackendUnavailableError, match=r"mpi4py.*\[mpi\]"):
        MPI()
    assert main(["train", "digits", "--distributed"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@needs_mpi
@pytest.mark.mpi
def test_overlap_is_a_switch():
    with pytest.raises(InvalidValueError, match=r"overlap of MPI.*'no'"):
        MPI(overlap="no")


def test_a_timeout_is_for_ranks(capsys):
    assert main(["train", "digits", "--timeout", "3"]) == 2
    assert "--distributed" in capsys.readouterr().err
