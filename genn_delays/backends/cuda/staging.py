"""Memory of the host from which a GPU copies asynchronously."""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

HALF = 1 << 23
"""Bytes that are filled while as many are being copied."""


class CopyTarget(Protocol):
    """The functions of a GPU that staging uses."""

    core: Any

    def make_current(self) -> None:
        """Make this GPU the current one for this thread's calls of the driver."""

    def do(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        """Call a function of the driver, check its status and return its other results."""


class PageLocked:
    """Page-locked memory of the host.

    Args:
        device: that copies from and to it.
        stream: of the copies; memory that is garbage collected is freed after them.
        nbytes: at least 1.
    """

    def __init__(self, device: CopyTarget, stream: Any, nbytes: int) -> None:
        self._pinned = device.core.LegacyPinnedMemoryResource().allocate(nbytes)
        self._pinned.set_deallocation_stream(stream)
        self.address = int(self._pinned.handle)
        self.memory = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(self.address))

    def close(self) -> None:
        """Give it back."""
        self.memory = np.empty(0, np.uint8)
        self._pinned.close()


class Staging:
    """Page-locked memory through which arrays go to a GPU, piece by piece: only from such memory a copy runs beside the
    host, and at full speed. One half is filled while the other is copied; the host waits only for a half to be free.

    Args:
        device: that is copied to.
        stream: that copies go to; it is closed with this.
        piece: bytes that are copied at once.
    """

    def __init__(self, device: CopyTarget, stream: Any, piece: int = HALF) -> None:
        self.gpu, self.stream, self.piece = device, stream, piece
        self._pinned = device.core.LegacyPinnedMemoryResource().allocate(2 * HALF)
        self._pinned.set_deallocation_stream(stream)  # when it is garbage collected, it is freed after the copies
        self.address = int(self._pinned.handle)
        self._memory = np.ctypeslib.as_array((ctypes.c_uint8 * (2 * HALF)).from_address(self.address))
        self._half = self._used = 0
        self._copied: list[Any] = [None, None]

    def send(self, address: int, array: npt.NDArray[Any]) -> None:
        """Copy a contiguous array to an address of the device, in order with the stream; it may be changed at once."""
        self.gpu.make_current()
        data, done = array.reshape(-1).view(np.uint8), 0
        while done < data.size:
            if self._used == HALF:
                self._turn()
            size, place = min(data.size - done, HALF - self._used, self.piece), self._half * HALF + self._used
            self._memory[place : place + size] = data[done : done + size]
            self.gpu.do("cuMemcpyHtoDAsync", address + done, self.address + place, size, self.stream.handle)
            self._used += size
            done += size

    def _turn(self) -> None:
        """Switch to the other half, once its copies are complete."""
        self._copied[self._half] = self.stream.record()
        self._half, self._used = 1 - self._half, 0
        if self._copied[self._half] is not None:
            self._copied[self._half].sync()

    def close(self) -> None:
        """Wait, and give memory and stream back, whatever went wrong before."""
        self._memory = np.empty(0, np.uint8)
        try:
            self.stream.sync()
        finally:
            try:
                self._pinned.close()
            finally:
                self.stream.close()
