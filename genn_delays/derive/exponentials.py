"""Exponentials that coefficients of exact integration are made of, per neuron, on the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bodies.elementary import exprel, exprel_slope

__all__ = ["expm_entry", "expm_slope", "exprel", "exprel_slope"]

Array = npt.NDArray[np.float64]


def expm_entry(i: int, j: int, *entries: Any) -> Any:
    """Entry (i, j) of exp(M).

    Args:
        i, j: row and column.
        entries: of the square matrix M, row by row: numbers or arrays ``[neuron]``.

    Returns:
        A number per neuron, of the shape that the entries have together.
    """
    return _each(lambda m: _expm(m)[:, i, j], entries)


def expm_slope(i: int, j: int, *entries: Any) -> Any:
    """The derivative of entry (i, j) of exp(M) in a direction of M.

    Args:
        i, j: row and column.
        entries: of M, then of the direction, each row by row as in :func:`expm_entry`.

    The upper right block of ``exp([[M, E], [0, M]])`` is the derivative of exp at M in direction E (Van Loan 1978, doi
    10.1109/TAC.1978.1101743).
    """

    def slope(m: Array) -> Array:
        number, rows, n = m.shape
        assert rows == 2 * n
        both = np.zeros((number, 2 * n, 2 * n))
        both[:, :n, :n] = both[:, n:, n:] = m[:, :n]
        both[:, :n, n:] = m[:, n:]
        return _expm(both)[:, i, n + j]

    return _each(slope, entries, 2)


def _each(function: Callable[[Array], Array], entries: tuple[Any, ...], matrices: int = 1) -> Any:
    """A function of matrices ``[neuron, matrices * n, n]``, done once for neurons whose matrices are the same."""
    n = math.isqrt(len(entries) // matrices)
    if len(entries) != matrices * n * n:
        raise ValueError(f"{len(entries)} numbers are not a square matrix")
    broadcast = np.broadcast_arrays(*(np.asarray(e, dtype=np.float64) for e in entries))
    rows = np.stack([e.ravel() for e in broadcast], axis=-1)
    if not np.isfinite(rows).all():
        return np.full(broadcast[0].shape, np.nan)
    different, inverse = np.unique(rows, axis=0, return_inverse=True)
    values = function(different.reshape(-1, matrices * n, n))
    return values[inverse.ravel()].reshape(broadcast[0].shape)


_ORDER, _NORM = 18, 0.5
"""Terms of the Taylor series, and the norm up to which they leave nothing that a double could hold."""


def _expm(matrices: Array) -> Array:
    """exp of matrices ``[number, n, n]``: halved until the Taylor series converges at once, then squared back.

    SciPy's goes through them one by one, and time constants that are learned ask for them in every training step.
    """
    norms = np.abs(matrices).sum(axis=2).max(axis=1)
    halvings = np.ceil(np.log2(np.maximum(norms / _NORM, 1.0))).astype(int)
    scaled = np.ldexp(matrices, -halvings[:, None, None])
    result = term = np.broadcast_to(np.eye(matrices.shape[1]), matrices.shape)
    for k in range(1, _ORDER + 1):
        term = term @ scaled / k
        result = result + term
    for k in range(int(halvings.max(initial=0))):
        more = halvings > k
        result[more] = result[more] @ result[more]
    return result
