"""SET: at intervals the smallest weights are dropped, and as many synapses are grown at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..errors import check_count, keep
from ..learning.schedules import Progress
from .rule import REWIRING, RewiringRule, check_share


@REWIRING.register("set")
@dataclass(frozen=True)
class SET(RewiringRule):
    """Sparse evolutionary training (Mocanu et al. 2018, doi 10.1038/s41467-018-04316-3); weights change sign freely.

    Grown synapses start at 1e-12 with their pair's sign, where the original draws a new weight.

    Args:
        fraction: share of the synapses dropped each time, in (0, 1].
        interval: training steps between two times, at least 1.
        growth_delay: see :class:`~genn_delays.rewiring.RewiringRule`.
    """

    fraction: float = 0.3
    interval: int = 100

    signed = False
    score = "score = abs(w)"

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, fraction=check_share("SET fraction", self.fraction))
        keep(self, interval=check_count("SET interval", self.interval))

    @property
    def every(self) -> int:
        return self.interval

    def due(self, step: int, progress: Progress) -> bool:
        return (step + 1) % self.interval == 0

    def num_dropped(self, size: int, progress: Progress) -> int:
        return int(self.fraction * size)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(fraction=0.2, interval=2), cls(fraction=1.0, interval=3, growth_delay="redraw")
