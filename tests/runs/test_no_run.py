"""What is given as a run or a model and is none: every command says in one line what is there and what it expects."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from genn_delays.cli import main
from genn_delays.version import __version__, is_newer

RUN = ("evaluate", "analyse", "report", "train --resume --out")
RUN_OR_MODEL = ("simulate", "costs", "export --no-evaluate --out x.nir")
MODEL = ("train --out new", "show-code", "benchmark train-step")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "digits", "--hidden", "16", "--epochs", "1", "--quiet", "--out", str(run)]) == 0
    return run


@pytest.fixture
def here(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a run in ``runs/good``."""
    shutil.copytree(trained, tmp_path / "runs" / "good")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(call: Callable, command: str, what: str, *named: str) -> None:
    done = call(*command.split(), what)
    assert done.status == 2, done
    assert done.err.count("\n") == 1 and done.err.startswith("genn-delays: error: "), done.err
    for text in named:
        assert text in done.err, (command, text, done.err)
    assert not Path("new").exists() and not Path("x.nir").exists() and not Path("report.html").exists()


@pytest.mark.parametrize("command", RUN[:-1] + RUN_OR_MODEL)
def test_a_path_where_nothing_is(call, here, command):
    refused(call, command, "runs/nope", "there is no run folder runs/nope", "config.toml and checkpoints/", "good")


def test_names_and_paths_of_models_that_are_not_there(call, here):
    for command in MODEL:
        refused(call, command, "runs/nope", "there is no model file runs/nope", "digits")
        refused(call, command, "digitz", "unknown model", "Did you mean 'digits'?")
    for command in RUN_OR_MODEL:
        refused(call, command, "digitz", "unknown run folder, model", "Did you mean 'digits'?")
        refused(call, command, "runs/nope.toml", "there is no model file runs/nope.toml")
    refused(call, RUN[-1], "runs/nope", "runs/nope does not exist", "nothing to resume")


def test_folders_that_are_no_run(call, here):
    Path("empty").mkdir()
    Path("other").mkdir()
    Path("other/readme.txt").write_text("x")
    for command in RUN + RUN_OR_MODEL:
        refused(call, command, "other", "other is not a run folder", "config.toml")
        refused(call, command, "runs/good/checkpoints", "not a run folder", "runs/good is one")
        if command != RUN[-1]:
            refused(call, command, "empty", "empty is not a run folder", "config.toml")
    refused(call, RUN[-1], "empty", "empty holds no run yet", "give MODEL")
    for command in MODEL:
        refused(call, command, "empty", "empty is a folder", ".toml or .py")
        refused(call, command, "runs/good", "runs/good is a folder", "runs/good/config.toml")


def test_files_that_are_no_run(call, here):
    Path("file").write_text("x")
    for command in RUN[:-1]:
        refused(call, command, "file", "file is a file, not a run folder")
        refused(call, command, "runs/good/config.toml", "is a file", "runs/good is one")
    refused(call, RUN[-1], "file", "file is a file")
    for command in RUN_OR_MODEL + MODEL:
        refused(call, command, "file", "file is no model", ".toml or .py")


@pytest.mark.parametrize("command", RUN + RUN_OR_MODEL)
def test_runs_of_another_version_and_broken_ones(call, here, command):
    config = Path("runs/good/config.toml")
    text = config.read_text().replace("[compiler]", "[compiler]\nlater = 3")
    config.write_text(text)
    refused(call, command, "runs/good", "runs/good is damaged", "'later'")
    config.write_text(text.replace(f'genn_delays = "{__version__}"', 'genn_delays = "99.0.0"'))
    refused(call, command, "runs/good", "written by genn_delays 99.0.0", f"this is {__version__}", "'later'")
    config.write_text("[[[")
    refused(call, command, "runs/good", "runs/good is damaged", "not a TOML file")
    config.write_text("[simulation]")
    refused(call, command, "runs/good", "of a simulation", "genn-delays simulate runs/good/config.toml")


@pytest.mark.parametrize("command", ("evaluate", "analyse", "report", *RUN_OR_MODEL))
def test_runs_without_a_checkpoint(call, here, command):
    """It is found out before data are loaded."""
    config, best = Path("runs/good/config.toml"), Path("runs/good/checkpoints/best.safetensors")
    config.write_text(config.read_text().replace('dataset = "digits"', 'dataset = "/nowhere/x.npz"'))
    kept = best.read_bytes()
    best.unlink()
    refused(call, command, "runs/good", f"no checkpoint {best}", "--checkpoint last is there")
    Path("runs/good/checkpoints/last.safetensors").unlink()
    refused(call, command, "runs/good", f"no checkpoint {best}", "train --resume --out runs/good")
    with Path("runs/good/metrics.jsonl").open("a") as file:
        file.write("{}\n")
    refused(call, command, "runs/good", f"no checkpoint {best}", "removed")
    if command in ("evaluate", "costs"):
        best.write_bytes(kept)
        refused(call, f"{command} --checkpoint last", "runs/good", "last.safetensors", "--checkpoint best is there")


def test_a_model_file_of_a_newer_version(call, here):
    Path("m.toml").write_text(Path("runs/good/config.toml").read_text().replace("[compiler]", "[compiler]\nlater = 3"))
    text = Path("m.toml").read_text()
    Path("m.toml").write_text(text.replace(f'genn_delays = "{__version__}"', 'genn_delays = "99.0.0"'))
    refused(call, "train --out new", "m.toml", "m.toml was written by genn_delays 99.0.0", "'later'")
    Path("m.toml").write_text('[simulation]\nlater = 3\n[versions]\ngenn_delays = "99.0.0"\n')
    refused(call, "simulate", "m.toml", "m.toml was written by genn_delays 99.0.0")


def test_many_runs_are_not_all_listed(call, here):
    for number in range(12):
        shutil.copytree("runs/good", f"runs/more-{number:03}")
    refused(call, "evaluate", "runs/nope", "good, more-000", "more-006 and 5 more")


@pytest.mark.parametrize(
    ("version", "newer"), [(__version__, False), ("0.0.9", False), ("99.0.0", True), ("0.2.0.1", True), ("x", False)]
)
def test_newer_versions(version, newer):
    assert is_newer(version) is newer
