"""Energy of operations, by stated figures: an estimate of arithmetic alone, and no measurement."""

from __future__ import annotations

from .operations import Operations

ADD, MULTIPLY = 0.9, 3.7
"""Picojoules of a 32-bit floating point addition and multiplication in a 45 nm process. Source: Horowitz 2014,
"Computing's energy problem (and what we can do about it)", ISSCC, doi 10.1109/ISSCC.2014.6757323."""


def picojoules(operations: Operations) -> float:
    """A multiply-accumulate is a multiplication and an addition, an accumulate an addition; all others are not in it:
    no figure is stated for what a neuron does. Memory traffic, which mostly costs more, is not in it either."""
    return operations.macs * (MULTIPLY + ADD) + operations.acs * ADD
