"""Losses, readouts, surrogate gradients and optimisers."""

from .losses import (
    LOSSES,
    Loss,
    MeanSquareError,
    PerNeuronMeanSquareError,
    RelativeMeanSquareError,
    SparseCategoricalCrossentropy,
)
from .optimisers import OPTIMISERS, SGD, Adam, AdamW, Optimiser, as_optimiser
from .schedules import SCHEDULES, CosineAnnealing, ExponentialDecay, OneCycle, Schedule, as_schedule
from .surrogates import SURROGATES, ArcTan, Surrogate, Triangle, as_surrogate

__all__ = [
    "LOSSES",
    "OPTIMISERS",
    "SCHEDULES",
    "SGD",
    "SURROGATES",
    "Adam",
    "AdamW",
    "ArcTan",
    "CosineAnnealing",
    "ExponentialDecay",
    "Loss",
    "MeanSquareError",
    "OneCycle",
    "Optimiser",
    "PerNeuronMeanSquareError",
    "RelativeMeanSquareError",
    "Schedule",
    "SparseCategoricalCrossentropy",
    "Surrogate",
    "Triangle",
    "as_optimiser",
    "as_schedule",
    "as_surrogate",
]
