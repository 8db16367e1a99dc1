"""Connectivity by distance: probability, and if wanted delay, of every pair from the positions of its neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..chunks import CHUNK, in_chunks
from ..delays import MAX_DELAY, DelayInitializer
from ..errors import InvalidValueError, check_choice, check_real, check_switch, shown
from ..initializers import as_array
from ..random import Purpose, philox, uniform
from .connectivity import CONNECTIVITY, Connectivity
from .draws import I64, distinct_values

F64 = npt.NDArray[np.float64]

PROFILES = ("gaussian", "exponential")
CELLS = 4096
"""Cells of space at most."""
CANDIDATES, COIN = 2, 3
"""The step of the counter: numbers of candidates of two cells, and the coin of a candidate."""


class DistanceDependent(Connectivity):
    """Every pair with a probability that falls with the distance d of its neurons, independently.

    ``p = p_max exp(-(d / sigma)^2 / 2)`` (gaussian) or ``p = p_max exp(-d / sigma)`` (exponential), as NEST's
    ``spatial_distributions``. With `speed`, what `delay` draws is increased by ``d / speed`` steps, rounded.

    Time and memory follow the synapses: space is cut into cells, a fraction of `sigma` wide. Candidates among the pairs
    of two cells are drawn with the probability of the nearest that could be; each stays with its own in relation to it.

    Args:
        pre_positions, post_positions: ``[neuron]``, or ``[neuron, dimension]`` of 1 to 3 dimensions, in any unit.
        sigma: above 0, in the same unit.
        p_max: probability at distance 0, in (0, 1].
        profile: ``"gaussian"`` or ``"exponential"``.
        period: of space, for all dimensions or one each: distances go around its borders. None: space is open.
        speed: distance a time step, above 0. None: delays do not depend on the distance.
        allow_self_connections: see :class:`FixedProbability`.
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`.
    """

    def __init__(
        self, pre_positions: Any, post_positions: Any, *, sigma: float, p_max: float = 1.0, profile: str = "gaussian",
        period: Any = None, speed: float | None = None, allow_self_connections: bool = True,
        weight: Any = "kaiming_uniform", delay: Any = 0, kernel_count: int = 1, distinct_delays: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(weight=weight, delay=delay, kernel_count=kernel_count, distinct_delays=distinct_delays)
        self.sigma = check_real("DistanceDependent sigma", sigma, 0.0, open_low=True)
        self.p_max = check_real("DistanceDependent p_max", p_max, 0.0, 1.0, open_low=True)
        check_choice("DistanceDependent profile", profile, PROFILES)
        self.profile = profile
        check_switch("DistanceDependent allow_self_connections", allow_self_connections)
        self.allow_self_connections = allow_self_connections
        self._pre = _positions("DistanceDependent pre_positions", pre_positions)
        self._post = _positions("DistanceDependent post_positions", post_positions)
        if self._pre.shape[1] != self._post.shape[1]:
            raise InvalidValueError(
                "DistanceDependent pre_positions and post_positions must have as many dimensions, got "
                f"{self._pre.shape[1]} and {self._post.shape[1]}"
            )
        self._period = None if period is None else _period(period, self._pre.shape[1])
        if self._period is not None:
            self._pre, self._post = np.mod(self._pre, self._period), np.mod(self._post, self._period)
        self.speed = None if speed is None else check_real("DistanceDependent speed", speed, 0.0, open_low=True)
        self.own_values = self.own_values or self.speed is not None
        self._drawn_delays = self.delay_initializer
        if self.speed is not None:
            if self.distinct_delays:
                raise InvalidValueError("DistanceDependent: distinct_delays=True is not possible with a speed")
            self.delay_initializer = _Later(self._drawn_delays, self._steps(np.array([self._longest()])).max())
        self._known: dict[tuple[int, int], int] = {}

    def __repr__(self) -> str:
        return (
            f"DistanceDependent({len(self._pre)} x {len(self._post)} positions, sigma={self.sigma}, "
            f"p_max={self.p_max}, profile={self.profile!r}, speed={self.speed}, weight={self.weight!r}, "
            f"delay={self.delay!r})"
        )

    def check(self, num_pre: int, num_post: int) -> None:
        for what, positions, size in (("pre", self._pre, num_pre), ("post", self._post, num_post)):
            if len(positions) != size:
                raise InvalidValueError(
                    f"DistanceDependent {what}_positions must be {size}, one for every neuron, got {len(positions)}"
                )

    def check_trainable(self, name: str) -> None:
        if self.speed is not None:
            raise InvalidValueError(
                f"connection {name!r}: DistanceDependent with a speed is for simulations, as grown synapses would not "
                "know their delays; to train it use Sparse(...) with its synapses"
            )

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        if (seed, owner) not in self._known:
            self.pairs(num_pre, num_post, seed, owner)
        return self._known[seed, owner] * self.kernel_count

    # --- distances -------------------------------------------------------------------------------------------------

    def distance(self, pre: Any, post: Any) -> F64:
        """Distances of neurons, ``[pair]``."""
        apart = self._post[post] - self._pre[pre]
        if self._period is not None:
            apart -= self._period * np.rint(apart / self._period)
        return np.asarray(np.sqrt((apart * apart).sum(axis=1)))

    def probability(self, distance: F64) -> F64:
        """The probability of pairs at these distances."""
        with np.errstate(over="ignore", under="ignore"):  # far apart: the probability is 0
            x = distance / self.sigma
            return np.asarray(self.p_max * np.exp(-(x * x) / 2 if self.profile == "gaussian" else -x))

    def _longest(self) -> float:
        """No distance is above this."""
        both = np.concatenate([self._pre, self._post])
        wide = np.ptp(both, axis=0)
        return float(np.linalg.norm(wide if self._period is None else np.minimum(wide, self._period / 2)))

    def _steps(self, distance: F64) -> I64:
        """Steps that spikes take for these distances."""
        assert self.speed is not None
        most = MAX_DELAY - self._drawn_delays.high
        with np.errstate(over="ignore"):
            steps = np.rint(distance / self.speed)
        if (steps > most).any():
            raise InvalidValueError(
                f"DistanceDependent speed must be at least {distance.max() / max(most, 1):g} a step, so that no delay "
                f"is above {MAX_DELAY} steps over a distance of {distance.max():g}; got {self.speed:g}"
            )
        return steps.astype(np.int64)

    def _delays(
        self, words: npt.NDArray[np.uint32], pre: npt.NDArray[np.int32], post: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.uint16]:
        delay = self._drawn_delays.from_words(words) if self.given_delays is None else self.given_delays[pre, post]
        if self.speed is None:
            return delay
        return (delay + self._steps(self.distance(pre, post))).astype(np.uint16)

    # --- pairs -----------------------------------------------------------------------------------------------------

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> I64:
        cells = self._cells()
        pre, post = _Cells(self._pre, cells), _Cells(self._post, cells)
        bound, number = self._candidates(pre, post, seed, owner)
        which = np.flatnonzero(number)
        number, bound = number[which], bound[which]
        a, b = np.divmod(which, post.count)
        ends = np.searchsorted(np.cumsum(number), np.arange(CHUNK, number.sum() + CHUNK, CHUNK))
        ends = np.unique(np.append(ends, which.size))
        found: list[I64] = [np.empty(0, np.int64)] * (ends.size + 1)

        def draw(chunk: int, _: int) -> None:
            own = slice(ends[chunk - 1] if chunk else 0, ends[chunk])
            size = post.size[b[own]]
            place, pair = distinct_values(which[own], number[own], pre.size[a[own]] * size, seed, owner)
            i, j = np.divmod(pair, size[place])
            i, j = pre.order[pre.start[a[own]][place] + i], post.order[post.start[b[own]][place] + j]
            coin = uniform(philox(seed, Purpose.CONNECTIVITY, owner, i, j, COIN)[0])
            stays = coin * bound[own][place] < self.probability(self.distance(i, j))
            if not self.allow_self_connections:
                stays &= i != j
            found[chunk] = j[stays] * num_pre + i[stays]

        in_chunks(ends.size, draw, chunk=1)
        pairs = np.sort(np.concatenate(found))
        self._known[seed, owner] = pairs.size
        return pairs

    def _candidates(self, pre: _Cells, post: _Cells, seed: int, owner: int) -> tuple[F64, I64]:
        """For every two cells a bound of their pairs' probability, and how many candidates they have."""
        from scipy.stats import binom

        number, bound = np.zeros(pre.count * post.count, np.int64), np.empty(pre.count * post.count)

        def draw(first: int, last: int) -> None:
            place = np.arange(first, last)
            a, b = np.divmod(place, post.count)
            gap = np.maximum(np.maximum(post.low[b] - pre.high[a], pre.low[a] - post.high[b]), 0.0)
            if self._period is not None:  # the other way round
                around = self._period - np.maximum(post.high[b] - pre.low[a], pre.high[a] - post.low[b])
                gap = np.minimum(gap, np.maximum(around, 0.0))
            # a little above, as distances are rounded
            p = np.minimum(self.probability(np.sqrt((gap * gap).sum(axis=1)) * (1 - 1e-9)) * (1 + 1e-9), 1.0)
            u, pairs = (
                uniform(philox(seed, Purpose.CONNECTIVITY, owner, place, 0, CANDIDATES)[0]),
                pre.size[a] * post.size[b],
            )
            with np.errstate(divide="ignore"):
                some = u > np.exp(pairs * np.log1p(-p)) * (1 - 1e-9)
            bound[first:last] = p
            number[first:last][some] = binom.ppf(u[some], pairs[some], p[some])

        in_chunks(bound.size, draw)
        return bound, number

    def _cells(self) -> tuple[F64, F64, I64]:
        """Lowest corner, width and number of cells by dimension: half of sigma wide, if there are not too many then."""
        both = np.concatenate([self._pre, self._post])
        low, wide = both.min(axis=0), np.ptp(both, axis=0)
        most = max(1, min(CELLS, len(both) // 8))
        with np.errstate(over="ignore"):
            number = np.maximum(np.ceil(np.minimum(wide / self.sigma * 2, most)), 1).astype(np.int64)
        while number.prod() > most:
            number[number.argmax()] -= 1
        return low, np.where(wide > 0, wide, 1.0) / number, number


class _Cells:
    """Neurons by the cell that they are in; cells without one are left out."""

    def __init__(self, positions: F64, cells: tuple[F64, F64, I64]) -> None:
        low, width, number = cells
        index = np.minimum(((positions - low) / width).astype(np.int64), number - 1)
        cell = np.ravel_multi_index(tuple(index.T), tuple(number))
        self.order = np.argsort(cell, kind="stable")
        _, self.start, self.size = np.unique(cell[self.order], return_index=True, return_counts=True)
        self.count = self.start.size
        self.low = np.minimum.reduceat(positions[self.order], self.start)
        self.high = np.maximum.reduceat(positions[self.order], self.start)


class _Later(DelayInitializer):
    """The delays of an initialiser, of which some are increased."""

    def __init__(self, drawn: DelayInitializer, most: int) -> None:
        self._drawn, self.low, self.high = drawn, drawn.low, drawn.high + int(most)

    def cumulative(self) -> F64:
        return np.concatenate([self._drawn.cumulative(), np.ones(self.high - self._drawn.high)])


def _positions(what: str, values: Any) -> F64:
    array = as_array(what, values)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not 1 <= array.shape[1] <= 3 or len(array) == 0 or array.dtype.kind not in "iuf":
        raise InvalidValueError(
            f"{what} must be numbers of shape [neuron] or [neuron, 1 to 3 dimensions], got {array.dtype} of shape "
            f"{as_array(what, values).shape}"
        )
    array = array.astype(np.float64)
    if not (np.abs(array) <= np.finfo(np.float32).max).all():
        raise InvalidValueError(f"{what} must be finite, got {array[~np.isfinite(array)][:1]}")
    return array


def _period(value: Any, dimensions: int) -> F64:
    values = as_array("DistanceDependent period", value)
    if values.shape not in ((), (dimensions,)) or values.dtype.kind not in "iuf" or not (
        (values > 0) & (values <= np.finfo(np.float32).max)
    ).all():  # fmt: skip
        raise InvalidValueError(
            f"DistanceDependent period must be a number above 0, or {dimensions} of them, one a dimension, got "
            f"{shown(value)}"
        )
    return np.broadcast_to(values.astype(np.float64), (dimensions,)).copy()


CONNECTIVITY["distance_dependent"] = DistanceDependent
