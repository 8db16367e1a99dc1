"""Gradients against central differences of the loss, in float64 with the spike replaced by the smooth one."""

from __future__ import annotations

from typing import Any

import numpy as np

from genn_delays import CompiledNetwork, Connection, Reference

SMOOTH = Reference(dtype="float64", smooth_spikes=True)


def loss_at(compiled: CompiledNetwork, x: Any, y: Any, owner: Any, variable: str, index: int, change: float) -> float:
    """The loss with one number of a connection or a population changed."""
    if not isinstance(owner, Connection):
        values = {k: v.astype(np.float64) for k, v in compiled.populations[owner.index].values.items()}
        moved = {**values, variable: values[variable].copy()}
        moved[variable][index] += change
        compiled.engine.set_values(owner.index, moved)
        loss, _ = compiled.gradients(x, y)
        compiled.engine.set_values(owner.index, values)
        return loss
    before = compiled.engine.state(owner.index)
    state = before.copy()
    if variable == "delay":
        state.position = state.position.astype(np.float64)
        state.position[index] += change
    else:
        weights = state.synapses.weight.astype(np.float64)
        weights[index] += change
        state.synapses = state.synapses._replace(weight=weights)
    compiled.engine.set_state(owner.index, state)
    loss, _ = compiled.gradients(x, y)
    compiled.engine.set_state(owner.index, before)
    return loss


def check_gradient(
    compiled: CompiledNetwork, x: Any, y: Any, variable: str, seed: int = 0, tolerance: float = 1e-6, step: float = 1e-5
) -> None:
    """Gradients of a variable, a few of every owner; where the reset is detached, its factors are frozen.

    `step` is the change of a number: small where the loss is far from linear.

    A smooth spike is as good a factor as any; a refractory period begins at a whole spike.
    """
    _, gradients = compiled.gradients(x, y, variable)
    if compiled.plan.detach_reset:
        spiking = [p for p in compiled.plan.populations if p.spiking and p.model]
        spiked = {p.index: compiled.engine.spiked[p.index] for p in spiking}
        if any(p.model.hold for p in spiking):
            spiked = {index: (s >= 0.5).astype(s.dtype) for index, s in spiked.items()}
        compiled.engine.frozen_resets = {index: s.copy() for index, s in spiked.items()}
        _, gradients = compiled.gradients(x, y, variable)
    random = np.random.default_rng(seed)
    for owner, gradient in gradients.items():
        for index in random.choice(gradient.size, min(6, gradient.size), replace=False):
            up, down = (loss_at(compiled, x, y, owner, variable, index, s * step) for s in (1, -1))
            difference = (up - down) / (2 * step)
            assert abs(difference - gradient[index]) < tolerance * np.abs(gradient).max(), owner.name
