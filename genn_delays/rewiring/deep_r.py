"""DEEP R: synapses that reach zero are dropped and as many are grown elsewhere, after every optimiser step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self

from .rule import REWIRING, RewiringRule


@REWIRING.register("deep_r")
@dataclass(frozen=True)
class DeepR(RewiringRule):
    """DEEP R (Bellec, Kappel, Maass & Legenstein 2018, arXiv 1711.05136) on ragged synapses with delays.

    Every weight is ``sign * theta`` with a sign that never changes. After each optimiser step, synapses with
    theta <= 0 are dropped, and as many are grown among all pairs without a living synapse, just-dropped ones included,
    with theta = 1e-12 and no optimiser history.

    Args:
        l1: strength of L1 on living synapses; it is in no gradient that is reported and in no score of growth. The
            published configuration has 0.01, for a network whose gradients do not vanish; where they do, Adam makes
            full-sized steps of it and hardly a synapse outlives its birth. The default was chosen by measurement
            (``experiments/l1_coupling``).
        decoupled_l1: whether L1 acts apart from the optimiser, as a drift ``theta = theta - alpha l1`` after its step,
            or as published: ``l1 * sign(theta)`` is added to dL/dtheta before it. See
            :class:`~genn_delays.learning.optimisers.Optimiser`.
        temperature: T of the original's noise, ``sqrt(2 alpha T) N(0, 1)`` added to theta each step; 0 is off.
        dale: Dale's law: the sign depends on the source neuron alone. Otherwise every pair has a sign.
        growth: ``"random"``: every such pair is equally likely; ``"gradient"``: those with the most negative dL/dtheta,
            as Mészáros, Knight & Nowotny 2024 adapt RigL to signed weights (no L1 in it).
        growth_delay, candidates: see :class:`~genn_delays.rewiring.RewiringRule`.
    """

    l1: float = 1e-4
    decoupled_l1: bool = field(default=False, kw_only=True)
    temperature: float = 0.0
    dale: bool = False
    growth: Literal["random", "gradient"] = "random"

    signed = True
    gone = "gone = w == 0"

    def __post_init__(self) -> None:
        super().__post_init__()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (
            cls(l1=0.01),
            cls(l1=0.05, dale=True, temperature=1e-4),
            cls(l1=0.5, decoupled_l1=True, growth="gradient"),
        )
