"""What a rewiring rule is: when it is due, which synapses it drops, and what it asks of signs, places and delays.

Growing is the same for all: as many as were dropped, with a weight of 1e-12 and no optimiser history. A pair has as
many *slots* as the connectivity gave any pair synapses (one, mostly); candidates are all slots without a living
synapse, just-dropped ones included. They are drawn at random, or are those that would help most: with the gradient
``G = dL/dw`` of the same batch at the delay the synapse would get, the slots of largest ``-sign G``, or
``|G|``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import check_choice, check_count, check_real, keep
from ..learning.schedules import Progress

GROWTH_DELAYS = ("pair", "redraw", "best")
EXACT_CANDIDATES = 1_000_000
"""Up to this many free slots every one is scored; of more, a sample."""
SAMPLED_PER_DROPPED = 8
"""Size of the sample, in dropped synapses."""


@dataclass(frozen=True)
class RewiringRule(ABC):
    """Base of all rules.

    Args:
        growth_delay: the delay of a grown synapse: ``"pair"``, the pair's own for good, ``"redraw"``, a fresh one, or
            ``"best"``, the lag at which a synapse would help most (the strongest of its correlogram; of equal ones the
            shortest).
        candidates: free slots that are scored where growth goes by the gradient, chosen at random; all of them where
            not given, if they are at most a million, otherwise eight for every dropped synapse.
    """

    growth_delay: Literal["pair", "redraw", "best"] = field(default="pair", kw_only=True)
    candidates: int | None = field(default=None, kw_only=True)

    signed: ClassVar[bool]
    """Whether weights keep their signs: ``weight = sign * max(theta, 0)``."""
    template: ClassVar[str]
    """Kernel that marks what is dropped."""
    l1: float = field(default=0.0, init=False, repr=False)
    decoupled_l1: bool = field(default=False, init=False, repr=False)
    temperature: float = field(default=0.0, init=False, repr=False)
    dale: bool = field(default=False, init=False, repr=False)
    growth: Literal["random", "gradient"] = field(default="random", init=False, repr=False)

    def __post_init__(self) -> None:
        check_choice("growth_delay", self.growth_delay, GROWTH_DELAYS)
        check_choice("growth", self.growth, ("random", "gradient"))
        if self.candidates is not None:
            keep(self, candidates=check_count(f"{type(self).__name__} candidates", self.candidates))

    @property
    def uses_gradient(self) -> bool:
        """Whether growing looks at the gradient of synapses that are not there."""
        return self.growth == "gradient" or self.growth_delay == "best"

    @property
    def every(self) -> int:
        """Training steps from one time the rule acts to the next."""
        return 1

    def youngest(self, step: int) -> int:
        """Up to this age (optimiser steps) a synapse that is dropped after training step `step` is a newborn one.

        Newborn is what was grown the last time the rule acted and goes the next: a place that was tried. The synapses
        that a network began with are established from the beginning.
        """
        return min(self.every, step)

    def due(self, step: int, progress: Progress) -> bool:
        """Whether the rule acts after training step `step` (from 0)."""
        return True

    @abstractmethod
    def num_dropped(self, size: int, progress: Progress) -> int:
        """How many of `size` synapses go by magnitude; 0 for rules that drop by another criterion."""

    @abstractmethod
    def dropped(self, weight: npt.NDArray[Any], count: int) -> npt.NDArray[np.bool_]:
        """The definition: which synapses are dropped, ``[synapse]``; `count` is what :meth:`num_dropped` gave."""

    def help(self, gradient: npt.NDArray[Any], sign: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The definition: how much a synapse with this dL/dw and sign would help."""
        return np.asarray(-sign * gradient if self.signed else np.abs(gradient))

    def num_candidates(self, free: int, dropped: int) -> int:
        """How many of the free slots are scored."""
        if self.candidates is None:
            return free if free <= EXACT_CANDIDATES else min(SAMPLED_PER_DROPPED * dropped, free)
        return min(max(self.candidates, dropped), free)


def smallest(weight: npt.NDArray[Any], count: int) -> npt.NDArray[np.bool_]:
    """The `count` synapses of smallest magnitude; of equal ones those that come first."""
    mask = np.zeros(weight.size, dtype=bool)
    mask[np.argsort(np.abs(weight), kind="stable")[:count]] = True
    return mask


def check_share(what: str, value: float) -> float:
    """A share of the synapses, or an error unless it lies in (0, 1]."""
    return check_real(what, value, 0.0, 1.0, open_low=True)
