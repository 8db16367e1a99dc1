"""Operations of a plan, pass by pass, and of a dense network of the same populations.

The operations counted are those of the kernels in their sparse forms. A synapse of delay d from a real-valued
population takes a
multiply-accumulate for each of the ``T - d`` steps that arrive within an example of T steps; from a spiking population
it takes an accumulate for every spike that arrives. Where a delay kernel spreads it, each of its lags is a synapse of
its own. Its gradient is the same sum the other way round, and what goes back to its source takes a multiply-accumulate
a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from ..learning.schedules import Progress
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan
from .activity import Activity, Counts
from .operations import Operations, in_body, in_printed, total

Pass = Literal["forward", "loss", "backward", "gradients", "optimiser", "rewiring"]
PASSES: tuple[Pass, ...] = ("forward", "loss", "backward", "gradients", "optimiser", "rewiring")


class Part(NamedTuple):
    """Operations of one pass over one connection or population, for the activity's examples."""

    step: Pass
    owner: str
    operations: Operations


@dataclass(frozen=True)
class Costs:
    """Operations of a training step, or of evaluating, for the examples of an activity.

    Attributes:
        examples: how many there are.
        parts: by pass and owner.
    """

    examples: int
    parts: tuple[Part, ...] = field(repr=False)

    def of(self, step: Pass | None = None) -> Operations:
        """Operations of a pass, or of all."""
        return total(part.operations for part in self.parts if step in (None, part.step))

    @property
    def passes(self) -> list[Pass]:
        """The passes that cost something, in their order."""
        return [step for step in PASSES if any(part.step == step for part in self.parts)]


class Lags(NamedTuple):
    """The lags at which a connection's synapses act: one each, or every lag over which a delay kernel spreads it."""

    pre: npt.NDArray[np.int64]
    lag: npt.NDArray[np.int64]


def lags_of(c: ConnectionPlan, synapses: Synapses, width: float | None) -> Lags:
    """The lags of synapses as they are; `width` is that of the delay kernel, None where a single lag acts."""
    pre = synapses.pre.astype(np.int64)
    if c.kernel is None or width is None:
        return Lags(pre, synapses.delay.astype(np.int64))
    taps = c.kernel.taps(synapses.delay.astype(np.float32), width, c.min_delay, c.max_delay)
    offsets = np.arange(taps.number.sum()) - np.repeat(np.cumsum(taps.number) - taps.number, taps.number)
    return Lags(np.repeat(pre, taps.number), np.repeat(taps.first, taps.number) + offsets)


def steps(lags: Lags, time_steps: int) -> float:
    """Steps of an example that arrive within it, summed over synapses."""
    return float(np.maximum(time_steps - lags.lag, 0).sum())


def arrivals(lags: Lags, active: Counts) -> float:
    """The number of arrivals other than 0 within an example, summed over synapses and examples."""
    time_steps = active.shape[1]
    until = np.concatenate([np.zeros((active.shape[0], 1), np.int64), np.cumsum(active, axis=1)], axis=1)
    return float(until[lags.pre, np.maximum(time_steps - lags.lag, 0)].sum())


def inference(plan: Plan, synapses: Mapping[int, Synapses], activity: Activity) -> Costs:
    """The costs of evaluating the activity's examples; `synapses` by connection, as they are."""
    parts = [_forward(plan, c, lags_of(c, synapses[c.index], None), activity) for c in plan.connections]
    parts += [_neurons(plan, p, activity.examples) for p in plan.populations if p.model is not None]
    parts += [_readout(plan, p, activity.examples) for p in plan.outputs]
    return Costs(activity.examples, tuple(parts))


def training_step(plan: Plan, synapses: Mapping[int, Synapses], activity: Activity, now: Progress) -> Costs:
    """The costs of one training step on the activity's examples; of rewiring, the mean over steps."""
    parts: list[Part] = []
    for c in plan.connections:
        lags = lags_of(c, synapses[c.index], None if c.kernel is None else c.kernel.width(c.max_delay, now))
        parts.append(_forward(plan, c, lags, activity))
        if plan.populations[c.source].kind == "neuron" and plan.learns:
            parts.append(_backward(plan, c, lags, activity))
        if c.learned:
            parts += [_gradients(plan, c, lags, activity), _optimiser(c)]
        if c.rewiring is not None:
            parts.append(_rewiring(plan, c, activity, now))
    for p in plan.populations:
        if p.model is not None:
            parts += [_neurons(plan, p, activity.examples), _adjoint(plan, p, activity.examples)]
    for p in plan.outputs:
        parts += [_readout(plan, p, activity.examples), _loss(plan, p, activity.examples)]
    return Costs(activity.examples, tuple(parts))


# --- connections -----------------------------------------------------------------------------------------------------


