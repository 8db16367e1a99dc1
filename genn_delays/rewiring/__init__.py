"""Rewiring rules: they drop and grow synapses while a network learns."""

from __future__ import annotations

from typing import Any

from ..errors import check_registered, unknown
from .deep_r import DeepR
from .rigl import RigL, SignedRigL
from .rule import REWIRING, RewiringRule
from .set import SET

DEEP_R_RIGL = "deep_r_rigl"
"""The name of :class:`DeepR` with ``growth="gradient"``."""


def as_rewiring(what: str, value: Any) -> RewiringRule | None:
    """A registered name (or ``"deep_r_rigl"``), a rule, or None (``"none"``) as a rule or None."""
    if value is None or (isinstance(value, str) and value == "none"):
        return None
    if isinstance(value, RewiringRule):
        return check_registered(f"rewiring of {what}", value, REWIRING)
    if isinstance(value, str) and value == DEEP_R_RIGL:
        return DeepR(growth="gradient")
    if isinstance(value, str) and value in REWIRING:
        return REWIRING.by_default(f"rewiring of {what}", value)
    raise unknown(f"rewiring of {what}", value, [*REWIRING, DEEP_R_RIGL, "none"])


__all__ = ["DEEP_R_RIGL", "REWIRING", "SET", "DeepR", "RewiringRule", "RigL", "SignedRigL", "as_rewiring"]
