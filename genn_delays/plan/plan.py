"""The plan: a network and its training in the form that every backend gets.

A plan lists populations (with the derived model and the per-neuron numbers its kernels read), connections (with their
optimiser and rewiring rule) and the order of computation: groups of populations, each either one population, or the
populations on one cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from ..delays import DelayKernel, delays_of
from ..derive.derivations import SurrogateCode
from ..derive.equations import DiscreteModel
from ..derive.expressions import evaluate
from ..derive.names import derived_name
from ..errors import InvalidValueError, asked, check_count
from ..learning.losses import Loss
from ..learning.optimisers import Learns, Optimiser, Optimisers
from ..learning.readouts import Readout, as_readout
from ..learning.regularisation import SpikeRegularisation
from ..learning.schedules import Progress, Schedule
from ..learning.surrogates import Surrogate
from ..network import Network
from ..neurons import BatchNorm
from ..rewiring import RewiringRule

Kind = Literal["real_input", "spike_input", "neuron"]

PHANTOM = derived_name("phantom", "spike")
"""Name of the number per neuron with which phantom spikes push."""
GRAD_LIMIT = 100.0
"""Default of :class:`EventProp` (ms)."""


@dataclass(frozen=True)
class EventProp:
    """Exact gradients at spikes, in place of a surrogate.

    Attributes:
        grad_limit: the inverse of the slope with which the threshold is crossed (ms) is cut at this.
        phantom_spike: the inverse slope (ms) of the spike that an output neuron is taken to have had at the end of an
            example in which it had none; see :class:`~genn_delays.learning.readouts.FirstSpikeTime`.
    """

    grad_limit: float
    phantom_spike: float


@dataclass(frozen=True)
class PopulationPlan:
    """A population as its kernels see it.

    Attributes:
        parameters: numbers per neuron that kernels read, float64 ``[neuron]`` each, in the order of the kernel's list:
            coefficients, step parameters, initial values (``initial__<variable>``).
        incoming, outgoing: indices of connections, in order of creation.
        keeps_gradient: whether dL/dIsyn of the whole population is kept (populations upstream need it).
        keeps_whole_gradient: whether it is kept for the whole batch, and not for one tile of its lanes only.
        keeps_time_gradient: whether dL/d(time of arrival) of the whole population is kept, under EventProp.
        keeps_tape: whether its variables are kept for the whole batch; otherwise only the values at spikes are.
        loss: of an output, as it reads the readout; None for all others.
        values: the neurons' own parameters and those of batch norm, float64 ``[neuron]`` each, as sampled.
        learned: optimisers of the values that are learned, by name.
        batch_norm, dropout: as described by the population.
        regularised: whether the number of its spikes is.
        dt: length of a time step in ms.
        event_prop: whether it is trained by EventProp.
        described: its neurons' equations as text, without those of their synapses; for an input its kind.
        tells_gradient: whether an engine may be asked for dL/dIsyn of the whole population, though nothing else needs
            it (:class:`~genn_delays.plan.protocol.TellsGradients`).
    """

    index: int
    name: str
    size: int
    kind: Kind
    spiking: bool
    model: DiscreteModel | None
    parameters: dict[str, npt.NDArray[np.float64]]
    readout: str | Readout | None
    loss: Loss | None
    incoming: tuple[int, ...]
    outgoing: tuple[int, ...]
    cyclic: bool
    keeps_gradient: bool
    keeps_whole_gradient: bool
    keeps_time_gradient: bool
    keeps_tape: bool
    values: dict[str, npt.NDArray[np.float64]]
    learned: dict[str, Optimiser]
    batch_norm: BatchNorm | None
    dropout: float
    regularised: bool
    dt: float
    event_prop: bool
    described: str
    tells_gradient: bool = False

    @property
    def bias(self) -> npt.NDArray[np.float64] | None:
        """The constant input current ``[neuron]``, None for none."""
        return self.values.get("bias") if self.kind == "neuron" else None

    @property
    def reading(self) -> Readout:
        """The readout of an output."""
        return as_readout(self.readout)

    @property
    def reads(self) -> Literal["variable", "spikes"] | None:
        """The activity of the population that its readout reads; None without one."""
        if self.readout is None:
            return None
        return "spikes" if self.reading.reads == "spikes" else "variable"

    @property
    def num_lambdas(self) -> int:
        """Numbers that the adjoint of a neuron and lane consists of: its variables, under EventProp a refractory flag,
        and sums for learned parameters."""
        if self.model is None:
            return 0
        return len(self.model.states) + len(self.slopes) + int(self.event_prop and self.model.hold is not None)

    @property
    def has_phantoms(self) -> bool:
        """True if neurons that do not spike are pushed by phantom spikes."""
        return PHANTOM in self.parameters

    @property
    def kept_values(self) -> tuple[str, ...]:
        """Values kept of every spike for EventProp: states at the spike, 1 / slope, states at the release."""
        transitions = self.model.transitions if self.model else None
        if not self.event_prop or transitions is None or transitions.spike_time is None:
            return ()
        released = (derived_name("released", s) for s in transitions.kept_at_release)
        return (*transitions.kept, derived_name("inverse", "slope"), *released)

    @property
    def slopes(self) -> tuple[str, ...]:
        """Coefficients whose gradients are needed because they depend on a learned parameter."""
        if self.model is None:
            return ()
        needed = {c for name in self.learned for c in self.model.sensitivity.get(name, ())}
        return tuple(c for c in self.model.coefficients if c in needed)

    @property
    def learned_norm(self) -> dict[str, Optimiser]:
        """Optimisers of what is learned of its batch norm, by name."""
        return {name: o for name, o in self.learned.items() if name.startswith("batch_norm")}

    def sets_coefficients(self, values: Iterable[str]) -> bool:
        """True if coefficients depend on values of these names."""
        return self.model is not None and any(name in self.model.sensitivity for name in values)

    @property
    def keeps_current(self) -> bool:
        """True if the input current is needed after the forward pass."""
        return self.batch_norm is not None or any(c.startswith(derived_name("b", "")) for c in self.slopes)

    def _known(self, values: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        return {**self.values, **{k: v.astype(np.float64) for k, v in values.items()}, "dt": self.dt}

    def coefficients(self, values: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float64]]:
        """The coefficients of the integration rule, for these learned values."""
        assert self.model is not None
        known = self._known(values)
        full = np.zeros(self.size)
        return {name: evaluate(expression, known) + full for name, expression in self.model.coefficients.items()}

    def parameter_gradients(
        self, slopes: dict[str, npt.NDArray[np.float64]], values: dict[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """dL/dparameter of the neurons' learned parameters, out of dL/dcoefficient."""
        if self.model is None:
            return {}
        known = self._known(values)
        found = {}
        for name in self.learned:
            if name in self.model.sensitivity:
                terms = self.model.sensitivity[name].items()
                found[name] = sum((slopes[c] * evaluate(d, known) for c, d in terms), np.zeros(self.size))
        return found

    def lowest(self, name: str) -> float:
        """The smallest value that a learned parameter may take: a time constant stays at least a time step long."""
        return self.dt if name.startswith("tau") else float("-inf")


