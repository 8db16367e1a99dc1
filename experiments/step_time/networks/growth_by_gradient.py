"""DEEP R that grows where the gradient says that a synapse would help most."""

from genn_delays.benchmarks.networks import DESIGN, built_in


def build():
    """The tables of the model."""
    tables = built_in(DESIGN).tables()
    tables["model"] = {"name": "growth_by_gradient"}
    tables["rewiring"] = {"rule": "deep_r", "growth": "gradient"}
    return tables
