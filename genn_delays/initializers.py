"""Initialisers: each maps one uniform number in (0, 1) to a value, so a value is a function of its random word alone.

The map is the quantile function of the distribution. It rises with its argument, which is how the sign of a pair can
be told from 32 random bits and one threshold (see :func:`negative_threshold`) wherever synapses are grown.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from .arguments import refuses
from .errors import InvalidValueError, as_float, asked, check_real, keep, unknown
from .porting import missing_from
from .random import first_true, normal_of_share
from .registry import Registry

F64 = npt.NDArray[np.float64]


class Initializer(ABC):
    """A distribution of weights or neuron parameters.

    A new one is a class with its `quantile`, registered by a name.
    """

    registered_name: ClassVar[str]

    @abstractmethod
    def quantile(self, u: F64, fan_in: int) -> F64:
        """Values for uniform numbers.

        Args:
            u: numbers in (0, 1), any shape.
            fan_in: synapses a target neuron would have were the connection dense (1 for neuron parameters).

        Returns:
            Values of the shape of `u`; they rise with it.
        """

    @classmethod
    def examples(cls) -> list[Initializer]:
        """Initialisers that the contract tests try."""
        return [cls()]

    def check_values(self) -> None:
        """Raise an error if its values do not have the shape of their uniform numbers, or do not rise with them."""
        u = (np.arange(64) + 0.5) / 64
        values = asked(f"quantile() of {self}", lambda: np.asarray(self.quantile(u, 1)))
        if values.shape != u.shape or values.dtype.kind not in "iuf" or not (np.diff(values) >= 0).all():
            raise InvalidValueError(
                f"{self}: quantile(u, fan_in) must give real numbers of the shape of u that rise with it, got "
                f"{values.dtype} of shape {values.shape} for u of shape {u.shape}"
            )


INITIALIZERS: Registry[Initializer] = Registry("initializer", Initializer)  # type: ignore[type-abstract]


@INITIALIZERS.register("constant")
@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere. `value` has the unit of the initialised quantity."""

    value: float

    def __post_init__(self) -> None:
        keep(self, value=check_real("Constant value", self.value))

    @classmethod
    def examples(cls) -> list[Initializer]:
        return [cls(0.3), cls(-0.2)]

    def quantile(self, u: F64, fan_in: int) -> F64:
        return np.full_like(u, self.value)


@INITIALIZERS.register("uniform")
@refuses(min="write low", max="write high")
@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform between `low` and `high`."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        low = check_real("Uniform low", self.low)
        keep(self, low=low, high=check_real("Uniform high", self.high, low))

    def quantile(self, u: F64, fan_in: int) -> F64:
        return self.low + (self.high - self.low) * u


@INITIALIZERS.register("normal")
@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with `mean` and standard deviation `sd`."""

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        keep(self, mean=check_real("Normal mean", self.mean), sd=check_real("Normal sd", self.sd, 0.0))

    def quantile(self, u: F64, fan_in: int) -> F64:
        from scipy.special import ndtri

        return np.asarray(self.mean + self.sd * ndtri(u), dtype=np.float64)


@INITIALIZERS.register("normal_clipped")
@dataclass(frozen=True)
class NormalClipped(Initializer):
    """Normal with `mean` and standard deviation `sd`, drawn again until it lies between `low` and `high`.

    That is the truncated normal distribution: PyGeNN's ``NormalClipped``, NEST's ``redraw`` of a normal one. No value
    is moved to a border. Without `low` or `high` there is no border on that side.
    """

    mean: float = 0.0
    sd: float = 1.0
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        keep(self, mean=check_real("NormalClipped mean", self.mean), sd=check_real("NormalClipped sd", self.sd, 0.0))
        low = None if self.low is None else check_real("NormalClipped low", self.low)
        if self.high is not None:
            keep(self, high=check_real("NormalClipped high", self.high, *([] if low is None else [low])))
        keep(self, low=low)
        first, last = self.borders()
        if not (first < last if self.sd > 0 else first <= 0 <= last):
            raise InvalidValueError(
                f"NormalClipped low and high: [{self.low}, {self.high}] must hold values of the normal distribution "
                f"with mean {self.mean:g} and sd {self.sd:g}"
            )

    @classmethod
    def examples(cls) -> list[Initializer]:
        return [cls(87.8, 8.78, low=0.0), cls(-1.0, 2.0, -1.5, 0.5)]

    @property
    def mirrored(self) -> bool:
        """True if it is computed from the upper tail, as all its values are above the mean."""
        return self.low is not None and self.low > self.mean

    def borders(self) -> tuple[float, float]:
        """Shares of the normal distribution at its ends, from the tail that is nearer, where they keep their digits;
        the ends' distances from the mean for a deviation of 0."""
        from scipy.special import ndtr

        low, high = (-np.inf if self.low is None else self.low), (np.inf if self.high is None else self.high)
        if self.sd == 0:
            return low - self.mean, high - self.mean
        a, b = (low - self.mean) / self.sd, (high - self.mean) / self.sd
        return (float(ndtr(-b)), float(ndtr(-a))) if self.mirrored else (float(ndtr(a)), float(ndtr(b)))

    def quantile(self, u: F64, fan_in: int) -> F64:
        """The values; IEEE operations alone, in the order of the code that builds rows, for the same bits."""
        if self.sd == 0:
            return np.full_like(u, self.mean)
        first, last = self.borders()
        share = first + ((1.0 - u) if self.mirrored else u) * (last - first)
        values = self.mean + (-self.sd if self.mirrored else self.sd) * normal_of_share(share)
        return np.asarray(np.clip(values, self.low, self.high), dtype=np.float64)


