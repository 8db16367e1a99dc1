"""The base of compilers: from a network, optimisers and rewiring rules to a compiled network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ..backends import as_backend
from ..communicators import Communicator, as_communicator
from ..errors import InvalidValueError, check_count, check_real, shown
from ..floating import usual_errors
from ..learning.losses import Loss, as_losses
from ..learning.optimisers import Optimiser
from ..learning.regularisation import SpikeRegularisation
from ..memory import told
from ..network import Connection, Network
from ..plan.foresight import foresee_sampling
from ..plan.lower import lower
from ..plan.plan import Plan
from ..plan.variables import Learned, by_connection, learned_variables
from ..porting import refuse_arguments
from ..random import MAX_SEED
from ..rewiring import RewiringRule, as_rewiring
from .compiled_network import CompiledNetwork
from .outputs import output_losses
from .ranks import build_engine


class Compiler(ABC):
    """Base of the compilers.

    Args:
        example_timesteps: T, time steps an example lasts.
        batch_size: examples computed together; a last, smaller batch is used too, and fewer examples are one batch.
        losses: loss of the outputs, a name or an object, or a dict of them by output population:
            ``"sparse_categorical_crossentropy"``, ``"mean_square_error"``, ``"per_neuron_mean_square_error"``,
            ``"relative_mean_square_error"``.
        dt: length of a time step in ms.
        backend: ``"cpu"``, ``"cuda"``, ``"genn"``, ``"reference"``, or an object such as ``CPU(threads=2)``.
        reg_strength_upper, reg_strength_lower: strength with which hidden neurons that spike more often than
            `reg_nu_upper`, or less often than `reg_nu_lower`, in an example are regularised, at least 0; see
            :class:`~genn_delays.learning.regularisation.SpikeRegularisation`, also for mlGeNN's ``reg_lambda_*``.
        reg_nu_upper, reg_nu_lower: those spike counts, at least 0; the lower one is the upper one where not given.
        clip_norm: scale all gradients of a step down to this norm where theirs, over everything learned, is larger.
        rng_seed: order of examples, growth, noise. What the network itself is made of comes from its own seed.
        max_spikes: a neuron may spike this often in an example, at least 1; more is an error. Any number where not
            given: memory for spikes grows with them.
        communicator: of several processes that share every batch, ``MPI()`` under ``mpiexec``; see
            ``docs/distributed.md``.
    """

    def __init__(
        self,
        example_timesteps: int,
        batch_size: int = 1,
        losses: Any = "sparse_categorical_crossentropy",
        *,
        dt: float = 1.0,
        backend: Any = "cpu",
        reg_strength_upper: float = 0.0,
        reg_strength_lower: float = 0.0,
        reg_nu_upper: float = 0.0,
        reg_nu_lower: float | None = None,
        clip_norm: float | None = None,
        max_spikes: int | None = None,
        rng_seed: int = 0,
        communicator: Communicator | None = None,
        **moved: Any,
    ) -> None:
        refuse_arguments(moved)
        if isinstance(batch_size, (str, Loss, Mapping)):
            raise InvalidValueError(
                f"the second argument of {type(self).__name__} is batch_size, in mlGeNN it is the losses; write "
                f"losses=..., got {shown(batch_size)}"
            )
        self.example_timesteps = check_count("example_timesteps", example_timesteps)
        self.batch_size = check_count("batch_size", batch_size)
        if self.example_timesteps * self.batch_size > (1 << 31) - 1:
            raise InvalidValueError(
                f"example_timesteps x batch_size must be below 2**31, got {self.example_timesteps} x {self.batch_size}"
            )
        self.losses = as_losses(losses)
        self.dt = check_real("dt", dt, 0.0, open_low=True)
        numbers = {
            "reg_strength_upper": reg_strength_upper,
            "reg_strength_lower": reg_strength_lower,
            "reg_nu_upper": reg_nu_upper,
            "reg_nu_lower": reg_nu_upper if reg_nu_lower is None else reg_nu_lower,
        }
        bounds = SpikeRegularisation(*(check_real(name, value, 0.0) for name, value in numbers.items()))
        both = bounds.lambda_upper > 0 and bounds.lambda_lower > 0  # a single bound may have any value
        if both and bounds.nu_lower > bounds.nu_upper:
            raise InvalidValueError(f"reg_nu_lower must be at most reg_nu_upper = {reg_nu_upper}, got {reg_nu_lower}")
        self.regularisation = bounds if bounds.lambda_upper > 0 or bounds.lambda_lower > 0 else None
        self.clip_norm = None if clip_norm is None else check_real("clip_norm", clip_norm, 0.0, open_low=True)
        self.backend, self.communicator = as_backend(backend), as_communicator(communicator)
        self.rng_seed = check_count("rng_seed", rng_seed, 0, MAX_SEED)
        self.max_spikes = None if max_spikes is None else check_count("max_spikes", max_spikes)

    def compile(
        self,
        network: Network,
        *,
        optimisers: Mapping[Any, Any] | None = None,
        rewiring: Mapping[Any, Any] | None = None,
        **moved: Any,
    ) -> CompiledNetwork:
        """A network ready to be trained and evaluated.

        Args:
            network: its description.
            optimisers: by connection (itself, its name, or ``"all_connections"``) a dict by variable,
                ``{"weight": optimiser, "delay": optimiser}``, and by population (itself, its name, or
                ``"all_populations"`` for all with a batch norm) the same for ``"batch_norm"`` and time constants such
                as ``"tau_mem"``. Entries that overlap merge by variable, and the entry of one takes precedence over
                that of all: ``{"all_connections": {"weight": Adam()}, connection: {"delay": Adam(0.1)}}`` learns all
                weights, and the delays of one connection too; ``{"weight": None}`` leaves its weights out. Variables
                that are not named are not learned; without the argument all weights and batch norms are, by Adam.
                :meth:`CompiledNetwork.summary` tells what came of it.
            rewiring: by connection in the same way a rewiring rule, for example ``DeepR()``, or None for none; none
                where not given.

        Raises:
            InvalidValueError: the network or the request cannot work.
            GennDelaysWarning: (a warning) synapses have delays so long that nothing can arrive through them.
            BackendUnavailableError: the backend cannot run here.
            CompileError: the generated code did not compile.
            OutOfMemoryError: the network needs more memory than there is.
        """
        refuse_arguments(moved)
        if isinstance(network, Network):
            foresee_sampling(network)
        with usual_errors(), told("compile"):
            plan = self.plan(network, optimisers=optimisers, rewiring=rewiring)
            engine = build_engine(self.backend, plan, self.communicator)
            return CompiledNetwork(network, plan, engine, self.dt, self.communicator)

    def plan(
        self,
        network: Network,
        *,
        optimisers: Mapping[Any, Any] | None = None,
        rewiring: Mapping[Any, Any] | None = None,
    ) -> Plan:
        """The plan of a network, checked; nothing is generated, compiled or allocated.

        The arguments and errors are those of :meth:`compile`; no backend is needed.
        """
        if not isinstance(network, Network):
            raise InvalidValueError(f"compile needs a Network, got {shown(network)}")
        losses = self.output_losses(network)
        learned = learned_variables(network, optimisers)
        rules = {
            c.index: rule
            for c, said in by_connection(network, "rewiring", {} if rewiring is None else rewiring).items()
            if (rule := as_rewiring(f"connection {c.name!r}", said[-1])) is not None
        }
        for index, rule in rules.items():
            _check_rewiring(network.connections[index], rule, learned.weights.get(index))
        self._check(network, learned)
        return lower(
            network, time_steps=self.example_timesteps, batch_size=self.batch_size, dt=self.dt,
            training_seed=self.rng_seed, losses=losses, regularisation=self.regularisation, clip_norm=self.clip_norm,
            optimisers=learned.weights, delay_optimisers=learned.delays, learned=learned.populations, rewiring=rules,
            max_spikes=self.max_spikes, **self._method(),
        )  # fmt: skip

    def output_losses(self, network: Network) -> dict[int, Loss]:
        """The loss of every output, by index of the population.

        Raises:
            InvalidValueError: an output lacks its loss, or a loss does not fit the readout.
        """
        return output_losses(network, self.losses, self.example_timesteps * self.dt)

    def _check(self, network: Network, learned: Learned) -> None:  # noqa: B027 - some have nothing to refuse
        """Raise an error if the training method does not support the request."""

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.example_timesteps} steps of {self.dt:g} ms, batches of {self.batch_size}, "
            f"backend {self.backend.name}>"
        )

    @abstractmethod
    def _method(self) -> dict[str, Any]:
        """The arguments of the plan that depend on the training method."""


def _check_rewiring(connection: Connection, rule: RewiringRule, optimiser: Optimiser | None) -> None:
    if optimiser is None:
        raise InvalidValueError(f"rewiring of connection {connection.name!r} needs an optimiser for its weight")
    if rule.num_moments() > optimiser.num_moments:
        raise InvalidValueError(
            f"rewiring of connection {connection.name!r} by {type(rule).__name__} reads moment{rule.num_moments() - 1} "
            f"of its weight's optimiser; {type(optimiser).__name__} has {optimiser.num_moments} moment(s), the first "
            "is moment0"
        )
    free = connection.num_pairs * connection.connectivity.synapses_per_pair() - connection.num_synapses
    if free == 0:
        raise InvalidValueError(
            f"rewiring on connection {connection.name!r} at sparsity 0: all {connection.num_pairs} pairs are "
            "connected, so nothing can grow; use a sparsity above 0 or rewiring 'none'"
        )
    if rule.candidates is not None and rule.candidates > free:
        raise InvalidValueError(
            f"candidates of the rewiring of connection {connection.name!r} must be at most {free}, the number of its "
            f"empty pairs, got {rule.candidates}"
        )
