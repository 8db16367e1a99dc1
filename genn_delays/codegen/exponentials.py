"""Exponentials that coefficients of exact integration are made of, per neuron, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def exprel(x: Any) -> Any:
    """``(exp(x) - 1) / x``, 1 at 0: what two decays do one after the other, equal time constants included."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-8
    return np.where(small, 1.0 + x / 2, np.expm1(x) / np.where(small, 1.0, x))


def exprel_slope(x: Any) -> Any:
    """The derivative of :func:`exprel`."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-3  # where the quotient below cancels
    y = np.where(small, 1.0, x)
    return np.where(small, 0.5 + x / 3 + x**2 / 8 + x**3 / 30, (np.exp(y) * (y - 1.0) + 1.0) / y**2)


def expm_entry(i: int, j: int, *entries: Any) -> Any:
    """Entry (i, j) of exp(M).

    Args:
        i, j: row and column.
        entries: of the square matrix M, row by row: numbers or arrays ``[neuron]``.

    Returns:
        A number per neuron, of the shape that the entries have together.
    """
    return _each(lambda m: _expm(m)[:, i, j], entries)


def expm_slope(i: int, j: int, r: int, c: int, *entries: Any) -> Any:
    """How entry (i, j) of exp(M) moves with entry (r, c) of M; arguments as of :func:`expm_entry`.

    The upper right block of ``exp([[M, E], [0, M]])`` is the derivative of exp at M in direction E (Van Loan 1978, doi
    10.1109/TAC.1978.1101743).
    """

    def slope(m: Array) -> Array:
        n = m.shape[-1]
        both = np.zeros((len(m), 2 * n, 2 * n))
        both[:, :n, :n] = both[:, n:, n:] = m
        both[:, r, n + c] = 1.0
        return _expm(both)[:, i, n + j]

    return _each(slope, entries)


def _each(function: Any, entries: tuple[Any, ...]) -> Any:
    """A function of matrices ``[neuron, n, n]``, done once for neurons whose matrices are the same."""
    size = round(len(entries) ** 0.5)
    broadcast = np.broadcast_arrays(*(np.asarray(e, dtype=np.float64) for e in entries))
    rows = np.stack([e.ravel() for e in broadcast], axis=-1)
    if not np.isfinite(rows).all():
        return np.full(broadcast[0].shape, np.nan)
    different, inverse = np.unique(rows, axis=0, return_inverse=True)
    return function(different.reshape(-1, size, size))[inverse.ravel()].reshape(broadcast[0].shape)


def _expm(matrices: Array) -> Array:
    from scipy.linalg import expm  # takes long to import, and few need it

    return np.asarray(expm(matrices), dtype=np.float64)
