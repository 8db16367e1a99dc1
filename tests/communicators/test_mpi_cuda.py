"""Training under mpiexec with a GPU a rank: the host in its place, or a stand-in for NVIDIA's driver."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import genn_delays

TESTS = Path(__file__).parent.parent
BESIDE = Path(sys.executable).with_name("mpiexec")  # the wheel's
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
INSTALLED = importlib.util.find_spec("mpi4py") is not None and MPIEXEC is not None
pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(not INSTALLED, reason="mpi4py or mpiexec is not installed: pip install '.[mpi]'"),
]
ON_HOST = [str(TESTS / "ranks_on_host.py")]
ON_DRIVER = ["-c", "import stand_in, sys; stand_in.pytest_configure(None); from genn_delays.cli import main; "
             "sys.exit(main(sys.argv[1:]))"]  # fmt: skip
TRAIN = ["train", "fsdd_paper", "--backend", "cuda", "--epochs", "2", "--hidden", "12", "--batch-size", "64", "--set",
         "training.optimiser.schedule.maximum=0.3", "--quiet"]  # fmt: skip


def run(program: list[str], arguments: list[str], ranks: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """One process, or so many ranks."""
    paths = [str(Path(genn_delays.__file__).parent.parent), str(TESTS), os.environ.get("PYTHONPATH")]
    command = [sys.executable, *program, *arguments]
    if ranks:
        root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
        command = [str(MPIEXEC), *root, "--oversubscribe", "-n", str(ranks), *command, "--distributed"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | more
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "checkpoints").iterdir())}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process on the stand-in wrote, and the arguments: real values in the shape of spoken digits."""
    draws, folder = np.random.default_rng(1), tmp_path_factory.mktemp("one")
    y = np.arange(120) % 10
    x = draws.random((120, 80, 40)) * (0.5 + (np.arange(40) % 10 == y[:, None, None]))
    np.savez(folder / "spoken.npz", x=x.astype(np.float32), y=y)
    arguments = [*TRAIN, "--data", str(folder / "spoken.npz")]
    ended = run(ON_HOST, [*arguments, "--out", str(folder / "run")])
    assert ended.returncode == 0 and " 0 synapses rewired" not in ended.stdout, ended
    return files(folder / "run"), arguments


@pytest.mark.parametrize("ranks", [2, 4])
def test_files_are_those_of_one_process(one, ranks, tmp_path):
    """Bit for bit, with batch norm, dropout, learned delays and growth by the gradient."""
    ended = run(ON_HOST, [*one[1], "--out", str(tmp_path / "run")], ranks)
    assert ended.returncode == 0, ended
    assert files(tmp_path / "run") == one[0]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The environment of a machine whose driver is the stand-in."""
    pytest.importorskip("cuda.core", reason="needs cuda-core: pip install '.[cuda]'")
    if sys.platform != "linux":
        pytest.skip("the driver is played on Linux only")
    import stand_in

    library = stand_in.build(tmp_path_factory.mktemp("driver"))
    return {"LD_LIBRARY_PATH": str(library), "GENN_DELAYS_STAND_IN_SEED": "1"}


@pytest.mark.driver
def test_every_rank_takes_a_gpu_of_its_own(one, driver, tmp_path):
    """Through cuda-core and page-locked memory, with the same files."""
    ended = run(ON_DRIVER, [*one[1], "--out", str(tmp_path / "run")], 2, **driver, GENN_DELAYS_STAND_IN_GPUS="2")
    assert ended.returncode == 0, ended
    assert files(tmp_path / "run") == one[0]


@pytest.mark.driver
def test_gpus_fewer_than_ranks(one, driver, tmp_path):
    """One error from one rank, with both numbers, before anything is computed or written."""
    ended = run(ON_DRIVER, [*one[1], "--out", str(tmp_path / "run")], 4, **driver, GENN_DELAYS_STAND_IN_GPUS="2")
    (message,) = [line for line in ended.stderr.splitlines() if line.startswith("genn-delays:")]
    assert ended.returncode != 0 and all(word in message for word in ("4 ranks", "see 2 GPUs", "mpiexec -n 2"))
    assert not (tmp_path / "run").exists()
