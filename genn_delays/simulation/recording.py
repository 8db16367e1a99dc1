"""Recordings of a simulation: of which populations, and where they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity.connectivity import whole_array
from ..errors import InvalidValueError, check_choice, check_count, keep, shown
from ..network import Network
from ..plan.simulation import Recording, SimulatedPopulation, SimulationPlan, TracePlan
from ..training.data import find_population


@dataclass(frozen=True, eq=False)
class Spikes:
    """Record spikes.

    Args:
        neurons: whose; all of the population where not given.
    """

    neurons: Any = None

    def __post_init__(self) -> None:
        keep(self, neurons=_neurons("Spikes", self.neurons))


@dataclass(frozen=True, eq=False)
class Trace:
    """Record a variable. A neuron that spikes is recorded as it is before the jumps of the spike.

    Args:
        variable: its name, such as ``"v"``.
        neurons: whose; all of the population where not given.
        every: in steps that are multiples of this.
    """

    variable: str
    neurons: Any = None
    every: int = 1

    def __post_init__(self) -> None:
        keep(self, neurons=_neurons("Trace", self.neurons), every=check_count("Trace every", self.every))


def _neurons(what: str, neurons: Any) -> npt.NDArray[np.int64] | None:
    if neurons is None:
        return None
    return np.unique(whole_array(f"{what} neurons", list(neurons) if isinstance(neurons, range) else neurons))


def as_recording(network: Network, plan: SimulationPlan, record: Any) -> Recording:
    """The recordings that a user asks for, checked.

    Raises:
        InvalidValueError: there is nothing of that name, or no such neuron.
    """
    if not isinstance(record, Mapping):
        raise InvalidValueError(f"record must be a dict by population, got {shown(record)}")
    spikes: dict[int, npt.NDArray[np.int32] | None] = {}
    traces: list[TracePlan] = []
    for key, said in record.items():
        p = plan.populations[find_population(network, key).index]
        for what in said if isinstance(said, (list, tuple)) else [said]:
            wanted = (
                Trace(what) if isinstance(what, str) and what != "spikes" else Spikes() if what == "spikes" else what
            )
            if isinstance(wanted, Spikes):
                if not p.spiking:
                    raise InvalidValueError(f"record: population {p.name!r} does not spike")
                if p.index in spikes:
                    raise InvalidValueError(f"record: spikes of population {p.name!r} are asked for twice")
                spikes[p.index] = None if wanted.neurons is None else _chosen(p, wanted.neurons)
            elif isinstance(wanted, Trace):
                traces.append(_trace(p, wanted, traces))
            else:
                raise InvalidValueError(
                    f"record of population {p.name!r} must be 'spikes', a variable's name, Spikes() or Trace(), got "
                    f"{shown(what)}"
                )
    return Recording(spikes, tuple(traces))


def _trace(p: SimulatedPopulation, wanted: Trace, others: list[TracePlan]) -> TracePlan:
    check_choice(f"variable of population {p.name!r}", wanted.variable, p.states)
    if any((t.population, t.variable) == (p.index, wanted.variable) for t in others):
        raise InvalidValueError(f"record: {wanted.variable!r} of population {p.name!r} is asked for twice")
    neurons = np.arange(p.size, dtype=np.int32) if wanted.neurons is None else _chosen(p, wanted.neurons)
    return TracePlan(p.index, wanted.variable, neurons, wanted.every)


def _chosen(p: SimulatedPopulation, neurons: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    if neurons.size and neurons[-1] >= p.size:
        raise InvalidValueError(
            f"record: neurons of population {p.name!r} must be below {p.size}, its size, got {neurons[-1]}"
        )
    return neurons.astype(np.int32)


class InMemory:
    """Recordings kept in memory, as pieces.

    It is a :class:`~genn_delays.plan.simulation.Sink`.
    """

    def __init__(self, recording: Recording) -> None:
        self._spikes: dict[int, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]] = {}
        self._traces: list[list[npt.NDArray[np.float32]]] = []
        self._recording = recording
        self.clear(0)

    def clear(self, step: int) -> None:
        """Forget everything: recordings begin at this step."""
        self._spikes = {index: [] for index in self._recording.spikes}
        self._traces = [[] for _ in self._recording.traces]

    def spikes(self, population: int, steps: npt.NDArray[np.int64], neurons: npt.NDArray[np.int32]) -> None:
        """See :class:`~genn_delays.plan.simulation.Sink`."""
        self._spikes[population].append((steps, neurons))

    def trace(self, number: int, values: npt.NDArray[np.float32]) -> None:
        """See :class:`~genn_delays.plan.simulation.Sink`."""
        self._traces[number].append(values)

    def all_spikes(self, population: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """All spikes of a population, as steps and neurons."""
        pieces = self._spikes[population]
        if len(pieces) > 1:  # kept as one, so that the next call need not join them again
            steps, neurons = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
            pieces[:] = [(steps, neurons)]
        return pieces[0] if pieces else (np.zeros(0, np.int64), np.zeros(0, np.int32))

    def whole_trace(self, number: int) -> npt.NDArray[np.float32]:
        """All samples of a trace, ``[sample, neuron]``."""
        pieces = self._traces[number]
        if len(pieces) > 1:
            pieces[:] = [np.concatenate(pieces)]
        return pieces[0] if pieces else np.zeros((0, self._recording.traces[number].neurons.size), np.float32)

    def close(self) -> None:
        """Nothing to do."""
