"""Operations of a plan, pass by pass, and of a dense network of the same populations.

The operations counted are those of the kernels in their sparse forms. A synapse of delay d from a real-valued
population takes a multiply-accumulate for each of the ``T - d`` steps that arrive within an example of T steps; from a
spiking population it takes an accumulate for every spike that arrives. Where a delay kernel spreads it, each of its
lags is a synapse of its own. Its gradient is the same sum the other way round, and what goes back to its source takes a
multiply-accumulate a step. Neurons whose spikes reach no loss have no adjoint, and synapses onto them no gradient.
Tests count what the compiled kernels execute of forward, backward, gradients and optimiser and find these numbers, for
batches of one tile; in a batch of more the few operations a synapse that do not depend on its examples are executed
once a tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..bodies.over_neurons import SOFTMAX
from ..connectivity import Synapses
from ..learning.optimisers import L1
from ..learning.schedules import Progress
from ..learning.updates import BEFORE, DELAY, DRIFT, KEEP_SIGN
from ..plan.heard import heard
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan
from .activity import Activity, Counts
from .operations import Operations, in_body, in_printed, over_neurons, total

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
    spread: bool


def lags_of(c: ConnectionPlan, synapses: Synapses, width: float | None) -> Lags:
    """The lags of synapses as they are; `width` is that of the delay kernel, None where a single lag acts."""
    pre = synapses.pre.astype(np.int64)
    if c.kernel is None or width is None:
        return Lags(pre, synapses.delay.astype(np.int64), spread=False)
    taps = c.kernel.taps(synapses.delay.astype(np.float32), width, c.min_delay, c.max_delay)
    offsets = np.arange(taps.number.sum()) - np.repeat(np.cumsum(taps.number) - taps.number, taps.number)
    return Lags(np.repeat(pre, taps.number), np.repeat(taps.first, taps.number) + offsets, spread=True)


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
    parts += [_readout(plan, p, activity) for p in plan.outputs]
    return Costs(activity.examples, tuple(parts))


def training_step(plan: Plan, synapses: Mapping[int, Synapses], activity: Activity, now: Progress) -> Costs:
    """The costs of one training step on the activity's examples; of rewiring, the mean over steps."""
    parts: list[Part] = []
    heard_ = heard(plan, synapses)
    for c in plan.connections:
        width = None if c.kernel is None else c.kernel.width(c.max_delay, now)
        parts.append(_forward(plan, c, lags_of(c, synapses[c.index], width), activity))
        onto = heard_[c.target][synapses[c.index].post]  # others have gradients of 0, which are not computed
        back = onto & heard_[c.source][synapses[c.index].pre]
        if plan.populations[c.source].kind == "neuron" and plan.learns:
            lags = lags_of(c, _some(synapses[c.index], back), width)
            parts.append(_backward(plan, c, lags, int(back.sum()), activity))
        if c.learned:
            lags = lags_of(c, _some(synapses[c.index], onto), width)
            parts += [_gradients(plan, c, lags, int(onto.sum()), activity), _optimiser(c)]
        if c.rewiring is not None:
            parts.append(_rewiring(plan, c, activity, now))
    for p in plan.populations:
        if p.model is not None:
            each = int(heard_[p.index].sum())
            parts += [_neurons(plan, p, activity.examples), _adjoint(plan, p, each, activity.examples)]
    for p in plan.outputs:
        parts += [_readout(plan, p, activity), _loss(plan, p, activity.examples)]
    return Costs(activity.examples, tuple(parts))


# --- connections -----------------------------------------------------------------------------------------------------


def _some(synapses: Synapses, which: npt.NDArray[np.bool_]) -> Synapses:
    s = synapses
    return Synapses(s.pre[which], s.post[which], s.delay[which], s.weight[which])


FOLD = 15
"""Sums that make one of the 16 partial sums of a gradient."""


