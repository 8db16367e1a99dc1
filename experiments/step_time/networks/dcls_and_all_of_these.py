"""DCLS, growth by the gradient, batch norm and dropout together."""

from genn_delays.benchmarks.networks import DESIGN, built_in


def build():
    """The tables of the model."""
    tables = built_in(DESIGN).tables()
    tables["model"] = {"name": "dcls_and_all_of_these"}
    kernel = {"kind": "gaussian", "sigma": 12.0, "final_sigma": 0.23}
    tables["connections"] = [{**c, "delay_kernel": kernel} for c in tables["connections"]]
    tables["training"]["delay_optimiser"] = {"kind": "adam", "alpha": 0.1}
    tables["populations"][1] |= {"batch_norm": {}, "dropout": 0.4}
    tables["rewiring"] = {"rule": "deep_r", "growth": "gradient"}
    return tables
