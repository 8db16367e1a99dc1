"""Losses, readouts, surrogate gradients and optimisers."""

from .optimisers import OPTIMISERS, Adam, as_optimiser
from .surrogates import SURROGATES, ArcTan, Surrogate, Triangle, as_surrogate

__all__ = ["OPTIMISERS", "SURROGATES", "Adam", "ArcTan", "Surrogate", "Triangle", "as_optimiser", "as_surrogate"]
