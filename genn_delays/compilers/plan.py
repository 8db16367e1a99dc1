"""The plan: what a network and its training come down to, for every backend alike.

A plan lists populations (with the derived model and the per-neuron numbers its kernels read), connections (with their
optimiser and rewiring rule) and the order of computation: groups of populations, each either one population, or the
populations on one cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..codegen.derivations import SurrogateCode, discrete_model, surrogate_code
from ..codegen.equations import DiscreteModel, evaluate
from ..connectivity import Synapses
from ..delays import DelayKernel
from ..errors import InvalidValueError
from ..learning.losses import Loss
from ..learning.optimisers import Optimiser
from ..learning.regularisation import SpikeRegularisation
from ..learning.surrogates import Surrogate
from ..network import Connection, Network, Population
from ..neurons import BatchNorm, DynamicNeuron, Input
from ..rewiring import RewiringRule
from ..rewiring.signs import dale_signs
from .order import computation_order

Kind = Literal["real_input", "spike_input", "neuron"]


@dataclass(frozen=True)
class PopulationPlan:
    """A population as its kernels see it.

    Attributes:
        parameters: what the kernels read per neuron, float64 ``[neuron]`` each, in the order of the kernel's list:
            coefficients, step parameters, initial values (``<variable>_initial``).
        incoming, outgoing: indices of connections, in order of creation.
        keeps_gradient: whether dL/dIsyn of the whole population is kept (someone upstream needs it).
        keeps_whole_gradient: whether it is kept for the whole batch, and not for one tile of its lanes only.
        values: the neurons' own parameters and those of batch norm, float64 ``[neuron]`` each, as sampled.
        learned: optimisers of the values that are learned, by name.
        batch_norm, dropout: as described by the population.
        regularised: whether the number of its spikes is.
        dt: length of a time step in ms.
    """

    index: int
    name: str
    size: int
    kind: Kind
    spiking: bool
    model: DiscreteModel | None
    parameters: dict[str, npt.NDArray[np.float64]]
    readout: str | None
    incoming: tuple[int, ...]
    outgoing: tuple[int, ...]
    cyclic: bool
    keeps_gradient: bool
    keeps_whole_gradient: bool
    values: dict[str, npt.NDArray[np.float64]]
    learned: dict[str, Optimiser]
    batch_norm: BatchNorm | None
    dropout: float
    regularised: bool
    dt: float

    @property
    def bias(self) -> npt.NDArray[np.float64] | None:
        """The constant input current ``[neuron]``, None for none."""
        return self.values.get("bias") if self.kind == "neuron" else None

    @property
    def slopes(self) -> tuple[str, ...]:
        """Coefficients whose gradients are needed because a learned parameter is in them."""
        if self.model is None:
            return ()
        needed = {c for name in self.learned for c in self.model.sensitivity.get(name, ())}
        return tuple(c for c in self.model.coefficients if c in needed)

    @property
    def keeps_current(self) -> bool:
        """Whether the input current is needed after the forward pass."""
        return self.batch_norm is not None or any(c.startswith("b_") for c in self.slopes)

    def coefficients(self, values: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float64]]:
        """What the integration rule multiplies by, for these values of what is learned."""
        assert self.model is not None
        known = {**self.values, **{k: v.astype(np.float64) for k, v in values.items()}, "dt": self.dt}
        full = np.zeros(self.size)
        return {name: evaluate(expression, known) + full for name, expression in self.model.coefficients.items()}

    def parameter_gradients(
        self, slopes: dict[str, npt.NDArray[np.float64]], values: dict[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """dL/dparameter of the neurons' learned parameters, out of dL/dcoefficient."""
        if self.model is None:
            return {}
        known = {**self.values, **{k: v.astype(np.float64) for k, v in values.items()}, "dt": self.dt}
        found = {}
        for name in self.learned:
            if name in self.model.sensitivity:
                terms = self.model.sensitivity[name].items()
                found[name] = sum((slopes[c] * evaluate(d, known) for c, d in terms), np.zeros(self.size))
        return found

    def lowest(self, name: str) -> float:
        """The smallest value that a learned parameter may take: a time constant stays at least a time step long."""
        return self.dt if name.startswith("tau") else float("-inf")