class FirstSynapses(NamedTuple):
    """The synapses that a connection begins with; they are drawn when they are needed.

    Attributes:
        draw: a function that returns them, drawing them if they are not kept.
        drawn: whether they are kept already.
    """

    draw: Callable[[], Synapses]
    drawn: Callable[[], bool]


@dataclass(frozen=True)
class ConnectionPlan:
    """A connection as its kernels see it: source, target, synapses, and how they are learned and rewired.

    Attributes:
        size: number of synapses, which never changes.
        synapse: the name of its synapse model.
        optimiser, delay_optimiser: of its weights and of its delays, None where they are not learned.
        kernel: how synapses are spread over lags while training, None where they are not.
        first: its synapses as they were drawn.
        delay_low, delay_thresholds: a pair's own delay is `delay_low` and one more for every threshold, uint32 and
            ascending, that the second word of its home draw reaches.
        sign_threshold: a grown pair is negative where the first word of its home draw is below this; 0 where nothing
            grows.
        pre_sign: under Dale's law the sign of every source neuron, 1 or -1; else None.
        min_delay, max_delay: delays stay in this range (time steps).
        capacity: synapses that a pair has at most.
        exact_delays: whether delays have an exact gradient, that of a spike's arrival under EventProp.
    """

    index: int
    name: str
    source: int
    target: int
    num_pre: int
    num_post: int
    size: int
    synapse: str
    optimiser: Optimiser | None
    delay_optimiser: Optimiser | None
    kernel: DelayKernel | None
    rewiring: RewiringRule | None
    first: FirstSynapses
    delay_low: int
    delay_thresholds: npt.NDArray[np.uint32]
    sign_threshold: int
    pre_sign: npt.NDArray[np.int8] | None
    min_delay: int
    max_delay: int
    capacity: int
    exact_delays: bool

    @property
    def num_moments(self) -> int:
        """Numbers the weights' optimiser keeps per synapse."""
        return self.optimiser.num_moments if self.optimiser else 0

    @property
    def num_delay_moments(self) -> int:
        """Numbers the delays' optimiser keeps per synapse."""
        return self.delay_optimiser.num_moments if self.delay_optimiser else 0

    @property
    def learned(self) -> bool:
        """True if weights or delays are learned."""
        return self.optimiser is not None or self.delay_optimiser is not None

    @property
    def real_delays(self) -> bool:
        """True if synapses have a position, a real-valued delay, besides the rounded one."""
        return self.kernel is not None or self.delay_optimiser is not None

    @property
    def gradient_taps(self) -> str | None:
        """The form in which a correlogram becomes gradients: a kernel, the difference form, or None for a single
        lag."""
        if self.kernel is not None:
            return self.kernel.code_name
        return None if self.delay_optimiser is None or self.exact_delays else "difference"

    @property
    def gradient_form(self) -> str | None:
        """The kernel that computes its gradients: `gradient_taps`, or "arrival" where delays have an exact one."""
        return "arrival" if self.exact_delays and self.delay_optimiser is not None else self.gradient_taps

    @property
    def delay_high(self) -> int:
        """The longest possible delay of a pair (time steps)."""
        return self.delay_low + self.delay_thresholds.size

    def delays_of(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        """Delays (time steps) of newborn synapses by random words, such as the second ones of home draws."""
        return delays_of(words, self.delay_low, self.delay_thresholds)

    def negative(self, words: npt.NDArray[np.uint32], pre: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """True for newborn synapses that are negative, by source neuron and the first words of their home draws."""
        return words < self.sign_threshold if self.pre_sign is None else self.pre_sign[pre] < 0

    def initial_synapses(self) -> Synapses:
        """The connection's synapses before training: as sampled, with Dale's signs if a rule asks for them."""
        synapses = self.first.draw()
        if self.pre_sign is None:
            return synapses
        return synapses._replace(weight=np.copysign(synapses.weight, self.pre_sign[synapses.pre]).astype(np.float32))


@dataclass(frozen=True)
class Plan:
    """Everything a backend needs to run a network.

    Attributes:
        groups: population indices in order of computation; more than one in a group only on a cycle.
        time_steps: T, steps per example.
        batch_size: lanes at most.
        regularisation: of hidden neurons' spike counts, None for none.
        clip_norm: gradients are scaled down to this norm where theirs is larger, None for never.
        surrogate, surrogate_code: replacement of the spike's derivative; None under EventProp and for inference.
        event_prop: how gradients at spikes are computed; None with a surrogate and for inference.
        max_spikes: a neuron may spike this often in an example, None for any number.
        network: source of the plan, only for a backend that gives it to another library.
        alphas: learning rates that were set while training, by what learns; the only part that changes.
    """

    populations: tuple[PopulationPlan, ...]
    connections: tuple[ConnectionPlan, ...]
    groups: tuple[tuple[int, ...], ...]
    time_steps: int
    batch_size: int
    network_seed: int
    training_seed: int
    regularisation: SpikeRegularisation | None
    clip_norm: float | None
    surrogate: Surrogate | None
    surrogate_code: SurrogateCode | None
    detach_reset: bool
    event_prop: EventProp | None
    max_spikes: int | None
    network: Network | None = None
    alphas: dict[Learns, float] = field(default_factory=dict, compare=False)

    @property
    def outputs(self) -> list[PopulationPlan]:
        """Populations with a readout, in order of creation."""
        return [p for p in self.populations if p.readout is not None]

    @property
    def forward_only(self) -> bool:
        """True if it was made for inference: it says of no gradient how it would be computed."""
        return self.surrogate is None and self.event_prop is None

    @property
    def learns(self) -> bool:
        """True if anything is learned."""
        return any(c.learned for c in self.connections) or any(p.learned for p in self.populations)

    @property
    def every_optimiser(self) -> list[Optimiser]:
        """Those of connections, weights before delays, and of populations' values."""
        optimisers = [o for c in self.connections for o in (c.optimiser, c.delay_optimiser) if o is not None]
        return optimisers + [o for p in self.populations for o in p.learned.values()]

    @property
    def most_moments(self) -> int:
        """The most numbers that an optimiser keeps per synapse."""
        return max((o.num_moments for o in self.every_optimiser), default=0)

    def schedules(self) -> list[Schedule]:
        """Those of every optimiser."""
        return [o.schedule for o in self.every_optimiser if o.schedule is not None]

    def optimisers(self, now: Progress) -> dict[int, Optimisers]:
        """Of the connections that are learned, as they are at a point of training."""
        found = {}
        for c in self.connections:
            if c.learned:
                named = (("weight", c.optimiser), ("delay", c.delay_optimiser))
                own = (o and self._at(Learns("connection", c.index, name), o, now) for name, o in named)
                found[c.index] = Optimisers(*own)
        return found

    def optimisers_of(self, p: PopulationPlan, now: Progress) -> dict[str, Optimiser]:
        """Of the values that a population learns, by name."""
        return {name: self._at(Learns("population", p.index, name), o, now) for name, o in p.learned.items()}

    def learning(self) -> dict[Learns, Optimiser]:
        """Everything that is learned, with the optimiser that it was compiled with."""
        found = {Learns("population", p.index, name): o for p in self.populations for name, o in p.learned.items()}
        for c in self.connections:
            for name, o in (("weight", c.optimiser), ("delay", c.delay_optimiser)):
                if o is not None:
                    found[Learns("connection", c.index, name)] = o
        return found

    def _at(self, what: Learns, optimiser: Optimiser, now: Progress) -> Optimiser:
        alpha = self.alphas.get(what)
        return optimiser.at(now) if alpha is None else optimiser.with_alpha(alpha)

    def drops(self, step: int, now: Progress) -> dict[int, int]:
        """By connection that is to be rewired after a training step, the number of synapses to be dropped by score."""
        found = {}
        for c in self.connections:
            rule = c.rewiring
            if rule is not None and asked(f"due of {rule}", rule.due, step, now):
                what = f"num_dropped of {rule} for connection {c.name!r}"
                found[c.index] = check_count(what, asked(what, rule.num_dropped, c.size, now), 0, c.size)
        return found

    def shortest_block(self) -> int:
        """The time steps of the shortest possible block, for all delays that may be learned or grown."""
        groups = {i: number for number, group in enumerate(self.groups) for i in group}
        inside = [
            1 if c.kernel is not None or c.delay_optimiser is not None else c.delay_low
            for c in self.connections
            if self.populations[c.source].cyclic and groups.get(c.source) == groups.get(c.target)
        ]
        return min([self.time_steps, *(max(low, 1) for low in inside)])

    def block_steps(self, group: tuple[int, ...], delays: list[npt.NDArray[np.uint16]]) -> int:
        """Time steps a group may run at once: T, or on a cycle the smallest of its delays (given by connection).

        Raises:
            InvalidValueError: a delay on a cycle is 0: the spikes would be read in the step that has yet to find them.
        """
        if not self.populations[group[0]].cyclic:
            return self.time_steps
        inside = [c for c in self.connections if c.source in group and c.target in group]
        if any(c.kernel is not None for c in inside):
            return 1  # delay kernels reach down to the shortest lag
        shortest = {c.name: int(delays[c.index].min(initial=self.time_steps)) for c in inside}
        for name, steps in shortest.items():
            if steps < 1:
                what = f"connection {name!r} is on a cycle and has a delay of {steps} time steps"
                raise InvalidValueError(f"{what}; there delays are at least 1")
        return min(shortest.values())
