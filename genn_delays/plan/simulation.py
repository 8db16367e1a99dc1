"""The plan of a simulation: one network, step by step, in the form that every backend gets.

Spikes are scattered: a spike adds the row of its synapses to what arrives later, ``[step][column]``, where a column is
one receptor of one neuron. Sums are whole numbers (:mod:`.grid`), so their order is free.

Step t of a population: what arrived for t is taken, its drives are added, variables go one step on, neurons at their
threshold spike, and the spikes' synapses of delay d are added for step t + d. Populations take their turn in the order
of ``SimulationPlan.order``, so delays of 0 work where no cycle is closed.

Generated code goes on in *blocks* no longer than the smallest delay, with one exchange of spikes a block. On `cpu` it
does not keep a ring of all future input, which for many neurons is larger than caches: a spike waits for the *window*,
one or more blocks, in which the next of its synapses arrive, and these are added then
(``codegen/templates/cpu/simulation_arrivals.cpp.j2``). Where a delay is 0, blocks are one step, and a step goes from
level to level of the populations that such delays connect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..derive.equations import DiscreteModel
from ..errors import GennDelaysError
from ..network import Network
from ..random import MAX_STEP
from .poisson import PoissonTable

F64 = npt.NDArray[np.float64]
LONGEST_BLOCK = 16
"""Steps of a block at most."""
INPUT_BYTES = 1 << 20
"""Blocks are no longer than that what arrives in one fits into so many bytes, which caches hold."""
LAST_STEP = MAX_STEP
"""Random numbers have no more steps than this."""


@dataclass(frozen=True)
class ReceptorPlan:
    """One kind of synapse of one population.

    Attributes:
        index, population: its number in the network, and the population's.
        column: that of the population's first neuron.
        variable: to which what arrives is added at the end of a step; None where it is part of `Isyn`.
        exponent: a weight of 1 on the grid stands for ``2^-exponent``.
        described: the synapse model as text.
        room: float64 ``[neuron]`` how much drives may send in a step besides all synapses, on the grid; None where no
            synapse sends anything, or there are no Poisson drives.
    """

    index: int
    population: int
    column: int
    variable: str | None
    exponent: int
    described: str
    room: F64 | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class PoissonDrivePlan:
    """A Poisson drive: its number among the population's drives, its receptor, weights on the grid ``[neuron]``."""

    number: int
    receptor: int
    weight: npt.NDArray[np.int32]
    table: PoissonTable


@dataclass(frozen=True)
class CurrentPlan:
    """A current onto a population.

    Attributes:
        number: among the population's drives.
        mean: float32 ``[neuron]``.
        sd: float32 ``[neuron]`` of a noise current, else None.
        steps: float32 ``[step, neuron]`` or ``[step, 1]`` of a current given step by step, else None.
        repeat: begin with the first step again after the last.
    """

    number: int
    mean: npt.NDArray[np.float32]
    sd: npt.NDArray[np.float32] | None = None
    steps: npt.NDArray[np.float32] | None = None
    repeat: bool = False


@dataclass(frozen=True)
class SimulatedPopulation:
    """A population in a simulation.

    Attributes:
        first: number of its first neuron among those of all populations.
        kind: ``"neuron"``, ``"poisson"`` (random spikes) or ``"spikes"`` (given ones).
        model, parameters: of neurons, as in training; see :class:`.plan.PopulationPlan`.
        receptors: their indices.
        bias: float32 ``[neuron]``, None for none.
        biased: the receptor, among its own, that the bias acts through; None where it is part of `Isyn`.
        poisson, currents: its drives, in order.
        threshold: of Poisson neurons ``[neuron]``: they spike where their random word is below this (up to 2^32).
        given: of given spikes the steps and neurons, sorted by both; None where a run brings them.
        level: the longest path of delays of 0 that leads to it.
        described: its equations, or what it is.
    """

    index: int
    name: str
    size: int
    first: int
    kind: str
    spiking: bool
    model: DiscreteModel | None
    parameters: dict[str, F64]
    receptors: tuple[int, ...]
    bias: npt.NDArray[np.float32] | None
    biased: int | None
    poisson: tuple[PoissonDrivePlan, ...]
    currents: tuple[CurrentPlan, ...]
    threshold: npt.NDArray[np.uint64] | None
    given: tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]] | None
    level: int
    described: str

    @property
    def states(self) -> tuple[str, ...]:
        """Names of its variables."""
        return () if self.model is None else self.model.states


@dataclass(frozen=True)
class SimulatedConnection:
    """A connection in a simulation: where its spikes go, and how many synapses it has."""

    index: int
    name: str
    source: int
    target: int
    receptor: int
    size: int
    min_delay: int
    max_delay: int


@dataclass(frozen=True)
class SimulationPlan:
    """Everything that a backend needs to run a simulation.

    Attributes:
        order: populations in order of computation within a step.
        block: steps between two exchanges of spikes.
        levels: of populations, 1 where no delay is 0.
        columns: of what arrives.
        longest: the longest delay (time steps).
        dt: length of a time step in ms.
        fingerprint: a checksum of all synapses, their weights on the grid, the same on every backend.
    """

    populations: tuple[SimulatedPopulation, ...]
    receptors: tuple[ReceptorPlan, ...]
    connections: tuple[SimulatedConnection, ...]
    order: tuple[int, ...]
    block: int
    levels: int
    columns: int
    longest: int
    dt: float
    network_seed: int
    seed: int
    fingerprint: str

    @property
    def neurons(self) -> int:
        """Number of neurons of all populations."""
        return sum(p.size for p in self.populations)

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(c.size for c in self.connections)


