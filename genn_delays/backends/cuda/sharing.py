"""Devices that share memory with other libraries: arrays of theirs as buffers, and numbers that the host sees."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import InvalidValueError
from .device import Buffer, Device


class Foreign(NamedTuple):
    """Another library's array: where it lies, its shape, type, and elements between neighbours of each dimension."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements between neighbours of each dimension of an array that lies contiguously."""
    return tuple(prod(shape[k + 1 :]) for k in range(len(shape)))


class SharingDevice(Device):
    """A device that shares memory with other libraries."""

    def borrow(
        self,
        name: str,
        array: Any,
        shape: tuple[int, ...] | None = None,
        dtype: npt.DTypeLike | None = None,
        new: bool = False,
    ) -> tuple[Buffer, tuple[int, ...]]:
        """An array of another library that lies on this device, as a buffer; nothing is copied, and nobody waits.

        Args:
            array: has ``__dlpack__`` or ``__cuda_array_interface__``; the buffer keeps it.
            shape, dtype: what its memory is used for, where that is not the array itself.
            new: what it holds does not matter; otherwise what is launched waits for whatever stream computes it.

        Returns:
            The buffer, and how many elements of the array lie between neighbours of each dimension.

        Raises:
            InvalidValueError: it lies elsewhere, or cannot be read so.
        """
        self._check_open()
        self.refuse_recording(f"{name} cannot be borrowed")
        found = self._view(name, array, new)
        kind = found.dtype if dtype is None else np.dtype(dtype)
        buffer = self._borrow(name, found.shape if shape is None else shape, kind, found.address)
        buffer.owner = array
        room = prod(found.shape) * found.dtype.itemsize
        if shape is not None and buffer.nbytes > room:
            raise InvalidValueError(f"{name} needs {buffer.nbytes} bytes, the array has {room}")
        return buffer, found.strides

    def visible(self, name: str, count: int) -> tuple[Buffer, npt.NDArray[np.int32]]:
        """So many int32, zero, that kernels write to and the host reads at any time, without a copy or waiting."""
        self._check_open()
        self.refuse_recording(f"buffer {name!r} cannot be allocated")
        return self._visible(name, count)

    @abstractmethod
    def _view(self, name: str, array: Any, new: bool) -> Foreign:
        """The place of another library's array."""

    @abstractmethod
    def _borrow(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], address: int) -> Buffer:
        """A buffer of memory that another library owns."""

    @abstractmethod
    def _visible(self, name: str, count: int) -> tuple[Buffer, npt.NDArray[np.int32]]:
        """Numbers that both sides see."""
