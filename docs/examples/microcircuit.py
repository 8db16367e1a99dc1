"""
A circuit of the cortex, simulated
==================================

The microcircuit of Potjans & Diesmann (2014): eight populations in four layers, as under one square millimetre of
cortex. The model comes with the library; here at a twentieth of its size, 3,858 neurons, for 600 ms.

On the command line it is ``genn-delays simulate potjans_diesmann --scale 0.05 --duration 600 --set
simulation.transient=200``. ``main`` is that command as a function.
"""

import tempfile
from pathlib import Path

from genn_delays.cli import main

folder = Path(tempfile.mkdtemp()) / "microcircuit"
options = "--scale 0.05 --duration 600 --set simulation.transient=200 --quiet"
assert main(["simulate", "potjans_diesmann", *options.split(), "--out", str(folder)]) == 0

# %%
# The folder holds the spikes of every population, among others. The CV is not a number (``nan``) where no neuron spiked
# three times.

import json

import numpy as np

from genn_delays.analysis import spike_trains

result = json.loads((folder / "result.json").read_text())
names = [population["name"] for population in result["populations"]]
sizes = {population["name"]: population["neurons"] for population in result["populations"]}
spikes = {}
for name in names:
    with np.load(folder / "spikes" / f"{name}.npz") as file:
        spikes[name] = file["times"], file["neurons"]
    found = spike_trains(*spikes[name], size=sizes[name], start=200.0, stop=600.0)
    print(
        f"{name:5} {sizes[name]:5} neurons, {found.rate:5.2f} Hz, CV of inter-spike intervals {found.cv:.2f}"
    )

# %%
# All spikes of the last 200 ms. A small network has the rates of the large one, but stronger correlations.

from matplotlib import pyplot as plt

from genn_delays import plots

late = {
    name: (times[times >= 400.0] - 400.0, neurons[times >= 400.0])
    for name, (times, neurons) in spikes.items()
}
figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
plots.raster(late, axes, sizes=sizes, duration=200.0)
plt.show()
