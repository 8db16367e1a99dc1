"""The interface of compiled networks for callbacks and backends, which lie below them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from ..errors import InvalidValueError
from ..metrics import Metrics
from ..network import Connection, Network, Population
from .plan import Plan
from .populations import PopulationState
from .protocol import Engine


class Compiled(ABC):
    """Base of :class:`~genn_delays.CompiledNetwork`, whose documentation says more of all attributes and methods."""

    network: Network
    plan: Plan
    engine: Engine
    dt: float
    epoch: int
    step: int
    stop_training: bool

    @property
    @abstractmethod
    def populations(self) -> list[PopulationState]:
        """The learned values of populations, in the order of ``network.populations``."""

    @property
    @abstractmethod
    def rewirings(self) -> dict[str, int]:
        """Synapses dropped and grown so far, by connection name."""

    @abstractmethod
    def population(self, key: Population | str) -> Population:
        """A population, given itself or by name."""

    @abstractmethod
    def synapses(self, connection: Connection | str) -> Synapses:
        """A connection's synapses as they are now, sorted by (post, pre)."""

    @abstractmethod
    def delays(self, connection: Connection | str) -> npt.NDArray[np.float32]:
        """A connection's delays (time steps) in the order of :meth:`synapses`."""

    def learning_rates(self) -> dict[tuple[str, str], float]:
        """The learning rates of everything that is learned, by owner and variable."""
        return {}

    def set_learning_rate(
        self, alpha: float, owner: Connection | Population | str | None = None, variable: str | None = None
    ) -> None:
        """Set learning rates."""
        raise InvalidValueError(f"set_learning_rate: {type(self).__name__} does not learn")

    def set_weights(self, connection: Connection | str, weight: Any) -> None:
        """Set the weights of a connection, ``[synapse]`` in the order of :meth:`synapses`."""
        raise InvalidValueError(f"set_weights: the weights of {type(self).__name__} cannot be set")

    @abstractmethod
    def summary(self) -> str:
        """Its populations and connections, and what learns: a few lines of text."""

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write a checkpoint."""

    @abstractmethod
    def load(self, path: str | Path) -> None:
        """Take over a checkpoint of the same network."""

    @abstractmethod
    def evaluate(
        self, x: Mapping[Any, Any], y: Mapping[Any, Any], *, callbacks: Sequence[Any] = ()
    ) -> tuple[Metrics, dict[str, Any]]:
        """Accuracy and loss on data; nothing is learned."""

    @abstractmethod
    def predict(
        self,
        x: Mapping[Any, Any],
        outputs: Population | str | Sequence[Population | str] | None = None,
        *,
        callbacks: Sequence[Any] = (),
    ) -> tuple[dict[Population, npt.NDArray[np.float32]], dict[str, Any]]:
        """The readouts' z of every example."""
