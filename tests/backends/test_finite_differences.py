"""The reference's gradients against finite differences of its loss: float64, the spike replaced by the smooth one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case

from genn_delays import Reference
from genn_delays.learning.readouts import READOUTS

SMOOTH = Reference(dtype="float64", smooth_spikes=True)
CASES = [replace(Case.numbered(seed), batch_size=2, time_steps=12) for seed in range(12)]
CASES += [replace(CASES[3], readout=readout, seed=20 + n) for n, readout in enumerate(sorted(READOUTS))]


def loss_at(compiled, x, y, connection, index, change):
    state = compiled.engine.state(connection.index)
    weights = state.synapses.weight.astype(np.float64)
    weights[index] += change
    state.synapses = state.synapses._replace(weight=weights)
    before = compiled.engine.state(connection.index)
    compiled.engine.set_state(connection.index, state)
    loss, _ = compiled.gradients(x, y)
    compiled.engine.set_state(connection.index, before)
    return loss


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"seed{c.seed}")
def test_gradient_is_the_derivative_of_the_loss(case):
    """With the reset differentiated, or detached: then its factors are those of the unperturbed run."""
    compiled = case.compile(SMOOTH)
    x, y = case.data()
    x, y = {"in": x["in"][:2]}, {"out": y["out"][:2]}
    _, gradients = compiled.gradients(x, y)
    if case.detach_reset:
        spiking = [p for p in compiled.network.populations if p.spiking and not p.neuron.is_input]
        compiled.engine.frozen_resets = {p.index: compiled.engine.x[p.index].copy() for p in spiking}
    random = np.random.default_rng(case.seed)
    step = 1e-5
    for connection, gradient in gradients.items():
        for index in random.choice(gradient.size, min(6, gradient.size), replace=False):
            up, down = (loss_at(compiled, x, y, connection, index, s * step) for s in (1, -1))
            difference = (up - down) / (2 * step)
            assert abs(difference - gradient[index]) < 1e-6 * np.abs(gradient).max(), connection.name


def test_detached_gradient_differs_from_the_full_one():
    """Else the two cases above would test one thing."""
    case = replace(Case.numbered(1), batch_size=2, time_steps=12)
    x, y = case.data()
    full, detached = (
        list(replace(case, detach_reset=d).compile(SMOOTH).gradients(x, y)[1].values()) for d in (False, True)
    )
    assert np.abs(full[0] - detached[0]).max() > 1e-3 * np.abs(full[0]).max()
