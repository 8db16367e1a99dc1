"""The host in place of a GPU, for tests: the same CUDA source, compiled by the machine's C++ compiler.

Kernels are slow here, and checked: a barrier or a warp operation that not all threads reach, and a write outside a
buffer (or a read, which finds NaN) are reported as errors; a race shows when threads run in another order. Between
protected pages any access outside a buffer ends the process, even a read whose value is not used. The stand-ins for
CUDA's own functions are in ``codegen/templates/cuda/shim``.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.environment import environment
from ...errors import CompileError, InvalidValueError, OutOfMemoryError, unknown
from ..cache import cached, run_compiler
from ..cpu.compiler import compiler, processor
from .device import Buffer, Graph, KernelError, Mark, Memory, Module
from .sharing import Foreign, SharingDevice
from .signature import Signature, signatures

FLAGS = (
    "-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-exceptions", "-fno-rtti", "-fPIC",
    "-fvisibility=hidden", "-U_FORTIFY_SOURCE", "-shared", "-Wl,-z,defs", "-Wl,--no-gc-sections", "-x", "c++",
)  # fmt: skip
"""A fortified ``longjmp`` refuses to go from one fiber's stack to another's."""
HEADERS = ("fibers.h", "waits.h", "blocks.h", "functions.h")
ORDERS = ("forward", "backward", "shuffled")
"""In which threads run between barriers, and blocks."""
GUARD = np.full(1024, 0xFFFFFFC7, dtype=np.uint32).view(np.uint8)
"""Bytes of the guards before and after every buffer: NaN as real numbers, negative as integers."""

_ALIGNMENT = 256
_DYNAMIC_SHARED = re.compile(r"\bextern[ \t]+__shared__[ \t]+(\w[\w \t]*?)[ \t]+(\w+)[ \t]*\[[ \t]*\][ \t]*;")

_one_launch = threading.Lock()
"""A library has one set of fibers."""


class _Launch(ctypes.Structure):
    """``struct ShimLaunch``."""

    _fields_ = (
        ("grid", ctypes.c_uint32 * 3), ("block", ctypes.c_uint32 * 3), ("shared", ctypes.c_uint32),
        ("order", ctypes.c_int32), ("seed", ctypes.c_uint64),
    )  # fmt: skip


class _Report(ctypes.Structure):
    """``struct ShimReport``."""

    _fields_ = (
        ("block", ctypes.c_uint32 * 3), ("fault", ctypes.c_int32), ("thread", ctypes.c_int32),
        ("state", ctypes.c_int32), ("line", ctypes.c_int32), ("other", ctypes.c_int32),
        ("other_state", ctypes.c_int32), ("other_line", ctypes.c_int32),
    )  # fmt: skip


_STATES = (
    "has not begun", "runs", "waits at the barrier of line {}", "waits at the warp operation of line {}", "has ended",
)  # fmt: skip
_FAULTS = (
    "",
    "thread {thread} {state} while thread {other} {other_state}; all threads of a block must reach the same barrier",
    "thread {thread} {state} while thread {other} {other_state}; "
    "all threads of a mask must reach the same warp operation with the same mask",
    "thread {thread} is not in the mask that it gives to the warp operation of line {line}",
    "thread {thread} reads a lane that takes no part in the shuffle of line {line}",
    "thread {thread} trapped in line {line}",
    "a thread needs more than 64 KiB of stack",
    "a thread wrote behind the dynamic shared memory",
    "no memory for the stacks of the threads",
)
"""By ``enum ShimState`` and ``enum ShimFault``."""


def host_source(source: str) -> str:
    """The CUDA source between what it needs on the host and the functions that launch its kernels."""
    kernels = signatures(source).values()
    shared = _DYNAMIC_SHARED.sub(r"SHIM_DYNAMIC_SHARED(\1, \2);", source)
    launches = environment("cuda").get_template("shim/launch.cpp.j2").render(kernels=kernels)
    return f'{_headers()}\n#line 1 "kernels.cu"\n{shared}\n{launches}'


def compile_host(source: str) -> tuple[Path, bool]:
    """A shared library of a CUDA source's kernels, and whether it had to be compiled.

    Raises:
        BackendUnavailableError: no C++ compiler.
        CompileError: the compiler refused the source; lines are those of ``kernels.cu``, the source itself.
    """
    tool = compiler()

    def build(text: Path, part: Path) -> None:
        command = [*tool.command, *FLAGS, str(text), "-o", str(part)]
        run_compiler(command, text, part)

    key = (*tool.command, tool.version, *FLAGS, processor())
    return cached("shims", host_source(source), key, (".cpp", ".so"), build)


@cache
def _headers() -> str:
    folder = resources.files("genn_delays.codegen") / "templates" / "cuda" / "shim"
    return "\n".join((folder / name).read_text() for name in HEADERS)


class ShimBuffer(Buffer):
    """Memory of the host between two guards."""

    def __init__(self, device: ShimDevice, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        super().__init__(device, name, shape, dtype)
        self.shim = device
        if device.pages:
            self.before = self.behind = np.empty(0, dtype=np.uint8)
            self.data = _between_pages(self.nbytes, device.pages)
            self.address = self.data.ctypes.data
            return
        room = np.zeros(self.nbytes + 2 * GUARD.size + _ALIGNMENT, dtype=np.uint8)
        start = GUARD.size + -(room.ctypes.data + GUARD.size) % _ALIGNMENT
        self.before, self.data, self.behind = np.split(
            room[start - GUARD.size : start + self.nbytes + GUARD.size], (GUARD.size, GUARD.size + self.nbytes)
        )
        self.address = room.ctypes.data + start
        self.heal()

    def heal(self) -> None:
        """Make the guards whole."""
        self.before[:], self.behind[:] = GUARD, GUARD

    def damage(self) -> int:
        """The element outside it that was written to and is nearest to it."""
        before, behind = (np.flatnonzero(guard != GUARD) for guard in (self.before, self.behind))
        if before.size:
            return (int(before[-1]) - GUARD.size) // self.dtype.itemsize
        return self.size + int(behind[0]) // self.dtype.itemsize

    def _write(self, offset: int, array: npt.NDArray[Any], after: Mark | None) -> None:
        given = array.reshape(-1).view(np.uint8).copy()

        def copy() -> None:
            self.data[offset : offset + given.size] = given

        if after is None:
            self.shim.do(copy)
        else:  # as early as is allowed
            after.wait()
            copy()

    def _read(self, offset: int, array: npt.NDArray[Any]) -> None:
        self.shim.synchronise()
        array.reshape(-1).view(np.uint8)[:] = self.data[offset : offset + array.nbytes]

    def _clear(self) -> None:
        self.shim.do(lambda: self.data.fill(0))

    def _free(self) -> None:
        self.shim.work_off()
        self.before = self.data = self.behind = np.empty(0, dtype=np.uint8)


class ShimBorrowed(ShimBuffer):
    """Memory of the host that another library owns; it has no guards."""

    def __init__(
        self, device: ShimDevice, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, address: int
    ) -> None:
        Buffer.__init__(self, device, name, shape, dtype)
        self.shim, self.address = device, address
        self.before = self.behind = np.empty(0, dtype=np.uint8)
        self.data = np.ctypeslib.as_array((ctypes.c_uint8 * self.nbytes).from_address(address))


def _between_pages(size: int, pages: str) -> npt.NDArray[np.uint8]:
    """Memory of so many bytes that ends just before, or begins just after, a protected page."""
    page = mmap.PAGESIZE
    room = max(-(-size // page), 1) * page
    memory = np.frombuffer(mmap.mmap(-1, room + 2 * page), dtype=np.uint8)
    for place in (0, page + room):
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(memory.ctypes.data + place), ctypes.c_size_t(page), 0):
            raise OSError("the system does not let pages be protected")
    start = page + (room - size if pages == "behind" else 0)
    return memory[start : start + size]


class ShimMark(Mark):
    """After so many pieces of work."""

    def __init__(self, device: ShimDevice, number: int) -> None:
        self.shim, self.number = device, number

    def wait(self) -> None:
        self.shim.work_off(self.number)


class ShimGraph(Graph):
    """Launches to be done again."""

    def __init__(self, device: ShimDevice) -> None:
        super().__init__(device)
        self.shim = device
        self.work: list[Callable[[], None]] = []

    def _launch(self) -> None:
        for work in self.work:
            self.shim.do(work)


class ShimModule(Module):
    """Kernels in a shared library."""

    def __init__(self, device: ShimDevice, source: str) -> None:
        super().__init__(device, source)
        self.shim = device
        path, self.compiled = compile_host(source)
        self.path = path.with_suffix(".cpp")
        try:
            self.library = ctypes.CDLL(str(path))
        except OSError as error:
            raise CompileError("load", str(error), str(path.with_suffix(".cpp"))) from error
        self.library.shim_broken_guard.restype = ctypes.c_int64

    def _launch(
        self, kernel: Signature, grid: Sequence[int], block: Sequence[int], values: list[np.generic], shared: int
    ) -> None:
        self.shim.do(lambda: self._run(kernel.name, grid, block, values, shared))

    def _run(self, name: str, grid: Sequence[int], block: Sequence[int], values: list[np.generic], shared: int) -> None:
        numbers = b"".join(value.tobytes().ljust(8, b"\0") for value in values)
        room = ctypes.create_string_buffer(numbers, max(len(numbers), 1))
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(room) + 8 * k for k in range(len(values))))
        order, seed = ORDERS.index(self.shim.order), self.shim.seed
        launch = _Launch((ctypes.c_uint32 * 3)(*grid), (ctypes.c_uint32 * 3)(*block), shared, order, seed)
        report = _Report()
        with _one_launch:
            getattr(self.library, f"launch_{name}")(addresses, ctypes.byref(launch), ctypes.byref(report))
        if report.fault:
            raise KernelError(f"kernel {name!r}, block {tuple(report.block)}: {_fault(report)}")
        self.shim.check_guards(self.library, name)


def _fault(report: _Report) -> str:
    """The error of a launch, in words."""
    return _FAULTS[report.fault].format(
        thread=report.thread, state=_STATES[report.state].format(report.line), line=report.line,
        other=report.other, other_state=_STATES[report.other_state].format(report.other_line),
    )  # fmt: skip


class ShimDevice(SharingDevice):
    """The host as a device.

    Args:
        order: in which threads of a block run between barriers, and blocks: one of :data:`ORDERS`.
        seed: of the order ``"shuffled"``.
        memory: bytes that buffers may take.
        late: do everything as late as possible, as a GPU may: when it is waited for; copies beside it come as early as
            they may. Otherwise all is done at once.
        pages: ``"behind"`` or ``"before"`` every buffer lies a protected page; ``""``: none.
    """

    def __init__(
        self, order: str = "forward", seed: int = 0, memory: int = 1 << 34, late: bool = False, pages: str = ""
    ) -> None:
        super().__init__()
        if order not in ORDERS:
            raise unknown("order", order, ORDERS)
        if not 0 <= seed < 2**64:
            raise InvalidValueError(f"seed must be from 0 to 2^64 - 1, got {seed}")
        self.order, self.seed, self.limit, self.late, self.pages = order, seed, memory, late, pages
        self._waiting: deque[Callable[[], None]] = deque()
        self._done = 0
        self.name = f"shim, {order} ({compiler().version})"
        self._guards: tuple[list[Buffer], Any, Any] | None = None

    def memory(self) -> Memory:
        return Memory(self.limit - sum(buffer.nbytes for buffer in self._buffers.values()), self.limit)

    def synchronise(self) -> None:
        self._check_open()
        self.work_off()

    def do(self, work: Callable[[], None]) -> None:
        """Run the work now, or when it is waited for, or with the graph that is being recorded."""
        if isinstance(self._recording, ShimGraph):
            self._recording.work.append(work)
            return
        self._waiting.append(work)
        if not self.late:
            self.work_off()

    def work_off(self, number: int | None = None) -> None:
        """Run pending work, up to a number of pieces counted since the device was opened."""
        while self._waiting and (number is None or self._done < number):
            self._done += 1
            self._waiting.popleft()()

    def check_guards(self, library: ctypes.CDLL, kernel: str) -> None:
        """A KernelError where a kernel wrote outside a buffer."""
        if self.pages:
            return
        buffers = list(self._buffers.values())
        if self._guards is None or self._guards[0] != buffers:
            addresses = (ctypes.c_void_p * len(buffers))(*(buffer.address for buffer in buffers))
            self._guards = buffers, addresses, (ctypes.c_int64 * len(buffers))(*(buffer.nbytes for buffer in buffers))
        guard = GUARD.ctypes.data_as(ctypes.c_char_p)
        broken = library.shim_broken_guard(ctypes.c_int64(len(buffers)), self._guards[1], self._guards[2], guard)
        if broken >= 0:
            buffer = buffers[broken]
            assert isinstance(buffer, ShimBuffer)
            damage = buffer.damage()
            buffer.heal()
            raise KernelError(
                f"kernel {kernel!r} wrote outside buffer {buffer.name!r}, {buffer.dtype} {buffer.shape}, "
                f"as if it had an element {damage}"
            )

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if needed > self.memory().free:
            raise OutOfMemoryError(f"buffer {name!r} needs {needed:,} bytes, {self.memory().free:,} are free")
        return ShimBuffer(self, name, shape, dtype)

    def _view(self, name: str, array: Any, new: bool) -> Foreign:
        try:
            found = array if isinstance(array, np.ndarray) else np.from_dlpack(array)
        except (AttributeError, TypeError, BufferError, RuntimeError) as error:
            raise InvalidValueError(f"{name} must be an array of {self.name}, got a {type(array).__name__}") from error
        strides = tuple(n // found.itemsize for n in found.strides)
        return Foreign(found.ctypes.data, found.shape, strides, found.dtype)

    def _borrow(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], address: int) -> Buffer:
        return ShimBorrowed(self, name, shape, dtype, address)

    def _visible(self, name: str, count: int) -> tuple[Buffer, npt.NDArray[np.int32]]:
        buffer = self.allocate(name, count, np.int32)
        assert isinstance(buffer, ShimBuffer)
        return buffer, buffer.data.view(np.int32)

    def _mark(self) -> Mark:
        return ShimMark(self, self._done + len(self._waiting))

    def _load(self, source: str) -> Module:
        return ShimModule(self, source)

    def _new_graph(self) -> Graph:
        return ShimGraph(self)

    def _finish_graph(self, graph: Graph, keep: bool) -> None:
        """Nothing to do: a recording needs no further processing."""

    def _close(self) -> None:
        """Libraries stay loaded: Python cannot give them back safely."""
