"""
Delays learned three ways
=========================

Two inputs spike once each; the class is which came first. All weights are equal and stay as they are, so nothing but
the delays can tell. They begin at 0, where both outputs see the same, and are learned

1. by DCLS: a synapse is spread over neighbouring delays, in a kernel that narrows while training;
2. as whole delays, one number of steps each, at a fraction of that cost;
3. by EventProp: the exact gradient with respect to the times of spikes.

The right answer is known: the first input's delay must exceed the other one's by about 10 ms, so that both arrive
together.
"""

from genn_delays import (
    Adam,
    Callback,
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    GaussianKernel,
    LeakyIntegrate,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
)
from genn_delays.datasets import load_dataset

data = load_dataset("sequence_detection")
print(data)


class Delays(Callback):
    """Keeps the delays after every epoch."""

    def __init__(self):
        self.values = []

    def on_epoch_end(self, epoch, metrics):
        self.values.append(self.compiled_network.delays("inputs_order").copy())


# %%
# The three ways differ in the compiler and in the connection's `delay_kernel` alone.


def learn(compiler, delay_kernel=None):
    """The delays of every epoch, and the accuracy on the test set."""
    network = Network(seed=0)
    with network:
        inputs = Population(SpikeInput(), 2, name="inputs")
        readout = LeakyIntegrate(tau_mem=10.0, scale_i=True, integration="exact", readout="max_var")
        order = Population(readout, 2, name="order")
        Connection(
            inputs,
            order,
            Dense(weight=1.0, delay=0),
            Exponential(5.0),
            max_delay_steps=15,
            delay_kernel=delay_kernel,
        )
    kept = Delays()
    optimisers = {"all_connections": {"delay": Adam(0.5)}}
    with compiler.compile(network, optimisers=optimisers) as compiled:
        compiled.train(
            {inputs: data.x_train}, {order: data.y_train}, num_epochs=30, callbacks=[kept]
        )
        metrics, _ = compiled.evaluate({inputs: data.x_test}, {order: data.y_test})
    return kept.values, metrics[order].accuracy


size = {"example_timesteps": 40, "batch_size": 32}
ways = {
    "DCLS": learn(SurrogateCompiler(**size), GaussianKernel(sigma=5.0)),
    "whole delays": learn(SurrogateCompiler(**size)),
    "EventProp": learn(EventPropCompiler(**size)),
}
for name, (_, accuracy) in ways.items():
    print(f"{name:13} {100 * accuracy:.0f} % of the test examples")

# %%
# The four delays of each way, by epoch: those of two synapses grow, those of the other two stay small.

from matplotlib import pyplot as plt

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (name, (values, _)) in zip(axes, ways.items(), strict=True):
    ax.plot(range(1, len(values) + 1), values)
    ax.set(title=name, xlabel="epoch")
axes[0].set_ylabel("delay (time steps of 1 ms)")
plt.show()
