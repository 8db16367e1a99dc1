"""Connectivities with fixed numbers of synapses: of every target, of every source, or of all; and one to one."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import keywords_only
from ..errors import InvalidValueError, check_count, check_switch, keep
from ..memory import MOST_SYNAPSES
from .connectivity import CONNECTIVITY, Connectivity
from .draws import Draws


@dataclass
class _Drawn(Connectivity):
    """Base of those that draw a number of neurons for every row.

    Args:
        n: the number.
        multapses: each is drawn from all neurons, so that a pair may have several synapses; otherwise no pair has two.
        allow_self_connections: False: no neuron is connected to itself, for a connection of a population with itself.
    """

    n: int
    multapses: bool = field(default=False, kw_only=True)
    allow_self_connections: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        keep(self, n=check_count(f"{name} n", self.n, 1, MOST_SYNAPSES))
        check_switch(f"{name} multapses", self.multapses)
        check_switch(f"{name} allow_self_connections", self.allow_self_connections)
        if self.multapses and (self.kernel_count > 1 or self.distinct_delays):
            what = f"kernel_count={self.kernel_count}" if self.kernel_count > 1 else "distinct_delays=True"
            raise InvalidValueError(
                f"{name}: {what} gives every pair as many synapses, multapses=True any number; use one of the two"
            )

    @abstractmethod
    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws: ...

    def synapses_per_pair(self) -> int:
        return 0 if self.multapses else self.kernel_count

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        return self.draws(num_pre, num_post, seed, owner).total * self.kernel_count

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        return self.draws(num_pre, num_post, seed, owner).pairs(num_pre, num_post, seed, owner)

    def _check_room(self, what: str, neurons: int) -> None:
        """An error where `n` distinct neurons of so many cannot be had."""
        others = neurons - (not self.allow_self_connections)
        name = type(self).__name__
        if not self.multapses and self.n > others:
            but = "" if self.allow_self_connections else " other"
            raise InvalidValueError(
                f"{name} n must be at most {others}, the number of{but} {what} neurons, got {self.n}; "
                "multapses=True allows several synapses a pair"
            )
        if others == 0:
            raise InvalidValueError(f"{name}: allow_self_connections=False leaves no pair of a single neuron")


@keywords_only
@dataclass
class FixedInDegree(_Drawn):
    """Every target neuron has `n` synapses, their sources drawn at random (NEST's ``fixed_indegree``).

    Args:
        n: synapses of a target, at least 1.
        multapses: the sources are drawn independently (PyGeNN's ``FixedNumberPreWithReplacement``); otherwise they are
            distinct.
        allow_self_connections: see :class:`FixedProbability`.
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`; `n` counts pairs.
    """

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        return Draws("target", self.n, self.n * num_post, not self.multapses, not self.allow_self_connections)

    def check(self, num_pre: int, num_post: int) -> None:
        super().check(num_pre, num_post)
        self._check_room("source", num_pre)


@keywords_only
@dataclass
class FixedOutDegree(_Drawn):
    """Every source neuron has `n` synapses, their targets drawn at random (NEST's ``fixed_outdegree``).

    Args:
        n: synapses of a source, at least 1.
        multapses: the targets are drawn independently (PyGeNN's ``FixedNumberPostWithReplacement``); otherwise they are
            distinct.
        allow_self_connections: see :class:`FixedProbability`.
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`; `n` counts pairs.
    """

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        return Draws("source", self.n, self.n * num_pre, not self.multapses, not self.allow_self_connections)

    def check(self, num_pre: int, num_post: int) -> None:
        super().check(num_pre, num_post)
        self._check_room("target", num_post)


@keywords_only
@dataclass
class FixedTotalNumber(_Drawn):
    """`n` synapses in all, as in the microcircuit of Potjans & Diesmann (2014) (NEST's ``fixed_total_number``).

    Args:
        n: synapses of the connection, at least 1.
        multapses: source and target of every synapse are drawn independently (PyGeNN's
            ``FixedNumberTotalWithReplacement``): the sources of all first, then the targets of every source; otherwise
            every choice of `n` distinct pairs is equally likely.
        allow_self_connections: see :class:`FixedProbability`.
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`; `n` counts pairs.
    """

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        if self.multapses:
            return Draws("source", None, self.n, False, not self.allow_self_connections)
        return Draws("pair", self.n, self.n, True, not self.allow_self_connections)

    def check(self, num_pre: int, num_post: int) -> None:
        super().check(num_pre, num_post)
        pairs = num_pre * (num_post - (not self.allow_self_connections))
        if pairs == 0 or (not self.multapses and self.n > pairs):
            raise InvalidValueError(
                f"FixedTotalNumber n must be at most {pairs}, the number of pairs, got {self.n}; multapses=True allows "
                "several synapses a pair"
            )


@keywords_only
@dataclass
class OneToOne(Connectivity):
    """Every source neuron to the target neuron of the same number; both populations have the same size.

    Args:
        weight, delay, kernel_count, distinct_delays: see :class:`Connectivity`; `weight` may stand first without its
            name.
    """

    also_by_place = ("weight",)

    def draws(self, num_pre: int, num_post: int, seed: int, owner: int) -> Draws:
        return Draws("same", 1, num_pre)

    def check(self, num_pre: int, num_post: int) -> None:
        if num_pre != num_post:
            raise InvalidValueError(f"OneToOne needs populations of one size, got {num_pre} and {num_post} neurons")

    array_axes = ("neuron",)

    def _array_shape(self, num_pre: int, num_post: int) -> tuple[int, ...]:
        return (num_pre,)

    def _given(self, values: npt.NDArray[Any], pre: npt.NDArray[np.int32], post: npt.NDArray[np.int32]) -> Any:
        return values[pre]

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        return num_pre * self.kernel_count

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        return self.draws(num_pre, num_post, seed, owner).pairs(num_pre, num_post, seed, owner)


CONNECTIVITY.update(
    fixed_in_degree=FixedInDegree, fixed_out_degree=FixedOutDegree, fixed_total_number=FixedTotalNumber,
    one_to_one=OneToOne,
)  # fmt: skip
