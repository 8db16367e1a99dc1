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
from .readouts import READOUTS, Readout, as_readout
from .schedules import SCHEDULES, CosineAnnealing, ExponentialDecay, OneCycle, Schedule, as_schedule
from .surrogates import SURROGATES, ArcTan, Surrogate, Triangle, as_surrogate

__all__ = [
    "LOSSES",
    "OPTIMISERS",
    "READOUTS",
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
    "Readout",
    "RelativeMeanSquareError",
    "Schedule",
    "SparseCategoricalCrossentropy",
    "Surrogate",
    "Triangle",
    "as_optimiser",
    "as_readout",
    "as_schedule",
    "as_surrogate",
]
