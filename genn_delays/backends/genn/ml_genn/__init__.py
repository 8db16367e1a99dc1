"""mlGeNN 2: networks in both directions, and its EventProp compiler as an engine of ours; all that knows mlGeNN."""

from .network import MLGeNNNetwork, load, to_ml_genn
from .reader import from_ml_genn

__all__ = ["MLGeNNNetwork", "from_ml_genn", "load", "to_ml_genn"]
