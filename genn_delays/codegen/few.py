"""Kernels for few lanes, as in online use with batches of one: neurons side by side take the place of lanes.

It is chosen by shape, when code is generated, population by population; it changes speed, never a bit.
"""

from __future__ import annotations

from ..plan.heard import Hearing, hearings
from ..plan.plan import ConnectionPlan, Plan, PopulationPlan

FEW_LANES = 8
"""Batches of at most so many lanes are computed in this form."""
NEURONS = 32
"""Neurons that take the place of lanes, a multiple of 8."""
BLOCK_FLOATS = 1 << 17
"""Numbers of a block's rows at most, so that they stay in a second-level cache."""


def few_forward(plan: Plan, p: PopulationPlan) -> bool:
    """True if a population's forward pass is in this form."""
    if plan.batch_size > FEW_LANES or p.model is None or p.cyclic:
        return False
    refractory = p.event_prop and p.model.hold is not None
    return not (refractory or p.batch_norm or p.keeps_current or p.dropout)


def any_few(plan: Plan) -> bool:
    """True if any population's forward pass is."""
    return any(few_forward(plan, p) for p in plan.populations)


def few_backward(plan: Plan, p: PopulationPlan) -> bool:
    """True if its backward pass is."""
    return few_forward(plan, p) and p.event_prop and not p.has_phantoms and not p.slopes


def skipping(plan: Plan) -> list[Hearing]:
    """The populations of which neurons that are not heard are left out backwards. This form computes all neurons, and
    reads what others have computed of all of theirs."""
    return [] if any(few_backward(plan, p) for p in plan.populations) else hearings(plan)


def scatters(plan: Plan, c: ConnectionPlan) -> bool:
    """True if the spikes of a connection's sources are scattered to its targets."""
    source = plan.populations[c.source]
    listed = source.kind == "spike_input" or (source.spiking and few_forward(plan, source))
    return few_forward(plan, plan.populations[c.target]) and listed and c.kernel is None


def scatters_back(plan: Plan, c: ConnectionPlan) -> bool:
    """True if the gradients of its synapses are computed source by source."""
    back = few_backward(plan, plan.populations[c.target])
    return back and scatters(plan, c) and c.gradient_form is None


def lists_only(plan: Plan, p: PopulationPlan) -> bool:
    """True if its spikes are read as lists only, so that it need not be known where each step starts in them."""
    outgoing = [plan.connections[k] for k in p.outgoing]
    if plan.max_spikes is not None or p.reads == "spikes" or not all(scatters_back(plan, c) for c in outgoing):
        return False
    if any(c.rewiring is not None and c.rewiring.uses_gradient for c in outgoing):  # scores read them row by row
        return False
    return p.kind == "spike_input" or few_backward(plan, p)


def padding(plan: Plan, p: PopulationPlan) -> int:
    """Steps by which the rows of a population go on in this form: the longest delay onto it, at most an example's."""
    incoming = (plan.connections[k] for k in p.incoming)
    longest = max((c.max_delay for c in incoming if scatters(plan, c)), default=0)
    return min(longest, plan.time_steps)


def block_width(plan: Plan, p: PopulationPlan) -> int:
    """Neurons of a block in this form, a multiple of `NEURONS`; 1 in any other."""
    if not few_forward(plan, p):
        return 1
    whole = -(-p.size // NEURONS) * NEURONS
    most = BLOCK_FLOATS // ((plan.time_steps + padding(plan, p)) * plan.batch_size) // NEURONS * NEURONS
    return max(NEURONS, min(whole, most, 1 << 16))


def block_floats(plan: Plan, p: PopulationPlan) -> int:
    """Numbers that a thread needs for a block of a population and for `NEURONS` neurons of it."""
    assert p.model is not None
    row = plan.time_steps * plan.batch_size
    block = (plan.time_steps + padding(plan, p)) * plan.batch_size * block_width(plan, p)
    return block + max(len(p.model.states) + 1, 2) * row * NEURONS
