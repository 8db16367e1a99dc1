"""Data sets on the device. Those that fit stay there while they are in use. Of others each batch is copied while the
batch before it is computed."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...plan.exchanged import DenseData, InputData
from .device import Buffer, Device, Mark

Array = npt.NDArray[Any]

SHARE = 0.5
"""A data set may take this share of the memory that is free when it is first seen."""


@dataclass
class _Slot:
    """The buffers of one batch of a data set that does not fit.

    Attributes:
        used: after the last launch that reads it.
    """

    buffers: list[Buffer]
    used: Mark


class DataOnDevice:
    """The data sets of input populations."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._seen: list[tuple[weakref.ref[InputData], list[Buffer]]] = []  # no buffers: it comes batch by batch
        self._slots: dict[int, list[_Slot]] = {}  # of a population, the next one first

    @contextmanager
    def placed(
        self, population: int, data: InputData, examples: npt.NDArray[np.int64]
    ) -> Iterator[tuple[list[Buffer], npt.NDArray[np.int64]]]:
        """For a ``with`` block that launches kernels on them: buffers with these examples, and the examples' indices
        there.

        The buffers are values of dense data; start, neuron and step of events.
        """
        if not data.passing:
            whole = self._whole(population, data)
            if whole:
                yield whole, examples
                return
            data, examples = data.part(examples), np.arange(examples.size, dtype=np.int64)
        slot = self._filled(population, _arrays(data))
        yield slot.buffers, examples
        slot.used = self.device.mark()
        self._slots[population] = [*(s for s in self._slots[population] if s is not slot), slot]

    def _whole(self, population: int, data: InputData) -> list[Buffer]:
        """The buffers of a whole data set, or None where it is copied batch by batch. Data sets that are no longer
        referenced are freed first."""
        for known, buffers in self._seen:
            if known() is data:
                return buffers
        for known, buffers in self._seen:
            if known() is None:
                for buffer in buffers:
                    self.device.free(buffer)
        self._seen = [(known, buffers) for known, buffers in self._seen if known() is not None]
        arrays, buffers = _arrays(data), []
        if sum(a.nbytes for a in arrays) <= SHARE * self.device.memory().free:
            name = f"data of population {population}"
            buffers = [self.device.allocate(name, max(a.size, 1), a.dtype) for a in arrays]
            for buffer, array in zip(buffers, arrays, strict=True):
                buffer.upload(array, start=0)
        self._seen.append((weakref.ref(data), buffers))
        return buffers

    def _filled(self, population: int, arrays: list[Array]) -> _Slot:
        """A slot filled with these arrays; they are copied while the device still runs earlier launches."""
        slots = self._slots.setdefault(population, [])
        if len(slots) < 2:
            slots.insert(0, _Slot([], self.device.mark()))
        slot = slots[0]
        if not slot.buffers or any(b.size < a.size for b, a in zip(slot.buffers, arrays, strict=True)):
            for buffer in slot.buffers:
                self.device.free(buffer)
            room = [a.size + a.size // 4 + 1 for a in arrays]
            name = f"a batch of population {population}"
            slot.buffers = [self.device.allocate(name, n, a.dtype) for n, a in zip(room, arrays, strict=True)]
            slot.used = self.device.mark()
        for buffer, array in zip(slot.buffers, arrays, strict=True):
            buffer.upload(array, start=0, after=slot.used)
        return slot


def _arrays(data: InputData) -> list[Array]:
    return [data.values.reshape(-1)] if isinstance(data, DenseData) else [data.start, data.neuron, data.step]
