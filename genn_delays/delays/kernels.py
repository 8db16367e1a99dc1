"""Delay kernels: while a network learns, a synapse is spread over the lags around its position (DCLS).

A synapse of weight `w` and position `d` (its real-valued delay) acts at the lags ``n = low .. high`` with ``w k_n``,
where

    k_n = e(n - d) / c,    c = sum_n e(n - d)

so its effect is a smooth function of `d`. With the *correlogram* ``C[n] = <x[pre] delayed by n, g[post]>``

    dL/dw = sum_n k_n C[n],    dL/dd = w sum_n k'_n C[n],    k'_n = (e'(n - d) - k_n c') / c.

Lags farther from `d` than `reach` widths are left out. Evaluation uses the rounded position, a single tap. Source:
Khalfaoui Hassani, Pellegrini & Masquelier 2023 (arXiv 2112.03740); Hammouamri, Khalfaoui-Hassani & Masquelier 2023
(arXiv 2306.17670).

A new kernel is a class with its `body`, registered by a name. The body is written once: backend ``reference`` computes
it with NumPy, and every target's kernels have it printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ..bodies import Body, BodyError, Type, check_class, check_only_read, compute, read
from ..bodies.functions import LIBRARY
from ..errors import InvalidValueError, check_real, check_registered, keep, unknown
from ..learning.schedules import Progress
from ..registry import Registry

_AROUND_THE_BODY = ("sigma", "final_sigma", "shrink")
"""Fields that no body reads: they make the width."""

Array = npt.NDArray[Any]


class Taps(NamedTuple):
    """The taps of synapses, ``[synapse, tap]``: a lag and the share of the weight that acts there; zero beyond the last
    lag.

    Attributes:
        first: lag of the first tap, ``[synapse]``.
        number: how many taps, ``[synapse]``.
        share: k_n, the part of the weight that acts at each lag.
        slope: k'_n, its derivative with respect to the position.
    """

    first: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    share: Array
    slope: Array


@dataclass(frozen=True)
class DelayKernel:
    """Base of all kernels: frozen dataclasses, whose further fields are numbers that the body reads.

    The width sigma shrinks exponentially, from epoch to epoch, and then stays.

    Args:
        sigma: width when training begins, in time steps, above 0; half the largest delay where not given.
        final_sigma: width when `shrink` of the epochs are over, above 0.
        shrink: share of the epochs in which it shrinks, in [0, 1].
    """

    sigma: float | None = None
    final_sigma: float = 0.23
    shrink: float = 0.25

    registered_name: ClassVar[str]
    offset: ClassVar[float]
    """Number added to sigma within the kernel, at least 0."""
    reach: ClassVar[float]
    """Lags farther than this many widths from the position are left out; above 0."""
    body: ClassVar[str]
    """The kernel's shape (:mod:`genn_delays.bodies`): from ``x = n - d`` and `width`, both real, to ``e``, which is at
    least 0 and at the lag nearest to the delay, \\|x\\| <= 1/2, above it, and its derivative with respect to the delay,
    ``slope = de/dd = -de/dx``. It may read the kernel's further numbers by their names (double)."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.sigma is not None:
            keep(self, sigma=check_real(f"{name} sigma", self.sigma, 0.0, open_low=True))
        keep(self, final_sigma=check_real(f"{name} final_sigma", self.final_sigma, 0.0, open_low=True))
        keep(self, shrink=check_real(f"{name} shrink", self.shrink, 0.0, 1.0))
        for number in self.number_names():
            check_real(f"{name} {number}", getattr(self, number))

    @classmethod
    def number_names(cls) -> tuple[str, ...]:
        """The names of the numbers that the body reads besides its width."""
        return tuple(f.name for f in fields(cls) if f.name not in _AROUND_THE_BODY)

    def numbers(self) -> dict[str, float]:
        """The numbers that the body reads besides its width, by name."""
        return {name: float(getattr(self, name)) for name in self.number_names()}

    @classmethod
    @cache
    def formula(cls) -> Body:
        """The body, read."""
        inputs = {"x": Type.REAL, "width": Type.REAL}
        taken = [name for name in cls.number_names() if name in (*inputs, "e", "slope")]
        if taken:
            raise BodyError(f"delay kernel {cls.__name__}: {taken[0]!r} is a name of the body's own, not of a number")
        inputs |= dict.fromkeys(cls.number_names(), Type.DOUBLE)
        what = f"body of delay kernel {cls.__name__}"
        body = read(what, cls.body, inputs, ("e", "slope"), LIBRARY)
        check_only_read(what, body, inputs)
        return body

    @classmethod
    def check_definition(cls) -> None:
        """Raise an error if the class lacks anything that backends need."""
        what = f"delay kernel {cls.__name__}"
        if not isinstance(getattr(cls, "body", None), str) or not is_dataclass(cls):
            raise BodyError(f"{what} must be a dataclass with a `body`, the text of its shape")
        fixed = ("shape", "taps", "formula", "number_names", "numbers", "code_name")
        check_class(what, cls, DelayKernel, fixed)
        check_real(f"{what}: offset", getattr(cls, "offset", None), 0.0)
        check_real(f"{what}: reach", getattr(cls, "reach", None), 0.0, open_low=True)
        types = cls.formula().types
        for name in ("e", "slope"):
            if types[name] is not Type.REAL:
                raise BodyError(f"{what}: its output {name!r} must be real, got {types[name].value}")

    @classmethod
    def examples(cls) -> list[DelayKernel]:
        """Kernels that the contract tests try: wide, and as narrow as it becomes."""
        return [cls(sigma=2.0), cls(sigma=0.23)]

    @property
    def code_name(self) -> str:
        """Its name in generated code: the registered name and its further numbers, which are literals in the code."""
        numbers = "".join(f"_{re.sub('[^0-9a-z]', _letter, repr(value))}" for value in self.numbers().values())
        return f"{self.registered_name}{numbers}_"

    def check_shape(self) -> None:
        """Raise an error if no share of the weight would act at the lag next to the position."""
        x = np.linspace(-0.5, 0.5, 5)
        for sigma in {self.final_sigma, self.sigma or self.final_sigma}:
            e, slope = self.shape(x, np.float64(sigma + self.offset))
            if not (np.isfinite(e).all() and np.isfinite(slope).all() and (e > 0).all()):
                raise InvalidValueError(
                    f"{self}: e(x) must be above 0 and finite for |x| <= 1/2, so that the lag nearest to the delay has "
                    f"a share; got {', '.join(f'{v:g}' for v in e)} for x = -0.5 ... 0.5 and sigma {sigma:g}"
                )

    def width(self, max_delay: int, progress: Progress) -> float:
        """The kernel's width at a point of training: sigma and the offset, in time steps."""
        begin = self.sigma or max(max_delay / 2.0, self.final_sigma)
        last = self.shrink * progress.num_epochs
        share = min(progress.epoch / last, 1.0) if last > 0 else 1.0
        return float(begin * (self.final_sigma / begin) ** share) + self.offset

    def shape(self, x: Array, width: Any) -> tuple[Array, Array]:
        """``e(x)`` and ``de/dd`` for ``x = n - d``, of the precision of x."""
        values = compute(self.formula(), {"x": x, "width": width, **self.numbers()}, x.dtype)
        return np.broadcast_to(values["e"], x.shape), np.broadcast_to(values["slope"], x.shape)

    def taps(self, position: Array, width: float, low: int, high: int) -> Taps:
        """The taps of synapses at these positions (real-valued delays) within the lags low .. high."""
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


