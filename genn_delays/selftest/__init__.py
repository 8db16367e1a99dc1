"""The self-test ``genn-delays selftest``: does a backend compute correct results on this machine?

Small networks, which together use every pass, every optimiser and every rewiring rule, are compared with `reference`,
the
definition: spikes and structure exactly, gradients up to rounding. It needs no test framework and no data.
"""

from .report import Report, Row
from .run import FEATURES, selftest

__all__ = ["FEATURES", "Report", "Row", "selftest"]
