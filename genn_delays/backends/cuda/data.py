"""Data sets on the device: all of one at once where it fits, otherwise what each batch needs of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import DenseData, EventData, InputData
from .device import Buffer, Device

Array = npt.NDArray[Any]

SHARE = 0.5
"""A data set may take this share of the memory that is free when it is first seen."""


class DataOnDevice:
    """The data sets of input populations.

    Attributes:
        buffers: by population what the kernels that load examples read: values, or start, neuron and step of events.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.buffers: dict[int, list[Buffer]] = {}
        self._whole: dict[int, InputData] = {}  # what is on the device as a whole

    def place(self, population: int, data: InputData, examples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Make sure that these examples are on the device; their numbers there."""
        if self._whole.get(population) is data:
            return examples
        arrays = _arrays(data)
        self._whole.pop(population, None)
        if sum(a.nbytes for a in arrays) <= SHARE * self.device.memory().free:
            self._put(population, arrays, exact=True)
            self._whole[population] = data
            return examples
        self._put(population, _arrays(_part(data, examples)), exact=False)
        return np.arange(examples.size, dtype=np.int64)

    def _put(self, population: int, arrays: list[Array], *, exact: bool) -> None:
        """Arrays into buffers, those that are there already where they are large enough (and need not be exact)."""
        old = self.buffers.get(population, [])
        if not old or exact or any(b.size < a.size for b, a in zip(old, arrays, strict=True)):
            for buffer in self.buffers.pop(population, []):
                self.device.free(buffer)
            room = [max(a.size, 1) if exact else a.size + a.size // 4 + 1 for a in arrays]
            self.buffers[population] = [
                self.device.allocate(f"data of population {population}", n, a.dtype)
                for n, a in zip(room, arrays, strict=True)
            ]
        for buffer, array in zip(self.buffers[population], arrays, strict=True):
            if array.size:
                buffer.upload(np.ascontiguousarray(array), start=0)


def _arrays(data: InputData) -> list[Array]:
    return [data.values.reshape(-1)] if isinstance(data, DenseData) else [data.start, data.neuron, data.step]


def _part(data: InputData, examples: npt.NDArray[np.int64]) -> InputData:
    """Some examples of a data set, as a data set."""
    if isinstance(data, DenseData):
        return DenseData(data.values[examples])
    pieces = [slice(data.start[x], data.start[x + 1]) for x in examples.tolist()]
    lengths = [piece.stop - piece.start for piece in pieces]
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    none = np.empty(0, np.int32)
    return EventData(
        start, np.concatenate([none, *(data.neuron[p] for p in pieces)]),
        np.concatenate([none, *(data.step[p] for p in pieces)]),
    )  # fmt: skip
