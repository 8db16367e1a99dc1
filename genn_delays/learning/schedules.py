"""Schedules: how a learning rate changes while a network trains. A new one: a class and one line in :data:`SCHEDULES`.

A schedule is a pure function of where training stands, so nothing of it is stored to go on after an interruption.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import cos, pi
from typing import Any, Literal, NamedTuple

from ..errors import InvalidValueError, check_choice, check_count, check_real, keep, unknown


class Progress(NamedTuple):
    """A point of training, counted from 0.

    Attributes:
        epoch, num_epochs: the epoch being trained, and how many there will be.
        batch, num_batches: the batch within it, and how many there are.
    """

    epoch: int
    num_epochs: int
    batch: int
    num_batches: int


@dataclass(frozen=True)
class Schedule(ABC):
    """Base of all schedules.

    Args:
        per: ``"epoch"``: values change from epoch to epoch; ``"batch"``: from batch to batch.
        length: epochs (or batches) from its beginning to its end; as long as the training where not given. A training
            that is longer is an error; one that is shorter ends before the schedule does.
    """

    per: Literal["epoch", "batch"] = field(default="epoch", kw_only=True)
    length: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_choice(f"{type(self).__name__} per", self.per, ("epoch", "batch"))
        if self.length is not None:
            keep(self, length=check_count(f"{type(self).__name__} length", self.length))

    def check(self, num_epochs: int, num_batches: int) -> None:
        """Raise an error if the schedule is shorter than a training of so many epochs of so many batches."""
        needed, unit = (num_epochs, "epochs") if self.per == "epoch" else (num_epochs * num_batches, "batches")
        if self.length is not None and self.length < needed:
            raise InvalidValueError(
                f"{type(self).__name__} length must be at least {needed}, the {unit} of this training, got "
                f"{self.length}"
            )

    def values(self, alpha: float, progress: Progress) -> dict[str, float]:
        """The optimiser's numbers at a point of training, by name.

        Args:
            alpha: the optimiser's own learning rate.
            progress: point of training.
        """
        if self.per == "epoch":
            return self.at(alpha, progress.epoch, self.length or progress.num_epochs)
        step = progress.epoch * progress.num_batches + progress.batch
        return self.at(alpha, step, self.length or progress.num_epochs * progress.num_batches)

    @abstractmethod
    def at(self, alpha: float, step: int, total: int) -> dict[str, float]:
        """The numbers in step 0, 1, ... of `total`."""


@dataclass(frozen=True)
class CosineAnnealing(Schedule):
    """``alpha_t = minimum + (alpha - minimum) (1 + cos(pi t / total)) / 2``: PyTorch's ``CosineAnnealingLR``.

    Source: Loshchilov & Hutter 2017 (arXiv 1608.03983), without restarts.

    Args:
        minimum: where it ends, at least 0.
    """

    minimum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, minimum=check_real("CosineAnnealing minimum", self.minimum, 0.0))

    def at(self, alpha: float, step: int, total: int) -> dict[str, float]:
        return {"alpha": _between(alpha, self.minimum, step / total)}


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """``alpha_t = alpha gamma^t``: PyTorch's ``ExponentialLR``.

    Args:
        gamma: factor from one epoch (or batch) to the next, in (0, 1].
    """

    gamma: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, gamma=check_real("ExponentialDecay gamma", self.gamma, 0.0, 1.0, open_low=True))

    def at(self, alpha: float, step: int, total: int) -> dict[str, float]:
        return {"alpha": alpha * self.gamma**step}


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One cycle (Smith & Topin 2018, arXiv 1708.07120), as PyTorch's ``OneCycleLR`` with cosine annealing.

    The learning rate rises from ``maximum / div_factor`` to `maximum` in the first `rise` of the steps and falls to
    ``maximum / div_factor / final_div_factor``; `beta1` of Adam (or the momentum) goes the other way. The optimiser's
    own `alpha` is not used.

    Args:
        maximum: highest learning rate, above 0.
        rise: share of the steps in which it rises, in [0, 1].
        div_factor, final_div_factor: above 0.
        base_momentum, max_momentum: its range, in [0, 1).
    """

    maximum: float
    rise: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    base_momentum: float = 0.85
    max_momentum: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("maximum", "div_factor", "final_div_factor"):
            keep(self, **{name: check_real(f"OneCycle {name}", getattr(self, name), 0.0, open_low=True)})
        keep(self, rise=check_real("OneCycle rise", self.rise, 0.0, 1.0))
        for name in ("base_momentum", "max_momentum"):
            keep(self, **{name: check_real(f"OneCycle {name}", getattr(self, name), 0.0, 1.0, open_high=True)})

    def at(self, alpha: float, step: int, total: int) -> dict[str, float]:
        start = self.maximum / self.div_factor
        top, last = self.rise * total - 1.0, total - 1.0
        if step <= top and top > 0:
            share = step / top
            rate = _between(start, self.maximum, share)
            momentum = _between(self.max_momentum, self.base_momentum, share)
        else:
            share = (step - top) / (last - top) if last > top else 1.0
            rate = _between(self.maximum, start / self.final_div_factor, share)
            momentum = _between(self.base_momentum, self.max_momentum, share)
        return {"alpha": rate, "beta1": momentum, "momentum": momentum}


def _between(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1.0 + cos(pi * share)) / 2.0


SCHEDULES: dict[str, type[Schedule]] = {
    "cosine_annealing": CosineAnnealing,
    "exponential": ExponentialDecay,
    "one_cycle": OneCycle,
}


def as_schedule(value: Any) -> Schedule | None:
    """A registered name, a schedule, or None (``"constant"``) as a schedule or None."""
    if value is None or (isinstance(value, str) and value == "constant"):
        return None
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str) and value in SCHEDULES and value != "one_cycle":
        return SCHEDULES[value]()
    raise unknown("schedule (OneCycle is given as an object, with its maximum)", value, ["constant", *SCHEDULES])
