"""An NVIDIA GPU through NVIDIA's ``cuda-core``, which is found at run time; kernels as CUBINs for that very GPU."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BackendUnavailableError, InvalidValueError, OutOfMemoryError, install_extra
from .compiler import cubin_file
from .device import Buffer, Device, Graph, KernelError, Mark, Memory, Module
from .signature import Signature
from .staging import PageLocked, Staging

PACKAGES = ("cuda-core", "cuda-bindings")
BESIDE = 1 << 20
"""Bytes of a copy beside launches: small, so that the few bytes that launches wait for need not wait for it."""
DRIVERS = {12: "525", 13: "580"}
"""Oldest drivers for the wheels of a version of CUDA."""

LOADS = (12, 4)
"""CUDA version of the oldest drivers that can load a kernel on request."""


@dataclass(frozen=True)
class GPU:
    """A GPU of this machine.

    Attributes:
        index: by which it is opened.
        name: as its maker calls it.
        arch: ``sm_`` and its compute capability.
        memory: its total memory in bytes.
        driver: version of CUDA that the driver supports, for example ``"13.0"``.
        uuid: the same in every process, 32 digits.
    """

    index: int
    name: str
    arch: str
    memory: int
    driver: str
    uuid: str = ""


@cache
def _packages() -> tuple[Any, Any]:
    """``cuda.core`` and ``cuda.bindings.driver``.

    Raises:
        BackendUnavailableError: one is missing, or its import fails.
    """
    for package in PACKAGES:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise BackendUnavailableError(
                f"backend 'cuda' needs NVIDIA's {package}, which is not installed: {install_extra('cuda')}"
            ) from error
    try:
        return importlib.import_module("cuda.core"), importlib.import_module("cuda.bindings.driver")
    except Exception as error:  # another Python or a missing library may raise anything: report it
        raise BackendUnavailableError(
            f"NVIDIA's {' and '.join(PACKAGES)} are installed but cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _driver() -> tuple[Any, Any, str]:
    """``cuda.core`` and ``cuda.bindings.driver``, with a driver that works, and the version of CUDA it supports.

    Raises:
        BackendUnavailableError: a package, the driver or a GPU is missing, or the driver is too old.
    """
    core, driver = _packages()
    try:
        status, number = driver.cuDriverGetVersion()
    except Exception as error:  # the library of the driver is not there
        raise BackendUnavailableError(
            "no NVIDIA driver is installed here: backend 'cuda' needs an NVIDIA GPU and its driver; "
            "does nvidia-smi run?"
        ) from error
    version, wheels = f"{number // 1000}.{number % 1000 // 10}", int(metadata.version("cuda-bindings").split(".")[0])
    if int(status) == 0 and number // 1000 < wheels:
        raise BackendUnavailableError(
            f"the NVIDIA driver supports CUDA {version}, the packages installed here are for CUDA {wheels}: update it "
            f"to {DRIVERS.get(wheels, 'a newer one')} or later, or take [cuda12] in place of [cuda]: "
            f"{install_extra('cuda12')}"
        )
    (status,) = driver.cuInit(0) if int(status) == 0 else (status,)
    if status == driver.CUresult.CUDA_ERROR_NO_DEVICE:
        raise BackendUnavailableError(
            "the NVIDIA driver sees no GPU; does nvidia-smi list one, and does CUDA_VISIBLE_DEVICES not hide it?"
        )
    if int(status) != 0:
        raise BackendUnavailableError(f"the NVIDIA driver cannot be used: {status.name}; does nvidia-smi run?")
    return core, driver, version


def gpus() -> list[GPU]:
    """The GPUs that can be used here.

    Raises:
        BackendUnavailableError: there is none; the message says what is missing.
    """
    _, driver, version = _driver()
    attributes = driver.CUdevice_attribute

    def ask(function: str, *arguments: Any) -> Any:
        status, result = getattr(driver, function)(*arguments)
        if int(status) != 0:
            raise BackendUnavailableError(
                f"the NVIDIA driver does not say what GPUs there are: {function}: {status.name}"
            )
        return result

    # of parts of a GPU (MIG), which are GPUs of their own here, CUDA 12's first function gives the UUID of the whole
    told = "cuDeviceGetUuid_v2" if hasattr(driver, "cuDeviceGetUuid_v2") else "cuDeviceGetUuid"
    found = []
    for index in range(ask("cuDeviceGetCount")):
        device = ask("cuDeviceGet", index)
        name = ask("cuDeviceGetName", 256, device).split(b"\0")[0].decode()
        major = ask("cuDeviceGetAttribute", attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
        minor = ask("cuDeviceGetAttribute", attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
        memory, uuid = int(ask("cuDeviceTotalMem", device)), bytes(ask(told, device).bytes).hex()
        found.append(GPU(index, name, f"sm_{major}{minor}", memory, version, uuid))
    if not found:
        raise BackendUnavailableError("the NVIDIA driver sees no GPU; does nvidia-smi list one?")
    return found


def compiling_for(index: int) -> Callable[[str], object]:
    """A function that compiles a source for a GPU into the cache. If there is no such GPU, :class:`CudaDevice` reports
    it."""
    found = gpus()
    arch = found[min(index, len(found) - 1)].arch
    return lambda source: cubin_file(source, arch)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn errors of the driver into this library's."""
    try:
        yield
    except Exception as error:
        # cuda-core exports its error nowhere, and for some calls raises a RuntimeError
        if not isinstance(error, RuntimeError) and not any(k.__name__ == "CUDAError" for k in type(error).__mro__):
            raise
        kind = OutOfMemoryError if "OUT_OF_MEMORY" in str(error) else KernelError
        raise kind(f"{what}: {error}") from error


