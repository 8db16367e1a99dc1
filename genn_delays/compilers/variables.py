"""What a compilation learns: from the ``optimisers`` that a user writes to one optimiser per learned variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..codegen.derivations import discrete_model
from ..errors import InvalidValueError, unknown
from ..learning.optimisers import Adam, Optimiser, as_optimiser
from ..network import Connection, Network, Population
from ..neurons import DynamicNeuron

ALL, ALL_POPULATIONS = "all_connections", "all_populations"
CONNECTION_VARIABLES = ("weight", "delay")


@dataclass
class Learned:
    """Optimisers by index: of connections' weights and delays, and of populations' values by name."""

    weights: dict[int, Optimiser] = field(default_factory=dict)
    delays: dict[int, Optimiser] = field(default_factory=dict)
    populations: dict[int, dict[str, Optimiser]] = field(default_factory=dict)


def learned_variables(network: Network, optimisers: Mapping[Any, Any] | None) -> Learned:
    """What the ``optimisers`` of ``compile`` learn; all weights and batch norms by Adam where not given.

    Raises:
        InvalidValueError: something is named that is not there or cannot be learned.
    """
    if optimisers is None:
        norms = [p for p in network.populations if p.batch_norm is not None]
        optimisers = {ALL: {"weight": Adam()}, **{p: {"batch_norm": Adam()} for p in norms}}
    if not isinstance(optimisers, Mapping):
        raise InvalidValueError(
            f"optimisers must be a dict by connection, population, {ALL!r} or {ALL_POPULATIONS!r}, got {optimisers!r}"
        )
    of_connections: dict[Any, Any] = {}
    of_populations: dict[Population, Any] = {}
    if ALL_POPULATIONS in optimisers:
        norms = [p for p in network.populations if p.batch_norm is not None]
        of_populations = dict.fromkeys(norms, optimisers[ALL_POPULATIONS])
    for key, value in optimisers.items():
        population = _population(network, key)
        if population is not None:
            of_populations[population] = value
        elif key != ALL_POPULATIONS:
            of_connections[key] = value
    found = Learned()
    for index, value in by_connection(network, "optimisers", of_connections).items():
        _add_connection(found, network.connections[index], value)
    for population, value in of_populations.items():
        found.populations[population.index] = _population_optimisers(population, value)
    return found


def _population(network: Network, key: Any) -> Population | None:
    """The population that a key means, if it means one: itself, or a name that no connection has."""
    if isinstance(key, Population):
        if key not in network.populations:
            raise InvalidValueError(f"optimisers: population {key.name!r} belongs to another network")
        return key
    if isinstance(key, str) and key not in [c.name for c in network.connections]:
        return next((p for p in network.populations if p.name == key), None)
    return None


def by_connection(network: Network, what: str, values: Mapping[Any, Any]) -> dict[int, Any]:
    """Values by index of the connection; what is said of one connection goes before what is said of all."""
    if not isinstance(values, Mapping):
        raise InvalidValueError(f"{what} must be a dict by connection or 'all_connections', got {values!r}")
    found: dict[int, Any] = {}
    if ALL in values:
        found = dict.fromkeys(range(len(network.connections)), values[ALL])
    for key, value in values.items():
        if key == ALL:
            continue
        names = [c.name for c in network.connections]
        if not isinstance(key, Connection) and key not in names:
            raise unknown(f"connection in {what}", key, [*names, ALL])
        connection = key if isinstance(key, Connection) else network.find("connection", key)
        if connection not in network.connections:
            raise InvalidValueError(f"{what}: connection {connection.name!r} belongs to another network")
        found[connection.index] = value
    return found


def _add_connection(found: Learned, connection: Connection, value: Any) -> None:
    what = f"connection {connection.name!r}"
    if not isinstance(value, Mapping):
        value = {"weight": value}
    for variable in value:
        if variable not in CONNECTION_VARIABLES:
            raise unknown(f"variable in optimisers of {what}", variable, CONNECTION_VARIABLES)
    if not value:
        raise InvalidValueError(f"optimisers of {what} name no variable; known: {', '.join(CONNECTION_VARIABLES)}")
    if "weight" in value:
        found.weights[connection.index] = as_optimiser(what, value["weight"])
    if "delay" in value:
        if connection.max_delay_steps == 0:
            raise InvalidValueError(
                f"optimisers of {what}: its delays cannot be learned, as max_delay_steps is 0; allowed is 1 or more"
            )
        found.delays[connection.index] = as_optimiser(f"the delays of {what}", value["delay"])


def _population_optimisers(population: Population, value: Any) -> dict[str, Optimiser]:
    """Optimisers by name of the value: ``"batch_norm"`` stands for its scale and its shift."""
    what = f"population {population.name!r}"
    known = learnable(population)
    if not isinstance(value, Mapping) or not value:
        raise InvalidValueError(
            f"optimisers of {what} must be a dict such as {{'batch_norm': Adam()}}, got {value!r}; it can learn: "
            f"{', '.join(known) or 'nothing'}"
        )
    found: dict[str, Optimiser] = {}
    for variable, optimiser in value.items():
        if variable not in known:
            raise unknown(f"variable in optimisers of {what}", variable, known)
        names = ("batch_norm_scale", "batch_norm_shift") if variable == "batch_norm" else (variable,)
        found |= dict.fromkeys(names, as_optimiser(f"{variable} of {what}", optimiser))
    return found


def learnable(population: Population) -> list[str]:
    """Names of what a population can learn: its batch norm, and time constants in right-hand sides of its neurons."""
    found = ["batch_norm"] if population.batch_norm is not None else []
    if isinstance(population.neuron, DynamicNeuron):
        slopes = discrete_model(population.equations(), detach_reset=True).sensitivity
        found += [name for name in slopes if name.startswith("tau") and slopes[name]]
    return found
