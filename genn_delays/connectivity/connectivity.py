"""Connectivities: rules by which pairs are connected, and their weights and delays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..arguments import keywords_only
from ..chunks import in_chunks
from ..delays import MAX_DELAY, DelayInitializer, EmpiricalInt, as_delay_initializer
from ..errors import InvalidValueError, check_count, check_real, check_switch, keep
from ..initializers import Initializer, as_initializer, negative_threshold, sampled
from ..random import Purpose, philox, uniform
from .draws import Draws
from .given import given_delays, given_weights
from .given import whole_array as whole_array
from .synapses import Synapses, sort_order

_ATTEMPTS = 10_000


@dataclass
class Connectivity(ABC):
    """Base of all connectivities.

    Args:
        weight: a number, an initialiser or its name; or an array ``[source, target]`` with that of every pair.
        delay: time steps: a whole number or a delay initialiser; or an array ``[source, target]`` with that of every
            pair. Synapses grown later take their delays from the distribution of the given ones. (Of a
            :class:`OneToOne` arrays are ``[neuron]``, of a :class:`Sparse` ``[synapse]``.)
        kernel_count: synapses of every connected pair, each with its own weight and delay (the "KC" of the delay
            benchmarks), at least 1.
        distinct_delays: whether the synapses of a pair begin with different delays.
    """

    weight: Any = field(default="kaiming_uniform", kw_only=True)
    delay: Any = field(default=0, kw_only=True)
    kernel_count: int = field(default=1, kw_only=True)
    distinct_delays: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        keep(self, kernel_count=check_count("kernel_count", self.kernel_count, 1, MAX_DELAY))
        check_switch("distinct_delays", self.distinct_delays)
        self.given_weights = given_weights(self.weight, self.array_axes)
        self.given_delays = given_delays(self.delay, self.array_axes)
        weights, delays = self.given_weights, self.given_delays
        self.own_values = weights is not None or delays is not None
        if self.own_values and self.kernel_count > 1:
            raise InvalidValueError(
                f"kernel_count must be 1 where weights or delays are given for every pair, got {self.kernel_count}"
            )
        self.weight_initializer: Initializer = as_initializer("weight", self.weight if weights is None else 0.0)
        self.delay_initializer: DelayInitializer = as_delay_initializer(
            "delay", self.delay if delays is None else EmpiricalInt(delays.ravel())
        )
        lags = self.delay_initializer.num_possible
        if self.distinct_delays and self.kernel_count > lags:
            raise InvalidValueError(
                f"kernel_count must be at most {lags}, the number of possible delays, where the synapses of a pair "
                f"must differ in delay; got {self.kernel_count}"
            )

    @abstractmethod
    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        """The connected pairs as ascending numbers ``post * num_pre + pre``. Time and memory are O(synapses)."""

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws | None:
        """The draws that the pairs come from, for code that draws in parallel; None where :meth:`pairs` alone can."""
        return None

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        """The number of synapses that :meth:`sample` gives; the library's own classes know it without sampling."""
        return self.pairs(num_pre, num_post, seed, owner).size * self.kernel_count

    def check(self, num_pre: int, num_post: int) -> None:  # noqa: B027 (most connectivities fit any sizes)
        """An error where it does not fit populations of these sizes."""

    def check_arrays(self, num_pre: int, num_post: int) -> None:
        """An error where weights or delays were given for other numbers of neurons."""
        for what, values in (("weight", self.given_weights), ("delay", self.given_delays)):
            if values is not None and values.shape != (shape := self._array_shape(num_pre, num_post)):
                raise InvalidValueError(
                    f"{what} of {type(self).__name__} must have shape {shape}, a value for every pair, got "
                    f"{values.shape}"
                )

    def _array_shape(self, num_pre: int, num_post: int) -> tuple[int, ...]:
        """The shape of weights and delays that are given for every pair."""
        return num_pre, num_post

    def _given(self, values: npt.NDArray[Any], pre: npt.NDArray[np.int32], post: npt.NDArray[np.int32]) -> Any:
        """Of values that were given for every pair those of some synapses."""
        return values[pre, post]

    def check_members(self, name: str, recurrent: bool) -> None:
        """An error where it does not fit a connection that does, or does not, join a population with itself."""
        if not recurrent and not getattr(self, "allow_self_connections", True):
            raise InvalidValueError(
                f"allow_self_connections=False: connection {name!r} joins two populations, so no neuron could be "
                "connected to itself; leave it out"
            )

    def check_trainable(self, name: str) -> None:
        """An error where a connection with it can be simulated but not trained."""
        if getattr(self, "multapses", False) and self.synapses_per_pair() == 0:
            raise InvalidValueError(
                f"connection {name!r}: {type(self).__name__} with multapses=True is for simulations; to train it use "
                "multapses=False, or Sparse(..., multapses=True) with its synapses"
            )

    def sample(self, num_pre: int, num_post: int, seed: int, owner: int) -> Synapses:
        """All synapses of a connection, a function of the network's seed and the connection's index alone."""
        pairs, count = self.pairs(num_pre, num_post, seed, owner), self.kernel_count
        found = Synapses.empty(pairs.size * count)
        several = getattr(self, "multapses", False)

        def draw(first: int, last: int) -> None:
            ordinal: Any = np.arange((last - first) * count) % count if count > 1 else 0
            if several:  # a pair's synapses are drawn together: by the chunk that its last one is in
                first, last = (int(np.searchsorted(pairs, pairs[p])) if p < pairs.size else p for p in (first, last))
                ordinal = np.arange(last - first) - np.searchsorted(pairs[first:last], pairs[first:last])
            own = slice(first * count, last * count)
            drawn = self._drawn(pairs[first:last], ordinal, num_pre, seed, owner)
            found.pre[own], found.post[own], found.delay[own], found.weight[own] = drawn

        in_chunks(pairs.size, draw)
        return found

    def _drawn(self, pairs: npt.NDArray[np.int64], ordinal: Any, num_pre: int, seed: int, owner: int) -> Synapses:
        """The synapses of some pairs, as many of each as a pair has, of these ordinals."""
        rank = np.repeat(pairs, self.kernel_count)
        pre, post = (rank % num_pre).astype(np.int32), (rank // num_pre).astype(np.int32)
        words = home_words(pre, post, ordinal, seed, owner)
        fan_in = num_pre * self.kernel_count
        weight: npt.NDArray[np.float32]
        if self.given_weights is None:
            weight = sampled("weight", self.weight_initializer, uniform(words[0]), fan_in).astype(np.float32)
        else:
            weight = self._given(self.given_weights, pre, post)
        delay = self._delays(words[1], pre, post)
        if self.kernel_count > 1 and self.distinct_delays:
            self._separate(delay.reshape(-1, self.kernel_count), pre, post, seed, owner)
        if self.kernel_count > 1 or getattr(self, "multapses", False):
            order = sort_order(post, pre, delay)
            delay, weight = delay[order], weight[order]
        return Synapses(pre, post, delay, weight)

    array_axes: ClassVar[tuple[str, ...]] = ("source", "target")
    """The axes of arrays with weights and delays of every pair."""
    own_values = False
    """True where weights or delays are not those of the initialisers alone."""

    def _delays(
        self, words: npt.NDArray[np.uint32], pre: npt.NDArray[np.int32], post: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.uint16]:
        """The delays of synapses, of their home draws' words."""
        if self.given_delays is not None:
            return np.asarray(self._given(self.given_delays, pre, post))
        return self.delay_initializer.from_words(words)

    def _separate(
        self,
        delay: npt.NDArray[np.uint16],
        pre: npt.NDArray[np.int32],
        post: npt.NDArray[np.int32],
        seed: int,
        owner: int,
    ) -> None:
        """Draw delays ``[pair, ordinal]`` again, in place, until those of a pair differ (no replacement)."""
        count = self.kernel_count
        pre, post = pre[::count], post[::count]
        for ordinal in range(1, count):
            attempt = 0
            while (again := (delay[:, :ordinal] == delay[:, ordinal, None]).any(axis=1)).any():
                attempt += 1
                if attempt > _ATTEMPTS:
                    raise InvalidValueError(
                        f"distinct_delays: {count} different delays a pair are too unlikely under {self.delay!r}; use "
                        "a wider distribution or a smaller kernel_count"
                    )
                words = home_words(pre[again], post[again], ordinal + attempt * count, seed, owner)
                delay[again, ordinal] = self.delay_initializer.from_words(words[1])

    def synapses_per_pair(self) -> int:
        """Synapses that a pair has at most; 0 where only the drawn synapses could tell."""
        return self.kernel_count

    def home_sign_threshold(self, num_pre: int) -> int:
        """A pair's sign is negative where the first word of its home draw is below this."""
        if self.explicit_weights:
            return 1 << 31  # nothing is known of the other pairs: both signs are equally likely
        return negative_threshold(self.weight_initializer, num_pre * self.kernel_count)

    @property
    def explicit_weights(self) -> bool:
        """True if the weights, and so their signs, were given explicitly."""
        return self.given_weights is not None


def home_words(pre: Any, post: Any, ordinal: Any, seed: int, owner: int) -> npt.NDArray[np.uint32]:
    """The fixed random words of a pair: word 0 is its weight (and sign), word 1 its delay."""
    return philox(seed, Purpose.HOME, owner, pre, post, ordinal)


@keywords_only
@dataclass
class Dense(Connectivity):
    """Every source neuron to every target neuron.

    Args:
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`; `weight` may stand first without its
            name.
    """

    also_by_place = ("weight",)

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        return num_pre * num_post * self.kernel_count

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        return self.draws(num_pre, num_post, seed, owner).pairs(num_pre, num_post, seed, owner)

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        return Draws("all", num_post, num_pre * num_post)


@keywords_only
@dataclass
class FixedProbability(Connectivity):
    """Every pair with probability `p`, independently.

    The number of pairs is drawn from its binomial distribution and then as many distinct pairs: the same distribution
    as a coin for every pair, in O(synapses).

    Args:
        p: probability, in (0, 1].
        allow_self_connections: False: no neuron is connected to itself, for a connection of a population with itself.
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`; `weight` may follow `p` without its
            name, as in mlGeNN, where `allow_self_connections` is False by default.
    """

    also_by_place = ("weight",)

    p: float
    allow_self_connections: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, p=check_real("FixedProbability p", self.p, 0.0, 1.0, open_low=True))
        check_switch("FixedProbability allow_self_connections", self.allow_self_connections)

    def _count(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        """Number of pairs."""
        from scipy.stats import binom

        word = philox(seed, Purpose.CONNECTIVITY, owner, 0, 0, 1)[0]
        return int(binom.ppf(uniform(word), self._num_possible(num_pre, num_post), self.p))

    def _num_possible(self, num_pre: int, num_post: int) -> int:
        """Number of pairs that may be connected."""
        return num_pre * num_post if self.allow_self_connections else num_pre * (num_post - 1)

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        return self._count(num_pre, num_post, seed, owner) * self.kernel_count

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        return self.draws(num_pre, num_post, seed, owner).pairs(num_pre, num_post, seed, owner)

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        count = self._count(num_pre, num_post, seed, owner)
        return Draws("pair", count, count, skip_self=not self.allow_self_connections)


@keywords_only
@dataclass
class FixedNumber(Connectivity):
    """``int((1 - sparsity) * num_pre * num_post)`` pairs, every choice of them equally likely.

    Args:
        sparsity: share of the pairs without a synapse, in [0, 1).
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`.
    """

    sparsity: float

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, sparsity=check_real("sparsity", self.sparsity, 0.0, 1.0, open_high=True))

    def count(self, num_pre: int, num_post: int) -> int:
        """Number of synapses."""
        return int((1 - self.sparsity) * num_pre * num_post)

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        return self.count(num_pre, num_post) * self.kernel_count

    def check(self, num_pre: int, num_post: int) -> None:
        if self.count(num_pre, num_post) < 1:
            raise InvalidValueError(
                f"sparsity {self.sparsity} leaves no synapse of {num_pre} x {num_post} pairs; "
                f"one below {1 - 1 / (num_pre * num_post):.6g} keeps one"
            )

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        return self.draws(num_pre, num_post, seed, owner).pairs(num_pre, num_post, seed, owner)

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        count = self.count(num_pre, num_post)
        return Draws("pair", count, count)


CONNECTIVITY: dict[str, type[Connectivity]] = {
    "dense": Dense,
    "fixed_probability": FixedProbability,
    "fixed_number": FixedNumber,
}
