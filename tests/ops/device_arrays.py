"""Arrays of another library on a device: on the host that stands for a GPU, or on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from genn_delays.backends.cuda.shim import ShimDevice
from genn_delays.ops.cuda import Queue


class HostArrays:
    """NumPy arrays between guards, in memory that holds NaN before it is used; all work is done as late as possible."""

    def __init__(self, **options: Any) -> None:
        self.device = ShimDevice(**{"order": "shuffled", "late": True, **options})
        self.queue = Queue(self.empty, self.device)

    def empty(self, shape: tuple[int, ...]) -> Any:
        array = self.device.allocate("given", shape, np.float32).data.view(np.float32).reshape(shape)
        array[...] = np.nan
        return array

    def put(self, values: Any) -> Any:
        """On the device; of a view its memory is copied, so that it has the same strides."""
        values = np.asarray(values)
        order = np.argsort([-n for n in values.strides], kind="stable")
        inverse = np.argsort(order)
        memory = self.device.allocate("given", tuple(values.shape[k] for k in order), values.dtype)
        memory.data.view(values.dtype)[:] = values.transpose(order).ravel()
        return memory.data.view(values.dtype).reshape(memory.shape).transpose(inverse)

    def get(self, array: Any) -> Any:
        """A copy on the host, once all that was queued is done."""
        self.device.synchronise()
        return array.copy()

    def close(self) -> None:
        self.queue.close()


class GPUArray:
    """An array of a GPU as a small library may have it."""

    def __init__(self, buffer: Any, shape: tuple[int, ...], strides: tuple[int, ...], stream: int) -> None:
        self.buffer, self.shape = buffer, shape
        self.__cuda_array_interface__ = {
            "shape": shape, "strides": strides, "typestr": buffer.dtype.str, "data": (buffer.address, False),
            "version": 3, "stream": stream,
        }  # fmt: skip


class GPUArrays:
    """The same on a GPU, of a library with a stream of its own or the default one (0), on which passes are queued."""

    def __init__(self, stream: int | None = None) -> None:
        from genn_delays.backends.cuda.real import CudaDevice
        from genn_delays.backends.cuda.real_sharing import SharingCudaDevice

        self.device = CudaDevice() if stream is None else SharingCudaDevice(0, stream)
        self.stream = int(self.device.stream.handle)
        self.queue = Queue(self.empty, 0, self.stream if stream is None else stream)

    def empty(self, shape: tuple[int, ...]) -> Any:
        return self.put(np.full(shape, np.nan, np.float32))

    def put(self, values: Any) -> Any:
        values = np.asarray(values)
        order = np.argsort([-n for n in values.strides], kind="stable")
        memory = np.ascontiguousarray(values.transpose(order))
        buffer = self.device.allocate("given", memory.shape, memory.dtype)
        buffer.upload(memory)
        return GPUArray(buffer, values.shape, tuple(memory.strides[k] for k in np.argsort(order)), self.stream)

    def get(self, array: Any) -> Any:
        return array.buffer.download()

    def close(self) -> None:
        self.queue.close()
        self.device.close()
