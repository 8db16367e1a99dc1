"""The grid of whole numbers on which a simulation adds up what arrives at a neuron.

A weight w becomes the whole number ``rint(w 2^e)`` once, when a network is compiled, and what arrives in a step is the
sum of these in 32 bits. Whole numbers have the same sum in any order, so spikes are the same for any number of threads
and on every backend. The exponent e is chosen for each kind of synapse of a population, as large as it can be if all
synapses of the neuron with the largest sum of \\|w\\| received a spike at once, its drives at their largest number of
events: the sum never overflows. A weight is off by at most half a step of the grid, ``2^-(e + 1)``; with sums of
\\|w\\| below 2^k the step is about ``2^(k - 31)``, finer than single precision has for such sums. Weights on a binary
grid, such as multiples of 2^-8, are not changed at all as long as their sums stay below 2^23.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp, ldexp

import numpy as np
import numpy.typing as npt

MOST = (1 << 31) - 1
"""The largest sum that 32 bits hold, of either sign."""
FINEST = 126
"""The largest exponent: the step must be a normal number of single precision."""


def grid_exponent(
    size: int,
    synapses: Sequence[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]],
    events: Sequence[tuple[npt.NDArray[np.float64], int]] = (),
) -> int:
    """The exponent e of a population's grid for one kind of synapse.

    Args:
        size: number of neurons.
        synapses: of every connection the targets and the weights, ``[synapse]``.
        events: of every drive the weights ``[neuron]`` and the most events in a step.
    """
    largest = max([_largest(w) for _, w in synapses] + [_largest(w) for w, most in events if most], default=0.0)
    if largest == 0.0:
        return 0
    finest = 31 - frexp(largest)[1]  # largest 2^finest < 2^31
    total, number = np.zeros(size), np.zeros(size)
    for post, weight in synapses:  # sums of whole numbers below 2^53: exact in any order
        units = np.ceil(np.ldexp(np.abs(weight.astype(np.float64)), finest))
        total += np.bincount(post, units, size)
        number += np.bincount(post, minlength=size)
    for weights, most in events:
        total += most * np.ceil(np.ldexp(np.abs(weights), finest))
        number += most
    coarser = 0
    while ldexp(float(total.max()), -coarser) + number.max() / 2 > MOST:
        coarser += 1
    return min(finest - coarser, FINEST)


def on_grid(weight: npt.NDArray[np.floating], exponent: int) -> npt.NDArray[np.int32]:
    """Weights as whole numbers of steps of ``2^-exponent``, rounded to nearest, ties to even."""
    return np.rint(np.ldexp(weight.astype(np.float64), exponent)).astype(np.int32)


def _largest(values: npt.NDArray[np.floating]) -> float:
    return float(np.abs(values).max(initial=0.0))
