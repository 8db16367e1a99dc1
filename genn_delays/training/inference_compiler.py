"""Inference: trained networks on batches of examples, with nothing kept for gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import InvalidValueError, unknown
from ..floating import usual_errors
from ..memory import told
from ..network import Network
from ..plan.foresight import foresee_sampling
from ..plan.plan import Plan
from ..plan.protocol import Engine, Infers
from .compiled_network import CompiledNetwork
from .compiler import Compiler
from .event_prop_compiler import EventPropCompiler


class CompiledInferenceNetwork(CompiledNetwork):
    """The result of :meth:`InferenceCompiler.compile`: ``predict``, ``evaluate`` and ``load``."""

    def __init__(self, network: Network, plan: Plan, engine: Engine, dt: float, losses: Any) -> None:
        super().__init__(network, plan, engine, dt)
        self._given_losses = losses

    def _as_trained(self) -> list[Plan]:
        """EventProp's plan, where it can train the network: a checkpoint tells its numbers from a surrogate's."""
        compiler = EventPropCompiler(self.plan.time_steps, self.plan.batch_size, self._given_losses, dt=self.dt)
        try:
            return [compiler.plan(self.network, optimisers={})]
        except InvalidValueError:
            return []


class InferenceCompiler(Compiler):
    """Compiles networks for inference: ``predict`` and ``evaluate``, no training.

    Outputs and spikes are those of a network compiled to be trained, bit by bit. On ``"cpu"`` an example is computed a
    piece of time after the other, so that memory follows neurons times the longest delay, not times the steps of an
    example; ``"reference"`` keeps all steps. ``load`` takes checkpoints of the trained network, also of one that was
    trained with examples of another length: synapses as they were rewired, delays as they were learned (rounded, as
    ever in evaluation), batch norm by its running averages, learned time constants.

    Args:
        evaluate_timesteps: T, time steps an example lasts.
        dt: length of a time step in ms.
        batch_size: examples computed together; a last, smaller batch is used too.
        rng_seed: without effect, as nothing in inference is random; other compilers, and mlGeNN's, have it.
        losses: loss of the outputs that ``evaluate`` states, as for :class:`~genn_delays.SurrogateCompiler`.
        backend: ``"cpu"``, ``"reference"``, or an object such as ``CPU(threads=2)``.

    Example::

        with InferenceCompiler(evaluate_timesteps=10_000, batch_size=16).compile(network) as compiled:
            compiled.load("runs/digits-001/checkpoints/best.safetensors")
            metrics, _ = compiled.evaluate({pixels: x}, {digit: y})
    """

    def __init__(
        self,
        evaluate_timesteps: int,
        dt: float = 1.0,
        batch_size: int = 1,
        rng_seed: int = 0,
        *,
        losses: Any = "sparse_categorical_crossentropy",
        backend: Any = "cpu",
    ) -> None:
        try:
            super().__init__(evaluate_timesteps, batch_size, losses, dt=dt, backend=backend, rng_seed=rng_seed)
        except InvalidValueError as error:
            raise InvalidValueError(str(error).replace("example_timesteps", "evaluate_timesteps")) from error
        if not isinstance(self.backend, Infers):
            raise unknown("backend of inference", self.backend.name, ("cpu", "reference"))

    def compile(self, network: Network, **refused: Any) -> CompiledInferenceNetwork:
        """A network ready to be evaluated.

        Raises:
            InvalidValueError: the network or the request cannot work.
            BackendUnavailableError: the backend cannot run here.
            CompileError: the generated code did not compile.
            OutOfMemoryError: the network needs more memory than there is.
        """
        for name in refused:
            raise InvalidValueError(
                f"InferenceCompiler learns nothing, so compile takes no argument {name!r}: train with SurrogateCompiler"
            )
        if isinstance(network, Network):
            foresee_sampling(network)
        with usual_errors(), told("compile"):
            plan = self.plan(network)
            assert isinstance(self.backend, Infers)
            return CompiledInferenceNetwork(network, plan, self.backend.build_inference(plan), self.dt, self.losses)

    def plan(
        self,
        network: Network,
        *,
        optimisers: Mapping[Any, Any] | None = None,
        rewiring: Mapping[Any, Any] | None = None,
    ) -> Plan:
        """The plan of a network, checked; nothing is generated, compiled or allocated. Nothing is learned in it."""
        if optimisers or rewiring:
            raise InvalidValueError("InferenceCompiler learns nothing: plan takes neither optimisers nor rewiring")
        plan = super().plan(network, optimisers={}, rewiring={})
        # in evaluation a synapse acts at its rounded delay, whatever kernel spreads it while training
        return replace(plan, connections=tuple(replace(c, kernel=None) for c in plan.connections))

    def _method(self) -> dict[str, Any]:
        return {"surrogate": None, "detach_reset": True, "event_prop": None}
