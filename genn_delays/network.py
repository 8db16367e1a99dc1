"""The description of a network: pure data, sampled from its seed, never with an array of size n_pre x n_post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from math import prod
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .arguments import NO_DEFAULT_PARAMS, DefaultParams, check_default_params, default_params, refuses
from .connectivity import Connectivity, Synapses
from .delays import MAX_DELAY, DelayKernel, as_delay_kernel
from .drives import Drive, as_drives
from .errors import (
    InvalidValueError,
    OutOfMemoryError,
    check_choice,
    check_count,
    check_real,
    check_registered,
    shown,
)
from .floating import usual_errors
from .memory import MOST_SYNAPSES, SAMPLING, SYNAPSE, check_host
from .neurons import NEURONS, BatchNorm, DynamicNeuron, Equations, Neuron, as_batch_norm
from .neurons.neuron import check_parameter, sample_per_neuron
from .overview import Overview, Summarised
from .overview.described import overview_of
from .porting import refuse_attribute
from .random import MAX_OWNER, MAX_SEED
from .synapses import Delta, Synapse, as_synapse

_open_networks: ContextVar[tuple[Network, ...]] = ContextVar("genn_delays_open_networks", default=())
"""The networks whose ``with`` blocks are open, the innermost last: of this thread and this task alone."""
_BATCH_NORM = 1 << 16
"""Index of the first random number of batch norms among those of a population's parameters."""
_SYNAPSE = _BATCH_NORM + 16
"""Index of the first one of its synapses."""


