"""What every backend gives the compiler: a small engine that runs a plan, one batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..compilers.plan import Plan
from ..connectivity import Synapses
from ..learning.optimisers import Optimiser


@dataclass(frozen=True)
class DenseData:
    """Real-valued examples: float32 ``[example, time, neuron]``, contiguous."""

    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class EventData:
    """Examples as spikes: example x has those from ``start[x]`` to ``start[x + 1]``.

    Attributes:
        start: int64 ``[example + 1]``.
        neuron, step: int32 ``[event]``; no (neuron, step) twice within an example.
    """

    start: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.int32]
    step: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start) - 1


InputData = DenseData | EventData


@dataclass
class ConnectionState:
    """All that a connection carries from one training step to the next, ``[synapse]`` each."""

    synapses: Synapses
    moments: list[npt.NDArray[np.float32]]
    age: npt.NDArray[np.uint16]

    @classmethod
    def new(cls, synapses: Synapses, num_moments: int) -> ConnectionState:
        """The state of synapses that have never been trained."""
        size = synapses.pre.size
        zero = [np.zeros(size, dtype=np.float32) for _ in range(num_moments)]
        return cls(synapses.copy(), zero, np.zeros(size, dtype=np.uint16))

    def copy(self) -> ConnectionState:
        """A copy that shares nothing."""
        return ConnectionState(self.synapses.copy(), [m.copy() for m in self.moments], self.age.copy())


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run here, and what it found or needs."""

    available: bool
    detail: str


@runtime_checkable
class Engine(Protocol):
    """A plan, allocated and ready. Activity is ``[neuron, time, lane]``; lanes are those of the last batch loaded."""

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        """Put examples into the input populations (by index), one a lane."""

    def forward(self) -> None:
        """Run the network; readouts fill :meth:`output`."""

    def loss(self, labels: dict[int, npt.NDArray[np.int32]]) -> dict[int, tuple[float, int]]:
        """Per output population: summed loss and number of right answers. Labels ``[lane]``."""

    def backward(self) -> None:
        """Gradients of all synapses, after :meth:`loss`."""

    def update(self, step: int, optimisers: dict[int, Optimiser]) -> None:
        """One step of every optimiser (by connection, as it is at this point); `step` counts training steps from 0."""

    def rewire(self, step: int) -> dict[int, int]:
        """Drop and grow synapses; how many, per connection with a rewiring rule."""

    def output(self, population: int) -> npt.NDArray[np.float32]:
        """What a readout gave, ``[lane, neuron]``."""

    def gradient(self, connection: int) -> npt.NDArray[np.float32]:
        """dL/dweight, ``[synapse]``."""

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        """A state variable before a spike's jumps, ``[neuron, time, lane]``."""

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        """Spikes, ``[neuron, time, lane]``."""

    def spike_count(self, population: int) -> int:
        """Number of spikes of the last batch."""

    def state(self, connection: int) -> ConnectionState:
        """A copy of a connection's state."""

    def set_state(self, connection: int, state: ConnectionState) -> None:
        """Take over a connection's state."""

    def close(self) -> None:
        """Give back threads and memory of kernels; states remain readable."""


class Backend(Protocol):
    """A way to run plans."""

    name: str

    def availability(self) -> Availability:
        """Whether it can run here."""

    def build(self, plan: Plan) -> Engine:
        """Generate, compile (or take from the cache), allocate."""
