"""With batch norm and dropout."""

from genn_delays.benchmarks.networks import DESIGN, built_in


def build():
    """The tables of the model."""
    tables = built_in(DESIGN).tables()
    tables["model"] = {"name": "batch_norm_and_dropout"}
    tables["populations"][1] |= {"batch_norm": {}, "dropout": 0.4}
    return tables
