"""Behaviour of a compiled network on data: spikes by population, and classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..callbacks import Callback
from ..errors import InvalidValueError
from ..learning.readouts import answers
from ..metrics import Metrics
from ..network import Population
from ..training.compiled_network import CompiledNetwork

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spikes:
    """Spikes of a population on some examples.

    Attributes:
        population: its name.
        examples, time_steps: how many examples, and the time steps of each.
        counts: spikes of every neuron on all examples, int64 ``[neuron]``.
    """

    population: str
    examples: int
    time_steps: int
    counts: Counts

    @property
    def per_example(self) -> float:
        """Spikes of the whole population an example."""
        return float(self.counts.sum()) / self.examples

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """Spikes of every neuron a time step, ``[neuron]``, from 0 to 1."""
        return self.counts / (self.examples * self.time_steps)

    @property
    def rate(self) -> float:
        """Mean of :attr:`rates`."""
        return float(self.rates.mean())

    @property
    def silent(self) -> int:
        """Neurons without a spike on any example."""
        return int((self.counts == 0).sum())


@dataclass(frozen=True)
class Classes:
    """Classes of examples, and those that a network chose.

    Attributes:
        output: name of the output population.
        confusion: numbers of examples, int64 ``[class, chosen class]``.
    """

    output: str
    confusion: Counts

    @property
    def accuracy(self) -> float:
        """Share of the examples whose class was chosen."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def accuracy_by_class(self) -> list[float | None]:
        """The same of the examples of every class; None of a class without examples."""
        totals = self.confusion.sum(axis=1)
        return [float(self.confusion[n, n] / total) if total else None for n, total in enumerate(totals)]


class _Counter(Callback):
    """Adds up the spikes of spiking populations that are no inputs."""

    def set_params(self, compiled_network: Any, num_epochs: int, num_batches: int) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
        populations = compiled_network.network.populations
        self.examples = 0
        self.counts = {p: np.zeros(p.size, np.int64) for p in populations if p.spiking and not p.neuron.is_input}

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        lanes = 0
        for population, total in self.counts.items():
            spikes = self.compiled_network.engine.spikes(population.index)
            total += spikes.sum(axis=(1, 2), dtype=np.int64)
            lanes = spikes.shape[2]
        self.examples += lanes


def spikes_by_population(compiled: CompiledNetwork, x: Any) -> dict[str, Spikes]:
    """Spikes of every population that spikes and is no input, on data; nothing is learned.

    Args:
        compiled: the compiled network.
        x: inputs, as :meth:`~genn_delays.CompiledNetwork.predict` takes them.

    Raises:
        InvalidValueError: the network has no such population, or data do not fit.
    """
    if not any(p.spiking and not p.neuron.is_input for p in compiled.network.populations):
        raise InvalidValueError("the network has no population that spikes, inputs apart: there are no spikes to count")
    counter = _Counter()
    compiled.predict(x, callbacks=[counter])
    steps = compiled.plan.time_steps
    return {p.name: Spikes(p.name, counter.examples, steps, n) for p, n in counter.counts.items()}


def classes(compiled: CompiledNetwork, x: Any, labels: Any, output: Population | str | None = None) -> Classes:
    """Classes that a network chooses, beside the right ones; nothing is learned.

    Args:
        compiled: the compiled network.
        x: inputs, as :meth:`~genn_delays.CompiledNetwork.predict` takes them.
        labels: classes of the examples, whole numbers ``[example]``.
        output: which one, or its name; the only one where not given.

    Raises:
        InvalidValueError: labels are not a class for every example, the network has several outputs and none is named,
            or data do not fit.
    """
    outputs = compiled.network.outputs
    if output is None and len(outputs) != 1:
        raise InvalidValueError(f"output must be named where there is not one; known: {[p.name for p in outputs]}")
    chosen_output = outputs[0] if output is None else compiled.population(output)
    right = np.asarray(labels)
    size = chosen_output.size
    if right.ndim != 1 or right.dtype.kind not in "iu" or not right.size:
        raise InvalidValueError(
            f"labels must be whole numbers, one an example, got {right.dtype} of shape {right.shape}"
        )
    if right.min() < 0 or right.max() >= size:
        wrong = right[(right < 0) | (right >= size)][0]
        raise InvalidValueError(f"labels of output {chosen_output.name!r} must be from 0 to {size - 1}, got {wrong}")
    z = compiled.predict(x, chosen_output)[0][chosen_output]
    if len(z) != right.size:
        raise InvalidValueError(f"labels must be one an example, got {right.size} for {len(z)} examples")
    chosen = answers(compiled.plan.populations[chosen_output.index].reading, z.T, z.T, False)
    confusion = np.zeros((size, size), np.int64)
    np.add.at(confusion, (right, chosen), 1)
    return Classes(chosen_output.name, confusion)
