"""Learning rates that were set while a network trains, by the names of what learns."""

from __future__ import annotations

from typing import Any

from ..learning.optimisers import Learns
from ..plan.plan import Plan


def owner_name(plan: Plan, what: Learns) -> str:
    """The name of the connection or the population that learns."""
    return (plan.connections if what.kind == "connection" else plan.populations)[what.number].name


def written(plan: Plan) -> dict[str, Any]:
    """The entry of a checkpoint; nothing where no learning rate was set."""
    found: dict[str, dict[str, float]] = {}
    for what, alpha in sorted(plan.alphas.items()):
        found.setdefault(f"{what.kind} {owner_name(plan, what)}", {})[what.variable] = alpha
    return {"learning_rates": found} if found else {}


def read_rates(plan: Plan, progress: dict[str, Any]) -> dict[Learns, float]:
    """The learning rates of a checkpoint, of what this plan learns."""
    said = progress.get("learning_rates", {})
    found = {}
    for what in plan.learning():
        alpha = said.get(f"{what.kind} {owner_name(plan, what)}", {}).get(what.variable)
        if alpha is not None:
            found[what] = float(alpha)
    return found
