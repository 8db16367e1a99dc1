"""Analysis of networks, trained or not: receptive fields, their Moran's I, and what the synapses and spikes are like.

Every function gives its numbers; pictures of them are in :mod:`genn_delays.plots`.
"""

from .comparison import Comparison, mann_whitney
from .morans_i import MoransI, highest_morans_i, morans_i
from .receptive_field import ReceptiveFields, receptive_fields

__all__ = [
    "Comparison",
    "MoransI",
    "ReceptiveFields",
    "highest_morans_i",
    "mann_whitney",
    "morans_i",
    "receptive_fields",
]