def _forward(plan: Plan, c: ConnectionPlan, lags: Lags, activity: Activity) -> Part:
    source = plan.populations[c.source]
    spread = lags.pre.size if lags.spread else 0  # the weight of a lag
    own = Operations(others=float(spread + _spreading(c, lags, c.size)))
    if source.spiking:
        own += Operations(others=float(c.size))  # dropout's scale
        return Part("forward", c.name, own + Operations(acs=arrivals(lags, activity.active[c.source])))
    return Part("forward", c.name, own + Operations(macs=activity.examples * steps(lags, plan.time_steps)))


def _backward(plan: Plan, c: ConnectionPlan, lags: Lags, size: int, activity: Activity) -> Part:
    """The gradients of the source's impulses; under EventProp also those of spike times, at spikes."""
    macs, own = activity.examples * steps(lags, plan.time_steps), size
    if plan.event_prop is not None:
        macs, own = macs + arrivals(lags, activity.active[c.source]), 2 * size
    own += (lags.pre.size if lags.spread else 0) + _spreading(c, lags, size)
    return Part("backward", c.name, Operations(macs=macs, others=float(own)))


def _gradients(plan: Plan, c: ConnectionPlan, lags: Lags, size: int, activity: Activity) -> Part:
    """A dot product a lag; where delays are learned, also the two weighted sums of the correlogram."""
    source = plan.populations[c.source]
    sums, own = (2, 4) if c.gradient_form == "arrival" else (1, 1)
    spreading = _spreading(c, lags, size)
    if c.gradient_taps == "difference":
        lags, spreading = _with_neighbours(c, lags), 4 * size
    if source.spiking:
        found = Operations(acs=sums * arrivals(lags, activity.active[c.source]))
    else:
        found = Operations(macs=sums * activity.examples * steps(lags, plan.time_steps))
    within = int(np.count_nonzero(lags.lag < plan.time_steps))
    found += Operations(others=float(FOLD * sums * within + spreading))
    if c.gradient_taps is not None:
        found, own = found + Operations(macs=2.0 * lags.lag.size), 3
    return Part("gradients", c.name, found + Operations(others=float(own * size)))


def _with_neighbours(c: ConnectionPlan, lags: Lags) -> Lags:
    """The lags of whole delays and of those next to them, as far as there are any."""
    near = [(lags.pre, lags.lag + n) for n in (-1, 0, 1)]
    kept = [(pre[inside], lag[inside]) for pre, lag in near for inside in [(lag >= c.min_delay) & (lag <= c.max_delay)]]
    pre, lag = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return Lags(pre, lag, spread=False)


def _spreading(c: ConnectionPlan, lags: Lags, size: int) -> int:
    """Operations to compute the shares of all lags once; every pass does so."""
    if c.kernel is None or not lags.spread:
        return 0
    each = in_body(c.kernel.formula()) + 1 + 2 + 1 + 3  # the kernel at n - d, two sums, a quotient, and its derivative
    return each * lags.pre.size + 7 * size  # the window of lags, and one inverse


def _optimiser(c: ConnectionPlan) -> Part:
    each = 0
    if c.optimiser is not None:
        kept = [KEEP_SIGN] if c.rewiring is not None and c.rewiring.signed else []
        each += sum(in_body(body) for body in (BEFORE, c.optimiser.formula(), *kept))
        each += in_body(DRIFT) if L1.of(c.optimiser, c.rewiring).drift > 0 else 1  # else it is found to be 0
    if c.delay_optimiser is not None:
        each += 1 + sum(in_body(body) for body in (c.delay_optimiser.formula(), DELAY))
    return Part("optimiser", c.name, Operations(others=float(c.size * each)))


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
    if rule.growth_delay == "best":
        return Part("rewiring", c.name, each * (scored * (c.delay_high - c.delay_low + 1) / rule.every))
    found = each * scored
    if c.kernel is not None:  # its rows are smoothed once for every delay, or scores are sums over lags
        born = np.arange(c.delay_low, c.delay_high + 1, dtype=np.float32)
        lags = c.kernel.taps(born, c.kernel.width(c.max_delay, now), c.min_delay, c.max_delay).number
        rows = c.num_post if plan.populations[c.source].spiking else c.num_pre
        if rows * born.size <= scored:
            macs = activity.examples * rows * float(lags.sum()) * float((plan.time_steps - born).clip(0).mean())
            found += Operations(macs=macs)
        else:
            found = found * float(lags.mean())
    return Part("rewiring", c.name, found / rule.every)


