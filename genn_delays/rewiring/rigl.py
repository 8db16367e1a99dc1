"""RigL: at intervals the smallest weights are dropped, and synapses are grown where the gradient is largest."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, pi
from typing import Literal, Self

from ..errors import check_count, keep
from ..learning.schedules import Progress
from .rule import REWIRING, RewiringRule, check_share


@REWIRING.register("rigl")
@dataclass(frozen=True)
class RigL(RewiringRule):
    """The rigged lottery (Evci et al. 2020, arXiv 1911.11134); weights have no fixed signs.

    Every `interval` training steps, after the optimiser's, ``f(t) = fraction (1 + cos(pi t / t_end)) / 2`` of the
    synapses go, those of smallest magnitude, and as many grow where ``|dL/dw|`` is largest.

    Args:
        fraction: share of the synapses replaced the first time, in (0, 1].
        interval: training steps between two times, at least 1.
        end: share of the training after which nothing is rewired any more, in (0, 1].
        growth_delay, candidates: see :class:`~genn_delays.rewiring.RewiringRule`.
    """

    fraction: float = 0.3
    interval: int = 100
    end: float = 0.75
    growth: Literal["random", "gradient"] = field(default="gradient", init=False, repr=False)

    signed = False
    score = "score = abs(w)"

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, fraction=check_share("RigL fraction", self.fraction))
        keep(self, interval=check_count("RigL interval", self.interval))
        keep(self, end=check_share("RigL end", self.end))

    @property
    def every(self) -> int:
        return self.interval

    def due(self, step: int, progress: Progress) -> bool:
        return (step + 1) % self.interval == 0 and self._share(progress) > 0.0

    def num_dropped(self, size: int, progress: Progress) -> int:
        return int(self._share(progress) * size)

    def _share(self, progress: Progress) -> float:
        """The share of the synapses that is replaced at a point of training."""
        done = (progress.epoch + progress.batch / progress.num_batches) / (self.end * progress.num_epochs)
        return self.fraction * (1.0 + cos(pi * done)) / 2.0 if done < 1.0 else 0.0

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(interval=1), cls(interval=3, candidates=20, growth_delay="best")


@REWIRING.register("signed_rigl")
@dataclass(frozen=True)
class SignedRigL(RigL):
    """RigL's removal with DEEP R's growth: what is between the two rules, to tell what removal and growth do apart.

    Synapses are dropped as :class:`RigL` does, the smallest at an interval. Weights keep their signs as in
    :class:`~genn_delays.rewiring.DeepR`, ``sign * max(theta, 0)``, and as many grow where ``dL/dtheta`` is most
    negative. A weight that comes to 0 stays there until it rises again or the interval is over.

    Args:
        fraction, interval, end, growth_delay, candidates: see :class:`RigL`.
        dale: Dale's law: the sign depends on the source neuron alone. Otherwise every pair has a sign.
    """

    dale: bool = field(default=False, kw_only=True)

    signed = True

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(interval=1, dale=True), cls(interval=3, growth_delay="redraw")
