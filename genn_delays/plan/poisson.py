"""Poisson's distribution in whole numbers: the events of a step by inversion of one random word."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DIGITS = 50
"""Decimal digits with which the distribution is computed; the same numbers come out on every machine."""


class PoissonTable(NamedTuple):
    """The number of events for a random word: ``fewest`` and one more for every threshold that the word exceeds.

    Attributes:
        fewest: ``[column]``.
        thresholds: uint32 ``[threshold, column]``, ascending; one column for all neurons, or one each. 2^32 - 1, which
            no word exceeds, fills shorter columns.
    """

    fewest: npt.NDArray[np.int32]
    thresholds: npt.NDArray[np.uint32]

    @property
    def most(self) -> int:
        """The most events in a step."""
        return int((self.fewest + (self.thresholds != 0xFFFFFFFF).sum(axis=0)).max(initial=0))

    def events(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """The events of a step by neuron, for its random words ``[neuron]``."""
        return np.asarray(self.fewest + (words[None] > self.thresholds).sum(axis=0), np.int32)


def poisson_table(mean: npt.NDArray[np.float64]) -> PoissonTable:
    """The table for mean numbers of events ``[neuron]``; one column where all are equal."""
    if (mean == mean[0]).all():
        mean = mean[:1]
    columns = [_column(float(m)) for m in mean]
    longest = max((len(c) for _, c in columns), default=0)
    thresholds = np.full((longest, len(columns)), 0xFFFFFFFF, np.uint32)
    for k, (_, column) in enumerate(columns):
        thresholds[: len(column), k] = column
    return PoissonTable(np.array([f for f, _ in columns], np.int32), thresholds)


@lru_cache(1 << 16)
def _column(mean: float) -> tuple[int, tuple[int, ...]]:
    """Fewest events and thresholds: more than k events where ``word >= T_k``, ``T_k = round(2^32 P(at most k))``.

    ``word > T_k - 1`` is the same, and T_k = 0 means more than k in any case.
    """
    with localcontext() as context:
        context.prec = DIGITS
        exact, whole = Decimal(mean), Decimal(1 << 32)
        share = (-exact).exp()
        below, fewest, found = share, 0, []
        k = 0
        while (threshold := int((below * whole).to_integral_value())) < 1 << 32:
            if threshold == 0:
                fewest += 1
            else:
                found.append(threshold - 1)
            k += 1
            share = share * exact / k
            below += share
    return fewest, tuple(found)