def _mean_pair(plan: Plan, c: ConnectionPlan, activity: Activity) -> Operations:
    """One synapse's gradient, the mean over pairs and over the delays that a connection allows."""
    delays = np.arange(c.min_delay, c.max_delay + 1)
    if not plan.populations[c.source].spiking:
        return Operations(macs=activity.examples * float(np.maximum(plan.time_steps - delays, 0).mean()))
    active = activity.active[c.source].sum(axis=0, keepdims=True)
    found = arrivals(Lags(np.zeros(delays.size, np.int64), delays, spread=False), active)
    return Operations(acs=found / delays.size / c.num_pre)


# --- populations -----------------------------------------------------------------------------------------------------


def _neurons(plan: Plan, p: PopulationPlan, examples: int) -> Part:
    model = p.model
    assert model is not None
    each = sum(in_printed(e) for e in (*model.steps.values(), *model.update.values()))
    each += in_printed(model.threshold) if model.threshold is not None else 0
    each += 2 if p.batch_norm is not None else 0
    finite = 2 * len(model.states)  # the check that the last values are finite
    return Part("forward", p.name, Operations(others=float(examples * p.size * (plan.time_steps * each + finite))))


def _adjoint(plan: Plan, p: PopulationPlan, size: int, examples: int) -> Part:
    model = p.model
    assert model is not None
    if plan.event_prop is not None and model.transitions is not None:
        expressions = [*model.transitions.flow.values(), model.gradient, model.transitions.arrival]
    else:
        expressions = [*model.back.values(), *model.adjoint.values(), model.gradient]
        expressions += [model.threshold] if model.threshold is not None else []
    each = int(model.threshold is None)  # the readout's derivative is added
    each += sum(in_printed(e) for e in expressions)
    if model.threshold is not None and plan.surrogate_code is not None:
        each += in_printed(plan.surrogate_code.derivative)
    return Part("backward", p.name, Operations(others=float(examples * plan.time_steps * size * each)))


def _readout(plan: Plan, p: PopulationPlan, activity: Activity) -> Part:
    """Operations of a readout at every step, or at every spike if it reads spikes."""
    scan, rows = p.reading.scan(), activity.examples * p.size
    times = activity.active[p.index].sum() if p.reading.reads == "spikes" else rows * plan.time_steps
    count = in_body(scan.each) * float(times) + rows * (in_body(scan.begin) + in_body(scan.end))
    if p.reading.reads == "softmax":
        count += activity.examples * plan.time_steps * over_neurons(SOFTMAX, p.size)
    return Part("forward", p.name, Operations(others=count))


def _loss(plan: Plan, p: PopulationPlan, examples: int) -> Part:
    """The loss and its derivative, carried back through the readout."""
    assert p.loss is not None
    scan, steps_ = p.reading.scan(), examples * plan.time_steps
    if p.loss.stepwise:
        count = steps_ * over_neurons(p.loss.formula(), p.size)
    elif p.reading.reads == "softmax":
        count = examples * over_neurons(p.loss.formula(), p.size) + steps_ * over_neurons(
            p.reading.softmax_back(), p.size
        )
    else:
        count = examples * over_neurons(p.loss.formula(), p.size) + steps_ * p.size * in_body(scan.back)
    return Part("loss", p.name, Operations(others=float(count)))