class Network(Summarised):
    """A network of populations and connections, filled inside a ``with`` block.

    Args:
        seed: owns everything that is sampled: connectivity, weights, delays and parameters are functions of
            (seed, connection or population) alone, whatever is compiled from the network later.
        default_params: by class of neuron, arguments that are not given inside the ``with`` block, for example
            ``{LeakyIntegrateFire: {"tau_mem": 10.0}}``, or mlGeNN's
            :data:`genn_delays.compilers.event_prop_compiler.default_params`.

    A ``with`` block is open in its own thread and task alone: two threads, or two asyncio tasks, each describe theirs.

    Example::

        network = Network(seed=0)
        with network:
            a = Population(Input(), 40)
            b = Population(LeakyIntegrate(readout="sum_var"), 10)
            Connection(a, b, FixedNumber(sparsity=0.9, delay=UniformInt(0, 24)))
    """

    def __init__(self, seed: int = 0, *, default_params: DefaultParams = NO_DEFAULT_PARAMS) -> None:
        if isinstance(seed, Mapping):
            raise InvalidValueError("the first argument of Network is its seed; write Network(default_params=...)")
        self.default_params = check_default_params(default_params)
        self.seed = check_count("Network seed", seed, 0, MAX_SEED)
        self.populations: list[Population] = []
        self.connections: list[Connection] = []

    def __enter__(self) -> Network:
        _set_open((*_open_networks.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        found = list(_open_networks.get())
        for place in reversed(range(len(found))):  # the innermost: it may be open twice
            if found[place] is self:
                del found[place]
                break
        _set_open(tuple(found))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            refuse_attribute(type(self).__name__, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def overview(self) -> Overview:
        """The tables of :meth:`summary`, of ``print(network)`` and of a notebook's cell; nothing is sampled."""
        return overview_of(self)

    def __repr__(self) -> str:
        return (
            f"<Network of seed {self.seed}: {len(self.populations)} populations, {len(self.connections)} connections>"
        )

    @property
    def outputs(self) -> list[Population]:
        """The populations with a readout, in order of creation."""
        return [p for p in self.populations if p.neuron.readout is not None]

    @property
    def inputs(self) -> list[Population]:
        """The input populations, in order of creation."""
        return [p for p in self.populations if p.neuron.is_input]

    def find(self, kind: str, name: str) -> Any:
        """The population or connection called `name`; `kind` is ``"population"`` or ``"connection"``."""
        from .errors import unknown

        check_choice("kind of member", kind, ("population", "connection"))
        members: Sequence[Population | Connection] = self.populations if kind == "population" else self.connections
        for member in members:
            if isinstance(name, str) and member.name == name:
                return member
        raise unknown(kind, name, [member.name for member in members])

    def validate(self) -> None:
        """Raise one error if the network as a whole cannot work."""
        if not self.outputs:
            raise InvalidValueError(
                "the network has no output: give one population a readout, such as LeakyIntegrate(readout='sum_var')"
            )
        if not self.inputs:
            raise InvalidValueError("the network has no input: give it a population of Input() or SpikeInput()")
        for population in self.populations:
            population.check_trainable()
            if not population.neuron.is_input and not population.incoming:
                raise InvalidValueError(f"population {population.name!r} has no incoming connection")
            if population.neuron.is_input and not population.outgoing:
                raise InvalidValueError(f"input {population.name!r} has no outgoing connection")
        for connection in self.connections:
            connection.connectivity.check_trainable(connection.name)


@refuses(
    record_spikes="leave it out, SpikeRecorder records any population",
    record_spike_events="leave it out, real-valued inputs send no events",
)
class Population:
    """A population of neurons of one model.

    Args:
        neuron: the model, for example ``LeakyIntegrateFire(tau_mem=10.0)``.
        shape: number of neurons, or a shape whose product that is.
        name: unique in its network; ``population0`` and so on where not given.
        bias: constant input current of every neuron: a number, an array ``[neuron]`` or an initialiser.
        batch_norm: normalise its input current, ``True`` or a :class:`BatchNorm`.
        drives: input without neurons that send it, for simulations: a list of such as ``PoissonDrive(rate, weight)``.
        dropout: share of its neurons left out of every training example, in [0, 1); the same ones for the whole
            example. Spikes of the others count 1 / (1 - dropout) as much (inverted dropout); evaluation has all.
        network: where it belongs; the one whose ``with`` block is open where not given.
    """

    def __init__(
        self,
        neuron: Neuron,
        shape: int | Sequence[int],
        name: str | None = None,
        *,
        bias: Any = 0.0,
        batch_norm: bool | BatchNorm | None = None,
        dropout: float = 0.0,
        drives: Drive | Sequence[Drive] = (),
        network: Network | None = None,
    ) -> None:
        network = _network("Population", network)
        if not isinstance(neuron, Neuron):
            raise InvalidValueError(f"neuron must be a neuron such as LeakyIntegrateFire(), got {shown(neuron)}")
        check_registered("neuron", neuron, NEURONS)
        if isinstance(shape, Sequence) and not shape:
            raise InvalidValueError(f"population shape must name at least one size, got {shown(shape)}")
        sizes = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, (str, bytes)) else (shape,)
        self.shape = tuple(check_count("number of neurons", size) for size in sizes)
        self.size = check_count("number of neurons", prod(self.shape), 1, (1 << 31) - 1)
        self.neuron = neuron
        self.index = len(network.populations)
        self.name = _unique(name, f"population{self.index}", "population", network.populations)
        if isinstance(neuron, DynamicNeuron):
            neuron.check_model(self.name)
        self.network = network
        self.batch_norm = as_batch_norm(batch_norm)
        bias = 0.0 if bias is None else check_parameter(f"bias of population {self.name!r}", bias)
        self.bias = None if isinstance(bias, float) and bias == 0 else bias
        if self.bias is not None and (self.batch_norm is not None or not isinstance(neuron, DynamicNeuron)):
            why = "has batch_norm, whose shift it is" if self.batch_norm else "is an input"
            raise InvalidValueError(f"bias {shown(bias)}: population {self.name!r} {why}")
        self.dropout = check_real(f"dropout of population {self.name!r}", dropout, 0.0, 1.0, open_high=True)
        if self.batch_norm and not isinstance(neuron, DynamicNeuron):
            raise InvalidValueError(f"batch_norm: population {self.name!r} is an input and has no input current")
        if self.dropout and not (self.spiking and isinstance(neuron, DynamicNeuron)):
            raise InvalidValueError(f"dropout {dropout}: population {self.name!r} must consist of spiking neurons")
        if self.dropout and neuron.readout is not None:
            raise InvalidValueError(
                f"dropout {dropout}: population {self.name!r} is an output, which a loss reads whole"
            )
        self.drives = as_drives(self.name, drives)
        if self.drives and not isinstance(neuron, DynamicNeuron):
            raise InvalidValueError(f"drives of population {self.name!r}: an input has no input current")
        self.incoming: list[Connection] = []
        self.outgoing: list[Connection] = []
        network.populations.append(self)

    @property
    def spiking(self) -> bool:
        """True if it sends spikes (real-valued inputs and integrators do not)."""
        from .neurons import SpikeInput

        if isinstance(self.neuron, DynamicNeuron):
            return self.neuron.equations().threshold is not None
        return isinstance(self.neuron, SpikeInput)

    def check_trainable(self) -> None:
        """Raise an error if the population is for simulations alone."""
        what = f"{type(self.neuron).__name__} of population" if self.neuron.simulation_only else ""
        what = "drives of population" if self.drives else what
        if what:
            raise InvalidValueError(
                f"{what} {self.name!r}: these are for SimulationCompiler; training gets its inputs as data, for "
                "populations of Input() or SpikeInput()"
            )
        for c in self.incoming[1:]:
            if c.synapse != self.synapse:
                raise InvalidValueError(
                    f"synapse {c.synapse!r} of connection {c.name!r}: connection {self.incoming[0].name!r} onto the "
                    f"same population {self.name!r} has {self.synapse!r}; where a network is trained, a population's "
                    "synapses are all of one model (SimulationCompiler takes several)"
                )

    @property
    def synapse(self) -> Synapse:
        """The synapse model of all connections that lead here, where there is only one."""
        return self.incoming[0].synapse if self.incoming else Delta()

    def equations(self) -> Equations:
        """Those of its neurons together with their synapses; only of populations with dynamics."""
        assert isinstance(self.neuron, DynamicNeuron)
        return self.synapse.join(self.neuron.equations())

    def parameters(self) -> dict[str, npt.NDArray[np.float64]]:
        """Parameters and initial values of its neurons, their synapses and its batch norm, each ``[neuron]``."""
        if not isinstance(self.neuron, DynamicNeuron):
            return {}
        values = self.neuron.sample_parameters(self.name, self.index, self.size, self.network.seed)
        for number, (name, value) in enumerate(self.synapse.parameter_values().items()):
            values[name] = self.synapse_parameter(name, value, number)
        if self.bias is not None:
            what = f"bias of population {self.name!r}"
            values["bias"] = sample_per_neuron(
                what, self.bias, self.index, _BATCH_NORM + 2, self.size, self.network.seed
            )
        if self.batch_norm is not None:
            for number, name in enumerate(("scale", "shift")):
                what, value = f"batch_norm {name} of population {self.name!r}", getattr(self.batch_norm, name)
                values[f"batch_norm_{name}"] = sample_per_neuron(
                    what, value, self.index, _BATCH_NORM + number, self.size, self.network.seed
                )
        return values

    def synapse_parameter(self, name: str, value: Any, number: int) -> npt.NDArray[np.float64]:
        """A parameter of its synapses ``[neuron]``, the one of this number."""
        what = f"{name} of population {self.name!r}"
        values = sample_per_neuron(what, value, self.index, _SYNAPSE + number, self.size, self.network.seed)
        if name.startswith("tau") and not (values > 0).all():
            raise InvalidValueError(f"{what} must be above 0 ms, got {values.min()}")
        return values

    def __repr__(self) -> str:
        return f"<Population {self.name!r}: {self.size} x {type(self.neuron).__name__}>"


class Connection:
    """A connection between two populations of one network.

    Args:
        source, target: the populations.
        connectivity: which neurons are connected, with which weights and delays.
        synapse: ``"delta"``: a spike of weight w adds w to the input current of one time step; ``Exponential(tau)``: to
            a current that decays; ``Alpha(tau)``; ``Conductance(tau, e_rev)``. In training the same for
            all connections with one target.
        name: unique in its network; ``source_target`` where not given.
        max_delay_steps: no delay may be above this; the connectivity's own largest where not given.
        delay_kernel: how synapses are spread over lags while training: ``"gaussian"``, ``"triangle"`` or a
            :class:`~genn_delays.GaussianKernel`; not at all where not given. Evaluation uses single, rounded delays.
            Delays are learned only where ``optimisers`` name the connection's ``"delay"``.
    """

    def __init__(
        self,
        source: Population,
        target: Population,
        connectivity: Connectivity,
        synapse: str | Synapse = "delta",
        name: str | None = None,
        max_delay_steps: int | None = None,
        delay_kernel: str | DelayKernel | None = None,
    ) -> None:
        for what, population in (("source", source), ("target", target)):
            if not isinstance(population, Population):
                raise InvalidValueError(f"connection {what} must be a Population, got {shown(population)}")
        network = source.network
        if target.network is not network or _open_networks.get()[-1:] not in ((), (network,)):
            raise InvalidValueError(
                f"dangling connection: {source.name!r} and {target.name!r} must both be of the network being described"
            )
        if not isinstance(connectivity, Connectivity):
            raise InvalidValueError(
                f"connectivity must be one such as FixedNumber(sparsity=0.9), got {shown(connectivity)}"
            )
        if target.neuron.is_input:
            raise InvalidValueError(f"connection target {target.name!r} is an input; inputs receive no connections")
        if not source.spiking and not source.neuron.is_input:
            raise InvalidValueError(f"connection source {source.name!r} neither spikes nor is an input")
        self.synapse: Synapse = as_synapse("synapse", synapse)
        connectivity.check(source.size, target.size)
        connectivity.check_arrays(source.size, target.size)
        self.source, self.target, self.connectivity = source, target, connectivity
        self.network = network
        self.index = check_count("number of connections", len(network.connections), 0, MAX_OWNER - 1)
        default = _free(f"{source.name}_{target.name}", network.connections)
        self.name: str = _unique(name, default, "connection", network.connections)
        connectivity.check_members(self.name, source is target)
        self.max_delay_steps = self._check_delays(max_delay_steps)
        self.delay_kernel = as_delay_kernel(delay_kernel)
        network.connections.append(self)
        source.outgoing.append(self)
        target.incoming.append(self)

    def _check_delays(self, max_delay_steps: int | None) -> int:
        largest = self.connectivity.delay_initializer.high
        if max_delay_steps is None:
            return largest
        limit = check_count("max_delay_steps", max_delay_steps, 0, MAX_DELAY)
        if largest > limit:
            raise InvalidValueError(
                f"delay of connection {self.name!r} must be at most max_delay_steps = {limit}, got {largest}"
            )
        return limit

    @cached_property
    def synapses(self) -> Synapses:
        """All synapses, sorted by (post, pre, delay), drawn on first use from (network seed, connection)."""
        return self.draw()

    def draw(self) -> Synapses:
        """The same, without keeping what was not drawn before: a compiled network has synapses of its own."""
        if "synapses" in vars(self):
            return self.synapses
        check_host({(f"connection {self.name!r}", "the synapses as sampled"): SAMPLING * self.num_synapses})
        with usual_errors():
            synapses = self.connectivity.sample(self.source.size, self.target.size, self.network.seed, self.index)
        for array in synapses:
            array.flags.writeable = False
        return synapses

    @cached_property
    def num_synapses(self) -> int:
        """Number of synapses, known before they are drawn.

        Raises:
            OutOfMemoryError: they are more than can be numbered.
        """
        count = self.connectivity.num_synapses(self.source.size, self.target.size, self.network.seed, self.index)
        if count > MOST_SYNAPSES:
            raise OutOfMemoryError(
                f"connection {self.name!r} would have {count:,} synapses, allowed are at most {MOST_SYNAPSES:,} (at "
                f"{SYNAPSE} bytes each {count * SYNAPSE / 1e6:,.0f} MB, and more to train them); use fewer neurons or "
                "a higher sparsity"
            )
        return count

    @property
    def num_pairs(self) -> int:
        """Number of pairs of neurons, connected or not."""
        return self.source.size * self.target.size

    def __repr__(self) -> str:
        return f"<Connection {self.name!r}: {self.source.name!r} -> {self.target.name!r}>"


def _set_open(networks: tuple[Network, ...]) -> None:
    """Set the open networks, and the default arguments of the innermost one."""
    _open_networks.set(networks)
    default_params.set(networks[-1].default_params if networks else NO_DEFAULT_PARAMS)


def innermost(what: str) -> Network:
    """The network whose ``with`` block is open, the innermost one.

    Raises:
        InvalidValueError: none is, for `what` that has to be in one.
    """
    return _network(what, None)


def _network(what: str, network: Network | None) -> Network:
    if network is not None:
        if not isinstance(network, Network):
            raise InvalidValueError(f"network must be a Network, got {shown(network)}")
        return network
    found = _open_networks.get()
    if not found:
        raise InvalidValueError(f"{what} made outside a network: write it inside 'with network:'")
    return found[-1]


def _free(name: str, members: Sequence[Population | Connection]) -> str:
    """`name`, or `name` with the first number that no member has."""
    taken = {member.name for member in members}
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _unique(name: str | None, default: str, kind: str, members: Sequence[Population | Connection]) -> str:
    name = default if name is None else name
    if not isinstance(name, str) or not name or not name.isprintable():  # it is printed into comments of generated code
        raise InvalidValueError(f"{kind} name must be a text of one line and at least one character, got {shown(name)}")
    if any(member.name == name for member in members):
        raise InvalidValueError(f"two of a network's {kind}s are called {name!r}; names must differ")
    return name
