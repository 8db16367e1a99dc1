"""Delays learned by DCLS: sigma 12, all 25 lags, in the first epoch, 0.23 in the last."""

from genn_delays.benchmarks.networks import DESIGN, built_in


def build():
    """The tables of the model."""
    tables = built_in(DESIGN).tables()
    tables["model"] = {"name": "dcls"}
    kernel = {"kind": "gaussian", "sigma": 12.0, "final_sigma": 0.23}
    tables["connections"] = [{**c, "delay_kernel": kernel} for c in tables["connections"]]
    tables["training"]["delay_optimiser"] = {"kind": "adam", "alpha": 0.1}
    return tables
