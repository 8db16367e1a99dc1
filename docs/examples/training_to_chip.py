"""
From training to a chip
=======================

A trained network is checked against the published limits of a chip, its weights are rounded to few bits, and it is
written as a graph of the Neuromorphic Intermediate Representation (NIR), with its sparsity and its delays.
"""

import tempfile
from pathlib import Path

import numpy as np

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
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.datasets import load_dataset
from genn_delays.export import check_target, deploy, quantise, read

digits = load_dataset("digits")
network = Network(seed=0)
with network:
    pixels = Population(SpikeInput(), 64, name="pixels")
    hidden = Population(LeakyIntegrateFire(tau_mem=30.0), 128, name="hidden")
    digit = Population(LeakyIntegrate(tau_mem=30.0, readout="sum_softmax"), 10, name="digit")
    delay = UniformInt(0, 10)
    Connection(pixels, hidden, FixedNumber(0.75, weight=KaimingUniform(2.5), delay=delay))
    Connection(hidden, digit, FixedNumber(0.75, weight=KaimingUniform(1.5), delay=delay))

compiler = SurrogateCompiler(example_timesteps=30, batch_size=64)
test = {"pixels": digits.x_test}, {"digit": digits.y_test}


def accuracy(exported):
    """The accuracy of a network on the test set."""
    with compiler.compile(exported) as evaluated:
        return evaluated.evaluate(*test)[0].accuracy


# %%
# What Loihi 2 would refuse is counted: here the weights, which have more than 8 bits. `deploy` rounds them, writes the
# file, and keeps a receipt of what was changed.

path = Path(tempfile.mkdtemp()) / "digits.nir"
with compiler.compile(network, optimisers={"all_connections": {"weight": Adam(3e-3)}}) as compiled:
    compiled.train({pixels: digits.x_train}, {digit: digits.y_train}, num_epochs=10, callbacks=[])
    before, _ = compiled.evaluate(*test)
    print(check_target(compiled, "loihi2"))
    _, receipt = deploy(compiled, path, target="loihi2", bits=8)
    fewer = {bits: accuracy(quantise(compiled, bits=bits).network) for bits in (8, 6, 5, 4, 3, 2)}

print(receipt)
print(
    f"trained {100 * before.accuracy:.1f} %, read from the file {100 * accuracy(read(path)):.1f} %"
)

# %%
# How few bits are enough: no synapse changes its sign, but the smallest weights become 0.

from matplotlib import pyplot as plt

figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(list(fewer), 100 * np.array(list(fewer.values())), "o-", color="#0072B2", label="rounded")
axes.axhline(100 * before.accuracy, color="#D55E00", linestyle="--", label="as trained")
axes.set(xlabel="bits of a weight", ylabel="test accuracy (%)", ylim=(0, 100))
axes.legend(frameon=False)
plt.show()
