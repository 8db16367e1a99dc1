"""The interface between an engine and a device: memory, modules of kernels, launches and recorded graphs."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ...errors import GennDelaysError, InvalidValueError, unknown
from .signature import Dimensions, Parameter, Signature, dimensions, in_order, number_of, signatures


class KernelError(GennDelaysError):
    """A kernel made an invalid access or broke another rule, or the device failed while it ran."""


class Memory(NamedTuple):
    """Memory of a device in bytes."""

    free: int
    total: int


class Mark(ABC):
    """A moment between two launches."""

    @abstractmethod
    def wait(self) -> None:
        """Return once all that was launched before it is done."""


class Buffer(ABC):
    """Memory of a device, as an array that lies contiguously.

    Attributes:
        name: for messages.
        shape, dtype: as it was allocated.
        nbytes: its size.
        address: where it lies on the device.
        freed: whether it was given back.
        owner: of the memory, where that is another library's.
    """

    owner: Any = None

    def __init__(self, device: Device, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.device, self.name, self.shape, self.dtype = device, name, shape, np.dtype(dtype)
        self.size = prod(shape)
        self.nbytes = self.size * self.dtype.itemsize
        self.address = 0
        self.freed = False

    def upload(
        self, array: npt.NDArray[Any], start: int | None = None, after: Mark | None = None, early: bool = False
    ) -> None:
        """Copy an array of the same dtype to the device, in order with launches.

        The array may be changed as soon as this returns, which need not wait for the device.

        Args:
            array: of the buffer's shape, or with `start` any number of elements that fit.
            start: the first element to be overwritten, counted along the memory.
            after: copy beside what is running, as soon as all before this mark is done; only what is launched from now
                on sees it, and nothing launched after the mark may use the buffer before.
            early: nothing that was deferred (:attr:`Device.deferred`) reads the buffer, so that it need not run before;
                a second array for it has to wait for that, though.
        """
        self.check()
        begin = 0 if start is None else start
        fits = array.shape == self.shape if start is None else 0 <= begin <= self.size - array.size
        if array.dtype != self.dtype or not fits:
            raise InvalidValueError(
                f"buffer {self.name!r} is {self.dtype} {self.shape}: cannot take {array.dtype} {array.shape}"
                + ("" if start is None else f" from element {start}")
            )
        self.device.refuse_recording(f"buffer {self.name!r} cannot be uploaded to")
        if not early or id(self) in self.device.early:
            self.device.settle()
        if early:
            self.device.early.add(id(self))
        if array.size:
            self._write(begin * self.dtype.itemsize, np.ascontiguousarray(array), after)

    def download(self, start: int = 0, count: int | None = None) -> npt.NDArray[Any]:
        """A copy on the host once all that was launched is done: all of it, or `count` elements from `start`."""
        self.check()
        self.device.refuse_recording(f"buffer {self.name!r} cannot be downloaded")
        self.device.settle()
        shape = self.shape if count is None and start == 0 else (self.size - start if count is None else count,)
        if start < 0 or min(shape, default=0) < 0 or start + prod(shape) > self.size:
            raise InvalidValueError(f"buffer {self.name!r} has {self.size} elements, not {count} from {start}")
        array = np.empty(shape, dtype=self.dtype)
        if array.size:
            self._read(start * self.dtype.itemsize, array)
        return array

    def fetch(self, array: npt.NDArray[Any]) -> None:
        """Begin to copy its first elements into a contiguous array in page-locked memory, in order with launches; they
        are there once the device was waited for (:meth:`Device.synchronise`)."""
        self.check()
        self.device.refuse_recording(f"buffer {self.name!r} cannot be downloaded")
        self.device.settle()
        self._fetch(array)

    def give(self, array: npt.NDArray[Any]) -> None:
        """Copy a contiguous array in page-locked memory over its first elements, in order with launches; the array must
        stay as it is until the device was waited for."""
        self.check()
        self.device.refuse_recording(f"buffer {self.name!r} cannot be uploaded to")
        self.device.settle()
        self._give(array)

    def clear(self) -> None:
        """Set all bytes to 0, in order with launches; can be recorded like them."""
        self.check()
        self.device.settle()
        if self.nbytes:
            self._clear()
            self.device.launched([self])

    def check(self) -> None:
        """Raise an error if the buffer was freed."""
        if self.freed:
            raise InvalidValueError(f"buffer {self.name!r} was freed")

    @abstractmethod
    def _write(self, offset: int, array: npt.NDArray[Any], after: Mark | None) -> None:
        """Copy a contiguous array to `offset` bytes from the start."""

    @abstractmethod
    def _read(self, offset: int, array: npt.NDArray[Any]) -> None:
        """Fill a contiguous array from `offset` bytes on, after what was launched."""

    def _fetch(self, array: npt.NDArray[Any]) -> None:
        """See :meth:`fetch`; where nothing is page-locked the host waits."""
        self._read(0, array)

    def _give(self, array: npt.NDArray[Any]) -> None:
        """See :meth:`give`."""
        self._write(0, array, None)

    @abstractmethod
    def _clear(self) -> None:
        """Set all bytes to 0."""

    @abstractmethod
    def _free(self) -> None:
        """Give the memory back."""


Argument = Buffer | int | float | np.generic | None
"""Of a kernel: a buffer, None for a null pointer, a whole number, ``np.float32``, ``np.float64`` (or a float)."""
Arguments = Mapping[str, Argument]
"""By the names of a kernel's parameters."""


