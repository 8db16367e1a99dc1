"""
Your own data
=============

Data are NumPy arrays ``[example, time, neuron]``, or for spikes a list of ``(times, neurons)``. Here three classes of
sweeps: a bump of activity that moves up, moves down, or stays, over 16 channels and 40 time steps.
"""

import numpy as np

from genn_delays import (
    Adam,
    Connection,
    Dense,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)

draws = np.random.default_rng(0)
steps, channels, examples = 40, 16, 600
y = draws.integers(0, 3, examples)  # 0 stays, 1 moves up, 2 moves down
slope = np.choose(y, [0.0, 0.3, -0.3])[:, None, None]
middle = draws.uniform(6.0, 10.0, (examples, 1, 1))
time, channel = np.arange(steps)[None, :, None], np.arange(channels)[None, None, :]
centre = middle + slope * (time - steps / 2)
x = np.exp(-0.5 * (channel - centre) ** 2) + 0.3 * draws.random((examples, steps, channels))
x = x.astype(np.float32)
print(x.shape, y.shape)

# %%
# No single moment tells the classes apart; delays do, as they bring activity of several moments together.

network = Network(seed=0)
with network:
    sound = Population(Input(), channels, name="sound")
    hidden = Population(LeakyIntegrateFire(tau_mem=5.0), 96, name="hidden")
    motion = Population(LeakyIntegrate(tau_mem=20.0, readout="sum_var"), 3, name="motion")
    Connection(
        sound, hidden, FixedNumber(sparsity=0.5, weight=Uniform(-0.5, 0.5), delay=UniformInt(0, 15))
    )
    Connection(hidden, motion, Dense(weight=Uniform(-0.1, 0.1)))

compiler = SurrogateCompiler(example_timesteps=steps, batch_size=32)
compiled = compiler.compile(network, optimisers={"all_connections": {"weight": Adam(3e-3)}})

# %%
# The first 480 examples are learned, a tenth of them held out for validation; the others are for the test. What does
# not fit is an error before anything is computed, for example a wrong number of channels:

from genn_delays import GennDelaysError

with compiled:
    try:
        compiled.train({sound: x[:, :, :10]}, {motion: y}, num_epochs=1)
    except GennDelaysError as error:
        print(f"error: {error}")
    compiled.train(
        {sound: x[:480]}, {motion: y[:480]}, num_epochs=15, validation_split=0.1, callbacks=[]
    )
    metrics, _ = compiled.evaluate({sound: x[480:]}, {motion: y[480:]})
    from genn_delays import analysis

    found = analysis.classes(compiled, {sound: x[480:]}, y[480:])

print(f"test accuracy: {100 * metrics[motion].accuracy:.1f} %")

# %%
# Data in a file of NumPy's, ``np.savez("sweeps.npz", x=x, y=y)``, are given to the command line by their path:
# ``genn-delays train MODEL --data ./sweeps.npz``.

from matplotlib import pyplot as plt

from genn_delays import plots

figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
plots.image(x[int(np.argmax(y == 1))], axes[0], label="activity")
axes[0].set_title("an example that moves up")
plots.confusion(found.confusion, axes[1], names=["stays", "up", "down"])
axes[1].set_title("test examples")
plt.show()
