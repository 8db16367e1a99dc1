"""The plan: what a network and its training come down to, for every backend alike.

A plan lists populations (with the derived model and the per-neuron numbers its kernels read), connections (with their
optimiser and rewiring rule) and the order of computation: groups of populations, each either one population, or the
populations on one cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..codegen.derivations import SurrogateCode, discrete_model, surrogate_code
from ..codegen.equations import DiscreteModel, evaluate
from ..connectivity import Synapses
from ..errors import InvalidValueError
from ..learning.optimisers import Optimiser
from ..learning.surrogates import Surrogate
from ..network import Connection, Network, Population
from ..neurons import DynamicNeuron, Input
from ..rewiring import RewiringRule
from ..rewiring.signs import dale_signs

Kind = Literal["real_input", "spike_input", "neuron"]


@dataclass(frozen=True)
class PopulationPlan:
    """A population as its kernels see it.

    Attributes:
        parameters: what the kernels read per neuron, float64 ``[neuron]`` each, in the order of the kernel's list:
            coefficients, step parameters, initial values (``<variable>_initial``).
        incoming, outgoing: indices of connections, in order of creation.
        keeps_gradient: whether dL/dIsyn of the whole population is kept (someone upstream needs it).
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


@dataclass(frozen=True)
class ConnectionPlan:
    """A connection as its kernels see it: where it leads, and how it is learned and rewired.

    Attributes:
        pre_sign: under Dale's law the sign of every source neuron, 1 or -1; else None.
    """

    index: int
    name: str
    source: int
    target: int
    num_pre: int
    num_post: int
    optimiser: Optimiser | None
    rewiring: RewiringRule | None
    connection: Connection
    pre_sign: npt.NDArray[np.int8] | None

    @property
    def num_moments(self) -> int:
        """Numbers the optimiser keeps per synapse."""
        return self.optimiser.num_moments if self.optimiser else 0

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
    """

    populations: tuple[PopulationPlan, ...]
    connections: tuple[ConnectionPlan, ...]
    groups: tuple[tuple[int, ...], ...]
    time_steps: int
    batch_size: int
    network_seed: int
    training_seed: int
    loss: str
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
        smallest = min(int(delays[c.index].min(initial=self.time_steps)) for c in inside)
        return min(smallest, self.time_steps)


def lower(
    network: Network,
    *,
    time_steps: int,
    batch_size: int,
    dt: float,
    training_seed: int,
    loss: str,
    surrogate: Surrogate,
    detach_reset: bool,
    optimisers: dict[int, Optimiser],
    rewiring: dict[int, RewiringRule],
) -> Plan:
    """The plan of a network.

    Args:
        time_steps: T, steps per example.
        dt: length of a step in ms.
        optimisers, rewiring: by index of the connection; connections not named are left as they are.

    Raises:
        InvalidValueError: the network cannot be run or trained as asked.
    """
    network.validate()
    groups, cyclic = _order(network)
    populations = []
    for p in network.populations:
        upstream = any(not c.source.neuron.is_input for c in p.incoming)
        keeps_gradient = upstream or p.index in cyclic or p in network.outputs
        populations.append(_population(p, dt, detach_reset, p.index in cyclic, keeps_gradient))
    return Plan(
        populations=tuple(populations),
        connections=_connections(network, groups, optimisers, rewiring),
        groups=groups,
        time_steps=time_steps,
        batch_size=batch_size,
        network_seed=network.seed,
        training_seed=training_seed,
        loss=loss,
        surrogate=surrogate,
        surrogate_code=surrogate_code(surrogate),
        detach_reset=detach_reset,
    )


def _connections(
    network: Network,
    groups: tuple[tuple[int, ...], ...],
    optimisers: dict[int, Optimiser],
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
                rewiring.get(c.index),
                c,
                signs,
            )
        )
    return tuple(plans)


def _population(p: Population, dt: float, detach_reset: bool, cyclic: bool, keeps_gradient: bool) -> PopulationPlan:
    kind: Kind = "neuron"
    model, numbers = None, {}
    if isinstance(p.neuron, DynamicNeuron):
        equations = p.neuron.equations()
        model = discrete_model(equations, detach_reset)
        values = p.parameters()
        for name, expression in model.coefficients.items():
            with np.errstate(all="ignore"):  # what comes of it is told below
                value = evaluate(expression, {**values, "dt": dt})
            numbers[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), (p.size,))
            if not np.isfinite(numbers[name]).all():
                hint = "; coupled variables need different time constants" if equations.integration == "exact" else ""
                raise InvalidValueError(
                    f"population {p.name!r}: the integration rule gives no number for {name} = {expression}{hint}"
                )
            if name.startswith("a_") and name[2:] in model.states and (numbers[name] < 0).any():
                raise InvalidValueError(
                    f"population {p.name!r}: a step of {dt:g} ms is too long for linear Euler, {name[2:]} would change "
                    f"sign every step ({name} = {numbers[name].min():.4g}, allowed is 0 or more); take a time constant "
                    "of at least dt, a smaller dt or integration 'exact'"
                )
        numbers |= {name: values[name] for name in model.step_parameters}
        numbers |= {f"{s}_initial": values[s] for s in model.states}
    else:
        kind = "real_input" if isinstance(p.neuron, Input) else "spike_input"
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
    )


def _order(network: Network) -> tuple[tuple[tuple[int, ...], ...], set[int]]:
    """Groups of populations in order of computation, and which populations lie on a cycle (inputs are left out)."""
    from graphlib import TopologicalSorter

    size = len(network.populations)
    edges = [(c.source.index, c.target.index) for c in network.connections]
    reaches = np.eye(size, dtype=bool)  # Warshall: populations are few, and scipy.sparse takes half a second to import
    reaches[tuple(np.array(edges).T)] = True
    for k in range(size):
        reaches |= reaches[:, k, None] & reaches[None, k]
    component = (reaches & reaches.T).argmax(axis=1)  # the first population of each strongly connected component
    sorter: TopologicalSorter[int] = TopologicalSorter({int(k): set() for k in component})
    for a, b in edges:
        if component[a] != component[b]:
            sorter.add(int(component[b]), int(component[a]))
    members = [tuple(p.index for p in network.populations if component[p.index] == k) for k in sorter.static_order()]
    cyclic = {i for group in members for i in group if len(group) > 1}
    cyclic |= {a for a, b in edges if a == b}
    return tuple(g for g in members if not network.populations[g[0]].neuron.is_input), cyclic
