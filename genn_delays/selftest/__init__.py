"""Whether a backend computes on this machine what it should: ``genn-delays selftest``.

Small networks that between them use every pass, every optimiser and every rewiring rule are held against `reference`,
the definition: spikes and structure exactly, gradients but for rounding. It needs no test framework and no data.
"""

from .report import Report, Row
from .run import FEATURES, selftest

__all__ = ["FEATURES", "Report", "Row", "selftest"]
