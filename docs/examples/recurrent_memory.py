"""
A recurrent memory
==================

An input spikes at one of two places, and 100 ms of silence later the network is asked which. The membrane has a time
constant of 10 ms and delays reach 20 steps: only activity that goes round in the hidden neurons can keep the answer.
"""

import numpy as np

from genn_delays import (
    Adam,
    Connection,
    Dense,
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

# %%
# Inputs 0 to 9 or 10 to 19 spike in the first 10 ms, inputs 20 to 29 (the question) from 110 to 120 ms. The answer is
# read at the end of the example (``readout="end_var"``).

draws = np.random.default_rng(0)
steps, examples = 130, 800
y = np.arange(examples) % 2
x = np.zeros((examples, steps, 30), np.float32)
for example, symbol in enumerate(y):
    x[example, :10, 10 * symbol : 10 * symbol + 10] = draws.random((10, 10)) < 0.3
    x[example, 110:120, 20:] = draws.random((10, 10)) < 0.3


def learn(recurrent):
    """The accuracy on 200 examples that were not learned, and the hidden spikes of these."""
    network = Network(seed=0)
    with network:
        cues = Population(SpikeInput(), 30, name="cues")
        hidden = Population(LeakyIntegrateFire(tau_mem=10.0), 128, name="hidden")
        answer = Population(LeakyIntegrate(tau_mem=10.0, readout="end_var"), 2, name="answer")
        Connection(
            cues, hidden, FixedNumber(0.5, weight=KaimingUniform(1.5), delay=UniformInt(0, 5))
        )
        if recurrent:
            Connection(
                hidden,
                hidden,
                FixedNumber(0.75, weight=KaimingUniform(1.5), delay=UniformInt(5, 20)),
            )
        Connection(hidden, answer, Dense(weight=KaimingUniform(0.5)))
    compiler = SurrogateCompiler(example_timesteps=steps, batch_size=32)
    with compiler.compile(
        network, optimisers={"all_connections": {"weight": Adam(5e-3)}}
    ) as compiled:
        compiled.train({cues: x[:600]}, {answer: y[:600]}, num_epochs=15, callbacks=[])
        metrics, recorded = compiled.evaluate(
            {cues: x[600:]}, {answer: y[600:]}, callbacks=[SpikeRecorder(hidden)]
        )
    return metrics[answer].accuracy, recorded["hidden_spikes"]


with_loops, spikes = learn(recurrent=True)
without, _ = learn(recurrent=False)
print(f"with recurrent synapses {100 * with_loops:.1f} %, without {100 * without:.1f} %")

# %%
# Hidden spikes of one example of each class: activity goes on through the silence, in other neurons for each class.

from matplotlib import pyplot as plt

from genn_delays import plots

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for symbol, ax in enumerate(axes):
    example = int(np.argmax(y[600:] == symbol))
    plots.raster((spikes[0][example], spikes[1][example]), ax, sizes=128, duration=steps)
    ax.axvspan(10, 110, color="0.92", zorder=-1)
    ax.set_title(f"symbol {symbol}; grey: no input")
plt.show()
