"""Checks that mlGeNN's EventProp compiler can train a plan: one error for each thing that it cannot, before anything is
built."""

from __future__ import annotations

import math
from itertools import pairwise

from ....errors import InvalidValueError
from ....learning.losses import SparseCategoricalCrossentropy
from ....learning.optimisers import Adam, Optimiser
from ....learning.schedules import OneCycle
from ....plan.plan import GRAD_LIMIT, Plan, PopulationPlan

AVERAGES, OTHERS = ("avg_var", "avg_var_exp_weight"), ("max_var", "sum_var")
"""Readouts whose gradient mlGeNN scales with 1 / tau_mem, and with 1 / (tau_mem T)."""
MAX_CLASSES = 256
"""mlGeNN keeps a label in eight bits."""


def share(plan: Plan) -> float:
    """mlGeNN's weight gradients over those of the loss; :func:`check_plan` has seen that outputs agree in it."""
    return _share(plan, plan.outputs[0])


def _share(plan: Plan, p: PopulationPlan) -> float:
    return float(1 / p.values["tau_mem"][0]) / (1 if p.readout in AVERAGES else plan.time_steps)


def check_plan(plan: Plan, backend: str, lanes: int) -> None:
    """Raise one clear error if mlGeNN cannot train the plan; :func:`.ml_genn.carry` checks the network itself.

    Args:
        backend, lanes: GeNN's backend, and how many examples it runs at once.
    """
    if plan.event_prop is None:
        raise _refused("SurrogateCompiler", "is for EventPropCompiler; with surrogates backend 'cpu' trains")
    if plan.event_prop.grad_limit != GRAD_LIMIT:
        raise _refused(
            f"grad_limit {plan.event_prop.grad_limit:g}",
            f"has no such limit; leave it at {GRAD_LIMIT:g} or use trainer 'own'",
        )
    if plan.batch_size > lanes:
        raise _refused(
            f"batch_size {plan.batch_size}", f"on GeNN's backend {backend!r} takes {lanes}; trainer 'own' any"
        )
    if plan.regularisation is not None:
        raise _refused(
            "regularisation of spike counts", "has none here; leave reg_strength_* at 0 or use trainer 'own'"
        )
    for p in plan.outputs:
        _check_output(p)
    _check_shares(plan)
    for c in plan.connections:
        if c.rewiring is not None:
            raise _refused(
                f"rewiring of connection {c.name!r} by {type(c.rewiring).__name__}",
                "rewires nothing (mlGeNN's own DEEP R gives every grown synapse delay 0 and keeps dense bit masks); "
                "use trainer 'own'",
            )
    _check_optimisers(plan, "weight", {c.name: c.optimiser for c in plan.connections})
    _check_optimisers(plan, "delay", {c.name: c.delay_optimiser for c in plan.connections})


def _refused(what: str, allowed: str) -> InvalidValueError:
    return InvalidValueError(f"{what}: trainer 'ml_genn' {allowed}")


def _check_output(p: PopulationPlan) -> None:
    what = f"population {p.name!r}"
    if p.readout not in AVERAGES + OTHERS:
        allowed = ", ".join(repr(name) for name in AVERAGES + OTHERS)
        raise _refused(f"readout {p.readout!r} of {what}", f"has {allowed}")
    if type(p.loss) is not SparseCategoricalCrossentropy:
        raise _refused(
            f"loss {type(p.loss).__name__} of {what}", "has SparseCategoricalCrossentropy of whole examples only"
        )
    if p.loss.label_smoothing != 0:
        raise _refused(f"label_smoothing {p.loss.label_smoothing:g} of {what}", "has 0 only")
    if p.size > MAX_CLASSES:
        raise _refused(f"{p.size} classes of {what}", f"has at most {MAX_CLASSES}")
    if p.readout == "max_var" and p.values["v"].min() < 0:
        raise _refused(
            f"readout 'max_var' of {what} with initial potential {p.values['v'].min():g}", "begins its maximum at 0"
        )


def _check_shares(plan: Plan) -> None:
    """Gradients of several outputs are summed, so mlGeNN's must be the same share of all of them."""
    first = plan.outputs[0]
    for p in plan.outputs[1:]:
        if not math.isclose(_share(plan, p), _share(plan, first)):
            raise _refused(
                f"outputs {first.name!r} and {p.name!r} with readouts {first.readout!r} and {p.readout!r} and tau_mem "
                f"{first.values['tau_mem'][0]:g} and {p.values['tau_mem'][0]:g}",
                "weighs their losses differently; give them the same",
            )


def _check_optimisers(plan: Plan, variable: str, optimisers: dict[str, Optimiser | None]) -> None:
    """mlGeNN has one Adam for all weights and one for all delays; only the learning rate can differ and change."""
    numbers = {}
    for name, optimiser in optimisers.items():
        if optimiser is None:
            continue
        what = f"{type(optimiser).__name__} of the {variable} of connection {name!r}"
        if type(optimiser) is not Adam:
            raise _refused(what, "has Adam only")
        if isinstance(optimiser.schedule, OneCycle):
            raise _refused(f"schedule OneCycle of {what}", "cannot change beta1; other schedules change alpha alone")
        if variable == "weight" and optimiser.l1 and optimiser.decoupled_l1:
            raise _refused(f"decoupled_l1 of {what}", "has no drift besides its steps; decoupled_l1=False works")
        numbers[what] = (optimiser.beta1, optimiser.beta2, optimiser.epsilon)
    for (first, one), (second, other) in pairwise(numbers.items()):
        if one != other:
            raise _refused(
                f"{first} and {second} with beta1, beta2, epsilon {one} and {other}",
                f"has the same for every {variable}",
            )
