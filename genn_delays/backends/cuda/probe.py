"""One line of CUDA C++, compiled and run: it tells an installation that works from one that is broken."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np

from ...errors import BackendUnavailableError, CompileError, GennDelaysError, install_extra
from .compiler import FLAGS, Nvrtc, find_compiler, nvrtc_fault
from .device import Device, KernelError
from .real import CudaDevice, gpus

SOURCE = 'extern "C" __global__ void probe(int* x) { x[threadIdx.x] = 3 * (int)threadIdx.x + 1; }\n'
ARCH = "sm_80"
"""The architecture it is compiled for if there is no GPU."""
_THREADS = 32


def probe() -> list[str]:
    """The outcome in words: which compiler compiled the line, where it ran, or what is broken.

    Nothing of it comes from the cache of kernels. Empty where nothing of CUDA is installed.
    """
    lines, fault = [], nvrtc_fault()
    if fault is not None and _installed("cuda-bindings"):
        lines.append(f"NVRTC does not work: {_one_line(fault)}: {install_extra('cuda')}")
    try:
        tool = find_compiler()
    except BackendUnavailableError:
        return lines
    name = tool.version if isinstance(tool, Nvrtc) else f"nvcc ({tool.path})"
    try:
        gpu = gpus()[0]
    except BackendUnavailableError:  # the backend's availability gives the reason
        gpu = None
    arch = gpu.arch if gpu else ARCH
    try:
        compile_line(arch)
    except Exception as error:  # a damaged library or one of another version may raise anything: report it
        return [*lines, f"{name} does not compile a kernel for {arch}: {_one_line(error)}"]
    if gpu is None:
        return [*lines, f"{name} compiles a kernel for {arch}; there is no GPU to run it"]
    try:
        with CudaDevice(gpu.index) as device:
            run_line(device)
    except Exception as error:
        return [*lines, f"{name} compiles a kernel for {arch}, and {gpu.name} does not run it: {_one_line(error)}"]
    return [*lines, f"{name} compiles a kernel for {arch}, and {gpu.name} runs it"]


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def compile_line(arch: str) -> None:
    """Compile the line for an architecture, in a folder of its own.

    Raises:
        BackendUnavailableError: no compiler, or one that does not know the architecture.
        CompileError: it refused the line.
    """
    with tempfile.TemporaryDirectory() as folder:
        text, part = Path(folder) / "probe.cu", Path(folder) / "probe.cubin"
        text.write_text(SOURCE)
        find_compiler().compile(text, part, arch, FLAGS)
        if not part.stat().st_size:
            raise CompileError("compile", "the compiler wrote nothing", str(text))


def run_line(device: Device) -> None:
    """Run the line on a device.

    Raises:
        KernelError: the device failed, or computed something else.
    """
    buffer = device.allocate("probe", (_THREADS,), np.int32)
    device.load(SOURCE).launch("probe", 1, _THREADS, x=buffer)
    found, expected = buffer.download(), 3 * np.arange(_THREADS) + 1
    if not np.array_equal(found, expected):
        raise KernelError(f"it gives {found.tolist()} in place of {expected.tolist()}")


def _one_line(error: Exception) -> str:
    if isinstance(error, CompileError):
        log = error.log.strip().splitlines() or ["no output"]
        return next((line for line in log if "error" in line.lower()), log[-1]).strip()
    text = " ".join(str(error).split())
    return text if isinstance(error, GennDelaysError) else f"{type(error).__name__}: {text}"
