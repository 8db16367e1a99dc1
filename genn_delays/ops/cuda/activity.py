"""Activity on a GPU as its kernels read it: rows of lanes, and bits where it is spikes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends.cuda.device import Argument, Buffer
from ...backends.cuda.launches import planes
from ...backends.cuda.sorting import BLOCK
from ...codegen.cuda import WORD
from ...errors import InvalidValueError
from ..arguments import MOST
from .queue import Queue, check_type


class Rows:
    """Numbers ``[neuron, time, batch]``, lanes rounded up to whole warps, and how kernels are told of them.

    Attributes:
        queue: where they are.
        N, T, B, L: neurons, time steps, lanes that there are, lanes of the rows.
    """

    def __init__(self, queue: Queue, shape: tuple[int, int, int]) -> None:
        self.queue = queue
        self.N, self.T, self.B = shape
        self.L = -(-self.B // 32) * 32

    def new(self, name: str) -> Buffer:
        """Memory for such rows of real numbers."""
        return self.queue.scratch(name, (self.N, self.T, self.L), np.float32)

    @property
    def sizes(self) -> dict[str, Argument]:
        """The arguments of kernels that all of them take."""
        return {"T": self.T, "L": self.L}

    def tiles(self, pieces: int) -> tuple[int, int, int]:
        """The grid of kernels whose blocks are 32 neurons and 32 lanes, and so many pieces of time."""
        return (-(-self.N // 32) * (self.L // 32), *planes(pieces))


class DeviceActivity:
    """The activity of source neurons, which the passes read. It is copied, so that the array may change.

    A GPU sees by itself whether it is spikes, zeros and ones alone, which it then reads as bits. Both forms give the
    same results, so a caller need not say which.

    Args:
        x: float32 ``[neuron, time, batch]`` on the queue's GPU, with any strides.
        queue: where it is used.

    Raises:
        InvalidValueError: `x` is not float32 of that shape, or lies elsewhere.
    """

    def __init__(self, x: Any, queue: Queue) -> None:
        with queue.lock:
            queue.check()
            given, strides, self.rows = given_rows("activity", x, queue)
            rows = self.rows
            words = -(-rows.T // WORD)
            self.bits = queue.scratch("activity as bits", (rows.N, words, rows.L), np.uint32)
            self.real, self.is_real = rows.new("activity"), queue.scratch("form of activity", 1, np.int32)
            self.is_real.clear()
            module = queue.module(None)
            module.launch(
                "pack_spikes", rows.tiles(words), BLOCK, strides, rows.sizes, x=given, bits=self.bits,
                is_real=self.is_real, found=queue.faults, N=rows.N, B=rows.B,
            )  # fmt: skip
            module.launch(
                "pack_real", rows.tiles(rows.T), BLOCK, strides, rows.sizes, x=given, y=self.real,
                is_real=self.is_real, N=rows.N, B=rows.B,
            )  # fmt: skip

    def sent(self, form: str) -> Buffer:
        """The memory that kernels of a form read."""
        return self.bits if form == "spikes" else self.real


class DeviceGradient:
    """The gradient of input currents, which two passes read. It is copied, so that the array may change.

    Args:
        g: float32 ``[neuron, time, batch]`` on the queue's GPU, with any strides.
        queue: where it is used.

    Raises:
        InvalidValueError: `g` is not float32 of that shape, or lies elsewhere.
    """

    def __init__(self, g: Any, queue: Queue) -> None:
        with queue.lock:
            given, strides, self.rows = given_rows("g", g, queue)
            rows, self.real = self.rows, self.rows.new("g")
            queue.module(None).launch(
                "pack_real", rows.tiles(rows.T), BLOCK, strides, rows.sizes, x=given, y=self.real, is_real=None,
                N=rows.N, B=rows.B,
            )  # fmt: skip


def unpacked(name: str, x: Buffer, rows: Rows) -> Any:
    """Rows of lanes as a new array ``[neuron, time, batch]``."""
    array, buffer = rows.queue.result(name, (rows.N, rows.T, rows.B))
    grid = (rows.N, *planes(-(-rows.T * rows.B // BLOCK)))
    rows.queue.module(None).launch("unpack", grid, BLOCK, rows.sizes, x=x, y=buffer, B=rows.B)
    return array


def given_rows(name: str, x: Any, queue: Queue) -> tuple[Buffer, dict[str, Argument], Rows]:
    """An array ``[neuron, time, batch]``, its strides as kernels take them, and its sizes; or an error."""
    buffer, strides = queue.device.borrow(name, x)
    check_type(name, buffer)
    if len(buffer.shape) != 3 or 0 in buffer.shape:
        raise InvalidValueError(f"{name} must have shape [neuron, time, batch], got {buffer.shape}")
    N, T, B = buffer.shape
    rows = Rows(queue, (N, T, B))
    if rows.T * rows.L > MOST:
        raise InvalidValueError(f"{name} must have at most {MOST} entries a neuron, got {rows.T * rows.L}")
    return buffer, dict(zip(("of_neuron", "of_step", "of_lane"), strides, strict=True)), rows
