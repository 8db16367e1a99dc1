"""Smaller forms of a network that keep the mean and the variance of every neuron's input.

As published for networks of this kind (van Albada, Helias & Diesmann 2015, doi 10.1371/journal.pcbi.1004490): with a
scale s, populations have ``s N`` neurons and every neuron ``s K`` synapses of each connection. Weights become
``w / sqrt(s)``, so the variance of the input, ``K w^2 nu``, stays. The mean, ``K w nu``, would change; a constant
current brings what is missing, for rates nu of the network of full size, which the model has to state
(``[simulation.rates]``)::

    current = tau nu (K w - K' w')          of each connection, with the smaller network's K' and w'; nu in 1/ms

where tau is the time constant of the synapse, and the length of a step for delta synapses: the integral of the input
over time that one spike of weight 1 makes. Poisson drives have rate s nu and weight w / sqrt(s), likewise. Delays,
neurons and other drives do not change. Correlations between neurons do: they grow as the network shrinks, as fewer
neurons share their inputs, so a small network is not the large one in everything.

Where nothing but the network itself keeps it going, a current in the place of a part of its input silences it. Models
of such networks say ``scaling = "neurons"``: populations have ``s N`` neurons, and every neuron keeps its K synapses of
each connection, with their weights, and so its input; correlations grow more than above, and there is a smallest scale,
at which neurons have synapses from all others.

Populations of given spikes (``spike_source``) keep their neurons.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

from ..errors import InvalidValueError, check_count
from .sections import ConnectionConfig, PopulationConfig
from .simulated import SimulationConfig
from .tables import Table

_SCALED_KEYS: dict[str, tuple[str, ...]] = {
    "constant": ("value",), "uniform": ("low", "high"), "normal": ("mean", "sd"),
    "normal_clipped": ("mean", "sd", "low", "high"), "kaiming_uniform": (),
}  # fmt: skip
"""Arguments of initialisers that have the unit of the value."""


def scaled(config: SimulationConfig) -> SimulationConfig:
    """The configuration of the smaller network, whose scale is 1.

    Raises:
        InvalidValueError: there is no smaller network of this kind, or a rate is not stated.
    """
    s = config.simulation.scale
    if s == 1.0:
        return config
    sizes = {p.name: check_count(f"{p.section} size", p.size) for p in config.populations}
    given = [p.name for p in config.populations if p.neuron["neuron"] == "spike_source"]
    smaller = {name: size if name in given else max(1, round(s * size)) for name, size in sizes.items()}
    if config.simulation.scaling == "neurons":
        return _fewer_neurons(config, sizes, smaller)
    missing = dict.fromkeys(sizes, 0.0)
    connections = []
    for c in config.connections:
        for end in (c.source, c.target):
            if end not in sizes:
                return config  # building the network says that there is no such population
        made, degrees = _connection(c, s, (sizes[c.source], sizes[c.target]), (smaller[c.source], smaller[c.target]))
        connections.append(made)
        mean = _mean(f"{c.section} weight", c.connectivity["weight"])
        lost = mean * (degrees[0] - degrees[1] / sqrt(s))
        if lost:
            missing[c.target] += lost * _rate(config, c.source) / 1000.0 * _reach(c.section, c.synapse, config)
    populations = [_population(p, smaller[p.name], s, missing[p.name], config) for p in config.populations]
    settings = replace(config.simulation, scale=1.0)
    return replace(config, populations=tuple(populations), connections=tuple(connections), simulation=settings)


def _fewer_neurons(config: SimulationConfig, sizes: dict[str, int], smaller: dict[str, int]) -> SimulationConfig:
    """The network of fewer neurons with the synapses that they have at full size."""
    connections = []
    for c in config.connections:
        if c.source not in sizes or c.target not in sizes:
            return config  # building the network says that there is no such population
        connections.append(_kept_degree(c, config.simulation.scale, sizes, smaller))
    populations = [replace(p, size=smaller[p.name]) for p in config.populations]
    settings = replace(config.simulation, scale=1.0)
    return replace(config, populations=tuple(populations), connections=tuple(connections), simulation=settings)


def _kept_degree(c: ConnectionConfig, s: float, sizes: dict[str, int], smaller: dict[str, int]) -> ConnectionConfig:
    """A connection that gives every target as many synapses from fewer sources."""
    table, kind = dict(c.connectivity), c.connectivity["connectivity"]
    pre, post = smaller[c.source], smaller[c.target]
    share = sizes[c.source] / pre
    if kind == "fixed_probability":
        table["p"] = needed = table["p"] * share
        most, of = 1.0, "probability"
    elif kind in ("fixed_in_degree", "fixed_out_degree", "fixed_total_number"):
        n, by_source = check_count(f"{c.section} n", table["n"]), kind == "fixed_out_degree"
        if by_source:  # its targets keep what they get, so a source has more where it shrinks and they do not
            n = max(1, round(n * share * post / sizes[c.target]))
        elif kind == "fixed_total_number":
            n = max(1, round(n * post / sizes[c.target]))
        table["n"] = n
        others = 0 if table.get("allow_self_connections", True) else 1
        needed, of = float(n), "synapses"
        most = float((pre * (post - others)) if kind == "fixed_total_number" else (post if by_source else pre) - others)
        if table.get("multapses", False):
            most = float("inf")
    else:
        raise InvalidValueError(
            f"{c.section}: connectivity {kind!r} has no form with fewer neurons and as many synapses of each; use it "
            "at scale 1"
        )
    if needed > most:
        raise InvalidValueError(
            f"{c.section}: at scale {s:g}, scaling 'neurons', {pre:,} sources and {post:,} targets are too few for the "
            f"synapses that every neuron keeps: {of} of {needed:.4g} where {most:.4g} is the most; use a larger scale"
        )
    return replace(c, connectivity=table)


def _rate(config: SimulationConfig, population: str) -> float:
    """The rate (Hz) of a population in the network of full size."""
    neuron = next(p.neuron for p in config.populations if p.name == population)
    if neuron["neuron"] == "poisson_input":
        return _mean(f"[[populations]] {population!r} rate", neuron["rate"])
    if population not in config.simulation.rates:
        raise InvalidValueError(
            f"[simulation] scale {config.simulation.scale:g} needs the mean rate of population {population!r} in the "
            f"network of full size, in Hz: rates.{population} of [simulation]"
        )
    return config.simulation.rates[population]


def _reach(section: str, synapse: Table, config: SimulationConfig) -> float:
    """The integral over time (ms) of the input that a spike of weight 1 makes."""
    if synapse["kind"] == "delta":
        return config.simulation.dt
    if synapse["kind"] == "exponential" and isinstance(synapse["tau"], (int, float)):
        return float(synapse["tau"])
    raise InvalidValueError(
        f"{section} synapse: a scale below 1 needs 'delta', or 'exponential' with one number tau, got {synapse!r}"
    )


def _mean(what: str, value: Any) -> float:
    """The mean of a number or of an initialiser's table."""
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, dict):
        kind = value["kind"]
        if kind == "constant":
            return float(value["value"])
        if kind == "uniform":
            return float(value["low"] + value["high"]) / 2
        if kind == "normal":
            return float(value["mean"])
        if kind == "normal_clipped":
            from scipy.stats import truncnorm

            mean, sd = value["mean"], value["sd"]
            low, high = value.get("low", float("-inf")), value.get("high", float("inf"))
            return float(truncnorm.mean((low - mean) / sd, (high - mean) / sd, mean, sd)) if sd else float(mean)
    raise InvalidValueError(
        f"{what}: a scale below 1 needs a number, 'constant', 'uniform', 'normal' or 'normal_clipped', got {value!r}"
    )


