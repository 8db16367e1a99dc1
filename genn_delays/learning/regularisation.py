"""Regularisation of spike counts: hidden neurons that spike too often, or too rarely, cost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class SpikeRegularisation(NamedTuple):
    """With ``n_i``, the spikes of hidden neuron i in an example, mean over the batch, the loss grows by::

        lambda_upper / 2 sum_i max(0, n_i - nu_upper)^2 + lambda_lower / 2 sum_i max(0, nu_lower - n_i)^2

    (Nowotny, Turner & Knight 2022, with one bound for each side). A count has no derivative. SurrogateCompiler takes
    the surrogate's, as for every other loss. EventPropCompiler changes dL/dv at each spike by the derivative above, as
    if ``n_i`` grew by one for each unit of potential above the threshold: see :meth:`drive`.

    mlGeNN's ``reg_lambda_upper`` and ``reg_lambda_lower`` are other numbers, so that they have another name here. The
    EventProp compiler of its version 2 has ``LambdaV -= reg_lambda (n_i - nu) / batch_size`` at each spike, where
    ``LambdaV = -dL/dv / tau_mem``, beside a share s of the loss's own derivative. For the same ratio of the two::

        lambda = reg_lambda tau_mem / s
        s = 1 / tau_out        of readouts "avg_var" and "avg_var_exp_weight",
            1 / (tau_out T)    of "sum_var" and "max_var", T: time steps of an example,
            1                  of "first_spike_time" with cross-entropy,

    with `tau_mem` of the hidden neurons and `tau_out` of the output's, both in ms: a factor of `tau_mem` squared where
    the readout is an average and all neurons are alike. The ``reg_lambda`` of its version 3 is another rule, which also
    divides by the slope at the spike and by the time that is left of the example.
    """

    lambda_upper: float
    lambda_lower: float
    nu_upper: float
    nu_lower: float

    def penalty(self, counts: npt.NDArray[np.float64]) -> float:
        """The term added to the loss for mean spike counts ``[neuron]``."""
        above, below = self._outside(counts)
        return float(self.lambda_upper / 2 * (above**2).sum() + self.lambda_lower / 2 * (below**2).sum())

    def drive(self, counts: npt.NDArray[np.float64], lanes: int) -> npt.NDArray[Any]:
        """Its derivative with respect to every single spike of a neuron, ``[neuron]``."""
        above, below = self._outside(counts)
        return np.asarray((self.lambda_upper * above - self.lambda_lower * below) / lanes)

    def _outside(self, counts: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return np.maximum(counts - self.nu_upper, 0.0), np.maximum(self.nu_lower - counts, 0.0)