def _forward(plan: Plan, c: ConnectionPlan, lags: Lags, activity: Activity) -> Part:
    source = plan.populations[c.source]
    if source.spiking:
        return Part("forward", c.name, Operations(acs=arrivals(lags, activity.active[c.source])))
    return Part("forward", c.name, Operations(macs=activity.examples * steps(lags, plan.time_steps)))


def _backward(plan: Plan, c: ConnectionPlan, lags: Lags, activity: Activity) -> Part:
    """The gradients of the source's impulses; under EventProp also those of spike times, at spikes."""
    macs = activity.examples * steps(lags, plan.time_steps)
    if plan.event_prop is not None:
        macs += arrivals(lags, activity.active[c.source])
    return Part("backward", c.name, Operations(macs=macs))


def _gradients(plan: Plan, c: ConnectionPlan, lags: Lags, activity: Activity) -> Part:
    """A dot product a lag; where delays are learned, also the two weighted sums of the correlogram."""
    source = plan.populations[c.source]
    sums = 2.0 if c.gradient_form == "arrival" else 1.0
    if c.gradient_taps == "difference":  # a whole delay's neighbours
        near = [Lags(lags.pre, np.clip(lags.lag + n, c.min_delay, c.max_delay)) for n in (-1, 0, 1)]
        lags = Lags(np.concatenate([n.pre for n in near]), np.concatenate([n.lag for n in near]))
    if source.spiking:
        found = Operations(acs=sums * arrivals(lags, activity.active[c.source]))
    else:
        found = Operations(macs=sums * activity.examples * steps(lags, plan.time_steps))
    if c.gradient_taps is not None:
        found += Operations(macs=2.0 * lags.lag.size)
    return Part("gradients", c.name, found)


def _optimiser(c: ConnectionPlan) -> Part:
    used = [o for o in (c.optimiser, c.delay_optimiser) if o is not None]
    return Part("optimiser", c.name, Operations(others=float(c.size * sum(in_body(o.formula()) for o in used))))


def _rewiring(plan: Plan, c: ConnectionPlan, activity: Activity, now: Progress) -> Part:
    """The scores of growth by the gradient: one gradient for each candidate; random growth needs none. If synapses are
    dropped where they reach zero, their number is not known; it is taken as if each lived for `every` steps."""
    rule = c.rewiring
    assert rule is not None
    if not rule.uses_gradient:
        return Part("rewiring", c.name, Operations())
    free = c.num_pre * c.num_post * c.capacity - c.size
    dropped = rule.num_dropped(c.size, now)
    scored = rule.num_candidates(free, dropped) if rule.growth == "gradient" else dropped
    each = _mean_pair(plan, c, activity)
    lags = c.max_delay - c.min_delay + 1 if rule.growth_delay == "best" else 1
    return Part("rewiring", c.name, each * (scored * lags / rule.every))


def _mean_pair(plan: Plan, c: ConnectionPlan, activity: Activity) -> Operations:
    """One synapse's gradient, the mean over pairs and over the delays that a connection allows."""
    delays = np.arange(c.min_delay, c.max_delay + 1)
    if not plan.populations[c.source].spiking:
        return Operations(macs=activity.examples * float(np.maximum(plan.time_steps - delays, 0).mean()))
    active = activity.active[c.source].sum(axis=0, keepdims=True)
    found = arrivals(Lags(np.zeros(delays.size, np.int64), delays), active)
    return Operations(acs=found / delays.size / c.num_pre)


# --- populations -----------------------------------------------------------------------------------------------------


def _neurons(plan: Plan, p: PopulationPlan, examples: int) -> Part:
    model = p.model
    assert model is not None
    each = sum(in_printed(e) for e in (*model.update.values(), *model.jump.values()))
    each += in_printed(model.threshold) if model.threshold is not None else 0
    each += 2 if p.batch_norm is not None else 0
    return Part("forward", p.name, Operations(others=float(examples * plan.time_steps * p.size * each)))


def _adjoint(plan: Plan, p: PopulationPlan, examples: int) -> Part:
    model = p.model
    assert model is not None
    if plan.event_prop is not None and model.transitions is not None:
        expressions = [*model.transitions.flow.values(), model.gradient, model.transitions.arrival]
    else:
        expressions = [*model.adjoint.values(), model.gradient]
        expressions += [model.threshold] if model.threshold is not None else []
    each = sum(in_printed(e) for e in expressions)
    if model.threshold is not None and plan.surrogate_code is not None:
        each += in_printed(plan.surrogate_code.derivative)
    return Part("backward", p.name, Operations(others=float(examples * plan.time_steps * p.size * each)))


def _readout(plan: Plan, p: PopulationPlan, examples: int) -> Part:
    """A sum over the steps of a neuron."""
    return Part("loss", p.name, Operations(others=float(examples * plan.time_steps * p.size)))


def _loss(plan: Plan, p: PopulationPlan, examples: int) -> Part:
    """The derivative of what was read, carried back to every step."""
    return Part("loss", p.name, Operations(others=float(examples * plan.time_steps * p.size)))
