"""mlGeNN's layers: a chain of populations, each with the connection from the one before.

Under other names these are populations: a layer stands wherever a population does, and ``layer.connection`` is its
connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .arguments import NO_DEFAULT_PARAMS, DefaultParams
from .connectivity import Connectivity
from .delays import DelayKernel
from .errors import InvalidValueError, shown
from .network import Connection, Network, Population, innermost
from .neurons import Neuron
from .synapses import Synapse


class SequentialNetwork(Network):
    """A network of layers, each connected to the one before.

    Args:
        default_params: see :class:`~genn_delays.Network`.
        seed: see :class:`~genn_delays.Network`.

    Example::

        network = SequentialNetwork(seed=0)
        with network:
            pixels = InputLayer(SpikeInput(), 64)
            hidden = Layer(Dense(Normal(0.08, 0.05)), LeakyIntegrateFire(), 128)
            digit = Layer(Dense(Normal(0.0, 0.1)), LeakyIntegrate(readout="avg_var"), 10)
    """

    def __init__(self, default_params: DefaultParams = NO_DEFAULT_PARAMS, seed: int = 0) -> None:
        if not isinstance(default_params, Mapping):
            raise InvalidValueError(
                f"the first argument of SequentialNetwork is default_params, as in mlGeNN; write seed=..., got "
                f"{shown(default_params)}"
            )
        super().__init__(seed, default_params=default_params)
        self.layers: list[InputLayer | Layer] = []

    def __enter__(self) -> SequentialNetwork:
        super().__enter__()
        return self


class InputLayer(Population):
    """The first layer of a :class:`SequentialNetwork`, a population of inputs.

    Args:
        neuron, shape, name: see :class:`~genn_delays.Population`.
        record_spikes, record_spike_events: mlGeNN's; without a meaning, as every population can be recorded.
    """

    def __init__(
        self,
        neuron: Neuron,
        shape: int | Sequence[int] | None = None,
        record_spikes: bool = False,
        record_spike_events: bool = False,
        name: str | None = None,
    ) -> None:
        network = _sequential("InputLayer")
        if network.layers:
            raise InvalidValueError("InputLayer must be the first layer of its network; use Layer for the others")
        super().__init__(neuron, _given("InputLayer", shape), name, network=network)
        network.layers.append(self)


class Layer(Population):
    """A layer of a :class:`SequentialNetwork`: a population, and the connection onto it from the layer before.

    Args:
        connectivity, synapse, max_delay_steps, delay_kernel: of the connection, see :class:`~genn_delays.Connection`.
        neuron, shape, name, bias, batch_norm, dropout: of the population, see :class:`~genn_delays.Population`.
        record_spikes, record_spike_events: mlGeNN's; without a meaning, as every population can be recorded.

    Attributes:
        connection: from the layer before, a key of ``optimisers`` and ``rewiring``.
    """

    def __init__(
        self,
        connectivity: Connectivity,
        neuron: Neuron,
        shape: int | Sequence[int] | None = None,
        synapse: str | Synapse = "delta",
        record_spikes: bool = False,
        record_spike_events: bool = False,
        max_delay_steps: int | None = None,
        name: str | None = None,
        *,
        bias: Any = 0.0,
        batch_norm: Any = None,
        dropout: float = 0.0,
        delay_kernel: str | DelayKernel | None = None,
    ) -> None:
        network = _sequential("Layer")
        if not network.layers:
            raise InvalidValueError("the first layer of a SequentialNetwork must be an InputLayer")
        before = network.layers[-1]
        shape = _given("Layer", shape)
        super().__init__(neuron, shape, name, bias=bias, batch_norm=batch_norm, dropout=dropout, network=network)
        self.connection = Connection(
            before, self, connectivity, synapse, max_delay_steps=max_delay_steps, delay_kernel=delay_kernel
        )
        network.layers.append(self)


def _given(what: str, shape: int | Sequence[int] | None) -> int | Sequence[int]:
    if shape is None:
        raise InvalidValueError(f"{what} needs its shape, the number of neurons; mlGeNN takes it from the weights")
    return shape


def _sequential(what: str) -> SequentialNetwork:
    """The open network."""
    network = innermost(what)
    if not isinstance(network, SequentialNetwork):
        raise InvalidValueError(
            f"{what} belongs to a SequentialNetwork, the network is a {type(network).__name__}; there write Population "
            "and Connection"
        )
    return network
