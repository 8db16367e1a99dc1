"""Learned variables: from the argument ``optimisers`` to one optimiser per learned variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..derive.derivations import discrete_model
from ..errors import InvalidValueError, shown, unknown
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
    """The variables that the ``optimisers`` of ``compile`` learn; all weights and batch norms by Adam where not given.

    Entries that overlap merge by variable: the entry of one connection or population takes precedence over the entry of
    all, for the variables that it names.

    Raises:
        InvalidValueError: something is named that is not there or cannot be learned.
    """
    if optimisers is None:
        norms = [p for p in network.populations if p.batch_norm is not None]
        optimisers = {ALL: {"weight": Adam()}, **{p: {"batch_norm": Adam()} for p in norms}}
    if not isinstance(optimisers, Mapping):
        raise InvalidValueError(
            f"optimisers must be a dict by connection, population, {ALL!r} or {ALL_POPULATIONS!r}, got "
            f"{shown(optimisers)}"
        )
    of_connections: dict[Any, Any] = {}
    of_populations: dict[Population, Any] = {}
    for key, value in optimisers.items():
        population = _population(network, key)
        if population is None:
            if key != ALL_POPULATIONS:
                of_connections[key] = value
        elif population in of_populations:
            raise InvalidValueError(f"optimisers given twice for population {population.name!r}, once by its name")
        else:
            of_populations[population] = _population_optimisers(population, value)
    if ALL_POPULATIONS in optimisers:
        norms = [p for p in network.populations if p.batch_norm is not None]
        general = optimisers[ALL_POPULATIONS]
        if not norms and not (isinstance(general, Mapping) and list(general) == ["batch_norm"]):
            raise InvalidValueError(
                f"optimisers of {ALL_POPULATIONS!r}, all with a batch norm, must be a dict such as {{'batch_norm': "
                f"Adam()}} where none has one, got {shown(general)}; what else populations learn is named for each"
            )
        for population in norms:
            of_all = _population_optimisers(population, general)
            of_populations[population] = of_all | of_populations.get(population, {})
    found = Learned()
    for connection, values in by_connection(network, "optimisers", of_connections).items():
        merged: dict[str, Any] = {}
        for value in values:
            merged |= _of_connection(connection, value)
        _add_connection(found, connection, merged)
    for population, named in of_populations.items():
        if learned := {name: optimiser for name, optimiser in named.items() if optimiser is not None}:
            found.populations[population.index] = learned
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


def by_connection(network: Network, what: str, values: Mapping[Any, Any]) -> dict[Connection, list[Any]]:
    """The entries of every connection, in order of creation: first those of all connections, then its own.

    Of two entries for the same thing the last one counts.
    """
    if not isinstance(values, Mapping):
        raise InvalidValueError(f"{what} must be a dict by connection or 'all_connections', got {shown(values)}")
    own: dict[Connection, Any] = {}
    names = [c.name for c in network.connections]
    for key, value in values.items():
        if isinstance(key, str) and key == ALL:
            continue
        if not isinstance(key, Connection) and (not isinstance(key, str) or key not in names):
            raise unknown(f"connection in {what}", key, [*names, ALL])
        connection = key if isinstance(key, Connection) else network.find("connection", key)
        if connection not in network.connections:
            raise InvalidValueError(f"{what}: connection {connection.name!r} belongs to another network")
        if connection in own:
            raise InvalidValueError(f"{what} given twice for connection {connection.name!r}, once by its name")
        own[connection] = value
    general = [values[ALL]] if ALL in values else []
    said = {c: general + ([own[c]] if c in own else []) for c in network.connections}
    return {c: of_it for c, of_it in said.items() if of_it}


def _of_connection(connection: Connection, value: Any) -> dict[str, Any]:
    """The optimisers of one entry of a connection, by variable; an optimiser alone is that of its weights."""
    what = f"connection {connection.name!r}"
    if not isinstance(value, Mapping):
        value = {"weight": as_optimiser(what, value)}
    for variable in value:
        if variable not in CONNECTION_VARIABLES:
            raise unknown(f"variable in optimisers of {what}", variable, CONNECTION_VARIABLES)
    if not value:
        raise InvalidValueError(f"optimisers of {what} name no variable; known: {', '.join(CONNECTION_VARIABLES)}")
    return dict(value)


def _add_connection(found: Learned, connection: Connection, value: Mapping[str, Any]) -> None:
    what = f"connection {connection.name!r}"
    weight = _optional(what, value.get("weight"))
    delay = _optional(f"the delays of {what}", value.get("delay"))
    if weight is not None:
        found.weights[connection.index] = weight
    if delay is not None:
        if connection.max_delay_steps == 0:
            raise InvalidValueError(
                f"optimisers of {what}: its delays cannot be learned, as max_delay_steps is 0; allowed is 1 or more"
            )
        found.delays[connection.index] = delay


def _optional(what: str, value: Any) -> Optimiser | None:
    """An optimiser, or None where a variable is said not to be learned."""
    return None if value is None or (isinstance(value, str) and value == "none") else as_optimiser(what, value)


def _population_optimisers(population: Population, value: Any) -> dict[str, Optimiser | None]:
    """Optimisers by name of the value: ``"batch_norm"`` stands for its scale and its shift; None is not learned."""
    what = f"population {population.name!r}"
    known = learnable(population)
    if not isinstance(value, Mapping) or not value:
        raise InvalidValueError(
            f"optimisers of {what} must be a dict such as {{'batch_norm': Adam()}}, got {shown(value)}; it can learn: "
            f"{', '.join(known) or 'nothing'}"
        )
    found: dict[str, Optimiser | None] = {}
    for variable, optimiser in value.items():
        if variable not in known:
            raise unknown(f"variable in optimisers of {what}", variable, known)
        names = ("batch_norm_scale", "batch_norm_shift") if variable == "batch_norm" else (variable,)
        found |= dict.fromkeys(names, _optional(f"{variable} of {what}", optimiser))
    return found


def learnable(population: Population) -> list[str]:
    """Names of what a population can learn: its batch norm, and time constants in right-hand sides of its neurons."""
    found = ["batch_norm"] if population.batch_norm is not None else []
    if isinstance(population.neuron, DynamicNeuron):
        slopes = discrete_model(population.equations(), detach_reset=True).sensitivity
        found += [name for name in slopes if name.startswith("tau") and slopes[name]]
    return found
