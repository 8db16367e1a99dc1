"""Surrogate-gradient training: backpropagation through time with a smooth derivative in place of the spike's."""

from __future__ import annotations

from typing import Any

from ..communicators import Communicator
from ..errors import InvalidValueError, check_switch
from ..learning.readouts import as_readout
from ..learning.surrogates import as_surrogate
from ..network import Network
from ..plan.variables import Learned
from .compiler import Compiler


class SurrogateCompiler(Compiler):
    """Compiles networks for surrogate-gradient training (Neftci, Mostafa & Zenke 2019, arXiv 1901.09948).

    Args:
        example_timesteps: T, time steps an example lasts.
        batch_size: examples computed together; a last, smaller batch is used too, and fewer examples are one batch.
        losses: loss of the outputs, a name or an object, or a dict of them by output population:
            ``"sparse_categorical_crossentropy"``, ``"mean_square_error"``, ``"per_neuron_mean_square_error"``,
            ``"relative_mean_square_error"``.
        surrogate: replacement of the spike's derivative: ``"arctan"``, ``"triangle"`` or an object.
        detach_reset: leave the reset out of the derivative.
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
        surrogate: Any = "arctan",
        detach_reset: bool = True,
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
        self.surrogate, self.detach_reset = as_surrogate(surrogate), check_switch("detach_reset", detach_reset)

    def _check(self, network: Network, learned: Learned) -> None:
        for p in network.outputs:
            if as_readout(p.neuron.readout).derivative == "time":
                raise InvalidValueError(
                    f"readout {p.neuron.readout!r} of population {p.name!r} has a derivative by spike times alone, "
                    "which EventProp trains with; SurrogateCompiler reads spikes with 'spike_count'"
                )

    def _method(self) -> dict[str, Any]:
        return {"surrogate": self.surrogate, "detach_reset": self.detach_reset, "event_prop": None}
