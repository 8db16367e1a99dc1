"""DEEP R: synapses that reach zero are dropped and as many are grown elsewhere, after every optimiser step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..errors import InvalidValueError, check_real, unknown


@dataclass(frozen=True)
class DeepR:
    """DEEP R (Bellec, Kappel, Maass & Legenstein 2018, arXiv 1711.05136) on ragged synapses with delays.

    Every weight is ``sign * theta`` with a sign that never changes. After each optimiser step, synapses with
    theta <= 0 are dropped, and as many are grown among all pairs without a living synapse, just-dropped ones included,
    every such pair equally likely, with theta = 1e-12 and no optimiser history.

    Args:
        l1: ``l1 * sign(theta)`` is added to dL/dtheta of living synapses before the optimiser.
        temperature: T of the original's noise, ``sqrt(2 alpha T) N(0, 1)`` added to theta each step; 0 is off.
        dale: Dale's law: the sign depends on the source neuron alone. Otherwise every pair has a sign.
        growth_delay: the delay of a grown synapse: ``"pair"``, the pair's own for good, or ``"redraw"``, a fresh one.
    """

    l1: float = 0.01
    temperature: float = 0.0
    dale: bool = False
    growth_delay: Literal["pair", "redraw"] = "pair"

    template = "deep_r"

    def __post_init__(self) -> None:
        check_real("DeepR l1", self.l1, 0.0)
        check_real("DeepR temperature", self.temperature, 0.0)
        if not isinstance(self.dale, bool):
            raise InvalidValueError(f"DeepR dale must be true or false, got {self.dale!r}")
        if self.growth_delay not in ("pair", "redraw"):
            raise unknown("growth_delay", self.growth_delay, ("pair", "redraw"))


REWIRING: dict[str, type[DeepR]] = {"deep_r": DeepR}


def as_rewiring(what: str, value: Any) -> DeepR | None:
    """A registered name, a rule, or None (``"none"``) as a rule or None."""
    if value is None or value == "none":
        return None
    if isinstance(value, DeepR):
        return value
    if isinstance(value, str) and value in REWIRING:
        return REWIRING[value]()
    raise unknown(f"rewiring of {what}", value, [*REWIRING, "none"])
