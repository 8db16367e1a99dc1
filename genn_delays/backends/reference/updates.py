"""One step of every optimiser of a connection, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...learning.optimisers import L1, Optimiser, Optimisers, older
from ...plan.plan import ConnectionPlan
from ...plan.protocol import ConnectionState
from ...random import Purpose, normal_quantile, philox

Array = npt.NDArray[Any]


def update_state(
    c: ConnectionPlan,
    state: ConnectionState,
    optimisers: Optimisers,
    gradient: Callable[[str], Array],
    *,
    seed: int,
    step: int,
    scale: np.float32,
) -> None:
    """Weights and delays of a connection by its optimisers, in place; gradients, by variable, count `scale` times."""
    weights, delays = optimisers
    state.age = older(state.age)
    if weights is not None:
        g: Array = scale * gradient("weight").astype(np.float32)
        state.synapses.weight[:] = _updated_weights(seed, c, state, weights, g, step)
    if delays is not None:
        g = scale * gradient("delay").astype(np.float32)
        position = delays.step(state.position, g, state.delay_moments, state.age)
        state.position = np.clip(position, np.float32(c.min_delay), np.float32(c.max_delay))
        state.synapses = state.synapses._replace(delay=np.rint(state.position).astype(np.uint16))


def _updated_weights(
    seed: int, c: ConnectionPlan, state: ConnectionState, optimiser: Optimiser, g: Array, step: int
) -> Array:
    """Weights after a step, with L1, weight decay, noise and the signs that a rewiring rule keeps."""
    rule, s = c.rewiring, state.synapses
    sign: Array = np.copysign(np.float32(1), s.weight)
    l1 = L1.of(optimiser, rule)
    g = g + np.float32(l1.gradient) * sign
    g = g + np.float32(optimiser.weight_decay) * s.weight
    updated: Array = optimiser.step(s.weight, g, state.moments, state.age)
    if l1.drift > 0:
        updated = updated - np.float32(optimiser.alpha) * np.float32(l1.drift) * sign
    if rule is not None and rule.temperature > 0:
        words = philox(seed, Purpose.NOISE, c.index, s.pre, s.post, step)
        words = words[s.delay & 3, np.arange(s.delay.size)]
        noise = np.sqrt(2 * optimiser.alpha * rule.temperature) * normal_quantile(words)
        updated = updated + sign * noise.astype(np.float32)
    if rule is not None and rule.signed:
        # what is no finite number stays, to be found: replaced by a new synapse, it would be gone without a word
        gone = (updated * sign <= 0) & np.isfinite(updated)
        updated = np.where(gone, np.copysign(np.float32(0), s.weight), updated)
    return updated
