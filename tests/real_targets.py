"""A model file with data of its own: targets are real numbers, or labels of which the last is not in the test part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

MODEL = """
[model]
name = "own"

[[populations]]
name = "in"
neuron = "spike_input"
size = 8

[[populations]]
name = "hidden"
neuron = "leaky_integrate_fire"
size = 16

[[populations]]
name = "out"
neuron = "leaky_integrate"
size = 3
readout = "{readout}"

[[connections]]
source = "in"
target = "hidden"
connectivity = "fixed_number"
sparsity = 0.25
weight = {{ kind = "kaiming_uniform", gain = 3.0 }}
delay = {{ kind = "uniform_int", low = 0, high = 4 }}

[[connections]]
source = "hidden"
target = "out"
connectivity = "fixed_number"
sparsity = 0.25
delay = {{ kind = "uniform_int", low = 0, high = 4 }}

[compiler]
example_timesteps = 20
batch_size = 16
losses = "{loss}"

[training]
dataset = "data.npz"
num_epochs = 2
optimiser = {{ kind = "adam", alpha = 0.01 }}

[rewiring]
rule = "{rule}"
"""
LOSSES = {
    "classes": ("sparse_categorical_crossentropy", "sum_softmax"),
    "example": ("per_neuron_mean_square_error", "avg_var"),
    "step": ("mean_square_error", "var"),
}


def write_model(folder: Path, targets: str, rule: str = "deep_r") -> Path:
    """The model file; `targets` one of `LOSSES`: real ones of every example or time step, or classes, of which the last
    has no test example."""
    folder.mkdir(parents=True, exist_ok=True)
    y = np.arange(40) % 3
    times = np.concatenate([np.where(np.arange(8) // 3 == c, 1.0, 8.0) for c in y])
    real = np.eye(3)[y] * 0.5
    whole = {"classes": y, "example": real, "step": np.repeat(real[:, None], 20, axis=1)}[targets]
    arrays = {}
    for part, chosen in (("train", np.arange(30)), ("test", 30 + np.flatnonzero(y[30:] != 2))):
        spikes = (chosen[:, None] * 8 + np.arange(8)).ravel()
        arrays |= {f"times_{part}": times[spikes], f"neurons_{part}": np.tile(np.arange(8), len(chosen))}
        arrays |= {f"starts_{part}": np.arange(0, spikes.size + 1, 8), f"y_{part}": whole[chosen]}
    np.savez(folder / "data.npz", num_neurons=8, **arrays)
    loss, readout = LOSSES[targets]
    path = folder / "own.toml"
    path.write_text(MODEL.format(loss=loss, readout=readout, rule=rule))
    return path
