"""The definition of rewiring: all free slots are listed, and as many as synapses were dropped are chosen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...connectivity import Synapses, home_words, ordinals
from ...plan.exchanged import ConnectionState, Rewired
from ...plan.plan import ConnectionPlan
from ...random import Purpose, philox, sample_distinct
from .activity import Activity, Array


def rewired_state(
    activity: Activity, state: ConnectionState, connection: int, step: int, count: int
) -> tuple[ConnectionState, Rewired]:
    """A connection's state after its rule has acted, and how many synapses were replaced; see ``Engine.rewire``."""
    c = activity.plan.connections[connection]
    rule, s = c.rewiring, state.synapses
    assert rule is not None
    living = ~rule.dropped(s.weight, count, state.age, state.moments)
    dropped = int((~living).sum())
    if dropped == 0:
        return state, Rewired(0, 0)
    pair = s.post[living].astype(np.int64) * c.num_pre + s.pre[living]
    slots = np.arange(c.num_pre * c.num_post * c.capacity)  # pair * capacity + ordinal
    free = np.setdiff1d(slots, pair * c.capacity + ordinals(s.pre[living], s.post[living]))
    seed = activity.plan.training_seed
    if rule.growth == "random":
        free = free[sample_distinct(dropped, free.size, seed, Purpose.GROWTH, c.index, step)]
    else:
        wanted = rule.num_candidates(free.size, dropped)
        if wanted < free.size:
            free = free[sample_distinct(wanted, free.size, seed, Purpose.CANDIDATES, c.index, step)]
        born = newborn(activity, c, free, step)
        helps = rule.helps(gradient_at(activity, c, born), np.sign(born.weight))
        free = np.sort(free[np.argsort(-helps, kind="stable")[:dropped]])
    grown = newborn(activity, c, free, step)
    if rule.growth_delay == "best":
        grown = grown._replace(delay=best_delay(activity, c, grown))
    young = int((state.age[~living] <= rule.youngest(step)).sum())
    return _replaced(state, living, ConnectionState.new(grown, c)), Rewired(dropped - young, young)


def newborn(activity: Activity, c: ConnectionPlan, slots: Array, step: int) -> Synapses:
    """Synapses as they would be born in slots, with their pair's delay or a fresh one."""
    assert c.rewiring is not None
    pairs, ordinal = slots // c.capacity, slots % c.capacity
    pre, post = (pairs % c.num_pre).astype(np.int32), (pairs // c.num_pre).astype(np.int32)
    home = home_words(pre, post, ordinal, activity.plan.network_seed, c.index)
    negative = c.negative(home[0], pre)
    delay_words = home[1]
    if c.rewiring.growth_delay == "redraw":
        words = philox(activity.plan.training_seed, Purpose.GROWTH_DELAY, c.index, pre, post, step)
        delay_words = words[ordinal & 3, np.arange(pre.size)]
    delay = c.delays_of(delay_words)
    return Synapses(pre, post, delay, np.where(negative, -1e-12, 1e-12).astype(np.float32))


def gradient_at(activity: Activity, c: ConnectionPlan, s: Synapses) -> Array:
    """dL/dw of synapses that need not exist, spread over the lags of their kernel if there is one."""
    gain = activity.gain(c.source)
    if c.kernel is None:
        return np.asarray(gain * activity.correlogram(c, s.pre, s.post, s.delay))
    position = s.delay.astype(activity.dtype)
    taps = c.kernel.taps(position, activity.how.widths[c.index], c.min_delay, c.max_delay)
    total = np.zeros_like(position)
    for n in range(taps.share.shape[1]):
        here = np.flatnonzero(n < taps.number)
        total[here] += taps.share[here, n] * activity.correlogram(c, s.pre[here], s.post[here], taps.first[here] + n)
    return np.asarray(gain * total)


def best_delay(activity: Activity, c: ConnectionPlan, s: Synapses) -> npt.NDArray[np.uint16]:
    """The lag at which every synapse would help most, of equal ones the shortest."""
    assert c.rewiring is not None
    sign, lags = np.sign(s.weight), np.arange(c.delay_low, c.delay_high + 1)
    sums = [activity.correlogram(c, s.pre, s.post, np.full(s.pre.size, lag)) for lag in lags]
    best = np.argmax([c.rewiring.helps(g, sign) for g in sums], axis=0)
    return np.asarray(lags[best], dtype=np.uint16)


def _replaced(state: ConnectionState, living: Array, grown: ConnectionState) -> ConnectionState:
    """The living and the grown synapses, sorted by (post, pre); within a pair the living come first."""
    old, new = state.arrays(), grown.arrays()
    joined = {name: np.concatenate([a[living] if a.size else a, new[name]]) for name, a in old.items()}
    order = np.lexsort((joined["pre"], joined["post"]))
    return ConnectionState.from_arrays({name: a[order] if a.size else a for name, a in joined.items()})
