"""Rewiring rules: what drops and grows synapses while a network learns."""

from .deep_r import REWIRING, DeepR, as_rewiring

__all__ = ["REWIRING", "DeepR", "as_rewiring"]
