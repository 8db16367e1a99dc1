"""Rewiring rules: what drops and grows synapses while a network learns."""

from __future__ import annotations

from typing import Any

from ..errors import check_registered, unknown
from .deep_r import DeepR
from .rigl import RigL
from .rule import REWIRING, RewiringRule
from .set import SET


def as_rewiring(what: str, value: Any) -> RewiringRule | None:
    """A registered name, a rule, or None (``"none"``) as a rule or None."""
    if value is None or (isinstance(value, str) and value == "none"):
        return None
    if isinstance(value, RewiringRule):
        return check_registered(f"rewiring of {what}", value, REWIRING)
    if isinstance(value, str) and value in REWIRING:
        return REWIRING[value]()
    raise unknown(f"rewiring of {what}", value, [*REWIRING, "none"])


__all__ = ["REWIRING", "SET", "DeepR", "RewiringRule", "RigL", "as_rewiring"]
