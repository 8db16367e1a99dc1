"""Activity as the passes read it: real values, and lists of the spikes of rows that consist of few."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.cpu.engine import BUSY, WIDE
from ..backends.cpu.structs import Arrays, address
from ..errors import InvalidValueError
from .arguments import checked_array
from .library import library, network_type, threads_of

MANY, FEWER = WIDE


class Activity:
    """The activity of source neurons, float32 ``[neuron, time, batch]``, which is read in place and may not change.

    A row of zeros and ones is taken for spikes: where they are few it is passed over as their list. Rows of other
    numbers are read as they are. Both give the same bits, so a caller need not say which.

    Args:
        x: the activity, contiguous.
        threads: that look for spikes; the processors there are where not given.

    Attributes:
        num_listed: rows that have a list.

    Raises:
        InvalidValueError: `x` is not float32 of that shape, or a number is not finite.
    """

    def __init__(self, x: Any, *, threads: int | None = None) -> None:
        self.x = checked_array("activity", x, (None, None, None))
        self.threads = threads_of(threads)
        size, T, B = self.x.shape
        self._arrays = arrays = Arrays("activity")
        arrays.new("event_start", (size, T + 1), np.int32)
        arrays.new("event_row", size, np.uintp, zero=True)
        arrays.new("event_room", size, np.int32)
        net = network_type()()
        net.T, net.B = T, B
        self.point(net)
        found = library(None)
        found.run("find_spikes", net, self.threads)
        if net.no_number:
            row = self.x[net.no_number - 1]
            bad = row[~np.isfinite(row)][0]
            raise InvalidValueError(f"activity of neuron {net.no_number - 1} must be finite, got {bad}")
        count = arrays["event_room"]
        listed = (count >= 0) & (count <= int(BUSY * T * B))
        rooms = np.where(listed, count + np.int64(4), 0)  # lists are written four at a time
        start = np.cumsum(rooms) - rooms
        arrays.new("events", int(rooms.sum()), np.int32)
        arrays["event_row"][listed] = (arrays.address("events") + 4 * start[listed]).astype(np.uintp)
        found.run("list_found", net, self.threads)
        self.num_listed = int(listed.sum())

    @property
    def nbytes(self) -> int:
        """Bytes besides those of `x`."""
        return sum(a.nbytes for a in self._arrays.values())

    def point(self, net: Any, lags: float = 1.0) -> None:
        """Let population 0 of a structure be this activity, for synapses that act at so many lags: the list of a row is
        passed over once for each, so with many lags fewer spikes make it busy."""
        p, arrays = net.p[0], self._arrays
        p.size, p.x = self.x.shape[0], address(self.x)
        p.event_start, p.event_row = arrays.address("event_start"), arrays.address("event_row")
        p.event_room = arrays.address("event_room")
        p.busy = int(BUSY * self.x.shape[1] * self.x.shape[2]) // (FEWER if lags >= MANY else 1)
