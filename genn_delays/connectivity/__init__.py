"""Connectivities: connected pairs with weights and delays, always as ragged arrays, O(synapses)."""

from typing import TYPE_CHECKING

from ..porting import missing_from
from .connectivity import CONNECTIVITY, Connectivity, Dense, FixedNumber, FixedProbability, home_words
from .degrees import FixedInDegree, FixedOutDegree, FixedTotalNumber, OneToOne
from .distance import DistanceDependent
from .draws import Draws
from .sparse import Sparse
from .synapses import Synapses, ordinals, row_start, sort_order

__all__ = [
    "CONNECTIVITY",
    "Connectivity",
    "Dense",
    "DistanceDependent",
    "Draws",
    "FixedInDegree",
    "FixedNumber",
    "FixedOutDegree",
    "FixedProbability",
    "FixedTotalNumber",
    "OneToOne",
    "Sparse",
    "Synapses",
    "home_words",
    "ordinals",
    "row_start",
    "sort_order",
]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
