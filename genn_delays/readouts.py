"""The readouts under mlGeNN's module name; they are defined in :mod:`genn_delays.learning`."""

from typing import TYPE_CHECKING

from .learning.readouts import (
    AvgVar,
    AvgVarExpWeight,
    EndVar,
    FirstSpikeTime,
    MaxVar,
    Readout,
    SpikeCount,
    SumSoftmax,
    SumVar,
    Var,
)
from .porting import missing_from

__all__ = [
    "AvgVar",
    "AvgVarExpWeight",
    "EndVar",
    "FirstSpikeTime",
    "MaxVar",
    "Readout",
    "SpikeCount",
    "SumSoftmax",
    "SumVar",
    "Var",
]

if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
