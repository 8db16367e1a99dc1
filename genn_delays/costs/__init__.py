"""The costs of a network, counted: operations, bytes, energy by stated figures, and the metrics of NeuroBench.

from genn_delays.costs import costs_of

report = costs_of(compiled, {mel: x})
print(report)
"""

from .activity import Activity
from .count import Costs, inference, training_step
from .dense import Dense, dense_forward
from .energy import picojoules
from .neurobench import NeuroBench, neurobench
from .operations import Operations
from .report import Report, costs_of
from .training import training_share

__all__ = [
    "Activity",
    "Costs",
    "Dense",
    "NeuroBench",
    "Operations",
    "Report",
    "costs_of",
    "dense_forward",
    "inference",
    "neurobench",
    "picojoules",
    "training_share",
    "training_step",
]
