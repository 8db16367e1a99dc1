"""Neuron models, one per file, as equations. A new model is a class, registered by a name."""

from ..learning.readouts import READOUTS
from .adaptive_leaky_integrate_fire import AdaptiveLeakyIntegrateFire
from .batch_norm import BatchNorm, as_batch_norm
from .leaky_integrate import LeakyIntegrate
from .leaky_integrate_fire import LeakyIntegrateFire
from .neuron import NEURONS, DynamicNeuron, Equations, Input, Neuron, SpikeInput
from .poisson_input import PoissonInput
from .spike_source import SpikeSource
from .user_neuron import UserNeuron

__all__ = [
    "NEURONS",
    "READOUTS",
    "AdaptiveLeakyIntegrateFire",
    "BatchNorm",
    "DynamicNeuron",
    "Equations",
    "Input",
    "LeakyIntegrate",
    "LeakyIntegrateFire",
    "Neuron",
    "PoissonInput",
    "SpikeInput",
    "SpikeSource",
    "UserNeuron",
    "as_batch_norm",
]
