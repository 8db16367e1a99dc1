"""Delays, in whole time steps: how they are drawn when a network is made and when a synapse is grown."""

from .initializers import (
    DELAY_INITIALIZERS,
    MAX_DELAY,
    ConstantInt,
    DelayInitializer,
    EmpiricalInt,
    NormalInt,
    UniformInt,
    as_delay_initializer,
)

__all__ = [
    "DELAY_INITIALIZERS",
    "MAX_DELAY",
    "ConstantInt",
    "DelayInitializer",
    "EmpiricalInt",
    "NormalInt",
    "UniformInt",
    "as_delay_initializer",
]
