"""Places for synapses of a layer that no engine keeps: which are free, and what is born in them.

A slot is ``pair * capacity + ordinal``, a place for a synapse of a pair. What backends do is defined in
:mod:`genn_delays.backends.reference.rewiring`; a layer on its own is the first connection of a network of its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses, home_words, ordinals
from ..connectivity.connectivity import Connectivity
from ..delays import delays_of
from ..random import Purpose, philox, sample_distinct
from .rule import RewiringRule

NEWBORN = 1e-12
"""Magnitude of a newborn synapse's weight."""


@dataclass(frozen=True)
class Slots:
    """The slots of a layer, of which living synapses take some.

    Args:
        connectivity: that the layer's first synapses were drawn by.
        num_pre, num_post: neurons on each side.
        seed: of the layer.
        signs: under Dale's law those of the source neurons, ``[num_pre]``; else None.
        pre, post: ends of the living synapses, sorted by (post, pre).
        index: number of the connection.
        training_seed: of what is drawn while training; that of the layer where not given.
    """

    connectivity: Connectivity
    num_pre: int
    num_post: int
    seed: int
    signs: npt.NDArray[np.int8] | None
    pre: npt.NDArray[np.int32]
    post: npt.NDArray[np.int32]
    index: int = 0
    training_seed: int | None = None

    @property
    def _drawn_by(self) -> int:
        return self.seed if self.training_seed is None else self.training_seed

    @cached_property
    def _gap(self) -> npt.NDArray[np.int64]:
        """Free slots before each taken one."""
        pair = self.post.astype(np.int64) * self.num_pre + self.pre
        taken = pair * self.connectivity.synapses_per_pair() + ordinals(self.pre, self.post)
        return np.asarray(taken - np.arange(taken.size))

    @property
    def num_free(self) -> int:
        return self.num_pre * self.num_post * self.connectivity.synapses_per_pair() - self.pre.size

    def free(self, rank: Any) -> Any:
        """The free slots of these ranks, from 0, without a list of all of them."""
        return rank + np.searchsorted(self._gap, rank, side="right")

    def drawn(self, wanted: int, step: int, purpose: Purpose = Purpose.GROWTH) -> Any:
        """So many free slots, every choice equally likely, ascending."""
        return self.free(sample_distinct(wanted, self.num_free, self._drawn_by, purpose, self.index, step))

    def born(self, slots: Any, rule: RewiringRule, step: int) -> Synapses:
        """Synapses as they would be born in slots: with the delay and the sign of their pair, or a fresh delay."""
        capacity = self.connectivity.synapses_per_pair()
        pairs, ordinal = slots // capacity, slots % capacity
        pre, post = (pairs % self.num_pre).astype(np.int32), (pairs // self.num_pre).astype(np.int32)
        home = home_words(pre, post, ordinal, self.seed, self.index)
        if self.signs is not None:
            negative = self.signs[pre] < 0
        else:
            negative = home[0] < self.connectivity.home_sign_threshold(self.num_pre)
        words = home[1]
        if rule.growth_delay == "redraw":
            drawn = philox(self._drawn_by, Purpose.GROWTH_DELAY, self.index, pre, post, step)
            words = drawn[ordinal & 3, np.arange(pre.size)]
        delays = self.connectivity.delay_initializer
        delay = delays_of(words, delays.low, delays.thresholds)
        return Synapses(pre, post, delay, np.where(negative, -NEWBORN, NEWBORN).astype(np.float32))

    def merged(self, living: Any, born: Synapses) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The places of living and newborn synapses sorted together; within a pair the living come first.

        Args:
            living: True for those of the layer's former synapses that live, ``[synapse]``.
            born: as many as do not, sorted by (post, pre).

        Returns:
            By new place the former place of a synapse (0 for newborn ones), and the new places of the newborn ones.
        """
        rank = self.post.astype(np.int64) * self.num_pre + self.pre
        place = np.searchsorted(rank, born.post.astype(np.int64) * self.num_pre + born.pre, side="right")
        place += np.arange(place.size)
        fresh = np.zeros(living.size, dtype=bool)
        fresh[place] = True
        origin = np.zeros(living.size, np.int64)
        origin[~fresh] = np.flatnonzero(living)
        return origin, place
