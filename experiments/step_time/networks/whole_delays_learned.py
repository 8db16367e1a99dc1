"""Whole delays, learned by differences between neighbouring ones."""

from genn_delays.benchmarks.networks import DESIGN, built_in


def build():
    """The tables of the model."""
    tables = built_in(DESIGN).tables()
    tables["model"] = {"name": "whole_delays_learned"}
    tables["training"]["delay_optimiser"] = {"kind": "adam", "alpha": 0.1}
    return tables