# --- synapses --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """The places of neurons and of what arrives at them.

    Attributes:
        network: whose connections have the rules that synapses are drawn by.
        first: by population the number of its first neuron in the network.
        neurons: of the network.
        column: by connection the column of its first target neuron.
        columns, longest, block: see :class:`SimulationPlan`.
    """

    network: Network
    first: tuple[int, ...]
    neurons: int
    column: tuple[int, ...]
    columns: int
    longest: int
    block: int


class Wiring(Protocol):
    """All synapses of a network as a backend keeps them: from neuron ``first + pre`` with ``offset = delay columns +
    column + post``.

    Attributes:
        largest: by connection the largest \\|weight\\|, float32.
    """

    largest: npt.NDArray[np.float32]

    def sums(self, scale: F64) -> tuple[F64, npt.NDArray[np.int64]]:
        """By column the sum of ``ceil(|weight| scale)`` and the number of synapses."""

    def round(self, scale: F64) -> None:
        """Turn the weights into the whole numbers ``rint(weight scale)``, once; ``scale``: by column."""

    def checksum(self) -> int:
        """The sum, modulo 2^64, of ``mix((neuron + 1) 0x9e3779b97f4a7c15 ^ (offset 2^32 | weight))`` of all synapses,
        with the finalizer of SplitMix64 (Steele et al. 2014, doi 10.1145/2660193.2660195) as `mix`."""


# --- what is recorded ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TracePlan:
    """A variable that is recorded, before the jumps of a spike, in steps that are multiples of `every`.

    Attributes:
        neurons: int32, ascending.
    """

    population: int
    variable: str
    neurons: npt.NDArray[np.int32]
    every: int


@dataclass(frozen=True)
class Recording:
    """Recordings of a simulation: by population the neurons whose spikes are (None for all), and traces."""

    spikes: Mapping[int, npt.NDArray[np.int32] | None] = field(default_factory=dict)
    traces: tuple[TracePlan, ...] = ()


class Infinite(NamedTuple):
    """The first value that is not finite: population, variable, neuron, step."""

    population: str
    variable: str
    neuron: int
    step: int

    def error(self, dt: float) -> GennDelaysError:
        """In words."""
        return GennDelaysError(
            f"variable {self.variable!r} of neuron {self.neuron} of population {self.population!r} is not finite since "
            f"step {self.step} ({self.step * dt:g} ms): its equations or its input let it overflow; a smaller dt or "
            "smaller weights may help"
        )


class Sink(Protocol):
    """Takes what was recorded, piece by piece in order of time."""

    def spikes(self, population: int, steps: npt.NDArray[np.int64], neurons: npt.NDArray[np.int32]) -> None:
        """Spikes of a population, sorted by step and neuron."""

    def trace(self, number: int, values: npt.NDArray[np.float32]) -> None:
        """The next samples of a trace, ``[sample, neuron]``."""


def give_spikes(plan: SimulationPlan, recording: Recording, record: npt.NDArray[np.uint64], sink: Sink) -> None:
    """Give spikes to a sink.

    Args:
        record: ``step << 32 | neuron of the network``, in any order.
    """
    record = np.sort(record)
    step, neuron = (record >> np.uint64(32)).astype(np.int64), (record & np.uint64(0xFFFFFFFF)).astype(np.int64)
    for index in recording.spikes:
        p = plan.populations[index]
        own = (neuron >= p.first) & (neuron < p.first + p.size)
        if own.any():
            sink.spikes(index, step[own], (neuron[own] - p.first).astype(np.int32))


Given = Mapping[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]
"""Spikes of populations as steps and neurons, sorted by both."""


@runtime_checkable
class TakesParameters(Protocol):
    """An engine whose neurons' parameters can change while it runs."""

    def take_parameters(self, plan: SimulationPlan, population: int) -> None:
        """Go on with the parameters and the bias that a population has in this plan, which is the same otherwise."""


class SimulationEngine(Protocol):
    """A simulation on a backend.

    Attributes:
        now: steps done.
        source: path of the generated source, None where nothing is generated.
    """

    now: int
    source: Any
    survives_fork: bool

    def after_fork(self) -> None:
        """Make it usable in a process that inherited it."""

    def run(self, steps: int, given: Given, sink: Sink) -> None:
        """So many steps more; `given` spikes lie within them.

        Raises:
            GennDelaysError: a variable is not finite; it is the first one, by step, population and neuron. Steps after
                that may have been done.
        """

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        """A variable ``[neuron]``, after the jumps of the last step; a copy."""

    def set_variable(self, population: int, name: str, values: npt.NDArray[np.float32]) -> None:
        """Another value for it, from the next step on."""

    def take_drives(self, plan: SimulationPlan, population: int) -> None:
        """Go on with the drives, or random spikes, that a population has in this plan, and with the grids of what
        arrives there; the plan is the same otherwise."""

    def pending(self) -> npt.NDArray[np.int32]:
        """Input that has been sent and has not arrived, ``[steps ahead, column]``; a copy."""

    def set_pending(self, values: npt.NDArray[np.int32], now: int) -> None:
        """Go on from step `now` with this on its way."""

    def close(self) -> None:
        """Free what it holds."""
