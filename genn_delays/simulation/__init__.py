"""Simulations: one network, step by step, as time goes on."""

from .compiler import SimulationCompiler
from .recording import Spikes, Trace
from .simulation import Simulation
from .trained import trained_network

__all__ = ["Simulation", "SimulationCompiler", "Spikes", "Trace", "trained_network"]
