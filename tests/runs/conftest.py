"""A model that trains in a moment, and the command line called as a shell would call it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from genn_delays.cli import main

SMALL = """
[model]
name = "small"

[[populations]]
name = "pixels"
neuron = "spike_input"
size = 64

[[populations]]
name = "hidden"
neuron = "leaky_integrate_fire"
size = 64
tau_mem = 30.0

[[populations]]
name = "digit"
neuron = "leaky_integrate"
size = 10
tau_mem = 30.0
readout = "sum_softmax"

[[connections]]
source = "pixels"
target = "hidden"
connectivity = "fixed_number"
sparsity = 0.75
weight = { kind = "kaiming_uniform", gain = 2.0 }
delay = { kind = "uniform_int", low = 0, high = 9 }

[[connections]]
source = "hidden"
target = "digit"
connectivity = "fixed_number"
sparsity = 0.75
delay = { kind = "uniform_int", low = 0, high = 9 }

[compiler]
example_timesteps = 30
batch_size = 128

[training]
dataset = "digits"
num_epochs = 2
optimiser = { kind = "adam", alpha = 0.01 }

[rewiring]
rule = "deep_r"
l1 = 1e-4
"""


class Called(NamedTuple):
    """What a call of the command line gave."""

    status: int
    out: str
    err: str


Call = Callable[..., Called]
MakeModel = Callable[..., Path]


@pytest.fixture
def pictures() -> None:
    """Asked for by a test of the pictures themselves."""


@pytest.fixture(autouse=True)
def few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training the small model, so it is left out of tests of something else."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("genn_delays.runs.curve.draw_learning_curve", lambda *arguments: None)
        for name in ("draw_raster", "draw_rates"):
            monkeypatch.setattr(f"genn_delays.runs.simulation_pictures.{name}", lambda *arguments: None)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls ``genn-delays`` with arguments."""

    def call(*arguments: object) -> Called:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Called(status, *capsys.readouterr())

    return call


@pytest.fixture
def small(tmp_path: Path) -> MakeModel:
    """Writes the small model, with texts replaced: ``small(("size = 64", "size = 0"), ...)``."""

    def write(*replacements: tuple[str, str]) -> Path:
        text = SMALL
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def spoken_digits() -> Path:
    """The folder with the spoken digits; the test is skipped where there are none."""
    place = Path(os.environ.get("GENN_DELAYS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not any(place.glob("*free-spoken-digit-dataset-*")) and not (place / "recordings").is_dir():
        pytest.skip(f"no Free Spoken Digit Dataset in {place}; set GENN_DELAYS_DATA to its archive or folder")
    return place
