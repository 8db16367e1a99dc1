"""Neuron models, one per file, as equations. A new model is a new file and one line in :data:`NEURONS`."""

from ..learning.readouts import READOUTS
from .adaptive_leaky_integrate_fire import AdaptiveLeakyIntegrateFire
from .batch_norm import BatchNorm, as_batch_norm
from .leaky_integrate import LeakyIntegrate
from .leaky_integrate_fire import LeakyIntegrateFire
from .neuron import DynamicNeuron, Equations, Input, Neuron, SpikeInput
from .user_neuron import UserNeuron

NEURONS: dict[str, type[Neuron]] = {
    "input": Input,
    "spike_input": SpikeInput,
    "leaky_integrate_fire": LeakyIntegrateFire,
    "adaptive_leaky_integrate_fire": AdaptiveLeakyIntegrateFire,
    "leaky_integrate": LeakyIntegrate,
    "user_neuron": UserNeuron,
}

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
    "SpikeInput",
    "UserNeuron",
    "as_batch_norm",
]
