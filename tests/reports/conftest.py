"""Runs that train in a moment, once for all tests of a file, and the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from genn_delays.backends.cpu import compiler
from genn_delays.cli import main
from genn_delays.runs.folder import RunFolder
from genn_delays.runs.overrides import Overrides
from genn_delays.runs.resume import new_config
from genn_delays.runs.train import train


class Called(NamedTuple):
    """What a call of the command line gave."""

    status: int
    out: str
    err: str


Call = Callable[..., Called]
Trained = Callable[..., Path]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls ``genn-delays`` with arguments."""

    def call(*arguments: object) -> Called:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Called(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains a model of the library with other settings; the same settings again give the same folder."""
    made: dict[str, Path] = {}

    def trained(model: str, **settings: Any) -> Path:
        key = f"{model} {settings}"
        if key not in made:
            folder = tmp_path_factory.mktemp("runs") / "run"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(compiler, "FLAGS", tuple("-Og" if f == "-O3" else f for f in compiler.FLAGS))
                patch.setattr("genn_delays.runs.curve.draw_learning_curve", lambda *arguments: None)
                train(new_config(model, Overrides(**{"epochs": 2, "threads": 1, **settings})), RunFolder(folder))
            made[key] = folder
        return made[key]

    return trained


@pytest.fixture
def digits(trained: Trained) -> Path:
    """A small run on the digits; not to be written."""
    return trained("digits", hidden="32")


@pytest.fixture
def small(trained: Trained) -> Path:
    """A run of a network of two inputs and two outputs; not to be written."""
    return trained("sequence_detection")


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """The same, the test's own."""
    return Path(shutil.copytree(small, tmp_path / "copy"))
