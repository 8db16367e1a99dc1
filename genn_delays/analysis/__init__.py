"""Analysis of networks, trained or not: receptive fields, their Moran's I, and what the synapses and spikes are like.

Every function gives its numbers; pictures of them are in :mod:`genn_delays.plots`.
"""

from .behaviour import Classes, Spikes, classes, spikes_by_population
from .comparison import Comparison, mann_whitney
from .morans_i import MoransI, highest_morans_i, morans_i
from .receptive_field import ReceptiveFields, receptive_fields
from .rewiring import RewiringOverTime, rewiring_over_time
from .spike_trains import SpikeTrains, spike_trains
from .structure import Fans, Histogram, ages_by_sign, delays_by_sign, fans, weights_by_sign

__all__ = [
    "Classes",
    "Comparison",
    "Fans",
    "Histogram",
    "MoransI",
    "ReceptiveFields",
    "RewiringOverTime",
    "SpikeTrains",
    "Spikes",
    "ages_by_sign",
    "classes",
    "delays_by_sign",
    "fans",
    "highest_morans_i",
    "mann_whitney",
    "morans_i",
    "receptive_fields",
    "rewiring_over_time",
    "spike_trains",
    "spikes_by_population",
    "weights_by_sign",
]
