"""Time and memory of a training step with long delays: the shapes of github.com/mbalazs98/deventprop's published costs.

There (`dilated_conv_ml_genn.csv`; Mészáros et al. 2025, arXiv 2501.07331) an epoch of the Spiking Heidelberg Digits was
timed: 700 inputs, two hidden layers of 256 neurons, 20 outputs, all dense, 1,127 steps of 1 ms, a batch of 256, delays
into hidden layers learned, the longest of 64, 128, 512 steps and more. Here inputs are random, one spike in a hundred
steps of a neuron, and delays are whole numbers that are learned.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from genn_delays import (
    Adam,
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)  # fmt: skip
from genn_delays.callbacks import Callback
from genn_delays.compilers import Compiler
from genn_delays.metrics import Metrics

METHODS = {"EventProp": EventPropCompiler, "surrogate gradient": SurrogateCompiler}
WARM = 2
"""Steps that are not counted."""
RATE = 0.01
"""Spikes of an input neuron in a step."""


@cache
def spikes(examples: int, time_steps: int, inputs: int) -> list[Any]:
    """Random spikes of so many examples."""
    random, found = np.random.default_rng(0), []
    for _ in range(examples):
        times, neurons = np.nonzero(random.random((time_steps, inputs), dtype=np.float32) < RATE)
        found.append((times.astype(np.float64), neurons))
    return found


@dataclass(frozen=True)
class LongDelays:
    """A network and its batch; delays into hidden layers are learned, from 0 to `longest` steps."""

    longest: int
    inputs: int = 700
    hidden: tuple[int, ...] = (256, 256)
    outputs: int = 20
    time_steps: int = 1127
    batch_size: int = 256

    def __str__(self) -> str:
        sizes = "-".join(map(str, (self.inputs, *self.hidden, self.outputs)))
        return f"{sizes}, {self.time_steps} steps, batch {self.batch_size}, longest delay {self.longest}"

    def network(self) -> Network:
        """The network; weights are scaled by what the membranes take of a current."""
        network = Network(seed=0)
        with network:
            source = Population(SpikeInput(), self.inputs, name="in")
            weight = Normal(0.03, 0.01)
            for number, size in enumerate(self.hidden):
                target = Population(LeakyIntegrateFire(tau_mem=20.0, scale_i=True), size, name=f"hidden{number}")
                delays = Dense(weight=weight, delay=UniformInt(0, self.longest))
                Connection(source, target, delays, Exponential(5.0), max_delay_steps=self.longest)
                source, weight = target, Normal(0.02, 0.03)
            out = Population(
                LeakyIntegrate(tau_mem=20.0, scale_i=True, readout="avg_var_exp_weight"), self.outputs, "out"
            )
            Connection(source, out, Dense(weight=Normal(0.0, 0.03)), Exponential(5.0))
        return network

    def described(self, method: str, backend: Any) -> tuple[Compiler, Network, dict[str, Any]]:
        """A compiler, the network, and what is learned."""
        network = self.network()
        optimisers: dict[str, Any] = {"all_connections": {"weight": Adam(1e-3)}}
        optimisers |= {c.name: {"delay": Adam(0.1)} for c in network.connections[:-1]}
        compiler = METHODS[method](self.time_steps, self.batch_size, backend=backend)
        return compiler, network, {"optimisers": optimisers}

    def examples(self) -> tuple[list[Any], np.ndarray]:
        """A batch of spikes and labels."""
        labels = np.random.default_rng(1).integers(0, self.outputs, self.batch_size)
        return spikes(self.batch_size, self.time_steps, self.inputs), labels


PUBLISHED = tuple(LongDelays(longest) for longest in (512, 64, 128))
SMALL = LongDelays(6, 700, (12, 12), 4, 100, 4)
"""To see whether it runs, and for what does not depend on sizes: the code."""


class Clock(Callback):
    """When epochs have ended, all that they computed known; here an epoch is a step, as data take long to prepare."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        self.times.append(time.perf_counter())


def step(shape: LongDelays, method: str, backend: Any, steps: int) -> dict[str, float]:
    """Median step (ms), hidden spikes of an example, and on a GPU of this library's memory (MB), launches, kernels."""
    compiler, network, learned = shape.described(method, backend)
    x, y = shape.examples()
    clock, batches = Clock(), steps + WARM
    with compiler.compile(network, **learned) as compiled:
        device = getattr(compiled.engine, "device", None)
        before = (device.calls, device.kernels) if device else (0, 0)
        compiled.train({"in": x}, {"out": y}, batches, callbacks=[clock])
        found = {"ms": 1e3 * statistics.median(np.diff(clock.times).tolist()[WARM - 1 :])}
        hidden = range(1, len(shape.hidden) + 1)
        found["hidden spikes"] = sum(compiled.engine.spike_count(k) for k in hidden) / shape.batch_size
        if device is not None:
            memory = device.memory()
            found["launches"] = (device.calls - before[0]) / batches
            found["kernels"] = (device.kernels - before[1]) / batches
            found["mb"] = (memory.total - memory.free) / 1e6
    return found
