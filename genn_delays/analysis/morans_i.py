"""Moran's I of receptive fields: how much values that lie side by side resemble each other.

``I = (N / W) sum_ij w_ij (x_i - m)(x_j - m) / sum_i (x_i - m)^2`` over the N places of a grid, with mean m, weights
w_ij = 1 for the up to eight neighbours of a place (queen contiguity; no wrapping), 0 otherwise, and W their sum.
Source: Moran 1950 (Biometrika 37, 17-23). Input channels have no order that the network knows, so the field of a
neuron is given the highest I over random permutations of its rows, as Mészáros, Knight & Nowotny 2024 do (doi
10.3389/fncom.2024.1460309).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_choice, check_count, shown
from ..random import MAX_SEED, Purpose, philox

Real = npt.NDArray[np.float64]
_AT_ONCE = 1 << 21
"""Numbers of a part of the permutations, so that temporary arrays stay small."""


@dataclass(frozen=True)
class MoransI:
    """The highest Moran's I of fields over random permutations of their rows.

    Attributes:
        highest: float64 ``[field]``.
        given: of the fields with their rows as they are, float64 ``[field]``.
        orders: the rows in the order of the highest value, int64 ``[field, row]``: ``field[order]`` has it.
        fields: the numbers of these fields among those that were given, int64 ``[field]``.
        constant: the numbers of fields that are constant, which have no I and are in none of the arrays above.
        permutations, seed: those that were tried are a function of (seed, number of the field).
    """

    highest: Real
    given: Real
    orders: npt.NDArray[np.int64]
    fields: npt.NDArray[np.int64]
    constant: npt.NDArray[np.int64]
    permutations: int
    seed: int


def morans_i(field: npt.ArrayLike) -> float:
    """Moran's I of a grid of numbers ``[row, column]``, with queen contiguity.

    Raises:
        InvalidValueError: it is no grid of at least two finite numbers; or all are equal, and I is undefined.
    """
    grid = _checked(field, "field", 2)
    if _constant(grid[None])[0]:
        raise _undefined("the field", grid)
    return float(_as_given(_centred(grid[None]))[0])


def highest_morans_i(
    fields: npt.ArrayLike,
    permutations: int = 2000,
    seed: int = 0,
    *,
    constant: Literal["error", "leave out"] = "error",
) -> MoransI:
    """The highest Moran's I of every field over random permutations of its rows.

    Of a permutation only the products of rows that become neighbours have to be added up: sums of products of every
    pair of rows, over neighbouring columns, are computed once a field. The order of the rows as given is none of the
    permutations, unless it is drawn.

    Args:
        fields: ``[field, row, column]``, or one field.
        permutations: how many are tried for each field.
        seed: of the permutations.
        constant: of fields without an I: ``"error"``, or ``"leave out"`` and list them.

    Raises:
        InvalidValueError: fields are no grids of finite numbers; or one is constant, and I is undefined.
    """
    grids = np.asarray(fields)
    grids = _checked(grids[None] if grids.ndim == 2 else grids, "fields", 3)
    permutations = check_count("permutations", permutations)
    seed = check_count("seed of permutations", seed, 0, MAX_SEED)
    check_choice("constant", constant, ("error", "leave out"))
    flat = _constant(grids)
    if flat.any() and constant == "error":
        number = int(np.flatnonzero(flat)[0])
        raise _undefined(f"field {number} of {len(grids)}", grids[number])
    kept = np.flatnonzero(~flat)
    z = _centred(grids[kept])
    highest, orders = np.empty(kept.size), np.empty((kept.size, grids.shape[1]), np.int64)
    for place, of in enumerate(kept):
        highest[place], orders[place] = _best(z[place], permutations, seed, int(of))
    return MoransI(highest, _as_given(z), orders, kept, np.flatnonzero(flat), permutations, seed)


def row_orders(rows: int, permutations: int, seed: int, number: int) -> npt.NDArray[np.int64]:
    """Random orders of `rows` rows, ``[permutation, row]``, a function of the arguments alone.

    Args:
        number: of the field that they are for.
    """
    blocks, tried = np.arange(-(-rows // 4)), np.arange(permutations)
    words = philox(seed, Purpose.ROW_ORDER, 0, blocks[None, :], tried[:, None], number)
    keys = words.transpose(1, 2, 0).reshape(permutations, -1)[:, :rows]
    return np.argsort(keys, axis=1, kind="stable")


def _best(z: Real, permutations: int, seed: int, number: int) -> tuple[float, npt.NDArray[np.int64]]:
    """The highest I of a centred field, and the order of its rows."""
    rows, columns = z.shape
    products = z @ _with_neighbours(z).T
    orders = row_orders(rows, permutations, seed, number)
    sums = np.empty(permutations)
    part = max(1, _AT_ONCE // rows)
    for begin in range(0, permutations, part):
        some = orders[begin : begin + part]
        sums[begin : begin + part] = products[some[:, :-1], some[:, 1:]].sum(axis=1)
    best = int(sums.argmax())  # the first of equals
    order = orders[best]
    within = float((z[:, :-1] * z[:, 1:]).sum())
    return _scaled(within + float(sums[best]), z, _pairs(rows, columns)), order


def _as_given(z: Real) -> Real:
    """I of centred fields ``[field, row, column]``."""
    sums = (z[:, :, :-1] * z[:, :, 1:]).sum(axis=(1, 2))
    sums = sums + (z[:, :-1] * _with_neighbours(z[:, 1:])).sum(axis=(1, 2))
    pairs = _pairs(*z.shape[1:])
    return np.asarray([_scaled(float(total), one, pairs) for total, one in zip(sums, z, strict=True)], np.float64)


def _scaled(products: float, z: Real, pairs: int) -> float:
    """I from the sum of products over pairs of neighbours, each pair counted once, as is W then."""
    return z.size / pairs * products / float(np.square(z).sum())


def _pairs(rows: int, columns: int) -> int:
    """Pairs of neighbours of a grid."""
    return rows * (columns - 1) + (rows - 1) * columns + 2 * (rows - 1) * (columns - 1)


def _with_neighbours(z: Real) -> Real:
    """Every value with those to its left and right added."""
    total = z.copy()
    total[..., 1:] += z[..., :-1]
    total[..., :-1] += z[..., 1:]
    return total


def _centred(grids: Real) -> Real:
    """Fields without their means, scaled so that no product is too large or too small for a float; I stays."""
    largest = np.abs(grids).max(axis=(1, 2), keepdims=True, initial=0.0)
    scaled = grids / np.where(largest > 0, largest, 1.0)
    centred: Real = scaled - scaled.mean(axis=(1, 2), keepdims=True)
    return centred


def _constant(grids: Real) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (grids == grids[:, :1, :1]).all(axis=(1, 2))
    return same


def _undefined(what: str, grid: Real) -> InvalidValueError:
    return InvalidValueError(
        f"{what} is constant ({grid.flat[0]:g} everywhere), so its Moran's I is undefined; it needs two different "
        "values at least"
    )


def _checked(given: npt.ArrayLike, what: str, dimensions: int) -> Real:
    array: npt.NDArray[Any] = np.asarray(given)
    axes = "[field, row, column]" if dimensions == 3 else "[row, column]"
    if array.dtype.kind not in "biuf" or array.ndim != dimensions:
        raise InvalidValueError(f"{what} must be numbers {axes}, got {array.dtype} of shape {array.shape}")
    if array.shape[-1] * array.shape[-2] < 2:
        raise InvalidValueError(f"{what} must have two places at least for a Moran's I, got shape {array.shape}")
    if not np.isfinite(array).all():
        place = tuple(int(n) for n in np.argwhere(~np.isfinite(array))[0])
        raise InvalidValueError(f"{what} must be finite, got {shown(float(array[place]))} at {place}")
    return array.astype(np.float64)
