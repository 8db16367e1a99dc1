"""A connection of a network that is a module: its synapses, as they are rewired beside PyTorch's optimisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..connectivity import Synapses
from ..errors import InvalidValueError
from ..network import Connection
from ..ops import Activity, Topology, backgather, reference
from ..plan.exchanged import DenseData, InputData
from ..plan.plan import ConnectionPlan, Plan
from ..plan.protocol import Engine, TellsGradients
from ..rewiring.signs import dale_signs
from .function import Recent
from .mark import Seen, check_mark, check_marked_state, mark_of
from .penalty import Penalised

_TOPOLOGY = ("pre", "post", "delay")


class Passed:
    """The activity of an engine's last pass forward and backward, read when it is asked for, and once.

    Args:
        engine, plan: that ran, and its plan.
        data: of the input populations.
        threads: to find rows of spikes on.
        there: whether the engine has computed no other pass since.
        again: repeats the passes with gradients kept, where they were not.
    """

    def __init__(
        self,
        engine: TellsGradients,
        plan: Plan,
        data: Mapping[int, InputData],
        threads: int,
        there: Callable[[], bool],
        again: Callable[[], None] | None = None,
    ) -> None:
        self.there = there
        self._engine, self._plan, self._data, self._threads, self._again = engine, plan, data, threads, again
        self._x: dict[int, Activity] = {}
        self._g: dict[int, npt.NDArray[Any]] = {}

    def x(self, population: int) -> Activity:
        """Activity that a population sent, ``[neuron, time, lane]``."""
        if population not in self._x:
            data = self._data.get(population)
            if isinstance(data, DenseData):
                x = np.ascontiguousarray(data.values.transpose(2, 1, 0))
            else:
                assert isinstance(self._engine, Engine)
                x = self._engine.spikes(population).astype(np.float32)
            self._x[population] = Activity(x, threads=self._threads)
        return self._x[population]

    def g(self, population: int) -> npt.NDArray[Any]:
        """The gradient of a population's input current, ``[neuron, time, lane]``."""
        if self._again is not None:
            self._again()
            self._again = None
        if population not in self._g:
            self._g[population] = self._engine.current_gradient(population)
        return self._g[population]


