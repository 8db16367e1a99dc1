"""Settings that change the network a model describes: sparsity, kernel count, hidden layers, learned delays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ..connectivity.connectivity import CONNECTIVITY
from ..delays import DELAY_KERNELS
from ..errors import InvalidValueError, check_count, unknown
from ..learning import OPTIMISERS
from ..neurons import NEURONS
from .config import Config
from .sections import ConnectionConfig, PopulationConfig
from .tables import Table, arguments_of, complete

DELAYS = ("fixed", "learned")


def has(connection: ConnectionConfig, argument: str) -> bool:
    """True if a connection's connectivity takes an argument."""
    return argument in arguments_of(CONNECTIVITY[connection.connectivity["connectivity"]])


def with_connectivity(config: Config, argument: str, value: Any) -> Config:
    """The configuration with one argument of every connectivity that has it set.

    Raises:
        InvalidValueError: none has it.
    """
    if not any(has(c, argument) for c in config.connections):
        kinds = ", ".join(sorted({c.connectivity["connectivity"] for c in config.connections}))
        raise InvalidValueError(
            f"--{argument.replace('_', '-')} {value:g}: no connection of this model has a {argument} "
            f"(they are: {kinds})"
        )
    connections = tuple(
        replace(c, connectivity={**c.connectivity, argument: value}) if has(c, argument) else c
        for c in config.connections
    )
    return replace(config, connections=connections)


def with_delays(config: Config, how: Any) -> Config:
    """Delays fixed (single, whole lags), or learned: as the model learns them, or as published where it does not.

    Published for surrogate gradients is a kernel over the lags (DCLS); EventProp learns delays without one.
    """
    if how not in DELAYS:
        raise unknown("--delays", how, DELAYS)
    if how == "fixed":
        connections = tuple(replace(c, delay_kernel=None) for c in config.connections)
        training = replace(config.training, delay_optimiser=None)
        return replace(config, connections=connections, training=training)
    if config.training.delay_optimiser is not None:
        return config
    schedule = {"kind": "cosine_annealing"}
    optimiser: Table = {"kind": "adam", "alpha": 0.1, "schedule": schedule}
    optimiser = complete("optimiser", OPTIMISERS, "delay_optimiser", optimiser)
    config = replace(config, training=replace(config.training, delay_optimiser=optimiser))
    if config.compiler.kind == "eventprop":
        return config
    kernel = complete("delay kernel", DELAY_KERNELS, "delay_kernel", "gaussian")
    connections = tuple(c if c.delay_kernel else replace(c, delay_kernel=kernel) for c in config.connections)
    return replace(config, connections=connections)


def delays_of(config: Config) -> str | None:
    """``"fixed"`` or ``"learned"``; None where synapses are spread by a kernel and their delays not learned."""
    if config.training.delay_optimiser is not None:
        return "learned"
    return None if any(c.delay_kernel for c in config.connections) else "fixed"


def hidden_sizes(value: Any) -> list[int]:
    """Sizes of hidden layers out of a text such as ``256,256``, a list of numbers or a number."""
    if isinstance(value, str):
        if not re.fullmatch(r"\s*-?\d+\s*(,\s*-?\d+\s*)*", value):
            raise InvalidValueError(f"--hidden must be whole numbers separated by commas, got {value!r}")
        value = [int(part) for part in value.split(",")]
    sizes = list(value) if isinstance(value, Sequence) else [value]
    if not sizes:
        raise InvalidValueError(f"--hidden must name the size of at least one hidden layer, got {value!r}")
    return [check_count("--hidden", size) for size in sizes]


def hidden_of(config: Config) -> str | None:
    """The sizes of a chain's hidden layers, ``"256,256"``; None where the network is no chain."""
    try:
        layers, _ = _chain(config)
    except InvalidValueError:
        return None
    return ",".join(str(p.size) for p in layers[1:-1])


def with_hidden(config: Config, sizes: list[int]) -> Config:
    """The configuration with hidden layers of these sizes; more layers than the model has are copies of its last one.

    A copied layer gets its input through a copy of the connection that leads into the model's last hidden layer.

    Raises:
        InvalidValueError: the model is not a chain of layers.
    """
    layers, links = _chain(config)
    if [p.size for p in layers[1:-1]] == sizes:
        return config
    hidden = layers[1:-1]
    made = [
        replace(hidden[n], size=size) if n < len(hidden) else replace(hidden[-1], size=size, name=f"hidden{n + 1}")
        for n, size in enumerate(sizes)
    ]
    populations = [layers[0], *made, layers[-1]]
    if len({p.name for p in populations}) < len(populations):
        raise InvalidValueError(f"--hidden: a layer of this model is already called {made[-1].name!r}")
    connections = []
    for n, (source, target) in enumerate(pairwise(populations)):
        link = links[-1] if target is layers[-1] else links[min(n, len(links) - 2)]
        connections.append(replace(link, source=source.name, target=target.name, name=None))
    return replace(config, populations=tuple(populations), connections=tuple(connections))


def _chain(config: Config) -> tuple[list[PopulationConfig], list[ConnectionConfig]]:
    """The model's layers from input to output and the connections between them."""
    by_name = {p.name: p for p in config.populations}
    by_source = {c.source: c for c in config.connections}
    inputs = [p for p in config.populations if NEURONS[p.neuron["neuron"]].is_input]
    layers, links = inputs[:1], list[ConnectionConfig]()
    while layers and layers[-1].name in by_source and len(links) < len(config.connections):
        links.append(by_source[layers[-1].name])
        if links[-1].target not in by_name:
            raise unknown(f"population in {links[-1].section}", links[-1].target, by_name)
        layers.append(by_name[links[-1].target])
    if len(layers) != len(config.populations) or len(links) != len(config.connections) or len(layers) < 3:
        raise InvalidValueError("--hidden: this model is not a chain of an input, hidden layers and an output")
    return layers, links
