"""DEEP R in GeNN: custom connectivity updates drop and grow; the host only says how many grow in which row.

Every empty pair is equally likely, and none is tried in vain: as many random numbers as synapses were dropped are
ranks among the empty pairs of all rows, and a rank in a row is found by GeNN's own code (``grow.genn.j2``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...random import Purpose, sample_distinct
from . import ragged

if TYPE_CHECKING:
    from .engine import GeNNEngine


def rewired(engine: GeNNEngine, connection: int, step: int) -> int:
    """Drop and grow synapses of a connection; how many of each were."""
    model, c = engine.model, engine.plan.connections[connection]
    model.genn.custom_update(f"drop_{connection}")
    dropped = model.parts.drops[connection].pre_vars["num_dropped"]
    dropped.pull_from_device()
    total = int(np.asarray(dropped.view).sum())
    if total == 0:
        return 0
    length = ragged.row_length(model.parts.synapses[connection])
    begin = np.concatenate([[0], np.cumsum(c.num_post - length)])
    ranks = sample_distinct(total, int(begin[-1]), engine.plan.training_seed, Purpose.GROWTH, connection, step)
    edges = np.searchsorted(ranks, begin)
    longest = int((length + np.diff(edges)).max())
    if longest > model.parts.synapses[connection].max_connections:
        engine.make_room(connection, longest)
        model = engine.model
    grow = model.parts.grows[connection]
    for name, values in (("rank_begin", edges[:-1]), ("rank_end", edges[1:])):
        grow.pre_vars[name].values = values
        grow.pre_vars[name].push_to_device()
    row = np.searchsorted(begin, ranks, side="right") - 1
    grow.extra_global_params["rank"].view[:total] = ranks - begin[row]
    grow.extra_global_params["rank"].push_to_device()
    grow.set_dynamic_param_value("step", step)
    model.genn.custom_update(f"grow_{connection}")
    return total
