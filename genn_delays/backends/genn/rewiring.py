"""Rewiring in GeNN: custom connectivity updates drop and grow synapses; the host says how many grow in which row.

Every empty pair is equally likely, without rejection: one random number for each dropped synapse is its rank among
the empty pairs of all rows, and GeNN's own code finds the pair of that rank in a row (``grow.genn.j2``).

Where growth goes by the gradient, pairs without a synapse are *candidates*: synapses that carry nothing, whose
gradient GeNN computes as it does for all others. The host chooses the best of them, the others make room for new ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.genn import Fate, has_fate
from ...plan.exchanged import Rewired
from ...plan.plan import ConnectionPlan
from ...random import MAX_STEP, Purpose, sample_distinct
from . import ragged
from .describe import num_candidates
from .model import GeNNModel
from .states import raw_gradient

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Growth:
    """Synapses to be grown in a connection.

    Attributes:
        rank: of every one among the empty pairs of its row, row by row and ascending.
        edges: where the ranks of each row begin, and the end of the last.
        length: synapses of every row when they are grown.
    """

    connection: int
    step: int
    born_as: Fate
    rank: Array
    edges: Array
    length: Array

    @classmethod
    def drawn(
        cls, c: ConnectionPlan, length: Array, count: int, seed: int, purpose: Purpose, step: int, born_as: Fate
    ) -> Growth:
        """As many synapses as `count` in empty pairs of rows of these lengths, every pair equally likely."""
        begin = np.concatenate([[0], np.cumsum(c.num_post - length)])
        ranks = sample_distinct(count, int(begin[-1]), seed, purpose, c.index, step) if count else np.empty(0, np.int64)
        edges = np.searchsorted(ranks, begin)
        row = np.searchsorted(begin, ranks, side="right") - 1
        return cls(c.index, step, born_as, ranks - begin[row], edges, length + np.diff(edges))

    def run(self, model: GeNNModel) -> None:
        """Let GeNN grow them."""
        if self.rank.size == 0:
            return
        update = model.parts.grows[self.connection]
        for name, values in (("rank_begin", self.edges[:-1]), ("rank_end", self.edges[1:])):
            update.pre_vars[name].values = values
            update.pre_vars[name].push_to_device()
        update.extra_global_params["rank"].view[: self.rank.size] = self.rank
        update.extra_global_params["rank"].push_to_device()
        update.set_dynamic_param_value("step", self.step)
        update.set_dynamic_param_value("born_as", int(self.born_as))
        model.genn.custom_update(f"grow_{self.connection}")


def first_candidates(c: ConnectionPlan, length: Array, seed: int) -> Growth:
    """The candidates of a connection that has not been rewired since it was built."""
    return Growth.drawn(c, length, num_candidates(c), seed, Purpose.CANDIDATES, MAX_STEP, Fate.CANDIDATE)


def dropped(model: GeNNModel, c: ConnectionPlan, step: int, count: int) -> tuple[Rewired, list[Growth]]:
    """Drop synapses of a connection; returns their number, and the synapses to be grown in their place.

    Args:
        count: how many go by their score, where the rule asks.
    """
    chosen = 0
    if has_fate(c):
        marked = _mark(model, c, count)
        if marked is None:
            return Rewired(0, 0), []
        chosen = marked
    assert c.rewiring is not None
    drop = model.parts.drops[c.index]
    model.set_number(drop, "youngest", c.rewiring.youngest(step))
    model.genn.custom_update(f"drop_{c.index}")
    total, newborn = (_sum_of_rows(drop, name) for name in ("num_dropped", "num_newborn"))
    length, seed = ragged.row_length(model.parts.synapses[c.index]), model.plan.training_seed
    growths = [Growth.drawn(c, length, total - chosen, seed, Purpose.GROWTH, step, Fate.LIVING)]
    if has_fate(c):
        length = growths[0].length
        growths.append(Growth.drawn(c, length, num_candidates(c), seed, Purpose.CANDIDATES, step, Fate.CANDIDATE))
    return Rewired(total - newborn, newborn), growths


def _sum_of_rows(update: Any, name: str) -> int:
    """The sum of an update's counts in all rows."""
    per_row = update.pre_vars[name]
    per_row.pull_from_device()
    return int(np.asarray(per_row.view).sum())


def _mark(model: GeNNModel, c: ConnectionPlan, count: int) -> int | None:
    """Give synapses their fates; how many candidates were chosen, or None where nothing is dropped."""
    group, rule = model.parts.synapses[c.index], c.rewiring
    assert rule is not None
    moments = [f"weight_moment{m}" for m in range(rule.num_moments())]
    pre, post, values = ragged.read(group, ["g", "fate", "age", *moments])
    weight, fate = values["g"], values["fate"]
    living = np.flatnonzero(fate == Fate.LIVING)
    living = living[np.lexsort((pre[living], post[living]))]  # of equal scores the first ones go
    kept = [values[name][living] for name in moments]
    gone = living[rule.dropped(weight[living], count, values["age"][living], kept)]
    if gone.size == 0:
        return None
    fate[gone] = Fate.DROPPED
    candidates = np.flatnonzero(fate == Fate.CANDIDATE)
    gradient = raw_gradient(model, c.index, "dw")[candidates]
    helps = rule.helps(gradient, np.copysign(np.float32(1), weight[candidates]))
    best = candidates[np.lexsort((pre[candidates], post[candidates], -helps))[: gone.size]]
    fate[best] = Fate.BORN
    ragged.write_variable(group, "fate", fate)
    return int(best.size)
