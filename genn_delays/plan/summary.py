"""The overview of a compiled network, and of what is learned, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..learning.optimisers import Optimiser
from ..network import Network
from ..overview import Overview, Table, bytes_text, counted
from ..overview.described import CONNECTIONS, POPULATIONS, population_row, range_text, sparsity_text, synapse_text
from .plan import ConnectionPlan, Plan
from .schema import synapse_bytes


def overview(
    network: Network, plan: Plan, delays: Mapping[int, npt.NDArray[Any]], held: tuple[str, int] | None = None
) -> Overview:
    """Populations, connections and what is learned.

    Args:
        delays: by index of the connection its delays (time steps) as they are now, ``[synapse]``.
        held: the name of a backend and the bytes that its engine has allocated, where it tells.
    """
    synapses = sum(c.size for c in plan.connections)
    state = sum(synapse_bytes(c) * c.size for c in plan.connections)
    title = (
        f"network of seed {plan.network_seed}: {counted(len(plan.populations), 'population')}, "
        f"{counted(len(plan.connections), 'connection')}, {counted(synapses, 'synapse')}, {bytes_text(state)} of state"
    )
    bytes_of_all = [] if held is None else [f"backend {held[0]} holds {bytes_text(held[1])} in all"]
    tables = (
        Table.of(POPULATIONS, [population_row(network.populations[p.index]) for p in plan.populations]),
        Table.of(CONNECTIONS, [_row(network, plan, c, delays[c.index]) for c in plan.connections]),
    )
    return Overview(title, tables, (what_learns(plan), *bytes_of_all))


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


def _row(network: Network, plan: Plan, c: ConnectionPlan, delays: npt.NDArray[Any]) -> tuple[str, ...]:
    low, high = float(delays.min(initial=0 if not delays.size else np.inf)), float(delays.max(initial=0))
    training = [] if c.kernel is None else [f"spread by {type(c.kernel).__name__}"]
    training += [] if c.rewiring is None else [f"rewired by {described(c.rewiring)}"]
    return (
        c.name, plan.populations[c.source].name, plan.populations[c.target].name, f"{c.size:,}",
        sparsity_text(c.size, c.num_pre * c.num_post * c.capacity), range_text(low, high),
        synapse_text(network.connections[c.index].synapse), ", ".join(training), bytes_text(synapse_bytes(c) * c.size),
    )  # fmt: skip
