"""The losses under mlGeNN's module name; they are defined in :mod:`genn_delays.learning`."""

from typing import TYPE_CHECKING

from .learning.losses import (
    Loss,
    MeanSquareError,
    PerNeuronMeanSquareError,
    RelativeMeanSquareError,
    SparseCategoricalCrossentropy,
)
from .porting import missing_from

__all__ = [
    "Loss",
    "MeanSquareError",
    "PerNeuronMeanSquareError",
    "RelativeMeanSquareError",
    "SparseCategoricalCrossentropy",
]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
