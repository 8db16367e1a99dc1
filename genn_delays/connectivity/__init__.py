"""Connectivities: connected pairs with weights and delays, always as ragged arrays, O(synapses)."""

from .connectivity import CONNECTIVITY, Connectivity, Dense, FixedNumber, FixedProbability, Sparse, home_words
from .synapses import Synapses, ordinals, row_start, sort_order

__all__ = [
    "CONNECTIVITY",
    "Connectivity",
    "Dense",
    "FixedNumber",
    "FixedProbability",
    "Sparse",
    "Synapses",
    "home_words",
    "ordinals",
    "row_start",
    "sort_order",
]
