"""EventProp's adjoint on the grid of time steps, in NumPy; the equations are in ``derive/transitions.py``."""

from __future__ import annotations

import numpy as np

from ...derive.expressions import evaluate
from ...derive.names import derived_name, given_name
from ...neurons.neuron import REFRACTORY_STATE
from ...plan.plan import PopulationPlan
from .activity import Activity, Array

HOLD, LATER_REFRAC = given_name("hold"), derived_name("L", REFRACTORY_STATE)


def event_prop_step(
    activity: Activity, p: PopulationPlan, t: int, later: dict[str, Array], e: Array, drive: Array
) -> dict[str, Array]:
    """lambda before step t's spikes, out of lambda after the step; fills g and h of the step.

    Args:
        later: lambda one step later, by state ``[neuron, lane]``.
        e: the readout's derivative by the variable it reads; of spiking neurons the part of ``l_time`` that comes
        from the spike's targets.
        drive: cost of one more spike, ``[neuron, 1]``.
    """
    model = p.model
    assert model is not None
    assert model.transitions is not None
    transitions, numbers = model.transitions, activity.numbers(p.index)
    state = {s: activity.tape[p.index][s][:, t] for s in model.states}
    known = {**numbers, **state, **{derived_name("L", s): later[s] for s in model.states}}
    spiked = np.zeros_like(e)
    if model.threshold is not None:
        spiked = activity.spiked[p.index][:, t]
        if model.hold is not None:
            known[HOLD] = evaluate(model.hold.py, {**known, given_name("S"): spiked}).astype(e.dtype)
    now = {s: evaluate(flow.py, known) + np.zeros_like(e) for s, flow in transitions.flow.items()}
    if model.threshold is None and p.readout is not None:
        now[model.states[model.output]] = now[model.states[model.output]] + e
    lambdas = {derived_name("l", s): value for s, value in now.items()}
    activity.g[p.index][:, t] = evaluate(model.gradient.py, {**numbers, **lambdas})
    activity.h[p.index][:, t] = evaluate(transitions.arrival.py, {**known, **lambdas})
    if model.threshold is None or transitions.spike_time is None:
        return now
    known |= {derived_name("L", s): value for s, value in now.items()} | {given_name("e_time"): e}
    if transitions.release is not None:
        known[LATER_REFRAC] = later[REFRACTORY_STATE] * known[HOLD]
    l_time = evaluate(transitions.spike_time.py, known)
    known[given_name("push")] = drive - l_time * inverse_slope(activity, p, t)
    jumped = {s: evaluate(jump.py, known) for s, jump in transitions.jump.items()}
    now = {s: np.where(spiked == 1, jumped[s], value) if s in jumped else value for s, value in now.items()}
    if transitions.release is not None:  # a spike in the very step of a release moves with it
        passed_on = np.where(spiked == 1, l_time, known[LATER_REFRAC])
        known |= {derived_name("L", s): value for s, value in now.items()}
        now[REFRACTORY_STATE] = passed_on + np.where(
            _releases(activity, p, t), evaluate(transitions.release.py, known), 0
        )
    return now


def inverse_slope(activity: Activity, p: PopulationPlan, t: int) -> Array:
    """1 / slope (ms) of the approach to the threshold in step t; 0 where the distance did not shrink."""
    assert p.model is not None
    assert p.model.threshold is not None
    assert activity.plan.event_prop is not None
    numbers, state = activity.numbers(p.index), {s: activity.tape[p.index][s][:, t] for s in p.model.states}
    distance = evaluate(p.model.threshold.py, {**numbers, **state})
    rise = distance - evaluate(p.model.threshold.py, {**numbers, **activity.before(p, t)})
    dt, limit = rise.dtype.type(p.dt), rise.dtype.type(activity.plan.event_prop.grad_limit)
    return np.where(rise > 0, np.minimum(dt / np.where(rise > 0, rise, 1), limit), 0)


def _releases(activity: Activity, p: PopulationPlan, t: int) -> Array:
    """The neurons and lanes whose refractory period ends in step t."""
    over = activity.tape[p.index][REFRACTORY_STATE][:, t] == 0
    return np.asarray(over & (activity.before(p, t)[REFRACTORY_STATE] > 0))
