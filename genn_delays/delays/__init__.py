"""Delays in time steps: how they are drawn, and how synapses are spread over lags while delays are learned."""

from .initializers import (
    DELAY_INITIALIZERS,
    MAX_DELAY,
    ConstantInt,
    DelayInitializer,
    EmpiricalInt,
    NormalInt,
    UniformInt,
    as_delay_initializer,
    delays_of,
)
from .kernels import DELAY_KERNELS, DelayKernel, GaussianKernel, Taps, TriangleKernel, as_delay_kernel, difference_taps

__all__ = [
    "DELAY_INITIALIZERS",
    "DELAY_KERNELS",
    "MAX_DELAY",
    "ConstantInt",
    "DelayInitializer",
    "DelayKernel",
    "EmpiricalInt",
    "GaussianKernel",
    "NormalInt",
    "Taps",
    "TriangleKernel",
    "UniformInt",
    "as_delay_initializer",
    "as_delay_kernel",
    "delays_of",
    "difference_taps",
]
