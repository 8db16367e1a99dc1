"""Distributions of integer delays, each a table of thresholds on one 32-bit random word.

A table of integers gives the same delay for the same word on every backend, with no floating point, and serves any
distribution: ``delay = low + number of thresholds <= word``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, asked, check_count, check_real, check_switch, keep, unknown
from ..initializers import Initializer
from ..registry import Registry

MAX_DELAY = 65_535
"""The largest delay in time steps: delays are stored in 16 bits."""


def delays_of(words: npt.NDArray[np.uint32], low: int, thresholds: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """Delays (time steps) for random words, of the words' shape, by a table of thresholds."""
    return (low + np.searchsorted(thresholds, words, side="right")).astype(np.uint16)


class DelayInitializer(ABC):
    """A distribution over the delays from `low` to `high` (time steps).

    A new one is a class with `low`, `high` and `cumulative`, registered by a name.
    """

    registered_name: ClassVar[str]
    low: int
    high: int

    @abstractmethod
    def cumulative(self) -> npt.NDArray[np.float64]:
        """P(delay <= low + k) for k = 0 .. high - low - 1, shape ``[high - low]``."""

    @classmethod
    def examples(cls) -> list[DelayInitializer]:
        """Initialisers that the contract tests try."""
        return [cls()]

    def check_values(self) -> None:
        """Raise an error if it is no valid distribution over whole delays."""
        name = type(self).__name__
        low = check_count(f"{name} low", getattr(self, "low", None), 0, MAX_DELAY)
        high = check_count(f"{name} high", getattr(self, "high", None), low, MAX_DELAY)
        p = asked(f"cumulative() of {self}", lambda: np.asarray(self.cumulative()))
        rises = p.shape == (high - low,) and p.dtype.kind in "iuf" and (np.diff(p, prepend=0.0, append=1.0) >= 0).all()
        if not rises:
            raise InvalidValueError(
                f"{self}: cumulative() must give {high - low} probabilities that rise from 0 to 1, P(delay <= low + k) "
                f"for delays {low} to {high}; got {p.dtype} of shape {p.shape}"
            )

    @cached_property
    def thresholds(self) -> npt.NDArray[np.uint32]:
        """Ascending thresholds on a 32-bit word, shape ``[high - low]``."""
        scaled = np.ceil(np.asarray(self.cumulative()) * 2.0**32)
        return np.minimum(scaled, 2.0**32 - 1).astype(np.uint32)

    @property
    def num_possible(self) -> int:
        """The number of different delays that are possible."""
        edges = np.concatenate([[0], self.thresholds.astype(np.int64), [1 << 32]])
        return int(np.count_nonzero(np.diff(edges)))

    def from_words(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        """Delays (time steps) for random words, of the words' shape."""
        return delays_of(words, self.low, self.thresholds)


DELAY_INITIALIZERS: Registry[DelayInitializer] = Registry("delay initializer", DelayInitializer)  # type: ignore[type-abstract]


@DELAY_INITIALIZERS.register("constant_int")
@dataclass(frozen=True)
class ConstantInt(DelayInitializer):
    """The same delay everywhere, in time steps."""

    value: int

    def __post_init__(self) -> None:
        keep(self, value=check_count("delay", self.value, 0, MAX_DELAY))

    @classmethod
    def examples(cls) -> list[DelayInitializer]:
        return [cls(3)]

    @property
    def low(self) -> int:  # type: ignore[override]
        """The smallest delay."""
        return self.value

    @property
    def high(self) -> int:  # type: ignore[override]
        """The largest delay."""
        return self.value

    def cumulative(self) -> npt.NDArray[np.float64]:
        return np.empty(0)


@DELAY_INITIALIZERS.register("uniform_int")
@dataclass(frozen=True)
class UniformInt(DelayInitializer):
    """Every whole number of steps from `low` to `high`, both included, equally likely."""

    low: int
    high: int

    def __post_init__(self) -> None:
        low = check_count("UniformInt low", self.low, 0, MAX_DELAY)
        keep(self, low=low, high=check_count("UniformInt high", self.high, low, MAX_DELAY))

    @classmethod
    def examples(cls) -> list[DelayInitializer]:
        return [cls(1, 6)]

    def cumulative(self) -> npt.NDArray[np.float64]:
        n = self.high - self.low + 1
        return np.arange(1, n) / n


@DELAY_INITIALIZERS.register("normal_int")
@dataclass(frozen=True)
class NormalInt(DelayInitializer):
    """A normal distribution rounded to whole steps, its tails added to `low` and `high`.

    With `redraw` the tails are drawn again until they lie within: the truncated normal distribution, as by NEST's
    ``redraw`` and PyGeNN's ``NormalClippedDelay``.
    """

    mean: float
    sd: float
    low: int
    high: int
    redraw: bool = False

    def __post_init__(self) -> None:
        check_switch("NormalInt redraw", self.redraw)
        keep(self, mean=check_real("NormalInt mean", self.mean))
        keep(self, sd=check_real("NormalInt sd", self.sd, 0.0, open_low=True))
        low = check_count("NormalInt low", self.low, 0, MAX_DELAY)
        keep(self, low=low, high=check_count("NormalInt high", self.high, low, MAX_DELAY))
        if self.redraw and not self._below(self.high + 0.5) > self._below(self.low - 0.5):
            raise InvalidValueError(
                f"NormalInt redraw: low {self.low} and high {self.high} must hold values of the normal distribution "
                f"with mean {self.mean:g} and sd {self.sd:g}"
            )

    @classmethod
    def examples(cls) -> list[DelayInitializer]:
        return [cls(3.0, 1.5, 1, 6), cls(3.0, 1.5, 2, 6, redraw=True)]

    def _below(self, delay: Any) -> Any:
        """The share of the normal distribution below a delay."""
        from scipy.special import ndtr

        with np.errstate(over="ignore"):  # of a deviation close to 0: infinite quantiles are at an end
            return ndtr((delay - self.mean) / self.sd)

    def cumulative(self) -> npt.NDArray[np.float64]:
        below = np.asarray(self._below(np.arange(self.low, self.high) + 0.5))
        if not self.redraw:
            return below
        first, last = self._below(self.low - 0.5), self._below(self.high + 0.5)
        return np.asarray(np.clip((below - first) / (last - first), 0.0, 1.0))


class EmpiricalInt(DelayInitializer):
    """The distribution of given delays: each as likely as it is frequent among them."""

    def __init__(self, delays: npt.NDArray[np.uint16]) -> None:
        self.low, self.high = int(delays.min()), int(delays.max())
        counts = np.bincount(delays.astype(np.int64) - self.low)
        self._cumulative = np.cumsum(counts)[:-1] / delays.size

    def cumulative(self) -> npt.NDArray[np.float64]:
        return self._cumulative


def as_delay_initializer(what: str, value: Any) -> DelayInitializer:
    """A whole number or a delay initialiser as a delay initialiser."""
    if isinstance(value, DelayInitializer):
        value.check_values()
        return value
    if isinstance(value, str):
        if value in DELAY_INITIALIZERS:
            return as_delay_initializer(what, DELAY_INITIALIZERS.by_default(what, value))
        raise unknown(f"initializer for {what}", value, DELAY_INITIALIZERS)
    if isinstance(value, Initializer):
        raise InvalidValueError(
            f"{what} must be whole time steps, got {value}; write UniformInt(low, high) for every whole number between "
            "two, both included, or NormalInt(mean, sd, low, high)"
        )
    if isinstance(value, (float, np.floating)):
        raise InvalidValueError(f"{what} must be a whole number of time steps, got {value}")
    return ConstantInt(check_count(what, value, 0, MAX_DELAY))
