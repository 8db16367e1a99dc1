"""Sources of random spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .neuron import NEURONS, Neuron, SpikeInput, check_parameter


@NEURONS.register("poisson_input")
@dataclass
class PoissonInput(SpikeInput):
    """Neurons that spike at random, each on its own; for :class:`~genn_delays.SimulationCompiler`.

    In every step of dt a neuron spikes with probability ``rate dt`` (a Bernoulli process, as Brian2's `PoissonGroup`
    and PyGeNN's `PoissonNew` approximate theirs): at most once a step. Spikes are a function of (`rng_seed`,
    population, neuron, step) alone.

    Args:
        rate: spikes a second (Hz), at least 0 and at most one spike a step: a number, an array ``[neuron]`` or an
            initialiser.
    """

    rate: Any

    simulation_only = True

    def __post_init__(self) -> None:
        self.rate = check_parameter("PoissonInput rate", self.rate, 0.0)

    @classmethod
    def examples(cls) -> list[Neuron]:
        return [cls(10.0)]