def _letter(sign: re.Match[str]) -> str:
    """A character of a printed number as a letter of a name."""
    return {".": "p", "-": "m", "+": ""}[sign[0]]


DELAY_KERNELS: Registry[DelayKernel] = Registry("delay kernel", DelayKernel)


@DELAY_KERNELS.register("gaussian")
@dataclass(frozen=True)
class GaussianKernel(DelayKernel):
    """``e(x) = exp(-x^2 / (2 (sigma + 0.27)^2))``, the published kernel; see :class:`DelayKernel` for the arguments."""

    offset = 0.27
    reach = 5.0
    body = """
        inverse = 1 / (width * width)
        e = exp_negative(-0.5 * (x * x) * inverse)
        slope = e * (x * inverse)
        """


@DELAY_KERNELS.register("triangle")
@dataclass(frozen=True)
class TriangleKernel(DelayKernel):
    """``e(x) = max(0, sigma + 1 - |x|)``, the kernel "max" of DCLS; see :class:`DelayKernel` for the arguments.

    For sigma close to 0 it is linear interpolation between the two lags next to the delay.
    """

    offset = 1.0
    reach = 1.0
    body = """
        height = width - abs(x)
        side = 1 if x > 0 else -1 if x < 0 else real(0)
        e = height if height > 0 else 0
        slope = side if height > 0 else 0
        """


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


def as_delay_kernel(value: Any) -> DelayKernel | None:
    """A registered name, a kernel, or None (``"none"``) as a kernel or None."""
    if value is None or (isinstance(value, str) and value == "none"):
        return None
    if isinstance(value, DelayKernel):
        check_registered("delay kernel", value, DELAY_KERNELS).check_shape()
        return value
    if isinstance(value, str) and value in DELAY_KERNELS:
        return as_delay_kernel(DELAY_KERNELS.by_default("delay kernel", value))
    raise unknown("delay kernel", value, [*DELAY_KERNELS, "none"])