class CudaBuffer(Buffer):
    """Memory of a GPU."""

    def __init__(self, device: CudaDevice, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        super().__init__(device, name, shape, dtype)
        self.gpu = device
        if self.nbytes:
            what = f"buffer {name!r} of {self.nbytes:,} bytes"
            try:
                with _told(what):
                    self._memory = device.core_device.allocate(self.nbytes, stream=device.stream)
                    self._memory.fill(0, stream=device.stream)
            except OutOfMemoryError as error:
                raise OutOfMemoryError(f"{what}, {device.memory().free:,} are free: {error.__cause__}") from error
            self.address = int(self._memory.handle)

    def _write(self, offset: int, array: npt.NDArray[Any], after: Mark | None) -> None:
        gpu = self.gpu
        with _told(f"buffer {self.name!r}"):
            if after is None:
                gpu.staging.send(self.address + offset, array)
                return
            assert isinstance(after, CudaMark)
            gpu.make_current()
            beside = gpu.beside()
            beside.stream.wait(after.event)
            beside.send(self.address + offset, array)
            gpu.stream.wait(beside.stream)

    def _read(self, offset: int, array: npt.NDArray[Any]) -> None:
        gpu = self.gpu
        gpu.do("cuMemcpyDtoHAsync", array.ctypes.data, self.address + offset, array.nbytes, gpu.stream.handle)
        gpu.synchronise()

    def _fetch(self, array: npt.NDArray[Any]) -> None:
        self.gpu.do("cuMemcpyDtoHAsync", array.ctypes.data, self.address, array.nbytes, self.gpu.stream.handle)

    def _give(self, array: npt.NDArray[Any]) -> None:
        self.gpu.do("cuMemcpyHtoDAsync", self.address, array.ctypes.data, array.nbytes, self.gpu.stream.handle)

    def _clear(self) -> None:
        self.gpu.make_current()
        with _told(f"buffer {self.name!r}"):
            self._memory.fill(0, stream=self.gpu.target)

    def _free(self) -> None:
        if self.nbytes:
            with _told(f"buffer {self.name!r}"):
                self._memory.close()


class CudaMark(Mark):
    """An event of a GPU's stream."""

    def __init__(self, device: CudaDevice) -> None:
        self.gpu = device
        self.event = device.stream.record()

    def wait(self) -> None:
        self.gpu.make_current()
        with _told(self.gpu.name):
            self.event.sync()


_loaded: dict[tuple[int, Path], dict[str, Any]] = {}
"""Kernels by GPU and CUBIN, which is named by what it was made of: cuda-core 1.2 does not unload what it has loaded, so
that each is loaded once only."""


class CudaModule(Module):
    """Kernels loaded on a GPU."""

    def __init__(self, device: CudaDevice, source: str) -> None:
        super().__init__(device, source)
        self.gpu = device
        path, self.compiled = cubin_file(source, device.arch)
        self.path = path.with_suffix(".cu")
        if (device.index, path) not in _loaded:
            with _told(str(path)):
                code = device.core.ObjectCode.from_cubin(path.read_bytes())
                kernels = {name: code.get_kernel(name) for name in self.signatures}
            for kernel in kernels.values():
                device.load_function(kernel)
            _loaded[device.index, path] = kernels
        self._kernels = _loaded[device.index, path]
        self._configurations: dict[tuple[int, ...], Any] = {}

    def _launch(
        self, kernel: Signature, grid: Sequence[int], block: Sequence[int], values: list[np.generic], shared: int
    ) -> None:
        key = (*grid, *block, shared)
        if key not in self._configurations:
            configuration = self.gpu.core.LaunchConfig(grid=tuple(grid), block=tuple(block), shmem_size=shared)
            self._configurations[key] = configuration
        self.gpu.make_current()
        with _told(f"kernel {kernel.name!r}"):
            self.gpu.core.launch(self.gpu.target, self._configurations[key], self._kernels[kernel.name], *values)


class CudaGraph(Graph):
    """A CUDA graph; `builder` while it is recorded."""

    def __init__(self, device: CudaDevice) -> None:
        super().__init__(device)
        self.gpu = device
        with _told("recording a graph"):
            self.builder = device.core_device.create_graph_builder()
            self.builder.begin_building()
        self.graph: Any = None

    def finish(self, keep: bool) -> None:
        """End the recording; without `keep` it is forgotten, whatever has become of it."""
        builder, self.builder = self.builder, None
        if self._gave_up(builder):
            self._abandon(builder)
            if keep:
                raise KernelError("recording a graph: the driver gave up, after something that cannot be recorded")
            return
        try:
            if keep:
                with _told("recording a graph"):
                    builder.end_building()
                    self.graph = builder.complete()
        finally:
            with suppress(Exception):  # an error that matters came before
                builder.close()

    def _gave_up(self, builder: Any) -> bool:
        """True if the driver has ended the recording by itself."""
        (status,) = self.gpu.do("cuStreamIsCapturing", builder.stream.handle)
        return bool(status == self.gpu.driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_INVALIDATED)

    def _abandon(self, builder: Any) -> None:
        """End a recording that the driver gave up. The driver then destroys the recorded graph. cuda-core 1.2 would
        destroy
        it a second time when the builder is closed or collected, which ends the process; so the builder is kept for
        good.
        """
        with suppress(KernelError):  # as it was given up
            self.gpu.do("cuStreamEndCapture", builder.stream.handle)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(builder))

    def _launch(self) -> None:
        self.gpu.make_current()
        with _told("launching a graph"):
            self.graph.launch(self.gpu.stream)


