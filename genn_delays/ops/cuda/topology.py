"""Synapses without their weights, on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...backends.cuda.device import Buffer
from ..topology import Topology
from .queue import Queue


class DeviceTopology:
    """The ends and delays of synapses for a queue's GPU. Each array is copied there when a pass first needs it.

    Args:
        topology: the synapses. It may be set to others at any time, as after rewiring: then passes copy the arrays that
            have changed, in order with what was queued before.
        queue: where they are used.

    Attributes:
        topology, queue: as given.
    """

    def __init__(self, topology: Topology, queue: Queue) -> None:
        self.topology, self.queue = topology, queue
        self._there: dict[str, tuple[npt.NDArray[Any], Buffer]] = {}

    def __repr__(self) -> str:
        return f"<DeviceTopology: {self.topology.size} synapses on {self.queue.device.name}>"

    def buffer(self, name: str) -> Buffer:
        """One of ``pre``, ``post``, ``delay``, ``row_start``, ``by_pre_start`` and ``by_pre_slot``."""
        if name.startswith("by_pre_"):
            host: npt.NDArray[Any] = self.topology.by_pre[name == "by_pre_slot"]
        else:
            host = getattr(self.topology, name)
        known = self._there.get(name)
        if known is not None and (known[0] is host or np.array_equal(known[0], host)):
            self._there[name] = host, known[1]
            return known[1]
        same = known is not None and known[1].shape == host.shape
        buffer = known[1] if known is not None and same else self.queue.scratch(name, host.shape, host.dtype)
        buffer.upload(host)
        self._there[name] = host, buffer
        return buffer

    def buffers(self, *names: str) -> dict[str, Buffer]:
        """Several of them, by name."""
        return {name: self.buffer(name) for name in names}