def _times(value: Any, factor: float) -> Any:
    """A number or an initialiser's table times a factor; its kind was checked by :func:`_mean`."""
    if isinstance(value, (int, float)):
        return value * factor
    return {key: v * factor if key in _SCALED_KEYS[value["kind"]] else v for key, v in value.items()}


def _connection(
    c: ConnectionConfig, s: float, full: tuple[int, int], smaller: tuple[int, int]
) -> tuple[ConnectionConfig, tuple[float, float]]:
    """A connection of the smaller network, and its mean synapses of a target at full size and there."""
    table = dict(c.connectivity)
    _mean(f"{c.section} weight", table["weight"])
    table["weight"] = _times(table["weight"], 1 / sqrt(s))
    kind, count = table["connectivity"], table.get("kernel_count", 1)
    if "n" in table:
        n = check_count(f"{c.section} n", table["n"])
        table["n"] = fewer = max(1, round(n * s * (s if kind == "fixed_total_number" else 1.0)))
        if kind == "fixed_in_degree":
            degrees: tuple[float, float] = (n, fewer)
        elif kind == "fixed_out_degree":
            degrees = (n * full[0] / full[1], fewer * smaller[0] / smaller[1])
        else:
            degrees = (n / full[1], fewer / smaller[1])
    elif kind in ("dense", "fixed_probability", "fixed_number"):
        share = table["p"] if kind == "fixed_probability" else 1 - table["sparsity"] if kind == "fixed_number" else 1.0
        others = 0 if table.get("allow_self_connections", True) else 1
        degrees = (share * (full[0] - others), share * (smaller[0] - others))
    else:
        raise InvalidValueError(f"{c.section}: connectivity {kind!r} has no smaller form; use it at scale 1")
    return replace(c, connectivity=table), (degrees[0] * count, degrees[1] * count)


def _population(p: PopulationConfig, size: int, s: float, missing: float, config: SimulationConfig) -> PopulationConfig:
    """A population of the smaller network, with the current that brings the mean of its missing input."""
    drives = []
    for number, drive in enumerate(p.drives if isinstance(p.drives, list) else [p.drives] if p.drives else [], 1):
        if drive["kind"] == "poisson_drive":
            section = f"{p.section} drives number {number}"
            rate, weight = _mean(f"{section} rate", drive["rate"]), _mean(f"{section} weight", drive["weight"])
            missing += rate / 1000.0 * weight * (1 - sqrt(s)) * _reach(section, drive["synapse"], config)
            drive = {**drive, "rate": _times(drive["rate"], s), "weight": _times(drive["weight"], 1 / sqrt(s))}
        drives.append(drive)
    if missing:
        drives.append({"kind": "current", "amplitude": missing})
    return replace(p, size=size, drives=drives or None)
