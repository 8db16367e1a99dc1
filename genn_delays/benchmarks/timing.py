"""Timing: warm-up, repeats, rounds in which the rivals take turns, and statistics of the times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

K = TypeVar("K")
Clock = Callable[[], float]
"""Monotonic seconds."""
Sample = Callable[[], Iterable[float]]
"""Does some work and gives the seconds that each piece of it took, one at least."""
Opener = Callable[[], AbstractContextManager[Sample]]
"""Builds the subject of a measurement, and frees its memory and threads afterwards."""

clock: Clock = time.perf_counter
TOLD = 10
"""About so many of the rounds are reported."""


@dataclass(frozen=True)
class Summary:
    """Times of one thing that was done several times.

    Attributes:
        seconds: all of them, in the order in which they were measured; one at least.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, or the mean of the two in the middle."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Below the first lies a quarter of the times, above the second another; interpolated linearly."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return lower, upper

    @property
    def best(self) -> float:
        """The shortest: other programs can only make a time longer."""
        return min(self.seconds)

    def tables(self) -> dict[str, Any]:
        """As JSON can hold it."""
        lower, upper = self.quartiles
        return {
            "median": self.median,
            "lower_quartile": lower,
            "upper_quartile": upper,
            "best": self.best,
            "worst": max(self.seconds),
            "repeats": len(self.seconds),
            "all": list(self.seconds),
        }


def seconds_of(work: Callable[[], object], clock: Clock = clock) -> float:
    """The seconds that a piece of work takes."""
    start = clock()
    work()
    return clock() - start


def interleaved(
    openers: Mapping[K, Opener], repeats: int, *, warm_up: int = 1, told: Callable[[str], None] = lambda text: None
) -> dict[K, Summary]:
    """Measure several things in turns, A, B, A, B, so that other programs on the machine disturb all of them alike.

    Args:
        openers: functions that build each of them. All stay open, so the memory must suffice for all of them.
        repeats: samples of each.
        warm_up: samples of each that come first and do not count.
        told: called with how far it has come.
    """
    found: dict[K, list[float]] = {key: [] for key in openers}
    with ExitStack() as stack:
        samples = {key: stack.enter_context(opener()) for key, opener in openers.items()}
        for sample in samples.values():
            for _ in range(warm_up):
                sample()
        for number in range(repeats):
            if number % max(repeats // TOLD, 1) == 0:
                told(f"round {number + 1} of {repeats}")
            for key, sample in samples.items():
                found[key] += sample()
    return {key: Summary(tuple(seconds)) for key, seconds in found.items()}
