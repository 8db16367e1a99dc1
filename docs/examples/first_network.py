"""
A first network
===============

Handwritten digits, told by spikes: 64 inputs, 256 hidden neurons and one output for each of ten digits. Every synapse
has a weight and a delay of its own, and three of four possible synapses do not exist.
"""

from genn_delays import (
    Adam,
    Connection,
    FixedNumber,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SpikeRecorder,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.datasets import load_dataset

# %%
# The data: an example is a list of spikes, the brighter a pixel the earlier its spike.

digits = load_dataset("digits")
times, pixels_of = digits.x_test[0]
print(digits)
print(
    f"the first test example is a {digits.y_test[0]}: {times.size} spikes from {times.min()} to {times.max()} ms"
)

# %%
# The network is described first. ``sparsity=0.75`` leaves out 75 % of all pairs of neurons; delays are drawn from 0 to
# 10 time steps (of 1 ms). Nothing of the size *inputs x outputs* is ever made.

network = Network(seed=0)
with network:
    pixels = Population(SpikeInput(), 64, name="pixels")
    hidden = Population(LeakyIntegrateFire(tau_mem=30.0), 256, name="hidden")
    digit = Population(LeakyIntegrate(tau_mem=30.0, readout="sum_softmax"), 10, name="digit")
    delay = UniformInt(0, 10)
    Connection(pixels, hidden, FixedNumber(sparsity=0.75, weight=KaimingUniform(2.5), delay=delay))
    Connection(hidden, digit, FixedNumber(sparsity=0.75, weight=KaimingUniform(1.5), delay=delay))

print(network)

# %%
# A compiler turns the description into generated C++ kernels. ``optimisers`` says what is learned.

compiler = SurrogateCompiler(example_timesteps=30, batch_size=64)
compiled = compiler.compile(network, optimisers={"all_connections": {"weight": Adam(3e-3)}})

# %%
# The compiled network is used in a ``with`` block. A recorder keeps the hidden spikes of the test examples.

with compiled:
    compiled.train({pixels: digits.x_train}, {digit: digits.y_train}, num_epochs=10, callbacks=[])
    metrics, recorded = compiled.evaluate(
        {pixels: digits.x_test}, {digit: digits.y_test}, callbacks=[SpikeRecorder(hidden)]
    )

print(f"test accuracy after 10 epochs: {100 * metrics[digit].accuracy:.1f} %")

# %%
# One test example on its way through the network.

from matplotlib import pyplot as plt

from genn_delays import plots

hidden_times, hidden_neurons = (values[0] for values in recorded["hidden_spikes"])
spikes = {"pixels": (times, pixels_of), "hidden": (hidden_times, hidden_neurons)}
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
plots.raster(spikes, axes, sizes={"pixels": 64, "hidden": 256}, duration=30.0)
axes.set_title(f"a {digits.y_test[0]}, as spikes")
plt.show()
