"""Synapses without their weights: the ends and the delay of each, as rows by target and an index by source."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import row_start
from ..connectivity.connectivity import whole_array
from ..delays import MAX_DELAY
from ..errors import InvalidValueError, check_count
from .index import inverse_index


class Topology:
    """The ends and delays of a connection's synapses.

    Arrays are kept as they are given where they have the right type, and are not to be changed.

    Args:
        pre, post: source and target neuron of every synapse, ``[synapse]``, sorted by (post, pre).
        delay: whole time steps, ``[synapse]``.
        num_pre, num_post: neurons on each side, at least 1.
        max_delay: no lag of a delay kernel is longer; the largest of `delay` where not given.

    Attributes:
        pre, post: int32.
        delay: uint16.

    Raises:
        InvalidValueError: a number lies outside of its range, or synapses are not sorted.
    """

    def __init__(
        self, pre: Any, post: Any, delay: Any, *, num_pre: int, num_post: int, max_delay: int | None = None
    ) -> None:
        self.num_pre = check_count("num_pre", num_pre)
        self.num_post = check_count("num_post", num_post)
        self.pre, self.post = _ends("pre", pre, self.num_pre), _ends("post", post, self.num_post)
        self.delay = _checked("delay", delay, MAX_DELAY, np.uint16)
        for what, array in (("post", self.post), ("delay", self.delay)):
            if array.size != self.size:
                raise InvalidValueError(f"topology {what} must have {self.size} entries like pre, got {array.size}")
        if self.size == 0:
            raise InvalidValueError("a topology needs at least one synapse, got none")
        if not _ascending(self.post, self.pre):
            raise InvalidValueError("synapses must be sorted by (post, pre), as connectivity.sort_order sorts them")
        longest = int(self.delay.max())
        self.max_delay = longest if max_delay is None else check_count("max_delay", max_delay, longest, MAX_DELAY)

    def __repr__(self) -> str:
        return f"<Topology: {self.size} synapses, {self.num_pre} to {self.num_post} neurons>"

    @property
    def size(self) -> int:
        """The number of synapses."""
        return int(self.pre.size)

    @cached_property
    def row_start(self) -> npt.NDArray[np.int64]:
        """The first synapse of every target, ``[num_post + 1]``."""
        return row_start(self.post, self.num_post)

    @cached_property
    def by_pre(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """The first synapse of every source in the second array, int64 ``[num_pre + 1]``, and their indices, int32."""
        return inverse_index(self.pre, self.num_pre)

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        start, slot = self.by_pre
        return sum(a.nbytes for a in (self.pre, self.post, self.delay, self.row_start, start, slot))


def _checked(what: str, values: Any, high: int, dtype: Any) -> npt.NDArray[Any]:
    """A contiguous array of a type; one that has it already is not copied."""
    if isinstance(values, np.ndarray) and values.dtype == dtype and values.ndim == 1 and values.flags.c_contiguous:
        if values.size and (values.min() < 0 or values.max() > high):
            return whole_array(f"topology {what}", values, high)
        return values
    return np.ascontiguousarray(whole_array(f"topology {what}", values, high).astype(dtype))


def _ends(what: str, values: Any, size: int) -> npt.NDArray[np.int32]:
    return _checked(what, values, size - 1, np.int32)


_PART = 1 << 20


def _ascending(post: npt.NDArray[np.int32], pre: npt.NDArray[np.int32]) -> bool:
    """True if synapses are sorted by (post, pre); in parts, without arrays of all of them."""
    for first in range(0, post.size - 1, _PART):
        p, q = post[first : first + _PART + 1], pre[first : first + _PART + 1]
        if not ((p[1:] > p[:-1]) | ((p[1:] == p[:-1]) & (q[1:] >= q[:-1]))).all():
            return False
    return True
