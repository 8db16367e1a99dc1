"""Moran's I, held against the double sum over all pairs of places."""

import sys

import numpy as np
import pytest

from genn_delays.analysis import highest_morans_i, morans_i
from genn_delays.analysis.morans_i import row_orders
from genn_delays.errors import InvalidValueError


def weights(rows, columns):
    """w_ij of queen contiguity, ``[place, place]``: places whose rows and columns differ by one at most."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    near = (abs(row[:, None] - row) <= 1) & (abs(column[:, None] - column) <= 1)
    return (near & ~np.eye(rows * columns, dtype=bool)).astype(float)


def plain(field):
    """The double sum of the equation."""
    w, d = weights(*field.shape), field.ravel() - field.mean()
    total = sum(w[i, j] * d[i] * d[j] for i in range(d.size) for j in np.flatnonzero(w[i]))
    return d.size / w.sum() * total / (d**2).sum()


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 7), (6, 1), (2, 2), (3, 5), (8, 11)])
@pytest.mark.parametrize("seed", range(3))
def test_random_grids_have_the_double_sum(shape, seed):
    field = np.random.default_rng(seed).normal(5.0, 2.0, shape)
    assert abs(morans_i(field) - plain(field)) < 1e-12
    assert abs(highest_morans_i(field).given[0] - plain(field)) < 1e-12


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_signs_and_any_scale(scale):
    field = np.random.default_rng(1).integers(-1, 2, (7, 9)).astype(float)
    assert abs(morans_i(scale * field) - plain(field)) < 1e-12


def test_halves_chessboards_and_stripes():
    board = np.indices((40, 40)).sum(axis=0) % 2
    assert morans_i(np.arange(40)[:, None] // 20 * np.ones(40)) > 0.9
    assert abs(morans_i(board)) < 0.03  # four neighbours alike, four other
    assert morans_i(np.arange(40)[:, None] % 2 * np.ones(40)) < -0.3


def test_esda_agrees():
    esda = pytest.importorskip("esda")
    lat2w = pytest.importorskip("libpysal").weights.lat2W
    field = np.random.default_rng(2).normal(size=(12, 9))
    theirs = esda.Moran(field.ravel(), lat2w(12, 9, rook=False), transformation="O", permutations=0)
    assert abs(morans_i(field) - theirs.I) < 1e-12


@pytest.mark.parametrize("shape", [(1, 4), (2, 3), (5, 6), (9, 4)])
def test_the_highest_of_permutations_is_that_of_trying_each(shape):
    field = np.random.default_rng(4).normal(size=shape)
    found = highest_morans_i(field, permutations=50, seed=7)
    tried = [plain(field[order]) for order in row_orders(shape[0], 50, 7, 0)]
    assert abs(found.highest[0] - max(tried)) < 1e-12
    assert abs(morans_i(field[found.orders[0]]) - found.highest[0]) < 1e-12


def test_every_field_has_permutations_of_its_own_whatever_stands_beside_it():
    fields = np.random.default_rng(5).normal(size=(3, 6, 5))
    together = highest_morans_i(fields, 40, seed=1)
    assert np.array_equal(together.highest, highest_morans_i(fields, 40, seed=1).highest)
    assert together.highest[0] == highest_morans_i(fields[:1], 40, seed=1).highest[0]
    assert not np.array_equal(row_orders(6, 40, 1, 0), row_orders(6, 40, 1, 1))
    assert not np.array_equal(row_orders(6, 40, 1, 0), row_orders(6, 40, 2, 0))
    assert np.array_equal(row_orders(6, 40, 1, 0)[:20], row_orders(6, 20, 1, 0))


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 40])
def test_orders_are_permutations_and_rows_reach_every_place_alike(rows):
    orders = row_orders(rows, 2000, 0, 0)
    assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(rows), (2000, 1)))
    counts = np.bincount((orders * rows + np.arange(rows)).ravel(), minlength=rows**2)
    assert abs(counts - 2000 / rows).max() < 6 * np.sqrt(2000 / rows)


def test_parts_of_the_permutations_make_no_difference(monkeypatch):
    fields = np.random.default_rng(6).normal(size=(2, 7, 8))
    whole = highest_morans_i(fields, 100)
    monkeypatch.setattr(sys.modules[row_orders.__module__], "_AT_ONCE", 7 * 3)
    parts = highest_morans_i(fields, 100)
    assert np.array_equal(whole.highest, parts.highest)
    assert np.array_equal(whole.orders, parts.orders)


def test_a_constant_field_is_an_error_that_names_it():
    fields = np.random.default_rng(0).normal(size=(3, 4, 5))
    fields[1] = 0.5
    with pytest.raises(InvalidValueError, match=r"field 1 of 3 is constant \(0.5 everywhere\).*undefined"):
        highest_morans_i(fields)
    with pytest.raises(InvalidValueError, match=r"the field is constant \(0 everywhere\)"):
        morans_i(np.zeros((4, 5)))


def test_constant_fields_can_be_left_out_and_are_listed():
    fields = np.random.default_rng(0).normal(size=(3, 4, 5))
    whole = highest_morans_i(fields, 30)
    fields[1] = 0.0
    found = highest_morans_i(fields, 30, constant="leave out")
    assert np.array_equal(found.fields, [0, 2])
    assert np.array_equal(found.constant, [1])
    assert np.array_equal(found.highest, whole.highest[[0, 2]])
    assert highest_morans_i(np.zeros((2, 4, 5)), constant="leave out").highest.size == 0


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        (np.ones(3), {}, r"fields must be numbers \[field, row, column\], got float64 of shape \(3,\)"),
        (np.array([["a", "b"]]), {}, "fields must be numbers"),
        (np.ones((2, 1, 1)), {}, "must have two places at least"),
        (np.array([[1.0, np.nan]]), {}, r"fields must be finite, got nan at \(0, 0, 1\)"),
        (np.eye(3), {"permutations": 0}, "permutations must be at least 1, got 0"),
        (np.eye(3), {"seed": -1}, "seed of permutations must be from 0"),
        (np.eye(3), {"constant": "drop"}, "unknown constant 'drop'; known: error, leave out"),
    ],
)
def test_what_does_not_fit_is_named(fields, arguments, message):
    with pytest.raises(InvalidValueError, match=message):
        highest_morans_i(fields, **arguments)