class CudaDevice(Device):
    """A GPU with one stream of work, and another for copies beside it.

    Args:
        index: which GPU, counted as in :func:`gpus`.

    Attributes:
        index: which GPU.
        arch: ``sm_`` and its compute capability.
        driver: NVIDIA's bindings of the driver.
        stream: of launches, and of copies in order with them.
        staging: the page-locked memory for those copies.
        target: what launches go to, the stream or the graph being recorded.
    """

    def __init__(self, index: int = 0) -> None:
        super().__init__()
        found = gpus()
        if not 0 <= index < len(found):
            raise InvalidValueError(f"device must be from 0 to {len(found) - 1}, got {index}")
        self.core, self.driver, version = _driver()
        self._loads = tuple(map(int, version.split("."))) >= LOADS
        self.index, self.name, self.arch = index, found[index].name, found[index].arch
        self.core_device = self.core.Device(index)
        self.make_current()
        with _told(self.name):
            self.stream = self._open_stream()
            self.staging = Staging(self, self.stream)
        self._beside: Staging | None = None
        self._locked: PageLocked | None = None

    def _open_stream(self) -> Any:
        """The stream of launches."""
        return self.core_device.create_stream()

    def beside(self) -> Staging:
        """The page-locked memory for copies that run beside launches."""
        if self._beside is None:
            self._beside = Staging(self, self.core_device.create_stream(), BESIDE)
        return self._beside

    def page_locked(self, nbytes: int) -> npt.NDArray[np.uint8]:
        self.make_current()
        if self._locked is not None:
            self._locked.close()
        self._locked = PageLocked(self, self.stream, nbytes) if nbytes else None
        return self._locked.memory if self._locked is not None else np.empty(0, np.uint8)

    @property
    def target(self) -> Any:
        return self._recording.builder if isinstance(self._recording, CudaGraph) else self.stream

    def make_current(self) -> None:
        """Make this GPU the current one for this thread's calls of the driver."""
        with _told(self.name):
            self.core_device.set_current()

    def memory(self) -> Memory:
        self.synchronise()  # pending frees are complete
        free, total = self.do("cuMemGetInfo")
        pool = getattr(self.core_device.memory_resource, "attributes", None)  # None: without pools
        kept = pool.reserved_mem_current - pool.used_mem_current if pool is not None else 0
        return Memory(int(free) + int(kept), int(total))

    def do(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        """Call a function of the driver, check its status and return its other results."""
        self.make_current()
        status, *results = getattr(self.driver, function)(*arguments)
        if int(status) != 0:
            kind = OutOfMemoryError if "OUT_OF_MEMORY" in status.name else KernelError
            raise kind(f"{self.name}: {function} gave {status.name}")
        return tuple(results)

    def load_function(self, kernel: Any) -> None:
        """Make the driver load a kernel now. Otherwise it may load it at the first launch, possibly within a recording,
        where loading is not allowed because it can wait for running work."""
        (function,) = self.do("cuKernelGetFunction", kernel.handle)
        if self._loads:
            self.do("cuFuncLoad", function)
        else:  # the driver has to load the kernel to answer this
            self.do("cuFuncGetAttribute", self.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS, function)

    def synchronise(self) -> None:
        self._check_open()
        self.make_current()
        with _told(self.name):
            self.stream.sync()

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        self.make_current()
        return CudaBuffer(self, name, shape, dtype)

    def _mark(self) -> Mark:
        self.make_current()
        with _told(self.name):
            return CudaMark(self)

    def _load(self, source: str) -> Module:
        self.make_current()
        return CudaModule(self, source)

    def _new_graph(self) -> Graph:
        self.make_current()
        return CudaGraph(self)

    def _finish_graph(self, graph: Graph, keep: bool) -> None:
        assert isinstance(graph, CudaGraph)
        graph.finish(keep)

    def _close(self) -> None:
        with _told(self.name), ExitStack() as stack:  # one that fails does not keep the other
            for memory in (self.staging, self._beside, self._locked):  # the last first, before its stream
                if memory is not None:
                    stack.callback(memory.close)
