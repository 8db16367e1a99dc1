"""The command line in careless hands: one line that says what to write, before anything is computed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from genn_delays import GennDelaysError
from genn_delays.cli import main
from genn_delays.paths import check_writable


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """Calls the command line in an empty folder with a file in it, and looks for parts of the one line it answers."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")

    def call(*arguments: str, named: list[str]) -> None:
        capsys.readouterr()
        status = main(list(arguments))
        out, err = capsys.readouterr()
        assert status == 2 and out == "" and err.count("\n") == 1 and err.startswith("genn-delays: error: "), err
        assert all(part in err for part in named), err
        assert [path.name for path in Path().iterdir()] == ["file"]

    return call


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--hidden", "-5,3"], ["--hidden: a value that begins with a dash is written --hidden=-5,3"]),
        (["--out", "-run"], ["--out: a value that begins with a dash is written --out=-run"]),
        (["--hidden", "--json"], ["argument --hidden: expected one argument"]),
        (["--hidden"], ["argument --hidden: expected one argument"]),
        (["--hidden=-5,3"], ["--hidden must be at least 1, got -5"]),
        (["--epochs", "2", "--set", "training.num_epochs=1"], ["--epochs asks for 2 and --set for 1", "one of them"]),
        (["--seed", "2", "--set", "network.seed=3", "--set", "compiler.rng_seed=3"], ["--seed asks for 2", "for 3"]),
        (["--batch-size", "8", "--set", "compiler.batch_size=9"], ["--batch-size asks for 8 and --set for 9"]),
        (["--epochs", "2", "--set", "training.num_epochs=0"], ["training.num_epochs = 0", "at least 1"]),
    ],
)
def test_training(refused, options, named):
    refused("train", "digits", *options, *([] if "--out" in options else ["--out", "run"]), named=named)


def test_a_setting_may_say_more_than_an_option(monkeypatch, tmp_path, capsys):
    """The seed of the network alone, beside that of training."""
    monkeypatch.chdir(tmp_path)
    options = [
        "--hidden",
        "8",
        "--seed",
        "2",
        "--set",
        "network.seed=3",
        "--epochs",
        "1",
        "--set",
        "training.num_epochs=1",
    ]
    assert main(["train", "digits", *options, "--out", "run", "--quiet"]) == 0
    config = Path("run/config.toml").read_text()
    assert "\nseed = 3\n" in config and "\nrng_seed = 2\n" in config


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--duration", "1e12"], ["--duration must be at most 4.29497e+08 ms", "4,294,967,295 steps of dt = 0.1 ms"]),
        (["--set", "simulation.dt=1e-300"], ["simulation.dt = 1e-300", "duration must be at most", "4,294,967,295"]),
        (["--scale", "1e-9"], ["scale 1e-09 is too small for this network", "FixedInDegree"]),
        (["--duration", "700", "--set", "simulation.duration=800"], ["--duration and --set simulation.duration"]),
        (["--backend", "cpu", "--set", 'simulation.backend="cpu"'], ["--backend and --set simulation.backend"]),
        (["--set", "populations.E.size=-1", "--scale", "0.1"], ["populations.E.size = -1"]),
    ],
)
def test_simulating(refused, options, named):
    refused("simulate", "brunel", *options, "--out", "run", named=named)


@pytest.mark.parametrize(
    "command",
    ["costs digits --picture file/x.png", "costs digits --picture x.jpg", "report nope --out file/x.html"],
)
def test_places_that_cannot_be_written_are_found_before_anything_is_computed(refused, monkeypatch, command):
    def never(*_: object) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr("genn_delays.runs.costs.load_data", never)
    picture = command.endswith("jpg")
    refused(*command.split(), named=["'.jpg'", ".png"] if picture else ["cannot write file/x", "not a folder"])


def test_what_can_be_written(tmp_path):
    check_writable(tmp_path / "new" / "folder" / "file")
    (tmp_path / "file").write_text("x")
    check_writable(tmp_path / "file")
    for place, said in ((tmp_path, "it is a folder"), (tmp_path / "file" / "x" / "y", "is not a folder")):
        with pytest.raises(GennDelaysError, match=f"cannot write .*{said}"):
            check_writable(place)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root can write everywhere")
def test_what_may_not_be_written(tmp_path):
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    with pytest.raises(GennDelaysError, match="no permission"):
        check_writable(place / "x" / "y")


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("costs digits --examples 2 --picture x.png", "x.png"),
        ("show-code digits --output x.cpp", "x.cpp"),
    ],
)
def test_no_room_for_a_file(refused, command, path):
    """As on a full disk: the file is named, and no part of it stays."""
    resource = pytest.importorskip("resource")
    assert main(command.split()) == 0  # the kernels are in the cache now
    Path(path).unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        refused(*command.split(), named=[f"cannot write {path}: File too large"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
