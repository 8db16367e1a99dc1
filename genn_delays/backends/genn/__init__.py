"""A plan as a GeNN model, and networks as mlGeNN describes them."""

from .backend import GeNN
from .ml_genn import from_ml_genn, to_ml_genn

__all__ = ["GeNN", "from_ml_genn", "to_ml_genn"]
