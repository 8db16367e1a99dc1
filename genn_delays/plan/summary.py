"""The summary of a compiled network, and of what is learned, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..learning.optimisers import Optimiser
from ..network import Network
from .plan import ConnectionPlan, Plan, PopulationPlan


def summary(network: Network, plan: Plan, delays: Mapping[int, npt.NDArray[Any]]) -> str:
    """Populations, connections and what is learned, a line each.

    Args:
        delays: by index of the connection its delays (time steps) as they are now, ``[synapse]``.
    """
    synapses = sum(c.size for c in plan.connections)
    head = (
        f"network of seed {plan.network_seed}: {_counted(len(plan.populations), 'population')}, "
        f"{_counted(len(plan.connections), 'connection')}, {_counted(synapses, 'synapse')}"
    )
    populations = [_population(p, type(network.populations[p.index].neuron).__name__) for p in plan.populations]
    connections = [_connection(plan, c, delays[c.index]) for c in plan.connections]
    return "\n".join([head, *populations, *connections, what_learns(plan)])


def what_learns(plan: Plan) -> str:
    """One line: the weights, delays and values of populations that are learned, by which optimiser, and those that are
    not."""
    learned: dict[tuple[str, str], list[str]] = {}
    fixed: dict[str, list[str]] = {"weights": [], "delays": [], "batch norm": []}

    def add(variable: str, name: str, optimiser: Optimiser | None) -> None:
        if optimiser is None:
            fixed[variable].append(name)
        else:
            learned.setdefault((variable, described(optimiser)), []).append(name)

    for c in plan.connections:
        add("weights", c.name, c.optimiser)
        add("delays", c.name, c.delay_optimiser)
    for p in plan.populations:
        if p.batch_norm is not None:
            add("batch norm", p.name, p.learned.get("batch_norm_scale"))
        for name, optimiser in p.learned.items():
            if not name.startswith("batch_norm"):
                add(name, p.name, optimiser)
    said = "; ".join(
        f"{variable} of {', '.join(names)} by {optimiser}" for (variable, optimiser), names in learned.items()
    )
    if 1 < len(plan.connections) == len(fixed["delays"]):
        fixed["delays"] = ["all connections"]
    left = "; ".join(f"{variable} of {', '.join(names)}" for variable, names in fixed.items() if names)
    return f"learned: {said or 'nothing'}" + (f"; not learned: {left}" if left else "")


def described(thing: Any) -> str:
    """An optimiser or a rule with what differs from its class's defaults; an optimiser always with its `alpha`."""
    own = {f.name: (getattr(thing, f.name), f.default) for f in fields(thing) if f.init}
    told = {n: v for n, (v, default) in own.items() if n == "alpha" or default is MISSING or v != default}
    arguments = (f"{n}={described(v) if n == 'schedule' else format_number(v)}" for n, v in told.items())
    return f"{type(thing).__name__}({', '.join(arguments)})"


def format_number(value: Any) -> str:
    """A number as short as it can be read back, anything else as Python writes it."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else repr(value)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _population(p: PopulationPlan, neuron: str) -> str:
    parts = [f"{p.name}: {p.size:,} x {neuron}"]
    if p.kind != "neuron":
        parts.append("input")
    if p.readout is not None:
        parts.append(f"output by {p.readout!r}")
    if p.batch_norm is not None:
        parts.append("batch norm")
    if p.dropout:
        parts.append(f"dropout {p.dropout:g}")
    return ", ".join(parts)


def _connection(plan: Plan, c: ConnectionPlan, delays: npt.NDArray[Any]) -> str:
    source, target = plan.populations[c.source].name, plan.populations[c.target].name
    empty = 100 * (1 - c.size / (c.num_pre * c.num_post * c.capacity))
    low, high = float(delays.min(initial=0 if not delays.size else np.inf)), float(delays.max(initial=0))
    parts = [f"{c.name}: {source} -> {target}", f"{_counted(c.size, 'synapse')} ({empty:.4g} % sparse)"]
    parts.append(f"delays {low:.4g} to {high:.4g} steps" if low != high else f"delays {low:.4g}")
    if c.kernel is not None:
        parts.append(f"spread by {type(c.kernel).__name__} while training")
    if c.rewiring is not None:
        parts.append(f"rewired by {described(c.rewiring)}")
    return ", ".join(parts)
