"""Three hidden layers of 16,384, of whose pairs one in 10,000 is connected."""

from genn_delays.benchmarks.networks import layered


def build():
    """The tables of the model."""
    return layered("very_wide", (700, 16384, 16384, 16384, 20), 0.9999, 100, 16)
