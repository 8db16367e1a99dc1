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


def finest_exponent(largest: float) -> int:
    """The largest exponent at which a weight of this size, alone, fits: that of ``largest 2^e < 2^31``; 0 for none."""
    return 31 - frexp(largest)[1] if largest else 0


def grid_exponent(
    finest: int,
    total: npt.NDArray[np.float64],
    number: npt.NDArray[np.integer],
    events: Sequence[tuple[npt.NDArray[np.float64], int]] = (),
) -> int:
    """The exponent e of a population's grid for one kind of synapse.

    Args:
        finest: :func:`finest_exponent` of the largest weight, those of drives included.
        total: the sums of ``ceil(|weight| 2^finest)`` of all synapses ``[neuron]``: whole numbers below 2^53, which are
            exact in any order.
        number: of synapses ``[neuron]``.
        events: of every drive the weights ``[neuron]`` and the most events in a step.
    """
    total, number = total.copy(), number.astype(np.float64)
    for weights, most in events:
        total += most * np.ceil(np.ldexp(np.abs(weights), finest))
        number += most
    coarser = 0
    while ldexp(float(total.max()), -coarser) + number.max() / 2 > MOST:
        coarser += 1
    return min(finest - coarser, FINEST) if total.any() else 0


def on_grid(weight: npt.NDArray[np.floating], exponent: int) -> npt.NDArray[np.int32]:
    """Weights as whole numbers of steps of ``2^-exponent``, rounded to nearest, ties to even."""
    return np.rint(np.ldexp(weight.astype(np.float64), exponent)).astype(np.int32)
