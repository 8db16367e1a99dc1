"""One step of every optimiser of a connection, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...bodies import compute
from ...learning.optimisers import L1, Optimiser, Optimisers, older
from ...learning.updates import BEFORE, DELAY, DRIFT, KEEP_SIGN, NOISE
from ...plan.exchanged import ConnectionState
from ...plan.plan import ConnectionPlan
from ...random import Purpose, philox

Array = npt.NDArray[Any]


def update_state(
    c: ConnectionPlan,
    state: ConnectionState,
    optimisers: Optimisers,
    gradient: Callable[[str], Array],
    *,
    seed: int,
    step: int,
    scale: float,
) -> None:
    """Weights and delays of a connection by its optimisers, in place; gradients, by variable, count `scale` times."""
    weights, delays = optimisers
    state.age = older(state.age)
    if weights is not None:
        state.synapses.weight[:] = _updated_weights(seed, c, state, weights, gradient("weight"), step, scale)
    if delays is not None:
        g: Array = np.float32(scale) * gradient("delay").astype(np.float32)
        new = delays.step(state.position, g, state.delay_moments, state.age)
        delay = compute(DELAY, {"new": new, "min_delay": c.min_delay, "max_delay": c.max_delay})
        state.position = delay["position"]
        state.synapses = state.synapses._replace(delay=delay["steps"].astype(np.uint16))


def _updated_weights(
    seed: int, c: ConnectionPlan, state: ConnectionState, optimiser: Optimiser, g: Array, step: int, scale: float
) -> Array:
    """Weights after a step, with L1, weight decay, noise and the signs that a rewiring rule keeps."""
    rule, s, l1 = c.rewiring, state.synapses, L1.of(optimiser, c.rewiring)
    penalties = {"l1": l1.gradient, "weight_decay": optimiser.weight_decay}
    known: dict[str, Any] = {"w": s.weight, "alpha": optimiser.alpha, "drift": l1.drift}
    known |= compute(BEFORE, {**known, "g": g, "scale": scale, **penalties})
    known["new"] = optimiser.step(s.weight, known["g"], state.moments, state.age)
    known |= compute(DRIFT, known)
    if rule is not None and rule.temperature > 0:
        words = philox(seed, Purpose.NOISE, c.index, s.pre, s.post, step)
        word = words[s.delay & 3, np.arange(s.delay.size)]
        known |= compute(NOISE, {**known, "noise": rule.noise(optimiser.alpha), "word": word})
    if rule is not None and rule.signed:
        with np.errstate(invalid="ignore"):  # infinity times 0 gives NaN without a warning
            known |= compute(KEEP_SIGN, known)
    return np.asarray(known["new"])
