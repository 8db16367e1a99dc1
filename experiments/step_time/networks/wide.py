"""Two hidden layers of 2,048."""

from genn_delays.benchmarks.networks import layered


def build():
    """The tables of the model."""
    return layered("wide", (700, 2048, 2048, 20), 0.99, 100, 64)