class Module(ABC):
    """The kernels of one source, loaded.

    Attributes:
        signatures: what they take, by name.
        path: of their source, as it was compiled.
        compiled: whether the source had to be compiled.
    """

    path: Path
    compiled: bool

    def __init__(self, device: Device, source: str) -> None:
        self.device = device
        self.signatures = signatures(source)

    def launch(
        self, kernel: str, grid: Dimensions, block: Dimensions, /, *given: Arguments, shared: int = 0, **named: Argument
    ) -> None:
        """Run a kernel after all that was launched before; returns at once where the device can do that.

        Args:
            grid: number of blocks, x or up to (x, y, z), none of them 0.
            block: threads of a block, the same way.
            given, named: by the names of the kernel's parameters, each once. Recording a graph fixes numbers.
            shared: bytes of dynamic shared memory (``extern __shared__ type name[];``).

        Raises:
            InvalidValueError: no such kernel, arguments that do not fit it, or dimensions that no device has.
            KernelError: the kernel failed; a GPU may report that later, when it is waited for.
        """
        if kernel not in self.signatures:
            raise unknown("kernel", kernel, self.signatures)
        found = self.signatures[kernel]
        arguments = in_order(found, (*given, named))
        sizes = dimensions(found, grid, block, shared)
        values = [self._value(found, p, a) for p, a in zip(found.parameters, arguments, strict=True)]
        self.device.settle()
        self._launch(found, *sizes, values, shared)
        self.device.launched([buffer for buffer in arguments if isinstance(buffer, Buffer)])

    def _value(self, kernel: Signature, parameter: Parameter, argument: Argument) -> np.generic:
        """An argument as the number that the kernel gets."""
        if parameter.pointer:
            if argument is None:
                return np.uint64(0)
            if isinstance(argument, Buffer) and parameter.dtype in (None, argument.dtype):
                argument.check()
                if argument.device is not self.device:
                    raise InvalidValueError(f"buffer {argument.name!r} belongs to another device")
                return np.uint64(argument.address)
        elif parameter.dtype is not None:
            number = number_of(parameter.dtype, argument)
            if number is not None:
                return number
        given = f"{argument.dtype} buffer {argument.name!r}" if isinstance(argument, Buffer) else repr(argument)
        raise InvalidValueError(f"kernel {kernel.name!r} takes {parameter.type} {parameter.name}, got {given}")

    @abstractmethod
    def _launch(
        self, kernel: Signature, grid: Sequence[int], block: Sequence[int], values: list[np.generic], shared: int
    ) -> None:
        """Launch with (x, y, z) and values that were checked."""