@dataclass(frozen=True)
class ConnectionPlan:
    """A connection as its kernels see it: where it leads, and how it is learned and rewired.

    Attributes:
        optimiser, delay_optimiser: of its weights and of its delays, None where they are not learned.
        kernel: how synapses are spread over lags while training, None where they are not.
        pre_sign: under Dale's law the sign of every source neuron, 1 or -1; else None.
        min_delay, max_delay: delays stay in this range (time steps).
        capacity: synapses that a pair has at most.
    """

    index: int
    name: str
    source: int
    target: int
    num_pre: int
    num_post: int
    optimiser: Optimiser | None
    delay_optimiser: Optimiser | None
    kernel: DelayKernel | None
    rewiring: RewiringRule | None
    connection: Connection
    pre_sign: npt.NDArray[np.int8] | None
    min_delay: int
    max_delay: int
    capacity: int

    @property
    def size(self) -> int:
        """Number of synapses, the same for good."""
        return int(self.connection.synapses.pre.size)

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
        """Whether anything of its synapses is learned."""
        return self.optimiser is not None or self.delay_optimiser is not None

    @property
    def real_delays(self) -> bool:
        """Whether synapses have a real-valued delay besides the rounded one."""
        return self.kernel is not None or self.delay_optimiser is not None

    @property
    def gradient_taps(self) -> str | None:
        """What turns a correlogram into gradients: a kernel, the difference form, or None where one lag is all."""
        if self.kernel is not None:
            return self.kernel.template
        return None if self.delay_optimiser is None else "difference"

    @property
    def sign_threshold(self) -> int:
        """A grown pair is negative where the first word of its home draw is below this."""
        return self.connection.connectivity.home_sign_threshold(self.num_pre)

    def initial_synapses(self) -> Synapses:
        """The connection's synapses as training finds them: as sampled, with Dale's signs where they are asked for."""
        synapses = self.connection.synapses
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
    """

    populations: tuple[PopulationPlan, ...]
    connections: tuple[ConnectionPlan, ...]
    groups: tuple[tuple[int, ...], ...]
    time_steps: int
    batch_size: int
    network_seed: int
    training_seed: int
    loss: Loss
    regularisation: SpikeRegularisation | None
    clip_norm: float | None
    surrogate: Surrogate
    surrogate_code: SurrogateCode
    detach_reset: bool

    @property
    def outputs(self) -> list[PopulationPlan]:
        """Populations with a readout, in order of creation."""
        return [p for p in self.populations if p.readout is not None]

    def block_steps(self, group: tuple[int, ...], delays: list[npt.NDArray[np.uint16]]) -> int:
        """Time steps a group may run at once: T, or on a cycle the smallest of its delays (given by connection)."""
        if not self.populations[group[0]].cyclic:
            return self.time_steps
        inside = [c for c in self.connections if c.source in group and c.target in group]
        if any(c.kernel is not None for c in inside):
            return 1  # their synapses reach down to the shortest lag
        smallest = min(int(delays[c.index].min(initial=self.time_steps)) for c in inside)
        return min(smallest, self.time_steps)


def lower(
    network: Network,
    *,
    time_steps: int,
    batch_size: int,
    dt: float,
    training_seed: int,
    loss: Loss,
    regularisation: SpikeRegularisation | None,
    clip_norm: float | None,
    surrogate: Surrogate,
    detach_reset: bool,
    optimisers: dict[int, Optimiser],
    delay_optimisers: dict[int, Optimiser],
    learned: dict[int, dict[str, Optimiser]],
    rewiring: dict[int, RewiringRule],
) -> Plan:
    """The plan of a network.

    Args:
        time_steps: T, steps per example.
        dt: length of a step in ms.
        optimisers, delay_optimisers, rewiring: by index of the connection; connections not named are left as they are.
        learned: by index of the population the optimisers of its learned values, by name.

    Raises:
        InvalidValueError: the network cannot be run or trained as asked.
    """
    network.validate()
    groups, cyclic = computation_order(network)
    populations = []
    for p in network.populations:
        upstream = any(not c.source.neuron.is_input for c in p.incoming)
        scored = any(c.index in rewiring and rewiring[c.index].uses_gradient for c in p.incoming)
        whole = scored or p in network.outputs or any(other.batch_norm for other in network.populations)
        kept = (upstream or p.index in cyclic or whole, whole)
        regularised = regularisation is not None and p.spiking and not p.neuron.is_input and p.neuron.readout is None
        flags = (p.index in cyclic, *kept, regularised)
        populations.append(_population(p, dt, detach_reset, flags, learned.get(p.index, {})))
    return Plan(
        populations=tuple(populations),
        connections=_connections(network, groups, time_steps, optimisers, delay_optimisers, rewiring),
        groups=groups,
        time_steps=time_steps,
        batch_size=batch_size,
        network_seed=network.seed,
        training_seed=training_seed,
        loss=loss,
        regularisation=regularisation,
        clip_norm=clip_norm,
        surrogate=surrogate,
        surrogate_code=surrogate_code(surrogate),
        detach_reset=detach_reset,
    )


def _connections(
    network: Network,
    groups: tuple[tuple[int, ...], ...],
    time_steps: int,
    optimisers: dict[int, Optimiser],
    delay_optimisers: dict[int, Optimiser],
    rewiring: dict[int, RewiringRule],
) -> tuple[ConnectionPlan, ...]:
    """The connections' part of the plan: delays on cycles checked, signs under Dale's law drawn."""
    plans = []
    under_dale = {c.index for c in network.connections if c.index in rewiring and rewiring[c.index].dale}
    for c in network.connections:
        on_cycle = any(c.source.index in g and c.target.index in g for g in groups)
        if on_cycle and c.connectivity.delay_initializer.low < 1:
            raise InvalidValueError(
                f"connection {c.name!r} lies on a cycle, where delays must be at least 1 step, got "
                f"{c.connectivity.delay_initializer.low}"
            )
        if c.delay_kernel is not None and c.max_delay_steps >= time_steps:
            raise InvalidValueError(
                f"the delay kernel of connection {c.name!r} has {c.max_delay_steps + 1} lags (max_delay_steps + 1), "
                f"allowed are at most {time_steps}, the time steps of an example"
            )
        signs = None
        if c.index in under_dale:  # one sign per source neuron in all its connections under the law
            signs = dale_signs(c.source, [other for other in c.source.outgoing if other.index in under_dale])
        plans.append(
            ConnectionPlan(
                c.index,
                c.name,
                c.source.index,
                c.target.index,
                c.source.size,
                c.target.size,
                optimisers.get(c.index),
                delay_optimisers.get(c.index),
                c.delay_kernel,
                rewiring.get(c.index),
                c,
                signs,
                min_delay=int(on_cycle),
                max_delay=c.max_delay_steps,
                capacity=c.connectivity.synapses_per_pair(),
            )
        )
    return tuple(plans)


def _population(
    p: Population,
    dt: float,
    detach_reset: bool,
    flags: tuple[bool, bool, bool, bool],
    learned: dict[str, Optimiser],
) -> PopulationPlan:
    cyclic, keeps_gradient, keeps_whole_gradient, regularised = flags
    kind: Kind = "neuron"
    model, numbers, values = None, {}, p.parameters()
    if isinstance(p.neuron, DynamicNeuron):
        equations = p.neuron.equations()
        model = discrete_model(equations, detach_reset)
        numbers = _coefficients(p, model, values, dt, equations.integration == "exact")
        numbers |= {name: values[name] for name in model.step_parameters}
        numbers |= {f"{s}_initial": values[s] for s in model.states}
    else:
        kind = "real_input" if isinstance(p.neuron, Input) else "spike_input"
    if p.batch_norm is not None and cyclic:
        raise InvalidValueError(
            f"batch_norm: population {p.name!r} lies on a cycle, where a batch's statistics over time are not known "
            "before its spikes are; allowed is batch_norm on populations without recurrent or feedback connections"
        )
    return PopulationPlan(
        index=p.index,
        name=p.name,
        size=p.size,
        kind=kind,
        spiking=p.spiking,
        model=model,
        parameters=numbers,
        readout=p.neuron.readout,
        incoming=tuple(c.index for c in p.incoming),
        outgoing=tuple(c.index for c in p.outgoing),
        cyclic=cyclic,
        keeps_gradient=keeps_gradient,
        keeps_whole_gradient=keeps_whole_gradient,
        values=values,
        learned=learned,
        batch_norm=p.batch_norm,
        dropout=p.dropout,
        regularised=regularised,
        dt=dt,
    )


def _coefficients(
    p: Population, model: DiscreteModel, values: dict[str, npt.NDArray[np.float64]], dt: float, exact: bool
) -> dict[str, npt.NDArray[np.float64]]:
    """What the integration rule multiplies by, per neuron."""
    numbers = {}
    for name, expression in model.coefficients.items():
        with np.errstate(all="ignore"):  # what comes of it is told below
            value = evaluate(expression, {**values, "dt": dt})
        numbers[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), (p.size,))
        if not np.isfinite(numbers[name]).all():
            hint = "; coupled variables need different time constants" if exact else ""
            raise InvalidValueError(
                f"population {p.name!r}: the integration rule gives no number for {name} = {expression}{hint}"
            )
        if name.startswith("a_") and name[2:] in model.states and (numbers[name] < 0).any():
            raise InvalidValueError(
                f"population {p.name!r}: a step of {dt:g} ms is too long for linear Euler, {name[2:]} would change "
                f"sign every step ({name} = {numbers[name].min():.4g}, allowed is 0 or more); take a time constant "
                "of at least dt, a smaller dt or integration 'exact'"
            )
    return numbers
