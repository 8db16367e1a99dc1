"""A number that says to which synapses a layer's parameters belong.

PyTorch's averages of weights and its data-parallel training copy or mix parameters and buffers number by number,
without the synapses. The mark is a buffer, so it is mixed too, and the layer finds out. In a state it is the buffer
itself, so a state that is kept while rewiring goes on, whose weights are the layer's own too, is found out as well.
"""

from __future__ import annotations

import zlib
from typing import Any

import torch

from ..errors import InvalidValueError
from ..ops import Topology

ROUNDING = 1e-9
"""By which an average of equal marks may differ from them."""


def mark_of(topology: Topology) -> float:
    """A checksum in [0, 1), exact in single precision."""
    found = 0
    for array in (topology.pre, topology.post, topology.delay):
        found = zlib.crc32(array.data, found)
    return (found >> 8) / 2**24


class Seen:
    """A buffer as it was when it was read last: on a GPU reading waits for all work, so it is read after writing alone.

    Args:
        mark: the buffer.
    """

    def __init__(self, mark: Any) -> None:
        self._mark, self._version = mark, mark._version

    def is_now(self, mark: Any) -> bool:
        """True if it is the same buffer and nothing was written into it."""
        return bool(mark is self._mark and not mark.is_inference() and mark._version == self._version)


def check_mark(what: str, mark: Any, own: float, seen: Seen | None) -> Seen | None:
    """Raise an error if a buffer is not the mark of a layer's own synapses; returns it as it was seen now."""
    if seen is not None and seen.is_now(mark):
        return seen
    if not abs(float(mark) - own) < ROUNDING:
        raise InvalidValueError(
            f"{what}: its parameters were copied from, or averaged with, those of a layer with other synapses, "
            "number by number (as AveragedModel and DistributedDataParallel do); after rewiring give it the other's "
            "state whole, load_state_dict(other.state_dict()), and average from then on"
        )
    return None if mark.is_inference() else Seen(mark)


def check_marked_state(mark: Any, topology: Topology) -> None:
    """Raise an error if a state's mark, of any precision, is not that of the synapses in it."""
    rounding = max(ROUNDING, torch.finfo(mark.dtype).eps)
    if not abs(float(mark) - mark_of(topology)) < rounding:
        raise InvalidValueError(
            "the weights are not those of the synapses (mark): the state was mixed with another one, or was not copied "
            "and the layer was rewired since; keep copy.deepcopy(model.state_dict())"
        )
