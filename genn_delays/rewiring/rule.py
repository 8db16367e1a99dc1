"""What a rewiring rule is: when it is due, which synapses it drops, and what it asks of signs and delays.

Growing is the same for all: as many as were dropped, among all pairs without a living synapse, just-dropped ones
included, with a weight of 1e-12 and no optimiser history.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import check_real, unknown


@dataclass(frozen=True)
class RewiringRule(ABC):
    """Base of all rules.

    Args:
        growth_delay: the delay of a grown synapse: ``"pair"``, the pair's own for good, or ``"redraw"``, a fresh one.
    """

    growth_delay: Literal["pair", "redraw"] = field(default="pair", kw_only=True)

    signed: ClassVar[bool]
    """Whether weights keep their signs: ``weight = sign * max(theta, 0)``."""
    template: ClassVar[str]
    """Kernel that marks what is dropped."""
    l1: float = field(default=0.0, init=False, repr=False)
    temperature: float = field(default=0.0, init=False, repr=False)
    dale: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.growth_delay not in ("pair", "redraw"):
            raise unknown("growth_delay", self.growth_delay, ("pair", "redraw"))

    def due(self, step: int) -> bool:
        """Whether the rule acts after training step `step` (from 0)."""
        return True

    @abstractmethod
    def num_dropped(self, size: int, step: int) -> int:
        """How many of `size` synapses go by magnitude; 0 for rules that drop by another criterion."""

    @abstractmethod
    def dropped(self, weight: npt.NDArray[Any], step: int) -> npt.NDArray[np.bool_]:
        """The definition: which synapses are dropped, ``[synapse]``."""


def smallest(weight: npt.NDArray[Any], count: int) -> npt.NDArray[np.bool_]:
    """The `count` synapses of smallest magnitude; of equal ones those that come first."""
    mask = np.zeros(weight.size, dtype=bool)
    mask[np.argsort(np.abs(weight), kind="stable")[:count]] = True
    return mask


def check_share(what: str, value: float) -> None:
    """An error unless a share of the synapses lies in (0, 1]."""
    check_real(what, value, 0.0, 1.0, open_low=True)
