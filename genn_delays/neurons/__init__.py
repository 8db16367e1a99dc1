"""Neuron models, one per file, as equations. A new model is a class, registered by a name."""

from typing import TYPE_CHECKING

from ..learning.readouts import READOUTS
from ..porting import missing_from
from .adaptive_exponential import AdaptiveExponential
from .adaptive_leaky_integrate_fire import AdaptiveLeakyIntegrateFire
from .batch_norm import BatchNorm, as_batch_norm
from .hodgkin_huxley import HodgkinHuxley
from .integrate_fire import IntegrateFire
from .izhikevich import Izhikevich
from .leaky_integrate import LeakyIntegrate
from .leaky_integrate_fire import LeakyIntegrateFire
from .neuron import NEURONS, DynamicNeuron, Equations, Input, Neuron, SpikeInput
from .poisson_input import PoissonInput
from .quadratic_integrate_fire import QuadraticIntegrateFire
from .spike_source import SpikeSource
from .user_neuron import UserNeuron

__all__ = [
    "NEURONS",
    "READOUTS",
    "AdaptiveExponential",
    "AdaptiveLeakyIntegrateFire",
    "BatchNorm",
    "DynamicNeuron",
    "Equations",
    "HodgkinHuxley",
    "Input",
    "IntegrateFire",
    "Izhikevich",
    "LeakyIntegrate",
    "LeakyIntegrateFire",
    "Neuron",
    "PoissonInput",
    "QuadraticIntegrateFire",
    "SpikeInput",
    "SpikeSource",
    "UserNeuron",
    "as_batch_norm",
]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
