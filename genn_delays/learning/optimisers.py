"""Optimisers. A new one is a class, a kernel template of its name per target, and one line in :data:`OPTIMISERS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import check_real, unknown

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), every synapse with a step count of its own::

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        w = w - alpha m / (1 - beta1^age) / (sqrt(v / (1 - beta2^age)) + epsilon)

    `age` counts the synapse's own steps since it was made or grown: with the global count the first steps of a newborn
    synapse would be several times too large.

    Args:
        alpha: learning rate, above 0.
        beta1, beta2: decay of the moments, in [0, 1).
        epsilon: above 0.
    """

    alpha: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    template = "adam"

    def __post_init__(self) -> None:
        check_real("Adam alpha", self.alpha, 0.0, open_low=True)
        check_real("Adam beta1", self.beta1, 0.0, 1.0, open_high=True)
        check_real("Adam beta2", self.beta2, 0.0, 1.0, open_high=True)
        check_real("Adam epsilon", self.epsilon, 0.0, open_low=True)

    def step(self, weight: F32, g: F32, moments: list[F32], age: npt.NDArray[np.uint16]) -> F32:
        """The definition, in float32 and in the kernel's order; `moments` and `age` are updated in place.

        All arrays ``[synapse]``; returns the new weights.
        """
        one = np.float32(1)
        beta1, beta2 = np.float32(self.beta1), np.float32(self.beta2)
        np.minimum(age.astype(np.int64) + 1, 65_535, out=age, casting="unsafe")
        m, v = moments
        m[:] = beta1 * m + (one - beta1) * g
        v[:] = beta2 * v + (one - beta2) * (g * g)
        m_hat = m / (1.0 - power(self.beta1, age)).astype(np.float32)
        v_hat = v / (1.0 - power(self.beta2, age)).astype(np.float32)
        change = np.float32(self.alpha) * m_hat / (np.sqrt(v_hat) + np.float32(self.epsilon))
        return np.asarray(weight - change, dtype=np.float32)


def power(base: float, exponent: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """``base ** exponent`` by repeated squaring, as the kernels do it, so that it rounds alike."""
    result, square, left = np.ones(exponent.shape), base, exponent.astype(np.int64)
    while left.any():
        result = np.where(left & 1, result * square, result)
        square *= square
        left >>= 1
    return result


OPTIMISERS: dict[str, type[Adam]] = {"adam": Adam}


def as_optimiser(what: str, value: Any) -> Adam:
    """A registered name or an optimiser as an optimiser."""
    if isinstance(value, Adam):
        return value
    if isinstance(value, str) and value in OPTIMISERS:
        return OPTIMISERS[value]()
    raise unknown(f"optimiser of {what}", value, OPTIMISERS)
