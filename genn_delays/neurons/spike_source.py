"""Sources of given spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..initializers import as_array
from .neuron import NEURONS, Neuron, SpikeInput


@NEURONS.register("spike_source")
@dataclass(eq=False)
class SpikeSource(SpikeInput):
    """Neurons that spike at given times; for :class:`~genn_delays.SimulationCompiler`.

    A time t falls into step ``floor(t / dt)``; several spikes of a neuron in one step are one spike.

    Args:
        times: in ms from the beginning of the simulation, ``[spike]``, in any order, at least 0.
        neurons: of every spike its neuron, whole numbers ``[spike]``.
    """

    times: Any
    neurons: Any

    simulation_only = True

    def __post_init__(self) -> None:
        self.times, self.neurons = given_spikes("SpikeSource", self.times, self.neurons)

    def __repr__(self) -> str:
        return f"SpikeSource({self.times.size} spikes)"

    @classmethod
    def examples(cls) -> list[Neuron]:
        return [cls([1.0, 2.5], [0, 0])]


def given_spikes(what: str, times: Any, neurons: Any) -> tuple[Any, Any]:
    """Spikes as float64 times (ms) and int64 neurons, or an error that names the first bad one."""
    times, neurons = as_array(f"{what} times", times), as_array(f"{what} neurons", neurons)
    if times.size == neurons.size == 0:
        return np.zeros(0), np.zeros(0, np.int64)
    if times.ndim != 1 or times.dtype.kind not in "iuf":
        raise InvalidValueError(f"{what} times must be numbers [spike], got {times.dtype} of shape {times.shape}")
    if neurons.shape != times.shape or neurons.dtype.kind not in "iu":
        raise InvalidValueError(
            f"{what} neurons must be whole numbers, as many as times ({times.size}), got {neurons.dtype} of shape "
            f"{neurons.shape}"
        )
    times = times.astype(np.float64)
    bad = ~(np.isfinite(times) & (times >= 0))
    if bad.any():
        raise InvalidValueError(f"{what} times must be finite and at least 0 ms, got {times[bad][0]:g}")
    if neurons.min() < 0:
        raise InvalidValueError(f"{what} neurons must be at least 0, got {neurons.min()}")
    return times, neurons.astype(np.int64)
