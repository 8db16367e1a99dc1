"""Elementary functions of nonlinear equations, in single precision, as bodies: a neuron's step has the same bits on
every target.

The math libraries of targets round these functions differently. Here they consist of IEEE operations in a fixed order,
with errors of a few units in the last place; in double precision NumPy's functions take their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .functions import EXP_SERIES, LOGARITHM
from .language import read
from .tree import Body, Type

REAL, DOUBLE = Type.REAL, Type.DOUBLE


def exprel(x: Any) -> Any:
    """``(exp(x) - 1) / x``, 1 at 0: the response of two decays in series, equal time constants included."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-8
    return np.where(small, 1.0 + x / 2, np.expm1(x) / np.where(small, 1.0, x))


def exprel_slope(x: Any) -> Any:
    """The derivative of :func:`exprel`."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-3  # where the quotient below cancels
    y = np.where(small, 1.0, x)
    return np.where(small, 0.5 + x / 3 + x**2 / 8 + x**3 / 30, (np.exp(y) * (y - 1.0) + 1.0) / y**2)


EXP = read(
    "portable_exp",
    """
    x = min(89, max(-87, x))
    k = rint(x * 1.44269504)
    r = (x - k * 0.693359375) - k * -2.12194440e-4"""
    + EXP_SERIES
    + """half = floor(k * 0.5)
    y = (series * r * r + r + 1) * power_of_two(half) * power_of_two(k - half)
    """,
    {"x": REAL},
    ("y",),
    in_double=np.exp,
)
"""``exp(x)``: ``x = k log 2 + r`` with |r| <= log(2) / 2, ``exp(x) = 2^k exp(r)`` (the polynomial is that of Cephes'
expf). Infinity above 88.73; below -87 it is 1.6e-38."""

EXPREL = read(
    "portable_exprel",
    """
    series = real(2.7557319e-6)
    series = series * x + 2.4801587e-5
    series = series * x + 1.9841270e-4
    series = series * x + 1.3888889e-3
    series = series * x + 8.3333333e-3
    series = series * x + 4.1666667e-2
    series = series * x + 0.16666667
    series = series * x + 0.5
    series = series * x + 1
    y = series if abs(x) < 0.5 else (portable_exp(x) - 1) / x
    """,
    {"x": REAL},
    ("y",),
    {"portable_exp": EXP},
    in_double=exprel,
)
"""``(exp(x) - 1) / x``, 1 at 0; its Taylor series near 0, where the quotient would cancel."""

EXPREL_SLOPE = read(
    "portable_exprel_slope",
    """
    series = real(2.4801587e-6)
    series = series * x + 2.2045855e-5
    series = series * x + 1.7361111e-4
    series = series * x + 1.1904762e-3
    series = series * x + 6.9444444e-3
    series = series * x + 3.3333333e-2
    series = series * x + 0.125
    series = series * x + 0.33333333
    series = series * x + 0.5
    y = series if abs(x) < 0.75 else (portable_exp(x) * (x - 1) + 1) / (x * x)
    """,
    {"x": REAL},
    ("y",),
    {"portable_exp": EXP},
    in_double=exprel_slope,
)
"""The derivative of :data:`EXPREL`."""

LOG = read(
    "portable_logarithm",
    """
    y = real(portable_log(double(x))) if x > 0 else (-1 / abs(x) if x == 0 else sqrt(x))
    y = x if x > 3.4028234e38 else y
    """,
    {"x": REAL},
    ("y",),
    {"portable_log": LOGARITHM},
    in_double=np.log,
)
"""``log(x)``; minus infinity at 0 and NaN below."""

TANH = read(
    "portable_tanh",
    """
    square = x * x
    series = real(-5.70498872745e-3)
    series = series * square + 2.06390887954e-2
    series = series * square + -5.37397155531e-2
    series = series * square + 1.33314422036e-1
    series = series * square + -3.33332819422e-1
    far = 1 - 2 / (portable_exp(2 * abs(x)) + 1)
    y = series * square * x + x if abs(x) < 0.625 else copysign(far, x)
    """,
    {"x": REAL},
    ("y",),
    {"portable_exp": EXP},
    in_double=np.tanh,
)
"""``tanh(x)`` (Cephes' tanhf)."""

COSH = read(
    "portable_cosh",
    """
    e = portable_exp(abs(x))
    y = 0.5 * e + 0.5 / e
    """,
    {"x": REAL},
    ("y",),
    {"portable_exp": EXP},
    in_double=np.cosh,
)
"""``cosh(x)``."""

SINH = read(
    "portable_sinh",
    """
    square = x * x
    series = (real(2.03721912945e-4) * square + 8.33028376239e-3) * square + 1.66667160211e-1
    e = portable_exp(abs(x))
    y = series * square * x + x if abs(x) < 1 else copysign(0.5 * e - 0.5 / e, x)
    """,
    {"x": REAL},
    ("y",),
    {"portable_exp": EXP},
    in_double=np.sinh,
)
"""``sinh(x)`` (Cephes' sinhf)."""

_QUARTER_TURNS = """
    k = rint(double(x) * 0.6366197723675814)
    r = (double(x) - k * 1.5707963267948966) - k * 6.123233995736766e-17
    turn = k - 4 * floor(k * 0.25)
    z = r * r
    s = -1 / double(39916800)
    s = s * z + 1 / double(362880)
    s = s * z - 1 / double(5040)
    s = s * z + 1 / double(120)
    s = s * z - 1 / double(6)
    s = (s * z + 1) * r
    c = 1 / double(479001600)
    c = c * z - 1 / double(3628800)
    c = c * z + 1 / double(40320)
    c = c * z - 1 / double(720)
    c = c * z + 1 / double(24)
    c = c * z - 0.5
    c = c * z + 1
"""
"""Sine and cosine of ``r = x - k pi / 2`` with |r| <= pi / 4 by their Taylor series in double precision, and ``k``
modulo 4."""

SIN = read(
    "portable_sin",
    _QUARTER_TURNS
    + """
    y = real((s if turn == 0 else c) if turn < 2 else (-s if turn == 2 else -c))
    """,
    {"x": REAL},
    ("y",),
    in_double=np.sin,
)
"""``sin(x)``, for |x| < 10^7."""

COS = read(
    "portable_cos",
    _QUARTER_TURNS
    + """
    y = real((c if turn == 0 else -s) if turn < 2 else (-c if turn == 2 else s))
    """,
    {"x": REAL},
    ("y",),
    in_double=np.cos,
)
"""``cos(x)``, for |x| < 10^7."""

ELEMENTARY: dict[str, Body] = {
    "exp": EXP, "exprel": EXPREL, "exprel_slope": EXPREL_SLOPE, "log": LOG, "tanh": TANH, "cosh": COSH, "sinh": SINH,
    "sin": SIN, "cos": COS,
}  # fmt: skip
"""By the names that equations and SymPy have for them."""
PORTABLE = {body.name: body for body in ELEMENTARY.values()}
"""By the names that they have in printed expressions."""
