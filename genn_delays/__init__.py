"""Sparse spiking networks with a delay on every synapse, trained and rewired on generated code."""

__version__ = "0.1.0"
