"""
A layer in JAX
==============

``propagate`` computes the input currents of a layer of sparse synapses with delays: it has one weight for every synapse
that exists. It is a function that ``jax.grad`` differentiates and ``jax.jit`` compiles; all around it is plain JAX.
"""

import jax
import jax.numpy as jnp
import numpy as np

from genn_delays import DeepR, FixedNumber, KaimingUniform, UniformInt
from genn_delays.datasets import load_dataset
from genn_delays.jax import propagate, rewire, synapses

digits = load_dataset("digits")


def frames(examples, steps=30):
    """Spikes as an array ``[time, example, neuron]``."""
    x = np.zeros((steps, len(examples), 64), np.float32)
    for number, (times, neurons) in enumerate(examples):
        x[times.astype(int), number, neurons] = 1.0
    return x


x, y = frames(digits.x_train), np.asarray(digits.y_train)

# %%
# A leaky integrate-and-fire neuron with an arctan surrogate.


@jax.custom_jvp
def spike(v):
    """A step."""
    return (v >= 0).astype(jnp.float32)


@spike.defjvp
def surrogate(primals, tangents):
    """Backward an arctan."""
    return spike(primals[0]), tangents[0] * 2.5 / (1 + (2.5 * jnp.pi * primals[0]) ** 2)


def spiking(current, leak=1 - 1 / 30):
    """The spikes ``[time, example, neuron]`` that a current gives."""

    def step(v, now):
        v = leak * v + now
        s = spike(v - 1.0)
        return v * (1 - jax.lax.stop_gradient(s)), s

    return jax.lax.scan(step, jnp.zeros_like(current[0]), current)[1]


# %%
# 10 % of the synapses of the layer exist. Its topology is an argument of what is compiled, so that rewiring compiles
# nothing anew.

connectivity = FixedNumber(0.9, delay=UniformInt(0, 10), weight=KaimingUniform(2.5))
topology, weight = synapses(connectivity, 64, 256, seed=0)
readout = jax.random.uniform(jax.random.key(0), (256, 10), minval=-1 / 16, maxval=1 / 16)
print(topology)
rule = DeepR(l1=1e-4)


def scores(topology, weight, readout, x):
    """One number an example and class."""
    return spiking(propagate(topology, x, weight)).sum(0) @ readout


def loss(parameters, topology, x, y):
    """Cross-entropy, and L1 on the synapses as the rule asks for."""
    likely = jax.nn.log_softmax(scores(topology, *parameters, x))
    return -likely[jnp.arange(y.size), y].mean() + rule.l1 * jnp.abs(parameters[0]).sum()


@jax.jit
def step(topology, parameters, moments, count, x, y):
    """A step of Adam. Any optimiser serves, such as those of optax."""
    value, gradient = jax.value_and_grad(loss)(parameters, topology, x, y)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradient)
    rate = 1e-2 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, m, v)
    return parameters, (m, v), value


# %%
# After each step DEEP R moves synapses to other places, and the optimiser's moments with them.

parameters = (weight, readout)
moments = tuple(jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
losses, moved = [], []
for epoch in range(6):
    order = np.random.default_rng(epoch).permutation(y.size)
    for batch in np.array_split(order[: y.size // 64 * 64], y.size // 64):
        number, before = len(losses), parameters[0]
        parameters, moments, value = step(
            topology, parameters, moments, number + 1.0, x[:, batch], y[batch]
        )
        found = rewire(rule, connectivity, topology, parameters[0], step=number, before=before)
        topology, parameters = found.topology, (found.weight, parameters[1])
        moments = tuple((found.carry(of_weight), rest) for of_weight, rest in moments)
        losses.append(float(value))
        moved.append(found.num_moved)

chosen = scores(topology, *parameters, frames(digits.x_test)).argmax(1)
accuracy = (chosen == np.asarray(digits.y_test)).mean()
print(f"test accuracy {100 * accuracy:.1f} %, {sum(moved)} synapses moved")

# %%

from matplotlib import pyplot as plt

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.semilogy(losses, color="#0072B2")
left.set(xlabel="training step", ylabel="loss")
right.plot(np.cumsum(moved), color="#D55E00")
right.set(xlabel="training step", ylabel="synapses moved so far")
plt.show()
