"""Delay kernels: while a network learns, a synapse is spread over the lags around its real-valued delay (DCLS).

A synapse of weight `w` and delay `d` acts at the lags ``n = low .. high`` with ``w k_n``, where

    k_n = e(n - d) / c,    c = sum_n e(n - d)

so its effect is a smooth function of `d`. With the *correlogram* ``C[n] = <x[pre] shifted by n, g[post]>``

    dL/dw = sum_n k_n C[n],    dL/dd = w sum_n k'_n C[n],    k'_n = (e'(n - d) - k_n c') / c.

Lags farther from `d` than `reach` widths are left out. Evaluation uses the rounded delay, a single tap. Source:
Khalfaoui Hassani, Pellegrini & Masquelier 2023 (arXiv 2112.03740); Hammouamri, Khalfaoui-Hassani & Masquelier 2023
(arXiv 2306.17670).

A new kernel is a class, a kernel template ``taps_<name>`` per target, and a line in :data:`DELAY_KERNELS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ..bodies import compute
from ..bodies.functions import EXP_NEGATIVE
from ..errors import check_real, check_registered, keep, unknown
from ..learning.schedules import Progress

Array = npt.NDArray[Any]


class Taps(NamedTuple):
    """What synapses do at their lags, ``[synapse, tap]``; taps beyond a synapse's last lag are zero.

    Attributes:
        first: lag of the first tap, ``[synapse]``.
        number: how many taps, ``[synapse]``.
        share: k_n, what part of the weight acts at each lag.
        slope: k'_n, its derivative with respect to the delay.
    """

    first: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    share: Array
    slope: Array


@dataclass(frozen=True)
class DelayKernel(ABC):
    """Base of all kernels. The width sigma shrinks exponentially, from epoch to epoch, and then stays.

    Args:
        sigma: width when training begins, in time steps, above 0; half the largest delay where not given.
        final_sigma: width when `shrink` of the epochs are over, above 0.
        shrink: share of the epochs in which it shrinks, in [0, 1].
    """

    sigma: float | None = None
    final_sigma: float = 0.23
    shrink: float = 0.25

    template: ClassVar[str]
    """Name of the kernel template, ``taps_<template>``."""
    offset: ClassVar[float]
    """What is added to sigma within the kernel."""
    reach: ClassVar[float]
    """Lags farther than this many widths from the delay are left out."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.sigma is not None:
            keep(self, sigma=check_real(f"{name} sigma", self.sigma, 0.0, open_low=True))
        keep(self, final_sigma=check_real(f"{name} final_sigma", self.final_sigma, 0.0, open_low=True))
        keep(self, shrink=check_real(f"{name} shrink", self.shrink, 0.0, 1.0))

    def width(self, max_delay: int, progress: Progress) -> float:
        """The kernel's width at a point of training: sigma and the offset, in time steps."""
        begin = self.sigma or max(max_delay / 2.0, self.final_sigma)
        last = self.shrink * progress.num_epochs
        share = min(progress.epoch / last, 1.0) if last > 0 else 1.0
        return float(begin * (self.final_sigma / begin) ** share) + self.offset

    @abstractmethod
    def shape(self, x: Array, width: Any) -> tuple[Array, Array]:
        """``e(x)`` and ``de/dd`` for ``x = n - d``, in the kernel's order of operations."""

    def taps(self, position: Array, width: float, low: int, high: int) -> Taps:
        """The taps of synapses with real-valued delays `position` within the lags low .. high."""
        dtype = position.dtype.type
        wide, nearest = dtype(width), np.rint(position)
        span = dtype(self.reach) * wide
        first = np.minimum(np.maximum(np.ceil(position - span), low), nearest).astype(np.int64)
        last = np.maximum(np.minimum(np.floor(position + span), high), nearest).astype(np.int64)
        count = last - first + 1
        share = np.zeros((position.size, int(count.max(initial=0))), dtype=dtype)
        slope, total, tilt = share.copy(), np.zeros_like(position), np.zeros_like(position)
        for n in range(share.shape[1]):
            here = n < count
            e, de = self.shape((first + n).astype(dtype) - position, wide)
            share[:, n], slope[:, n] = np.where(here, e, 0), np.where(here, de, 0)
            total += share[:, n]
            tilt += slope[:, n]
        inverse = dtype(1) / total
        share *= inverse[:, None]
        slope = (slope - share * tilt[:, None]) * inverse[:, None]
        return Taps(first, count, share, slope)


@dataclass(frozen=True)
class GaussianKernel(DelayKernel):
    """``e(x) = exp(-x^2 / (2 (sigma + 0.27)^2))``, the published kernel; see :class:`DelayKernel` for the arguments."""

    template = "gaussian"
    offset = 0.27
    reach = 5.0

    def shape(self, x: Array, width: Any) -> tuple[Array, Array]:
        inverse = width.dtype.type(1) / (width * width)
        e = exp_negative(width.dtype.type(-0.5) * (x * x) * inverse)
        return e, e * (x * inverse)


@dataclass(frozen=True)
class TriangleKernel(DelayKernel):
    """``e(x) = max(0, sigma + 1 - |x|)``, the kernel "max" of DCLS; see :class:`DelayKernel` for the arguments.

    For sigma close to 0 it is linear interpolation between the two lags next to the delay.
    """

    template = "triangle"
    offset = 1.0
    reach = 1.0

    def shape(self, x: Array, width: Any) -> tuple[Array, Array]:
        e = np.maximum(width - np.abs(x), 0)
        return e, np.where(e > 0, np.sign(x), 0)


def difference_taps(position: Array, low: int, high: int) -> Taps:
    """Integer delays that are learned: one tap at the rounded delay, its slope a difference between its neighbours.

    ``dL/dd = w (C[n + 1] - C[n - 1]) / 2`` with ``n = rint(d)``; at the first and the last lag one-sided.
    """
    lag = np.rint(position).astype(np.int64)
    first, last = np.maximum(lag - 1, low), np.minimum(lag + 1, high)
    count = last - first + 1
    share = np.zeros((position.size, 3), dtype=position.dtype)
    slope, row = share.copy(), np.arange(position.size)
    share[row, lag - first] = 1
    wide = np.maximum(count - 1, 1).astype(position.dtype)
    slope[row, 0] -= 1 / wide
    slope[row, count - 1] += 1 / wide
    return Taps(first, count, share, slope)


def exp_negative(x: Array) -> Array:
    """exp(x) for x <= 0: NumPy's in double precision, in single precision the very operations of the kernels."""
    return compute(EXP_NEGATIVE, {"x": x}, x.dtype)["y"]


DELAY_KERNELS: dict[str, type[DelayKernel]] = {"gaussian": GaussianKernel, "triangle": TriangleKernel}


def as_delay_kernel(value: Any) -> DelayKernel | None:
    """A registered name, a kernel, or None (``"none"``) as a kernel or None."""
    if value is None or (isinstance(value, str) and value == "none"):
        return None
    if isinstance(value, DelayKernel):
        return check_registered("delay kernel", value, DELAY_KERNELS)
    if isinstance(value, str) and value in DELAY_KERNELS:
        return DELAY_KERNELS[value]()
    raise unknown("delay kernel", value, [*DELAY_KERNELS, "none"])
