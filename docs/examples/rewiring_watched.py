"""
Rewiring watched
================

DEEP R drops a synapse when its weight reaches 0, and grows another one elsewhere: the number of synapses stays, their
places are learned. Here 5 % of the synapses from the pixels of handwritten digits exist. At the borders of the images
is nothing to be seen; rewiring finds out.
"""

import numpy as np

from genn_delays import (
    Adam,
    Callback,
    Connection,
    DeepR,
    Dense,
    FixedNumber,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.datasets import load_dataset

digits = load_dataset("digits")
network = Network(seed=0)
with network:
    pixels = Population(SpikeInput(), 64, name="pixels")
    hidden = Population(LeakyIntegrateFire(tau_mem=30.0), 256, name="hidden")
    digit = Population(LeakyIntegrate(tau_mem=30.0, readout="sum_softmax"), 10, name="digit")
    sparse = FixedNumber(sparsity=0.95, weight=KaimingUniform(2.5), delay=UniformInt(0, 10))
    Connection(pixels, hidden, sparse)
    Connection(hidden, digit, Dense(weight=KaimingUniform(1.0), delay=UniformInt(0, 10)))

# %%
# A callback looks at the synapses after every epoch: ``synapses`` of a compiled network are those of this moment.


class Watch(Callback):
    """How many synapses leave each pixel, and how many places changed."""

    def __init__(self):
        self.fan_out, self.rewired = [], []

    def on_epoch_end(self, epoch, metrics):
        synapses = self.compiled_network.synapses("pixels_hidden")
        self.fan_out.append(np.bincount(synapses.pre, minlength=64))
        self.rewired.append(metrics.rewirings["pixels_hidden"])


watch = Watch()
compiler = SurrogateCompiler(example_timesteps=30, batch_size=64)
compiled = compiler.compile(
    network,
    optimisers={"all_connections": {"weight": Adam(3e-3)}},
    rewiring={"pixels_hidden": DeepR(l1=1e-3)},
)
with compiled:
    compiled.train(
        {pixels: digits.x_train}, {digit: digits.y_train}, num_epochs=15, callbacks=[watch]
    )
    metrics, _ = compiled.evaluate({pixels: digits.x_test}, {digit: digits.y_test})

before = np.bincount(network.connections[0].synapses.pre, minlength=64)
after = watch.fan_out[-1]
print(f"test accuracy {100 * metrics[digit].accuracy:.1f} %, {sum(watch.rewired)} synapses rewired")
print(f"{before.sum()} synapses at first, {after.sum()} at the end")
border = np.ones((8, 8), bool)
border[:, 1:-1] = False
at_first, at_the_end = (values[border.ravel()].sum() for values in (before, after))
print(f"at the left and right border: {at_first} at first, {at_the_end} at the end")

# %%
# Synapses that leave each pixel, before and after. The mean image beside them was never shown to the rule.

from matplotlib import pyplot as plt

mean = np.zeros(64)
for _, neurons in digits.x_train:
    mean[neurons] += 1
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, values, title in zip(
    axes,
    (before, after, mean),
    ("synapses, before", "synapses, after", "spikes of the pixels"),
    strict=True,
):
    drawn = ax.imshow(values.reshape(8, 8), vmin=0, cmap="cividis")
    ax.set(title=title, xticks=[], yticks=[])
    figure.colorbar(drawn, ax=ax, shrink=0.8)
plt.show()
