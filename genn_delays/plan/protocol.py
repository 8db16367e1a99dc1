"""The protocol of backends: each builds an engine, which runs a plan, one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..communicators import Communicator
from ..learning.losses import Truth
from ..learning.optimisers import Optimisers
from ..learning.schedules import Progress
from .exchanged import Availability, ConnectionState, InputData, Pass, Rewired
from .plan import Plan
from .populations import PopulationState


class Learner(Protocol):
    """Learning between the passes of an engine: regularise, clip, step every optimiser, rewire."""

    @property
    def populations(self) -> list[PopulationState]:
        """Learned values of populations and batch norm's running averages, by index; waits for an engine that runs
        ahead."""

    def set_population(self, index: int, state: PopulationState) -> None:
        """Take over the learned values of a population."""

    def regularise(self, lanes: int) -> Mapping[int, float]:
        """The penalty for hidden neurons' spike counts, by population; the backward pass includes its gradient."""

    def step(self, step: int, now: Progress, lanes: int) -> Mapping[int, Rewired]:
        """One step of every optimiser and rewiring rule, after the backward pass of a batch of `lanes` examples.

        Args:
            step: training step, from 0.
            now: point of training.

        Returns:
            The number of replaced synapses, by connection that was due.
        """


class Finder(Protocol):
    """Search of an engine for values that are not finite, without making the host wait or copying what is searched."""

    def begin(self, *, learned: bool) -> Callable[[], tuple[str, str]]:
        """Begin to search state variables at the end of the examples since the last search, and learned values.

        Returns:
            A function to be called for the answer once losses have been waited for: the names of the first learned
            value
            and of the first population with a state variable that are not finite; empty texts for none.
        """


