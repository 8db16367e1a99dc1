"""Networks that cannot be simulated, through the command line: one line each, and nothing is written."""

from __future__ import annotations

import shutil

import pytest

from genn_delays import memory
from genn_delays.cli import main

MODEL = """
[model]
name = "refused"

[[populations]]
name = "source"
neuron = "poisson_input"
size = 20
rate = 50.0

[[populations]]
name = "e"
neuron = "user_neuron"
size = 50
vars = { v = ["-v / tau + Isyn", "0"] }
threshold = "v - 1"
param_vals = { tau = 10.0 }
integration = "linear_euler"

[[connections]]
source = "source"
target = "e"
connectivity = "dense"
weight = 0.1

[[connections]]
source = "e"
target = "e"
connectivity = "fixed_probability"
p = 0.5
weight = 0.01
delay = { kind = "uniform_int", low = 1, high = 9 }

[simulation]
duration = 40.0
dt = 1.0
"""
GROWING = (('"-v / tau + Isyn", "0"', '"v / 0.1 + Isyn", "v"'), ("v - 1", "-v - 1"))


@pytest.fixture
def refused(call, tmp_path):
    """Simulates the model with texts replaced, and gives the one line of the error."""

    def refused(*replacements):
        text = MODEL
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        (tmp_path / "m.toml").write_text(text)
        done = call("simulate", tmp_path / "m.toml", "--out", tmp_path / "run", "--quiet")
        assert done.status != 0 and done.out == "" and done.err.count("\n") == 1, done
        return done.err

    return refused


@pytest.mark.parametrize(
    ("replacement", "parts"),
    [
        (("low = 1", "low = 0"), ("connection 'e_e' lies on a cycle", "at least 1 step", "got 0")),
        (('{ kind = "uniform_int", low = 1, high = 9 }', "0.5"), ("delay", "0.5", "whole")),
        (('{ kind = "uniform_int", low = 1, high = 9 }', "0"), ("'e_e'", "at least 1 step", "got 0")),
        (("tau = 10.0", "tau = 0.4"), ("population 'e': a step of 1 ms is too long for linear Euler", "v would")),
        (("duration = 40.0", "duration = 40.5"), ("duration", "multiple of dt = 1 ms", "40.5", "near: 40 and 41")),
        (("dt = 1.0", 'dt = 1.0\nrecord = { e = ["w"] }'), ("variable in [simulation] record e", "'w'", "spikes, v")),
        (("dt = 1.0", 'dt = 1.0\nrecord = { i = ["spikes"] }'), ("population", "'i'", "e, source")),
        (("weight = 0.01", "weight = 1e39"), ("connection 'e_e'", "finite in single precision", "3.4e+38")),
    ],
)  # fmt: skip
def test_before_anything_is_computed(refused, tmp_path, replacement, parts):
    message = refused(replacement)
    assert all(part in message for part in parts), message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_variable_that_overflows_is_named_with_neuron_and_step(refused, backend):
    message = refused(*GROWING, ("dt = 1.0", f'dt = 1.0\nbackend = "{backend}"'))
    assert "variable 'v' of neuron " in message and "of population 'e' is not finite since step " in message
    assert "a smaller dt or smaller weights may help" in message


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_memory_is_foreseen_in_bytes_by_part(refused, monkeypatch, tmp_path, backend):
    monkeypatch.setattr(memory, "host_memory", lambda: (300_000_000, "a machine which has"))
    message = refused(("size = 50", "size = 10000"), ("dt = 1.0", f'dt = 1.0\nbackend = "{backend}"'))
    assert "MB in this process, a machine which has 300 MB free" in message
    assert "the rows of synapses of connection 'e_e' " in message
    assert {"cpu": "e_e' 400 MB", "reference": "synapses as sampled of connection 'e_e'"}[backend] in message
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_network(call, tmp_path):
    """Of a training run: another's file, a damaged one, none, and a configuration that was edited."""
    for name, size in (("one", 8), ("other", 9)):
        options = ["--epochs", "1", "--set", f"populations.hidden.size={size}", "--out", str(tmp_path / name)]
        assert main(["train", "digits", *options, "--quiet"]) == 0
    best = tmp_path / "one" / "checkpoints" / "best.safetensors"
    whole, edited = best.read_bytes(), (tmp_path / "one" / "config.toml").read_text()
    cases = {
        "size in": lambda: (tmp_path / "one" / "config.toml").write_text(edited.replace("size = 8\n", "size = 7\n")),
        "was trained with": lambda: shutil.copy(tmp_path / "other" / "checkpoints" / "best.safetensors", best),
        "is damaged": lambda: best.write_bytes(whole[:2000]),
        "there is no checkpoint": best.unlink,
    }
    for part, make in cases.items():
        make()
        done = call("simulate", tmp_path / "one", "--quiet")
        assert done.status != 0 and done.out == "" and done.err.count("\n") == 1, done
        assert part in done.err, (part, done.err)
        (tmp_path / "one" / "config.toml").write_text(edited)
