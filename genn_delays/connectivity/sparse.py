"""Synapses that are given one by one, and not drawn by a rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..delays import MAX_DELAY, EmpiricalInt
from ..errors import InvalidValueError, check_switch
from ..initializers import real_array, sampled
from ..random import uniform
from .connectivity import CONNECTIVITY, Connectivity, home_words
from .given import whole_array
from .synapses import Synapses, ordinals, sort_order


class Sparse(Connectivity):
    """Explicit synapses.

    Args:
        pre, post: source and target neuron of every synapse, whole numbers ``[synapse]``.
        weight: an array ``[synapse]``, or a number or initialiser.
        delay: an array of whole time steps ``[synapse]``, or a whole number or delay initialiser. Synapses grown later
            take their delays from the distribution of the given ones.
        multapses: allow several synapses from one neuron to another. Otherwise a repeated pair is an error.
    """

    def __init__(
        self, pre: Any, post: Any, weight: Any = "kaiming_uniform", delay: Any = 0, *, multapses: bool = False
    ) -> None:
        self._pre, self._post = whole_array("Sparse pre", pre), whole_array("Sparse post", post)
        self._weight: npt.NDArray[np.float32] | None = None
        self._delay: npt.NDArray[np.uint16] | None = None
        size = self._pre.size
        if self._post.size != size:
            raise InvalidValueError(f"Sparse pre and post differ in length: {size} and {self._post.size}")
        if size == 0:
            raise InvalidValueError("Sparse needs at least one synapse, got none")
        if isinstance(weight, (list, tuple, np.ndarray)):
            self._weight = real_array("Sparse weight", weight, (size,), single=True).astype(np.float32)
            weight = 0.0
        if isinstance(delay, (list, tuple, np.ndarray)):
            steps = whole_array("Sparse delay", delay, MAX_DELAY)
            if steps.shape != (size,):
                raise InvalidValueError(f"Sparse delay must be {size} whole numbers, got {steps.size}")
            self._delay = steps.astype(np.uint16)
            delay = EmpiricalInt(self._delay)
        super().__init__(weight=weight, delay=delay)
        self.multapses = check_switch("Sparse multapses", multapses)

    @property
    def explicit_weights(self) -> bool:
        """True if the weights, and so their signs, were given explicitly."""
        return self._weight is not None

    def synapses_per_pair(self) -> int:
        if not self.multapses:
            return 1
        return int(np.unique(np.stack([self._pre, self._post]), axis=1, return_counts=True)[1].max())

    def check(self, num_pre: int, num_post: int) -> None:
        for what, index, limit in (("pre", self._pre, num_pre), ("post", self._post, num_post)):
            if index.max() >= limit:
                raise InvalidValueError(
                    f"Sparse {what} must be below {limit} (the population's size), got {index.max()}"
                )

    def num_synapses(self, num_pre: int, num_post: int, seed: int, owner: int) -> int:
        return int(self._pre.size)

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        return self._post * num_pre + self._pre

    def sample(self, num_pre: int, num_post: int, seed: int, owner: int) -> Synapses:
        rank = self.pairs(num_pre, num_post, seed, owner)
        pre, post = self._pre.astype(np.int32), self._post.astype(np.int32)
        delay_key = np.zeros(pre.size, dtype=np.uint16) if self._delay is None else self._delay
        order = sort_order(post, pre, delay_key)
        pre, post, rank = pre[order], post[order], rank[order]
        ordinal = ordinals(pre, post)
        if not self.multapses and ordinal.any():
            k = int(np.flatnonzero(ordinal)[0])
            raise InvalidValueError(
                f"Sparse names the pair pre {pre[k]}, post {post[k]} twice; multapses=True allows several a pair"
            )
        words = home_words(pre, post, ordinal, seed, owner)
        if self._weight is not None:
            weight = self._weight[order]
        else:
            weight = sampled("weight", self.weight_initializer, uniform(words[0]), num_pre).astype(np.float32)
        if self._delay is not None:
            return Synapses(pre, post, self._delay[order], weight)
        delay = self.delay_initializer.from_words(words[1])
        order = sort_order(post, pre, delay)  # sort several synapses of a pair by the delays just drawn
        return Synapses(pre, post, delay[order], weight[order])


CONNECTIVITY["sparse"] = Sparse
