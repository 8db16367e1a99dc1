"""
A layer in PyTorch
==================

``SparseDelayed`` is an ordinary ``torch.nn.Module``: in place of a ``Linear`` layer it has one weight and one delay for
every synapse that exists, and nothing for those that do not. Neurons, loss, optimiser and loop stay those of PyTorch.
"""

import numpy as np
import torch

from genn_delays import DeepR, KaimingUniform, UniformInt
from genn_delays.datasets import load_dataset
from genn_delays.torch import SparseDelayed, rewire

torch.manual_seed(0)
digits = load_dataset("digits")


def frames(examples, steps=30):
    """Spikes as a tensor ``[time, example, neuron]``."""
    x = torch.zeros(steps, len(examples), 64)
    for number, (times, neurons) in enumerate(examples):
        x[times.astype(int), number, neurons] = 1.0
    return x


x, y = frames(digits.x_train), torch.as_tensor(digits.y_train)

# %%
# A leaky integrate-and-fire neuron in plain PyTorch, with an arctan surrogate. Neurons of snnTorch, SpikingJelly or
# Norse do as well.


class Spike(torch.autograd.Function):
    """A step forward, an arctan backward."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v >= 0).float()

    @staticmethod
    def backward(ctx, gradient):
        (v,) = ctx.saved_tensors
        return gradient * 2.5 / (1 + (2.5 * np.pi * v) ** 2)


def spiking(current, leak=1 - 1 / 30):
    """The spikes ``[time, example, neuron]`` that a current gives."""
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        v = leak * v + step
        spikes.append(Spike.apply(v - 1.0))
        v = v * (1 - spikes[-1].detach())
    return torch.stack(spikes)


# %%
# The layer stands between the spikes and the neurons; 10 % of its synapses exist. It takes the whole sequence at once.

hidden = SparseDelayed(
    64, 256, sparsity=0.9, delay=UniformInt(0, 10), weight=KaimingUniform(2.5), seed=0
)
readout = torch.nn.Linear(256, 10)
print(hidden)
optimizer = torch.optim.Adam([*hidden.parameters(), *readout.parameters()], lr=1e-2)

# %%
# The training loop is PyTorch's. After each step of the optimiser DEEP R moves synapses to other places.

losses, moved = [], []
rule = DeepR(l1=1e-4)
for _ in range(6):
    order = torch.randperm(y.numel())
    for batch in order.split(64):
        optimizer.zero_grad()
        counts = spiking(hidden(x[:, batch])).sum(0)
        loss = torch.nn.functional.cross_entropy(readout(counts), y[batch])
        loss.backward()
        optimizer.step()
        moved.append(rewire(hidden, rule, optimizer))
        losses.append(loss.item())

hidden.eval()
with torch.no_grad():
    chosen = readout(spiking(hidden(frames(digits.x_test))).sum(0)).argmax(1)
accuracy = (chosen == torch.as_tensor(digits.y_test)).float().mean()
print(f"test accuracy {100 * accuracy:.1f} %, {sum(moved)} synapses moved")

# %%

from matplotlib import pyplot as plt

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.semilogy(losses, color="#0072B2")
left.set(xlabel="training step", ylabel="loss")
right.plot(np.cumsum(moved), color="#D55E00")
right.set(xlabel="training step", ylabel="synapses moved so far")
plt.show()
