"""The data that engines take and give back: examples, what a pass is asked for, the state of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from .plan import ConnectionPlan
from .schema import absent, field_of, kept_among, synapse_fields


@dataclass(frozen=True)
class DenseData:
    """Real-valued examples: float32 ``[example, time, neuron]``, contiguous.

    Attributes:
        passing: they belong to one batch only, so that nothing is cached for them.
    """

    values: npt.NDArray[np.float32]
    passing: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def part(self, examples: npt.NDArray[np.int64]) -> DenseData:
        """Some of the examples, for one batch."""
        return DenseData(self.values[examples], passing=True)


@dataclass(frozen=True)
class EventData:
    """Examples as spikes: example x has those from ``start[x]`` to ``start[x + 1]``.

    Attributes:
        start: int64 ``[example + 1]``.
        neuron, step: int32 ``[event]``; no (neuron, step) twice within an example.
        passing: see :class:`DenseData`.
    """

    start: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.int32]
    step: npt.NDArray[np.int32]
    passing: bool = False

    def __len__(self) -> int:
        return len(self.start) - 1

    def part(self, examples: npt.NDArray[np.int64]) -> EventData:
        """Some of the examples, for one batch."""
        lengths = self.start[examples + 1] - self.start[examples]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        events = np.repeat(self.start[examples] - start[:-1], lengths) + np.arange(start[-1])
        return EventData(start, self.neuron[events], self.step[events], passing=True)


InputData = DenseData | EventData


@dataclass(frozen=True)
class Pass:
    """The purpose of a forward pass.

    Attributes:
        training: batch norm uses the batch's statistics, dropout is on, synapses are spread over their kernels' lags.
            Otherwise running averages, no dropout, rounded delays.
        step: training step, for dropout's random numbers.
        widths: by connection with a delay kernel the kernel's width (time steps).
    """

    training: bool = False
    step: int = 0
    widths: dict[int, float] = field(default_factory=dict)


@dataclass
class ConnectionState:
    """All that a connection carries from one training step to the next.

    Attributes:
        values: arrays ``[synapse]`` by the names of :mod:`.schema`; empty if the connection does not have the field.
    """

    values: dict[str, npt.NDArray[Any]]

    @classmethod
    def new(cls, synapses: Synapses, c: ConnectionPlan) -> ConnectionState:
        """The state of synapses of a connection that have never been trained."""
        return cls.born(synapses, c).copy()

    @classmethod
    def born(cls, synapses: Synapses, c: ConnectionPlan) -> ConnectionState:
        """The same, to be read only: it shares the arrays of these synapses."""
        given, size = synapses._asdict(), synapses.pre.size
        born = {
            name: np.zeros(size, f.dtype) if f.birth == "zero" else given[f.birth].astype(f.dtype)
            for name, f in synapse_fields(c).items()
            if name not in given
        }
        return ConnectionState(given | absent() | born)

    def copy(self) -> ConnectionState:
        """A copy that shares nothing."""
        return ConnectionState({name: values.copy() for name, values in self.values.items()})

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays by name, as engines and checkpoints call them."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> ConnectionState:
        """The state that :meth:`arrays` describes; others among them are left out.

        Raises:
            KeyError: one is missing.
        """
        return cls({name: arrays[name] for name in kept_among(arrays)})

    # --- by what they are --------------------------------------------------------------------------------------------

    @property
    def synapses(self) -> Synapses:
        """Ends, delays (the rounded ones) and weights."""
        return Synapses(*(self.values[name] for name in Synapses._fields))

    @synapses.setter
    def synapses(self, synapses: Synapses) -> None:
        self.values |= synapses._asdict()

    @property
    def age(self) -> npt.NDArray[np.uint16]:
        """Optimiser steps since birth; empty where nothing is learned."""
        return self.values["age"]

    @age.setter
    def age(self, age: npt.NDArray[np.uint16]) -> None:
        self.values["age"] = age

    @property
    def position(self) -> npt.NDArray[np.float32]:
        """Positions, the real-valued delays (time steps); empty if delays are always whole numbers."""
        return self.values["position"]

    @position.setter
    def position(self, position: npt.NDArray[np.float32]) -> None:
        self.values["position"] = position

    def moments_of(self, variable: str) -> list[npt.NDArray[np.float32]]:
        """The moments of the optimiser of ``"weight"`` or ``"delay"``."""
        return [values for name, values in self.values.items() if (f := field_of(name)) and f.rule == variable]

    @property
    def moments(self) -> list[npt.NDArray[np.float32]]:
        """The weights' optimiser's."""
        return self.moments_of("weight")

    @property
    def delay_moments(self) -> list[npt.NDArray[np.float32]]:
        """The delays' optimiser's."""
        return self.moments_of("delay")


class Rewired(NamedTuple):
    """The number of synapses of a connection that were dropped, which is the number of grown ones.

    Attributes:
        established: of them those that had lived on after an earlier rewiring, or from the beginning.
        newborn: those that were grown the last time (:meth:`~genn_delays.rewiring.RewiringRule.youngest`): places that
        were tried, without a lasting change.
    """

    established: int
    newborn: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.established + self.newborn


@dataclass(frozen=True)
class Availability:
    """The answer of a backend: whether it can run here, and what it found or needs."""

    available: bool
    detail: str