class Wired(Penalised):
    """A connection of a :class:`~genn_delays.torch.NetworkModule`; it reads like a ``SparseDelayed`` layer.

    Args:
        c: its plan.
        connection: as described.
        synapses: the first ones.
        weights, delays: the module's parameters, with this connection's under `key`.
        buffers: the module's, of which one is this connection's mark.
        training_seed: of what is drawn while training.
        threads: to compute on.
        tells: whether the engine tells gradients of input currents.
        dale: whether weights have the sign of their source neuron.

    Attributes:
        named, kind, maker: in errors.
        topology: ends and delays of the synapses.
        index, seed: of the connection and of its network, of which homes of synapses are functions.
        steps: how often it was rewired.
        in_features, out_features, connectivity, max_delay, delay_kernel: see ``SparseDelayed``.
        width: of the delay kernel in the last forward pass.
    """

    kind, maker = "network", "as_module"
    _passed: Passed | None
    _seen: Seen | None

    def __init__(
        self,
        c: ConnectionPlan,
        connection: Connection,
        synapses: Synapses,
        key: str,
        weights: Any,
        delays: Any,
        buffers: dict[str, Any],
        *,
        training_seed: int,
        threads: int,
        tells: bool,
        dale: bool,
    ) -> None:
        self.plan, self.key, self.named = c, key, f"connection {c.name!r}"
        self._connection, self._weights, self._delays = connection, weights, delays
        self.index, self.seed, self.training_seed = c.index, connection.network.seed, training_seed
        self.in_features, self.out_features = c.num_pre, c.num_post
        self.connectivity, self.max_delay, self.delay_kernel = connection.connectivity, c.max_delay, c.kernel
        self.threads, self.tells, self.dale = threads, tells, dale
        self.width: float | None = None
        self.steps = 0
        self._buffers = buffers
        self._buffers[self.mark_name] = torch.tensor(0.0, dtype=torch.float64)
        self._set(synapses.pre, synapses.post, synapses.delay)
        self._negative = torch.from_numpy(np.signbit(synapses.weight))

    @property
    def weight(self) -> Any:
        """Parameter ``[synapse]``."""
        return self._weights[self.key]

    @property
    def delay(self) -> Any:
        """Parameter ``[synapse]``, real-valued delays; None where they are whole and fixed."""
        return self._delays.get(self.key, None)

    @property
    def _recent(self) -> list[Recent]:
        """The activity of the last backward pass in training mode; none after anything else."""
        if not self.tells:
            raise InvalidValueError(
                f"rewire: {self.named} cannot grow by the gradient, which its backend does not tell of synapses that "
                "do not exist: use backend 'cpu', or a rule that grows at random"
            )
        if self._passed is None or not self._passed.there():
            return []
        g = self._passed.g(self.plan.target).astype(np.float32, copy=False)
        dropout = self._connection.source.dropout
        return [Recent(self._passed.x(self.plan.source), g * np.float32(1.0 / (1.0 - dropout)) if dropout else g)]

    def source_signs(self) -> npt.NDArray[np.int8]:
        """Under Dale's law the sign of every source neuron, 1 or -1."""
        return dale_signs(self._connection.source, list(self._connection.source.outgoing))

    def _topology(self, pre: Any, post: Any, delay: Any) -> Topology:
        return Topology(
            pre, post, delay, num_pre=self.in_features, num_post=self.out_features, max_delay=self.max_delay
        )

    def _set(self, pre: Any, post: Any, delay: Any) -> None:
        """Other synapses, as many as before."""
        self._be(self._topology(pre, post, delay))

    def _be(self, topology: Topology) -> None:
        self.topology, self._passed, self._seen = topology, None, None
        self._marked = mark_of(topology)
        with torch.no_grad():
            self._buffers[self.mark_name].fill_(self._marked)

    @property
    def mark_name(self) -> str:
        """The name of a buffer of the module: a checksum of the synapses, see :mod:`genn_delays.torch.mark`."""
        return f"{self.key}_mark"

    def check_mark(self) -> None:
        """Raise an error if parameters were mixed with those of other synapses."""
        self._seen = check_mark(self.named, self._buffers[self.mark_name], self._marked, self._seen)

    def begin(self, *, training: bool, width: float | None) -> None:
        """Before a forward pass: what an earlier one left is forgotten, and signs are those before the next step."""
        self.check_mark()
        self._passed, self.width = None, width
        if training:
            self._negative = torch.signbit(self.weight.detach())
            if torch.is_grad_enabled():
                self._remember()
        if self.delay is not None:  # delays that the optimiser moved out of their range go back to its ends
            with torch.no_grad():
                low, high = (float(v) for v in torch.aminmax(self.delay))
                if low < self.plan.min_delay or high > self.max_delay:
                    self.delay.clamp_(float(self.plan.min_delay), float(self.max_delay))

    def finish(self, passed: Passed) -> None:
        """After a backward pass in training mode."""
        self._passed = passed

    def check_passes(self) -> None:
        """Nothing to do: the engine has looked at what it was given."""

    def backgather(
        self, g: npt.NDArray[Any], topology: Topology, weight: npt.NDArray[Any], position: Any, width: float | None
    ) -> npt.NDArray[Any]:
        """The gradient of what its sources send, ``[source, time, lane]``, out of that of its targets' input current;
        synapses and width are those of the forward pass."""
        where = None if position is None else position.astype(g.dtype)
        spread: dict[str, Any] = {"position": where, "kernel": self.delay_kernel, "width": width}
        if g.dtype == np.float64:
            return np.asarray(reference.backgather(topology, g, weight.astype(g.dtype), **spread))
        return backgather(topology, g, weight, threads=self.threads, **spread)

    # --- saving ------------------------------------------------------------------------------------------------------

    def numbers(self) -> dict[str, Any]:
        """The contents of a state besides parameters, as tensors."""
        arrays = ((name, getattr(self.topology, name)) for name in _TOPOLOGY)
        found = {f"topology.{self.key}.{name}": torch.from_numpy(a.astype(np.int32)) for name, a in arrays}
        found[f"mark.{self.key}"] = self._buffers[self.mark_name]
        found[f"l1.{self.key}"] = torch.tensor(self.l1, dtype=torch.float64)
        return found | {f"steps.{self.key}": torch.tensor(self.steps)}

    def loaded(self, found: Mapping[str, Any], weight: Any) -> tuple[Topology, int]:
        """The synapses and steps of a state, with the weights that belong to them.

        Raises:
            InvalidValueError: they do not fit.
        """
        arrays = [found[f"topology.{self.key}.{name}"].cpu().numpy() for name in _TOPOLOGY]
        if arrays[0].size != self.topology.size:
            raise InvalidValueError(
                f"topology.{self.key}.pre has {arrays[0].size} synapses, {self.named} {self.topology.size}; make the "
                "module of the same network"
            )
        topology = self._topology(*arrays)
        if topology.delay.min(initial=self.max_delay) < self.plan.min_delay:
            raise InvalidValueError(f"topology.{self.key}.delay must be at least {self.plan.min_delay} on a cycle")
        if weight is not None and tuple(weight.shape) != (topology.size,):
            raise InvalidValueError(f"weights.{self.key} must have shape ({topology.size},), got {tuple(weight.shape)}")
        if self.dale and weight is not None:
            wrong = int((weight.detach().cpu().numpy() * self.source_signs()[topology.pre] < 0).sum())
            if wrong:
                raise InvalidValueError(
                    f"{wrong} of {topology.size} weights.{self.key} have not the sign of their source neuron, as "
                    "dale=True asks"
                )
        check_marked_state(found[f"mark.{self.key}"], topology)
        return topology, int(found[f"steps.{self.key}"])

    def take(self, topology: Topology, steps: int, weight: Any) -> None:
        """Take over what :meth:`loaded` found."""
        self._be(topology)
        self.steps = steps
        if weight is not None:
            self._negative = torch.signbit(weight.detach()).cpu()