@INITIALIZERS.register("kaiming_uniform")
@dataclass(frozen=True)
class KaimingUniform(Initializer):
    """Uniform in ±gain · sqrt(6 / fan_in) with the *dense* fan-in, whatever the sparsity.

    Source: He et al. 2015 (arXiv 1502.01852), as used by the published delay-learning code. Under DEEP R the magnitude
    is kept and the sign is the pair's or, with Dale's law, the source neuron's.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        keep(self, gain=check_real("KaimingUniform gain", self.gain, 0.0, open_low=True))

    def quantile(self, u: F64, fan_in: int) -> F64:
        bound = self.gain * np.sqrt(6.0 / fan_in)
        return np.asarray(bound * (2.0 * u - 1.0), dtype=np.float64)


def as_initializer(what: str, value: Any) -> Initializer:
    """A number, a registered name or an initialiser as an initialiser."""
    if isinstance(value, Initializer):
        if not _is_own(value):
            value.check_values()
        return value
    if isinstance(value, str):
        if value not in INITIALIZERS:
            raise unknown(f"initializer for {what}", value, INITIALIZERS)
        if value == "constant":
            raise InvalidValueError(f"{what}: 'constant' needs its value; write the number itself")
        return as_initializer(what, INITIALIZERS.by_default(what, value))
    return Constant(check_real(what, value))


def _is_own(value: Initializer) -> bool:
    """True if it is one of this module's."""
    return type(value).__module__ == __name__


def real_array(what: str, values: Any, shape: tuple[int, ...], *, single: bool = False) -> F64:
    """An array of numbers that single precision can hold, or an error that names the first bad one.

    Args:
        single: it will be rounded to single precision, so that single precision values need not be read by
            :func:`~genn_delays.errors.as_float`.
    """
    array = as_array(what, values)
    if array.dtype.kind not in "iuf":
        raise InvalidValueError(f"{what} must be real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise InvalidValueError(f"{what} must have shape {shape}, got {array.shape}")
    if array.dtype.kind == "f" and array.dtype.itemsize < (4 if single else 8):
        found, place = np.unique(array, return_inverse=True)
        array = found.astype(str).astype(np.float64)[place.reshape(shape)]
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    bad = ~(np.abs(array) <= np.finfo(np.float32).max)
    if bad.any():
        raise InvalidValueError(f"{what} must be finite in single precision, got {array[bad][0]}")
    return array


def sampled(what: str, initializer: Initializer, u: F64, fan_in: int) -> F64:
    """An initialiser's values, or an error where single precision cannot hold them."""
    with np.errstate(over="ignore"):
        values = asked(f"quantile() of {initializer}", lambda: np.asarray(initializer.quantile(u, fan_in)))
    if values.shape != u.shape or values.dtype.kind not in "iuf":
        raise InvalidValueError(
            f"{what}: quantile(u, fan_in) of {initializer} must give real numbers of the shape of u, {u.shape}, got "
            f"{values.dtype} of shape {values.shape}"
        )
    bad = ~(np.abs(values) <= np.finfo(np.float32).max)
    if bad.any():
        raise InvalidValueError(f"{what} must be finite in single precision, got {values[bad][0]:g} of {initializer}")
    return values


def as_array(what: str, values: Any) -> npt.NDArray[Any]:
    """Values as an array, or an error that says why they are none."""
    masked = isinstance(values, (list, tuple)) and any(value is np.ma.masked for value in values)
    if masked or (isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values)):
        raise InvalidValueError(f"{what} is a masked array; masked entries have no value")
    if isinstance(values, (list, tuple)):  # numbers of fewer digits would be widened beside others
        values = [as_float(v) if isinstance(v, np.floating) else v for v in values]
    try:
        return np.asarray(values)
    except (ValueError, OverflowError) as error:  # NumPy has no array whose rows differ in length
        raise InvalidValueError(f"{what} must be an array, got rows of different lengths") from error


def negative_threshold(initializer: Initializer, fan_in: int) -> int:
    """The number of the 2**32 random words that give a negative value: word < threshold means a negative sign."""

    def not_negative(word: int) -> bool:
        u = np.array([(word + 0.5) * 2.0**-32])
        return bool(initializer.quantile(u, fan_in)[0] >= 0.0)

    return first_true(not_negative, 1 << 32)


if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
