"""Functions that are bodies themselves, out of IEEE operations alone, so that they round alike on every target."""

from __future__ import annotations

import numpy as np

from .language import read
from .tree import Type

REAL, DOUBLE, U32, U64, INT = Type.REAL, Type.DOUBLE, Type.U32, Type.U64, Type.INT

POWER = read(
    "power",
    """
    result = double(1)
    square = base
    left = exponent
    while left > 0:
        result = result * square if left % 2 == 1 else result
        square = square * square
        left = left // 2
    """,
    {"base": DOUBLE, "exponent": U32},
    ("result",),
)
"""``base ** exponent`` by repeated squaring."""

EXP_SERIES = """
    series = real(1.9875691500e-4)
    series = series * r + 1.3981999507e-3
    series = series * r + 8.3334519073e-3
    series = series * r + 4.1665795894e-2
    series = series * r + 1.6666665459e-1
    series = series * r + 5.0000001201e-1
    """
"""The polynomial of Cephes' expf: ``exp(r) = series r^2 + r + 1`` for |r| <= log(2) / 2."""

EXP_NEGATIVE = read(
    "exp_negative",
    """
    x = max(-87, x)
    k = whole(x * 1.44269504 - 0.5)
    r = (x - k * 0.693359375) - k * -2.12194440e-4"""
    + EXP_SERIES
    + """y = (series * r * r + r + 1) * power_of_two(k)
    """,
    {"x": REAL},
    ("y",),
    in_double=np.exp,
)
"""``exp(x)`` for x <= 0 in single precision, to 2 units in the last place: ``x = k log 2 + r`` with |r| <= log(2) / 2,
``exp(x) = 2^k exp(r)`` (the polynomial is that of Cephes' expf). It vectorises."""

LOGARITHM = read(
    "portable_log",
    """
    m = frexp_fraction(p)
    e = frexp_exponent(p)
    small = m < 0.70710678118654752
    m = 2 * m if small else m
    e = e - 1 if small else e
    s = (m - 1) / (m + 1)
    z = s * s
    sum = 1 / double(19)
    sum = sum * z + 1 / double(17)
    sum = sum * z + 1 / double(15)
    sum = sum * z + 1 / double(13)
    sum = sum * z + 1 / double(11)
    sum = sum * z + 1 / double(9)
    sum = sum * z + 1 / double(7)
    sum = sum * z + 1 / double(5)
    sum = sum * z + 1 / double(3)
    sum = sum * z + 1
    y = double(e) * 0.69314718055994531 + 2 * s * sum
    """,
    {"p": DOUBLE},
    ("y",),
)
"""``log(p)`` for p in (0, 1): ``p = m 2^e``, ``log m = 2 artanh((m - 1) / (m + 1))``."""

PHILOX = read(
    "philox",
    """
    c0 = a
    c1 = b
    c2 = step
    c3 = stream
    k0 = key0
    k1 = key1
    for round in range(10):
        low = u64(3528531795) * u64(c0)
        high = u64(3449720151) * u64(c2)
        c0 = u32(high >> 32) ^ c1 ^ k0
        c1 = u32(high)
        c2 = u32(low >> 32) ^ c3 ^ k1
        c3 = u32(low)
        k0 = k0 + 2654435769
        k1 = k1 + 3144134277
    """,
    dict.fromkeys(("key0", "key1", "stream", "a", "b", "step"), U32),
    ("c0", "c1", "c2", "c3"),
)
"""Philox4x32-10 (Salmon, Moraes, Dror & Shaw, SC 2011): four random words of a counter and a key, the seed."""

SCALED = read(
    "scaled",
    """
    n_low = total & 4294967295
    n_high = total >> 32
    a = u64(high) * n_low
    b = u64(low) * n_high
    c = u64(low) * n_low >> 32
    carry = (a & 4294967295) + (b & 4294967295) + c
    result = u64(high) * n_high + (a >> 32) + (b >> 32) + (carry >> 32)
    """,
    {"low": U32, "high": U32, "total": U64},
    ("result",),
)
"""64 random bits ``r = low + 2^32 high`` as an integer in [0, total): ``floor(r total / 2^64)``, the upper half of a
product of 128 bits out of products of 64."""

_QUANTILE_OF_P = """
    tail = p if p < 0.5 else 1 - p
    if tail >= 0.02425:
        q = p - 0.5
        r = q * q
        top = -3.969683028665376e+01 * r + 2.209460984245205e+02
        top = top * r + -2.759285104469687e+02
        top = top * r + 1.383577518672690e+02
        top = top * r + -3.066479806614716e+01
        top = top * r + 2.506628277459239e+00
        bottom = -5.447609879822406e+01 * r + 1.615858368580409e+02
        bottom = bottom * r + -1.556989798598866e+02
        bottom = bottom * r + 6.680131188771972e+01
        bottom = bottom * r + -1.328068155288572e+01
        bottom = bottom * r + 1
        y = top * q / bottom
    else:
        q = sqrt(-2 * portable_log(tail))
        top = -7.784894002430293e-03 * q + -3.223964580411365e-01
        top = top * q + -2.400758277161838e+00
        top = top * q + -2.549732539343734e+00
        top = top * q + 4.374664141464968e+00
        top = top * q + 2.938163982698783e+00
        bottom = 7.784695709041462e-03 * q + 3.224671290700398e-01
        bottom = bottom * q + 2.445134137142996e+00
        bottom = bottom * q + 3.754408661907416e+00
        bottom = bottom * q + 1
        y = top / bottom if p < 0.5 else -(top / bottom)
    """
"""Acklam's approximation of the standard normal distribution's quantile at ``p``, relative error 1.2e-9."""

NORMAL_QUANTILE = read(
    "normal_quantile",
    """
    p = (double(word) + 0.5) / 4294967296.0"""
    + _QUANTILE_OF_P,
    {"word": U32},
    ("y",),
    {"portable_log": LOGARITHM},
)
"""Quantile of the standard normal distribution for a random word."""

NORMAL_OF_SHARE = read("normal_of_share", _QUANTILE_OF_P, {"p": DOUBLE}, ("y",), {"portable_log": LOGARITHM})
"""The same for a share ``p`` of the distribution, in (0, 1)."""

NORMAL_CENTRE = read(
    "normal_centre",
    """
    q = p - 0.5
    r = q * q
    top = -3.969683028665376e+01 * r + 2.209460984245205e+02
    top = top * r + -2.759285104469687e+02
    top = top * r + 1.383577518672690e+02
    top = top * r + -3.066479806614716e+01
    top = top * r + 2.506628277459239e+00
    bottom = -5.447609879822406e+01 * r + 1.615858368580409e+02
    bottom = bottom * r + -1.556989798598866e+02
    bottom = bottom * r + 6.680131188771972e+01
    bottom = bottom * r + -1.328068155288572e+01
    bottom = bottom * r + 1
    y = top * q / bottom
    """,
    {"p": DOUBLE},
    ("y",),
)
"""Its branch for shares from 0.02425 to 0.97575, which vectorises."""

LIBRARY = {body.name: body for body in (POWER, EXP_NEGATIVE, LOGARITHM, NORMAL_QUANTILE)}
"""The functions that bodies of optimisers, losses, readouts, delay kernels and rules may call."""
