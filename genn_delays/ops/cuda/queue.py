"""The stream of a GPU on which passes are queued, and whose memory they use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ...backends.cuda.device import Buffer, Module
from ...backends.cuda.lanes import Sharing
from ...backends.cuda.sharing import SharingDevice, contiguous_strides
from ...codegen.cuda_ops import FAULTS, emit_cuda_ops
from ...delays import DelayKernel
from ...errors import InvalidValueError


class Queue:
    """A stream of a GPU, on which passes are queued one after the other. It must be closed, or used by ``with``.

    Args:
        empty: makes an array of float32 on that GPU, of a shape, whose contents do not matter: the allocator of the
            library whose stream it is.
        device: which GPU, counted as by the driver; for tests a
            :class:`~genn_delays.backends.cuda.sharing.SharingDevice`.
        stream: handle of the stream, 0 for the default one; or an object with ``__cuda_stream__``.

    Attributes:
        device, empty: as given.
        faults: in which kernels tell of numbers that may not be, in the order of ``FAULTS``.
        lock: held by a pass: a device is for one thread at a time, and PyTorch's backward passes have their own.

    Raises:
        BackendUnavailableError: there is no such GPU, or a package is missing.
    """

    def __init__(
        self, empty: Callable[[tuple[int, ...]], Any], device: int | SharingDevice = 0, stream: Any = 0
    ) -> None:
        if not isinstance(device, SharingDevice):
            from ...backends.cuda.real_sharing import SharingCudaDevice

            handle = stream.__cuda_stream__()[1] if hasattr(stream, "__cuda_stream__") else stream
            if not isinstance(handle, int) or isinstance(handle, bool) or handle < 0:
                raise InvalidValueError(
                    f"stream must be a handle, a whole number, or have __cuda_stream__, got {stream!r}"
                )
            device = SharingCudaDevice(device, handle)
        self.device, self.empty = device, empty
        self.lock = threading.RLock()
        self._modules: dict[str, Module] = {}
        self._parts: tuple[int, Buffer] | None = None
        self.faults, self._seen = device.visible("what may not be", len(FAULTS))

    def close(self) -> None:
        """Wait for the GPU, and give everything back. Closing again does nothing."""
        with self.lock:
            self.device.close()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def module(self, kernel: DelayKernel | None) -> Module:
        """The passes for a delay kernel, compiled or from the cache when they are first asked for."""
        key = "" if kernel is None else kernel.code_name
        if key not in self._modules:
            self._modules[key] = self.device.load(emit_cuda_ops(kernel))
        return self._modules[key]

    def check(self, *, wait: bool = False) -> None:
        """Raise an error if a number that may not be was found since the last time.

        Args:
            wait: until the stream has done all that was queued; else only what it has found so far is told.

        Raises:
            InvalidValueError: the activity or a weight was not finite, or a position out of its range.
        """
        with self.lock:
            if wait:
                self.device.synchronise()
            if not self._seen.any():
                return
            found = dict(zip(FAULTS, self._seen.tolist(), strict=True))
            self._seen[:] = 0
        if found["activity"]:
            raise InvalidValueError(
                f"activity of neuron {found['activity'] - 1} must be finite, and was not in {_PASS}"
            )
        if found["weight"]:
            raise InvalidValueError(f"weight must be finite, and was not in {_PASS}")
        raise InvalidValueError(f"position must lie in [0, max_delay] time steps, and did not in {_PASS}")

    def parts(self, lanes: Sharing) -> Buffer:
        """The borders of the parts of a batch's lanes; copied where the batch before had another size."""
        if self._parts is None or self._parts[0] != lanes.batch_size:
            buffer = self.scratch("parts of lanes", lanes.parts + 1, np.int32)
            buffer.upload(lanes.borders)
            self._parts = lanes.batch_size, buffer
        return self._parts[1]

    # --- arguments of kernels ----------------------------------------------------------------------------------------

    def scratch(self, name: str, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        """Memory of this library's allocator, given back when the buffer is forgotten; its contents do not matter."""
        shape = (shape,) if isinstance(shape, int) else shape
        words = -(-prod(shape) * np.dtype(dtype).itemsize // 4)
        return self.device.borrow(name, self.empty((max(words, 1),)), shape, dtype, new=True)[0]

    def result(self, name: str, shape: tuple[int, ...]) -> tuple[Any, Buffer]:
        """A new array of float32, and the buffer that it is."""
        array = self.empty(shape)
        return array, self.device.borrow(name, array, new=True)[0]

    def synapses(self, name: str, values: Any, size: int) -> Buffer:
        """An array of every synapse, or an error."""
        buffer, strides = self.device.borrow(name, values)
        check_type(name, buffer)
        if buffer.shape != (size,):
            raise InvalidValueError(f"{name} must have shape [synapse] = ({size},), got {buffer.shape}")
        if strides != contiguous_strides(buffer.shape) and size > 1:
            raise InvalidValueError(f"{name} must be contiguous in memory, got strides {strides}")
        return buffer


_PASS = "a pass on this GPU"


def check_type(name: str, buffer: Buffer) -> None:
    """Raise an error unless numbers are of single precision."""
    if buffer.dtype != np.float32:
        raise InvalidValueError(f"{name} must be an array of float32, got dtype {buffer.dtype}")