@runtime_checkable
class Engine(Protocol):
    """A plan, allocated and ready. Activity is ``[neuron, time, lane]``; lanes are those of the last batch loaded."""

    @property
    def runs_ahead(self) -> bool:
        """True if calls may return before their work is done; reading anything waits for it."""

    @property
    def learner(self) -> Learner | None:
        """Its own learner; None if the host learns, by reading gradients and setting new values."""

    @property
    def survives_fork(self) -> bool:
        """True if a process that inherits it by a fork can use its copy."""

    @property
    def finder(self) -> Finder | None:
        """Its own search for values that are not finite; None if the host searches states."""

    def after_fork(self) -> None:
        """Start threads again, which a fork does not copy; called in the new process before the first use there."""

    def check_learning(self, *, training: bool) -> None:
        """Raise an error if it has no gradients for its plan or, with `training`, cannot learn by them."""

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        """Put examples into the input populations (by index), one a lane."""

    def forward(self, how: Pass) -> None:
        """Run the network; readouts fill :meth:`output`."""

    def not_finite(self) -> tuple[int, ...]:
        """Populations with a state variable that was not finite at the end of an example, since the last call; at least
        the
        first of them in the order of computation. NaN stays NaN."""

    def loss(self, labels: dict[int, Truth]) -> Mapping[int, tuple[float, int]]:
        """Per output population: summed loss and number of right answers.

        An engine that runs ahead may still be computing them; reading them waits.

        The right answer is a label's neuron having the best z of the lane (the largest, or what the readout calls
        best); where there is a label a step, ``[lane, time]``, the largest variable of the step. Targets have none: 0.

        Args:
            labels: labels or targets of the lanes, as the loss wants them (:class:`~genn_delays.learning.losses.Loss`).
        """

    def backward(self) -> None:
        """Gradients of all synapses, after :meth:`loss` of a training pass."""

    @property
    def one_pass(self) -> Callable[[Pass, dict[int, Truth]], Mapping[int, tuple[float, int]]] | None:
        """A training pass forward, the loss and the pass backward in one call with the same results, which gives what
        :meth:`loss` gives; None if the engine wants to be asked for one after the other."""

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        """One step of every optimiser (by connection, as it is at this point), all gradients times `scale`.

        `step` counts training steps from 0.
        """

    def rewire(self, step: int, drops: dict[int, int]) -> Mapping[int, Rewired]:
        """Drop and grow synapses of connections; returns their numbers, which are read as losses are.

        Args:
            step: training step.
            drops: by connection that is due the number of synapses to be dropped by score (0: the rule has no score).
        """

    def output(self, population: int) -> npt.NDArray[np.float32]:
        """The readout's z, ``[lane, neuron]``."""

    def gradient(self, connection: int, variable: str = "weight") -> npt.NDArray[np.float32]:
        """dL/dweight, or dL/ddelay where delays are real-valued, ``[synapse]``."""

    def population_gradients(self, population: int) -> dict[str, npt.NDArray[np.float32]]:
        """dL/dvalue of a population's learned values, by name, ``[neuron]``."""

    def batch_statistics(self, population: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and (biased) variance of the input current over the last training batch, ``[neuron]``."""

    def spike_totals(self, population: int) -> npt.NDArray[np.float64]:
        """Spikes of every neuron in the last batch before dropout, ``[neuron]``, where they are regularised."""

    def set_drive(self, population: int, drive: npt.NDArray[np.float64]) -> None:
        """Set the cost of one more spike of each neuron by regularisation, ``[neuron]``, for the backward pass."""

    def set_values(self, population: int, values: dict[str, npt.NDArray[np.float32]]) -> None:
        """Take over the learned values of a population (:class:`~genn_delays.plan.populations.PopulationState`)."""

    def keep_variables(self, population: int) -> None:
        """Keep the state variables of a population from now on, to be read by :meth:`variable`."""

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        """A state variable before a spike's jumps, ``[neuron, time, lane]``."""

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        """Spikes, ``[neuron, time, lane]``; none of a population that does not spike."""

    def spike_count(self, population: int) -> int:
        """Number of spikes of the last batch."""

    def state(self, connection: int) -> ConnectionState:
        """A copy of a connection's state."""

    def set_state(self, connection: int, state: ConnectionState) -> None:
        """Take over a connection's state."""

    def close(self) -> None:
        """Give back threads and memory of kernels; states remain readable."""


@runtime_checkable
class SharedEngine(Engine, Protocol):
    """An engine of one rank of several, which computes its share of every batch. Sums over a batch are those of all
    ranks; examples, activity and :meth:`Engine.output` are of the share."""

    def share(self, lanes: int) -> tuple[int, int]:
        """The first and the last (exclusive) example of a batch of so many that are this rank's."""

    def load_share(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64], lanes: int) -> None:
        """:meth:`Engine.load` for this rank's share of a batch of `lanes` examples; it may be empty."""

    def gathered(self, what: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the lanes of all ranks, along the first axis, where each has those of its share."""


@runtime_checkable
class TellsBytes(Protocol):
    """An engine that knows the bytes it has allocated."""

    def bytes_held(self) -> tuple[str, int]:
        """The name of its backend, and the bytes of all arrays."""


@runtime_checkable
class KeepsSpikes(Protocol):
    """An engine that keeps the spikes of the populations that it is told of, and of no others."""

    def keep_spikes(self, population: int) -> None:
        """Keep the spikes of a population from now on, to be read by :meth:`Engine.spikes`."""


@runtime_checkable
class TellsGradients(Protocol):
    """An engine that tells the gradient of input currents, of populations whose plan says so."""

    def keep_gradient(self, population: int) -> None:
        """Keep dL/dIsyn of a population from the next forward pass on, to be read by :meth:`current_gradient`."""

    def current_gradient(self, population: int) -> npt.NDArray[np.float32]:
        """dL/dIsyn after :meth:`Engine.backward`, ``[neuron, time, lane]``: as synapses feel it, before batch norm."""


@runtime_checkable
class Infers(Protocol):
    """A backend that runs plans without gradients (:attr:`~genn_delays.plan.plan.Plan.forward_only`)."""

    def build_inference(self, plan: Plan) -> Engine:
        """Generate, compile (or take from the cache), allocate."""


class Backend(Protocol):
    """A way to run plans."""

    name: str

    def availability(self) -> Availability:
        """Say whether it can run here."""

    def versions(self) -> dict[str, str]:
        """Versions of installed software, besides Python and NumPy, on which its bits can depend, by name.

        Raises:
            BackendUnavailableError: something is missing.
        """

    def build(self, plan: Plan) -> Engine:
        """Generate, compile (or take from the cache), allocate."""


@runtime_checkable
class SharesBatches(Protocol):
    """A backend whose engines can share batches among ranks."""

    def build_share(self, plan: Plan, communicator: Communicator) -> SharedEngine:
        """:meth:`Backend.build` for one rank."""


@runtime_checkable
class ForRank(Protocol):
    """A backend of which every rank has another one, such as one GPU of several."""

    def for_rank(self, plan: Plan, communicator: Communicator) -> Any:
        """The backend as this rank is to use it; all ranks call it together, before anything is compiled."""


@runtime_checkable
class CompilesAhead(Protocol):
    """A backend that can have the code of several plans compiled at once, on all processors."""

    def compile_ahead(self, plans: Iterable[Plan]) -> None:
        """Fill the cache for :meth:`Backend.build`, which raises the error of any plan that cannot be compiled."""
