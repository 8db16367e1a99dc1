"""The reference's gradients against finite differences of its loss: float64, the spike replaced by the smooth one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from networks import Case

from genn_delays.learning.readouts import READOUTS

SMALL = {"batch_size": 2, "time_steps": 12}
CASES = [replace(Case.numbered(seed), **SMALL) for seed in range(12)]
BY_VALUE = sorted(name for name, readout in READOUTS.items() if readout.derivative == "value")
CASES += [replace(CASES[3], readout=readout, seed=20 + n) for n, readout in enumerate(BY_VALUE)]
PUBLISHED = [replace(Case.published(seed), batch_size=2, time_steps=20) for seed in range(12)]
SPREAD = [replace(case, kernel=case.kernel or "gaussian") for case in PUBLISHED]


def spread_out(compiled, seed):
    """Real-valued delays, away from whole numbers and from the ends, where a kernel has kinks."""
    random = np.random.default_rng(seed)
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        whole = random.integers(c.min_delay, max(c.max_delay, c.min_delay + 1), state.position.size)
        state.position = whole + random.uniform(0.2, 0.8, state.position.size)
        compiled.engine.set_state(c.index, state)


def check(case, variable, compiled):
    """Gradients of a variable, for the first two examples."""
    x, y = case.data()
    check_gradient(compiled, {"in": x["in"][:2]}, {"out": y["out"][:2]}, variable, case.seed)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"seed{c.seed}")
def test_gradient_is_the_derivative_of_the_loss(case):
    check(case, "weight", case.compile(SMOOTH))


@pytest.mark.parametrize("variable", ["weight", "delay"])
@pytest.mark.parametrize("case", SPREAD, ids=lambda c: f"seed{c.seed}")
def test_published_ingredients(case, variable):
    """Batch norm, dropout, delay kernels of any width, several synapses a pair."""
    compiled = case.compile(SMOOTH)
    spread_out(compiled, case.seed)
    check(case, variable, compiled)


@pytest.mark.parametrize("variable", ["batch_norm_scale", "batch_norm_shift"])
@pytest.mark.parametrize("case", [c for c in PUBLISHED if c.batch_norm][:4], ids=lambda c: f"seed{c.seed}")
def test_batch_norm(case, variable):
    check(case, variable, case.compile(SMOOTH))


def test_delay_gradient_of_whole_delays():
    """It is half the difference between the loss with one step more and with one step less, for a weak synapse."""
    case = replace(PUBLISHED[3], kernel=None, kernel_count=1, surrogate="arctan", detach_reset=True)
    compiled = case.compile(SMOOTH)
    x, y = case.data()
    x, y = {"in": x["in"][:2]}, {"out": y["out"][:2]}
    c, connection = compiled.plan.connections[0], compiled.network.connections[0]
    _, reached = compiled.gradients(x, y)
    spiking = [p for p in compiled.network.populations if p.spiking and not p.neuron.is_input]
    start = compiled.engine.state(c.index)
    inside = (start.position > 0) & (start.position < c.max_delay)
    inner = np.flatnonzero(inside & (reached[connection] != 0))[:4]
    assert inner.size == 4
    for index in inner:
        state = start.copy()
        weights = state.synapses.weight.astype(np.float64)
        weights[index] = 1e-6  # so weak that the loss is linear in it
        state.synapses = state.synapses._replace(weight=weights)
        compiled.engine.set_state(c.index, state)
        compiled.engine.frozen_resets = {}
        gradient = compiled.gradients(x, y, "delay")[1][connection][index]
        compiled.engine.frozen_resets = {p.index: compiled.engine.spiked[p.index].copy() for p in spiking}
        losses = []
        for step in (1, -1):
            moved = state.copy()
            moved.position[index] += step
            moved.synapses = moved.synapses._replace(delay=np.rint(moved.position).astype(np.uint16))
            compiled.engine.set_state(c.index, moved)
            losses.append(compiled.gradients(x, y)[0])
        assert gradient != 0
        assert (losses[0] - losses[1]) / 2 == pytest.approx(gradient, rel=1e-3)


def test_detached_gradient_differs_from_the_full_one():
    """Else the two cases above would test one thing."""
    case = replace(Case.numbered(1), batch_size=2, time_steps=12)
    x, y = case.data()
    full, detached = (
        list(replace(case, detach_reset=d).compile(SMOOTH).gradients(x, y)[1].values()) for d in (False, True)
    )
    assert np.abs(full[0] - detached[0]).max() > 1e-3 * np.abs(full[0]).max()
