"""A GPU on the stream of another library, whose arrays it takes: by DLPack or the CUDA array interface."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidValueError
from .device import Buffer
from .real import CudaBuffer, CudaDevice
from .sharing import Foreign, SharingDevice, contiguous_strides

DEFAULT_STREAM = 1
"""Handle of the stream that has none (``CU_STREAM_LEGACY``)."""


class CudaBorrowed(CudaBuffer):
    """Memory that a GPU reaches and another owns: an array of another library, or page-locked memory of the host."""

    def __init__(
        self, device: CudaDevice, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, address: int
    ) -> None:
        Buffer.__init__(self, device, name, shape, dtype)
        self.gpu, self.address = device, address

    def _clear(self) -> None:
        self.gpu.do("cuMemsetD8Async", self.address, 0, self.nbytes, self.gpu.target.handle)

    def _free(self) -> None:
        """Nothing to do: whoever owns it gives it back."""


class SharingCudaDevice(CudaDevice, SharingDevice):
    """A GPU on another library's stream.

    Args:
        index: which GPU.
        stream: handle of the stream, 0 for the default one; closing the device leaves it open.
    """

    def __init__(self, index: int, stream: int) -> None:
        self._handle = stream or DEFAULT_STREAM
        super().__init__(index)

    def _open_stream(self) -> Any:
        return self.core.Stream.from_handle(self._handle)

    def _view(self, name: str, array: Any, new: bool) -> Foreign:
        stream = -1 if new else int(self.stream.handle)
        try:
            view = self.core.utils.StridedMemoryView.from_any_interface(array, stream_ptr=stream)
        except (AttributeError, TypeError, ValueError, BufferError, RuntimeError) as error:
            raise InvalidValueError(
                f"{name} must be an array of a GPU, with __dlpack__ or __cuda_array_interface__, got a "
                f"{type(array).__name__}: {error}"
            ) from error
        if not view.is_device_accessible or view.device_id != self.index:
            place = f"GPU {view.device_id}" if view.is_device_accessible else "the host"
            raise InvalidValueError(f"{name} must lie on GPU {self.index} like the rest, it lies on {place}")
        shape = tuple(view.shape)
        return Foreign(int(view.ptr), shape, tuple(view.strides or contiguous_strides(shape)), np.dtype(view.dtype))

    def _borrow(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], address: int) -> Buffer:
        return CudaBorrowed(self, name, shape, dtype, address)

    def _visible(self, name: str, count: int) -> tuple[Buffer, npt.NDArray[np.int32]]:
        self.make_current()
        pinned = self.core.LegacyPinnedMemoryResource().allocate(4 * count)
        pinned.set_deallocation_stream(self.stream)
        buffer = CudaBorrowed(self, name, (count,), np.int32, int(pinned.handle))
        buffer.owner = pinned
        seen = np.ctypeslib.as_array((ctypes.c_int32 * count).from_address(buffer.address))
        seen[:] = 0
        return buffer, seen