class Graph(ABC):
    """Launches that were recorded once, and are launched together.

    Attributes:
        kernels: how many they are.
        buffers: what they use.
        complete: whether the recording has ended.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.kernels = 0
        self.buffers: dict[int, Buffer] = {}
        self.complete = False

    def launch(self) -> None:
        """Run all that was recorded, in its order, after what was launched before."""
        if not self.complete:
            raise InvalidValueError("a graph cannot be launched before its recording has ended")
        for buffer in self.buffers.values():
            buffer.check()
        self.device.refuse_recording("a graph cannot be launched")
        self.device.settle()
        self._launch()
        self.device.calls += 1
        self.device.kernels += self.kernels

    @abstractmethod
    def _launch(self) -> None:
        """Run what was recorded."""


class Device(ABC):
    """A device, or a stand-in for one, for one thread at a time. It must be closed, or used by ``with``.

    Attributes:
        name: of the device, for people.
        calls: launches so far, a graph being one.
        kernels: kernels run by them, and buffers cleared.
        deferred: launches work that its setter has deferred, to be launched together with what comes next; called
            before anything else is launched, copied or waited for.
        early: buffers that were given something since then.
    """

    name: str

    def __init__(self) -> None:
        self.calls = self.kernels = 0
        self.deferred: Callable[[], None] | None = None
        self.early: set[int] = set()
        self._buffers: dict[int, Buffer] = {}
        self._recording: Graph | None = None
        self._closed = False

    def allocate(self, name: str, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Buffer:
        """A buffer of zeros.

        Raises:
            OutOfMemoryError: the device has no room for it.
        """
        self._check_open()
        self.refuse_recording(f"buffer {name!r} cannot be allocated")
        buffer = self._allocate(name, (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype))
        self._buffers[id(buffer)] = buffer
        return buffer

    def free(self, buffer: Buffer) -> None:
        """Give a buffer back; graphs that use it cannot be launched any more."""
        buffer.check()
        self.refuse_recording(f"buffer {buffer.name!r} cannot be freed")
        self.settle()
        del self._buffers[id(buffer)]
        buffer.freed = True
        buffer._free()

    def page_locked(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """Memory of the host that a GPU copies from and to beside the host and at full speed, where there is such. It
        is valid until the device is closed or is asked for another."""
        return np.zeros(nbytes, np.uint8)

    def load(self, source: str) -> Module:
        """The kernels of a CUDA source, compiled or taken from the cache.

        Raises:
            CompileError: the compiler refused it.
        """
        self._check_open()
        self.refuse_recording("a module cannot be loaded")
        return self._load(source)

    @contextmanager
    def graph(self) -> Iterator[Graph]:
        """Record the launches and clears of the body, instead of running them."""
        self._check_open()
        self.refuse_recording("another cannot be recorded")
        self.settle()
        with _no_collection():
            graph = self._recording = self._new_graph()
            try:
                yield graph
            except BaseException:
                self._recording = None
                self._finish_graph(graph, keep=False)
                raise
            self._recording = None
            self._finish_graph(graph, keep=True)
        graph.complete = True

    def mark(self) -> Mark:
        """A mark at this point of the order of launches."""
        self._check_open()
        self.refuse_recording("a moment cannot be marked")
        self.settle()
        return self._mark()

    def close(self) -> None:
        """Wait, and give everything back. Nothing of the device can be used afterwards; closing again does nothing."""
        if self._closed:
            return
        self.deferred = None  # its result will not be read any more
        try:
            self.synchronise()
        finally:
            self._closed = True
            for buffer in self._buffers.values():
                buffer.freed = True
                buffer._free()
            self._buffers.clear()
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settle(self) -> None:
        """Launch deferred work, unless it is just being launched or a graph is recorded."""
        if self._recording is None:
            self.early.clear()
            if self.deferred is not None:
                self.deferred()

    def launched(self, buffers: list[Buffer]) -> None:
        """Count a launch that uses these buffers; a graph that is recorded keeps them."""
        if self._recording is None:
            self.calls += 1
            self.kernels += 1
        else:
            self._recording.kernels += 1
            self._recording.buffers.update((id(buffer), buffer) for buffer in buffers)

    def refuse_recording(self, what: str) -> None:
        """Raise an error if a graph is being recorded."""
        if self._recording is not None:
            raise InvalidValueError(f"{what} while a graph is recorded")

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidValueError(f"device {self.name} was closed")

    @abstractmethod
    def memory(self) -> Memory:
        """Free and total memory."""

    @abstractmethod
    def synchronise(self) -> None:
        """Wait for all that was launched; an error of a kernel is raised here at the latest."""

    @abstractmethod
    def _mark(self) -> Mark:
        """This moment."""

    @abstractmethod
    def _allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        """A buffer of zeros."""

    @abstractmethod
    def _load(self, source: str) -> Module:
        """Compile and load."""

    @abstractmethod
    def _new_graph(self) -> Graph:
        """Begin to record."""

    @abstractmethod
    def _finish_graph(self, graph: Graph, keep: bool) -> None:
        """End the recording; without `keep` forget it."""

    @abstractmethod
    def _close(self) -> None:
        """Give back all but the buffers."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """A block without garbage collection: a destructor of any library may call the driver in a way that is not allowed
    while a graph is recorded, for example to free memory."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
