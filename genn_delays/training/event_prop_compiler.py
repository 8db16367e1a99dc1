"""EventProp: the exact gradient at spikes, in place of a surrogate (Wunderlich & Pehle 2021)."""

from __future__ import annotations

from typing import Any, ClassVar

from ..communicators import Communicator
from ..errors import InvalidValueError, check_real
from ..learning.readouts import as_readout
from ..network import Network
from ..plan.plan import GRAD_LIMIT, EventProp
from ..plan.variables import Learned
from .compiler import Compiler


class EventPropCompiler(Compiler):
    """Compiles networks for EventProp: weights and delays learn by the exact gradient of the loss in continuous time.

    A weight matters at arrivals and a spike's time at spikes, so the backward pass over synapses runs at spikes only,
    and only spikes are kept for it. The derivation is in :mod:`genn_delays.derive.transitions`; time is cut into
    steps, so the gradient is exact up to terms that shrink with `dt`. Synapses must be exponential: a delta synapse
    moves the potential at once, and the time of a spike then does not change with its weight. Delays named in
    ``optimisers`` are learned as real numbers and rounded to steps in the simulation (Mészáros et al. 2025, arXiv
    2501.07331).

    Spikes that are missing have no gradient: a hidden neuron that never spikes never learns, and an output neuron that
    has become silent learns by `phantom_spike` alone. `reg_strength_upper` and `reg_strength_lower` act at each spike,
    as if the count of spikes grew by one for each unit of potential above the threshold (Nowotny, Turner & Knight
    2022). The numbers of mlGeNN's ``reg_lambda_upper`` and ``reg_lambda_lower`` are others.

    Args:
        example_timesteps: T, time steps an example lasts.
        batch_size: examples computed together; a last, smaller batch is used too.
        losses: loss of the outputs, a name or an object, or a dict of them by output population:
            ``"sparse_categorical_crossentropy"``, ``"mean_square_error"``, ``"per_neuron_mean_square_error"``,
            ``"relative_mean_square_error"``.
        dt: length of a time step in ms.
        backend: ``"cpu"``, ``"cuda"``, ``"genn"``, ``"reference"``, or an object such as ``CPU(threads=2)`` or
            ``EventExact()``.
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
        grad_limit: where a potential only just reaches the threshold, the time of the spike is very sensitive; the
            inverse of the slope is cut at this (ms), above 0.
        phantom_spike: an output neuron with readout ``"first_spike_time"`` that does not spike is pushed as if it had
            spiked at the end of the example, its potential rising by a unit in so many ms, at least 0; 0 for no push.
            mlGeNN 2's push is that of its neurons' `tau_mem`; see
            :meth:`~genn_delays.learning.readouts.FirstSpikeTime.phantom_push`.
    """

    GRAD_LIMIT: ClassVar[float] = GRAD_LIMIT
    PHANTOM_SPIKE: ClassVar[float] = 20.0

    def __init__(
        self,
        example_timesteps: int,
        batch_size: int = 1,
        losses: Any = "sparse_categorical_crossentropy",
        *,
        grad_limit: float = GRAD_LIMIT,
        phantom_spike: float = PHANTOM_SPIKE,
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
        super().__init__(
            example_timesteps, batch_size, losses, dt=dt, backend=backend, reg_strength_upper=reg_strength_upper,
            reg_strength_lower=reg_strength_lower, reg_nu_upper=reg_nu_upper, reg_nu_lower=reg_nu_lower,
            clip_norm=clip_norm, max_spikes=max_spikes, rng_seed=rng_seed, communicator=communicator, **moved,
        )  # fmt: skip
        self.grad_limit = check_real("grad_limit", grad_limit, 0.0, open_low=True)
        self.phantom_spike = check_real("phantom_spike", phantom_spike, 0.0)

    def _method(self) -> dict[str, Any]:
        method = EventProp(self.grad_limit, self.phantom_spike)
        return {"surrogate": None, "detach_reset": True, "event_prop": method}

    def _check(self, network: Network, learned: Learned) -> None:
        for p in network.populations:
            what = f"population {p.name!r}"
            if p.batch_norm is not None or p.dropout:
                feature = "batch norm" if p.batch_norm is not None else "dropout"
                raise InvalidValueError(f"{what} has {feature}: EventProp has no adjoint for it; use SurrogateCompiler")
            if learned.populations.get(p.index):
                names = ", ".join(repr(name) for name in learned.populations[p.index])
                raise InvalidValueError(
                    f"optimisers of {what} name {names}: EventProp learns weights and delays; use SurrogateCompiler"
                )
            readout = p.neuron.readout
            if (
                p.spiking
                and readout is not None
                and as_readout(readout).reads == "spikes"
                and as_readout(readout).derivative == "value"
            ):
                raise InvalidValueError(
                    f"{what} has readout {readout!r}: the number of spikes has no derivative under EventProp; use a "
                    "readout of a potential, or SurrogateCompiler"
                )
        for c in network.connections:
            if c.delay_kernel is not None:
                raise InvalidValueError(
                    f"connection {c.name!r} has a delay kernel, which is the surrogate compiler's; under EventProp "
                    "delays are learned without one: optimisers={connection: {'delay': Adam(0.1)}}"
                )
