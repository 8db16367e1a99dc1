"""The parts of a batch's passes that are computed tile by tile, and the activity that must be kept from part to part.

A part runs for one tile of lanes after the other. Batch norm cuts the passes: it needs all tiles of a population before
it goes on. The last part forward, the loss and the first part backward follow each other, so a training pass can
compute them for one tile at once, and activity that nothing else reads is kept for a single tile, which stays in the
caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..plan.plan import Plan, PopulationPlan


class Kept(NamedTuple):
    """A population's arrays of activity, true where they are kept for all tiles of a batch and not for one."""

    x: bool
    var: bool
    current: bool
    g: bool


WHOLE = Kept(True, True, True, True)
"""All of them, as passes need that are asked for one by one."""


def has_one_pass(plan: Plan) -> bool:
    """True if the loss can follow the forward pass, and the backward pass the loss, tile by tile: no number of spikes
    of the whole batch is needed in between."""
    return not any(p.regularised for p in plan.populations)


def kept(plan: Plan, p: PopulationPlan) -> Kept:
    """The arrays of a population that its passes need of all tiles, where they are computed in one pass if possible."""
    if not has_one_pass(plan):
        return WHOLE._replace(g=p.keeps_whole_gradient)
    turns = p.index in _turning(plan)
    normed, stepwise = p.batch_norm is not None, p.loss is not None and p.loss.stepwise
    return Kept(
        x=not turns or _grows_by_gradient(plan, p.outgoing),
        var=not turns or stepwise,  # a loss of every step reads it when it is asked for alone
        current=not turns or normed,
        g=p.keeps_whole_gradient and (not turns or normed or _grows_by_gradient(plan, p.incoming)),
    )


def _grows_by_gradient(plan: Plan, connections: Sequence[int]) -> bool:
    rules = [plan.connections[index].rewiring for index in connections]
    return any(rule is not None and rule.uses_gradient for rule in rules)


def _turning(plan: Plan) -> set[int]:
    """Populations whose activity is computed in the last part forward and read in the first one backward, or, of those
    with batch norm, whose spikes and adjoints are."""
    normed = [n for n, group in enumerate(plan.groups) if plan.populations[group[0]].batch_norm]
    inputs = [] if normed else [p.index for p in plan.populations if p.kind == "real_input"]
    return {*inputs, *(index for group in plan.groups[max(normed, default=0) :] for index in group)}


def parts(
    inputs: list[dict[str, Any]], groups: list[list[dict[str, Any]]], outputs: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The operations of every part, forward and backward, as the template reads them; `inputs`, those of real values,
    are loaded tile by tile."""
    forward: list[dict[str, Any]] = [{"ops": [{"kind": "load", "p": p} for p in inputs], "barrier": None}]
    backward: list[dict[str, Any]] = [{"ops": [], "barrier": None}]
    for number, group in enumerate(groups):
        if group[0]["batch_norm"]:
            forward[-1]["ops"].append({"kind": "current", "p": group[0]})
            forward[-1]["barrier"] = group[0]
            forward.append({"ops": [], "barrier": None})
        forward[-1]["ops"].append({"kind": "group", "group": group, "number": number})
    forward[-1]["ops"] += [{"kind": "readout", "p": p} for p in outputs]
    backward[-1]["ops"] += [{"kind": "readout", "p": p} for p in outputs if not p["stepwise"]]
    for place, (number, group) in enumerate(reversed(list(enumerate(groups)))):
        backward[-1]["ops"].append({"kind": "group", "group": group, "number": number, "place": place})
        if group[0]["batch_norm"]:
            backward.append({"ops": [{"kind": "finish", "p": group[0], "place": place}], "barrier": None})
    return {"forward": forward, "backward": backward}
