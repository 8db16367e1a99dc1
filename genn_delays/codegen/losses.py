"""Losses' bodies as kernels have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..bodies import Body
from ..learning.losses import Loss
from ..learning.readouts import Readout
from ..plan.plan import Plan
from .bodies import Dialect, mangled
from .optimisers import comment_of
from .over_neurons import Nest, nest
from .readouts import bodies_of


@dataclass(frozen=True)
class LossCode:
    """A loss as templates see it.

    Attributes:
        comment: its documentation, up to its arguments.
        stepwise, labelled: see :class:`~genn_delays.learning.losses.Loss`.
        numbers: of those of its numbers that it reads, how the code calls them.
    """

    comment: str
    stepwise: bool
    labelled: bool
    numbers: tuple[str, ...]
    _loss: Loss
    _readout: Readout
    _dialect: Dialect

    def loops(self, addresses: Mapping[str, str], out: str, keeps: bool) -> Nest:
        """The loops of its body, with the lane's answer as `predicted_` where it compares with labels.

        Args:
            addresses: where `z` or `v`, `is_label` (and the `label`) or `target` lie.
            out: address of the derivative.
            keeps: whether intermediate values may be stored there.
        """
        best = "largest" if self.stepwise else self._readout.best
        given = ["loss", *(["predicted"] if self.labelled else [])]
        body = self._loss.formula(best)
        return nest(body, self._dialect, addresses, {"dv" if self.stepwise else "dz": out}, keeps, given)


def loss_code(loss: Loss, readout: Readout, dialect: Dialect) -> LossCode:
    """The code of a loss of what a readout gives, in a dialect that has functions."""
    numbers = tuple(mangled(name) for name in loss.number_names())
    return LossCode(comment_of(type(loss)), loss.stepwise, loss.labelled, numbers, loss, readout, dialect)


def output_numbers(plan: Plan) -> dict[int, dict[str, float]]:
    """The numbers of each output's readout and loss, as the members of a population's structure are called."""
    found = {}
    for p in plan.outputs:
        assert p.loss is not None
        numbers = {f"readout_{mangled(n)}": value for n, value in p.reading.numbers().items()}
        found[p.index] = numbers | {f"loss_{mangled(n)}": value for n, value in p.loss.numbers().items()}
    return found


def output_members(plan: Plan) -> list[str]:
    """The names of those members, each once."""
    return list(dict.fromkeys(name for numbers in output_numbers(plan).values() for name in numbers))


def bodies_of_outputs(plan: Plan) -> list[Body]:
    """The bodies that those of the outputs' readouts and losses call."""
    losses = [p.loss for p in plan.outputs if p.loss]
    called = [body for loss in losses for body in loss.formula().body.called()]
    return called + bodies_of([p.reading for p in plan.outputs])
