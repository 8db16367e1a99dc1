"""Delays learned by DCLS with sigma 2."""

from genn_delays.benchmarks.networks import DESIGN, built_in


def build():
    """The tables of the model."""
    tables = built_in(DESIGN).tables()
    tables["model"] = {"name": "dcls_2"}
    kernel = {"kind": "gaussian", "sigma": 2.0, "final_sigma": 2.0}
    tables["connections"] = [{**c, "delay_kernel": kernel} for c in tables["connections"]]
    tables["training"]["delay_optimiser"] = {"kind": "adam", "alpha": 0.1}
    return tables
