"""Synapses as flat arrays, and their ragged form: rows by target neuron."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Synapses(NamedTuple):
    """All synapses of a connection, one entry each, sorted by (post, pre, delay).

    Attributes:
        pre: source neuron, int32 ``[synapse]``.
        post: target neuron, int32 ``[synapse]``.
        delay: time steps, uint16 ``[synapse]``.
        weight: float32 ``[synapse]``.
    """

    pre: npt.NDArray[np.int32]
    post: npt.NDArray[np.int32]
    delay: npt.NDArray[np.uint16]
    weight: npt.NDArray[np.float32]

    @classmethod
    def empty(cls, size: int) -> Synapses:
        """Room for so many."""
        return cls(
            np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.uint16), np.empty(size, np.float32)
        )

    def copy(self) -> Synapses:
        """A copy that shares nothing."""
        return Synapses(self.pre.copy(), self.post.copy(), self.delay.copy(), self.weight.copy())


def sort_order(
    post: npt.NDArray[np.int32], pre: npt.NDArray[np.int32], delay: npt.NDArray[np.uint16]
) -> npt.NDArray[np.int64]:
    """The order that sorts synapses by (post, pre, delay); equal ones keep theirs."""
    return np.lexsort((delay, pre, post))


def row_start(post: npt.NDArray[np.int32], num_post: int) -> npt.NDArray[np.int64]:
    """The start of each target's row, shape ``[num_post + 1]`` (CSR); `post` is sorted."""
    return np.searchsorted(post, np.arange(num_post + 1)).astype(np.int64)


def ordinals(pre: npt.NDArray[np.int32], post: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The index of each synapse among the synapses of its pair, from 0; synapses are sorted."""
    new_pair = np.ones(pre.size, dtype=bool)
    new_pair[1:] = (pre[1:] != pre[:-1]) | (post[1:] != post[:-1])
    position = np.arange(pre.size)
    return position - np.maximum.accumulate(np.where(new_pair, position, 0))
