"""Regularisation of spike counts: hidden neurons that spike too often, or too rarely, cost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class SpikeRegularisation(NamedTuple):
    """With ``n_i``, the spikes of hidden neuron i in an example, mean over the batch, the loss grows by::

        lambda_upper / 2 sum_i max(0, n_i - nu_upper)^2 + lambda_lower / 2 sum_i max(0, nu_lower - n_i)^2

    mlGeNN's ``reg_lambda_upper`` and ``reg_lambda_lower`` (Nowotny, Turner & Knight 2022), with one bound for each
    side.
    """

    lambda_upper: float
    lambda_lower: float
    nu_upper: float
    nu_lower: float

    def penalty(self, counts: npt.NDArray[np.float64]) -> float:
        """What is added to the loss for mean spike counts ``[neuron]``."""
        above, below = self._outside(counts)
        return float(self.lambda_upper / 2 * (above**2).sum() + self.lambda_lower / 2 * (below**2).sum())

    def drive(self, counts: npt.NDArray[np.float64], lanes: int) -> npt.NDArray[Any]:
        """Its derivative with respect to every single spike of a neuron, ``[neuron]``."""
        above, below = self._outside(counts)
        return np.asarray((self.lambda_upper * above - self.lambda_lower * below) / lanes)

    def _outside(self, counts: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return np.maximum(counts - self.nu_upper, 0.0), np.maximum(self.nu_lower - counts, 0.0)
