"""From CUDA C++ to a CUBIN, the machine code of one kind of GPU: by NVRTC, or where that is missing by nvcc.

Neither needs a GPU or a driver. Sources need no header: NVRTC gets none.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import BackendUnavailableError, CompileError, install_extra
from ..cache import cached, run_compiler

FLAGS = ("--std=c++17", "--fmad=false")
"""The same for both compilers; no contraction, so that every backend rounds alike."""
BUILTINS = "libnvrtc-builtins"
"""The library that NVRTC loads once it compiles: the one of its very version."""
STRICT = ("-Werror", "all-warnings")


@dataclass(frozen=True)
class Nvrtc:
    """NVIDIA's run-time compiler, out of a wheel or a toolkit."""

    library: Any
    version: str

    def compile(self, text: Path, part: Path, arch: str, flags: Sequence[str]) -> None:
        """Compile the source at `text` to a CUBIN at `part`."""
        known = [f"sm_{number}" for number in self._do("GetSupportedArchs")[0]]
        if arch not in known:
            raise BackendUnavailableError(
                f"{self.version} does not know {arch}, only {', '.join(known)}: "
                f"install a release of NVRTC that was made for this GPU: {install_extra('cuda')}"
            )
        options = [flag.encode() for flag in (f"--gpu-architecture={arch}", *flags)]
        (program,) = self._do("CreateProgram", text.read_bytes(), str(text).encode(), 0, [], [])
        try:
            (status,) = self.library.nvrtcCompileProgram(program, len(options), options)
            if int(status) != 0:
                log = b" " * self._do("GetProgramLogSize", program)[0]
                self._do("GetProgramLog", program, log)
                said = log.decode().rstrip(chr(0))
                if BUILTINS in said:
                    raise BackendUnavailableError(
                        f"{self.version} does not find the rest of itself, {BUILTINS}; this process may have loaded "
                        "another copy of NVRTC, PyTorch's or a toolkit's: install the same version of both, or take "
                        f"the toolkit out of LD_LIBRARY_PATH: {install_extra('cuda')} (NVRTC: {said})"
                    )
                raise CompileError("compile", f"{self.version}: {said}", str(text))
            cubin = b" " * self._do("GetCUBINSize", program)[0]
            self._do("GetCUBIN", program, cubin)
            part.write_bytes(cubin)
        finally:
            self._do("DestroyProgram", program)

    def _do(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        """Call a function of the library, check its status and return its other results."""
        status, *results = getattr(self.library, f"nvrtc{function}")(*arguments)
        if int(status) != 0:
            raise BackendUnavailableError(f"{self.version} failed: nvrtc{function} gave {status}")
        return tuple(results)


@dataclass(frozen=True)
class Nvcc:
    """The compiler of a CUDA toolkit; it needs a C++ compiler beside it."""

    path: str
    version: str

    def compile(self, text: Path, part: Path, arch: str, flags: Sequence[str]) -> None:
        """Compile the source at `text` to a CUBIN at `part`."""
        command = [self.path, "--cubin", f"-arch={arch}", *flags, str(text), "-o", str(part)]
        run_compiler(command, text, part)


def find_compiler() -> Nvrtc | Nvcc:
    """NVRTC, else nvcc.

    Raises:
        BackendUnavailableError: neither is there; the message says what to install.
    """
    found = _nvrtc()
    if isinstance(found, Nvrtc):
        return found
    nvcc = shutil.which("nvcc")
    version = _nvcc_version(nvcc) if nvcc else None
    if nvcc and version:
        return Nvcc(nvcc, version)
    raise BackendUnavailableError(
        f"compiling CUDA kernels needs NVRTC: {install_extra('cuda')}; or nvcc, which is "
        f"{'not on PATH' if nvcc is None else f'at {nvcc} and does not run'} "
        f"(NVRTC: {type(found).__name__}: {found})"
    ) from found


def compile_cubin(source: str, arch: str, *, warnings_are_errors: bool = False) -> bytes:
    """Machine code of a CUDA source for one architecture, compiled or from the cache; see :func:`cubin_file`."""
    return cubin_file(source, arch, warnings_are_errors=warnings_are_errors)[0].read_bytes()


def cubin_file(source: str, arch: str, *, warnings_are_errors: bool = False) -> tuple[Path, bool]:
    """A file of the machine code of a CUDA source, and whether it had to be compiled.

    The key is the source, the compiler's version, flags and architecture.

    Args:
        arch: ``sm_`` and the compute capability, for example ``sm_90``.

    Raises:
        BackendUnavailableError: no compiler, or one that does not know the architecture.
        CompileError: the compiler refused the source, or has a warning where `warnings_are_errors`.
    """
    tool = find_compiler()
    flags = (*FLAGS, *(STRICT if warnings_are_errors else ()))
    return cached(
        "cubins", source, (tool.version, arch, *flags), (".cu", ".cubin"),
        lambda text, part: tool.compile(text, part, arch, flags),
    )  # fmt: skip


def nvrtc_fault() -> Exception | None:
    """The reason why NVRTC cannot be used here; None where it can."""
    found = _nvrtc()
    return None if isinstance(found, Nvrtc) else found


@cache
def _nvrtc() -> Nvrtc | Exception:
    """NVRTC, or the reason why it is missing."""
    try:
        library = importlib.import_module("cuda.bindings.nvrtc")
        status, major, minor = library.nvrtcVersion()
    except Exception as error:  # no wheel, no library, or one that cannot be loaded: reported if nvcc is missing too
        return error
    if int(status) != 0:
        return BackendUnavailableError(f"nvrtcVersion gave {status}")
    return Nvrtc(library, f"NVRTC {major}.{minor}")


@cache
def _nvcc_version(path: str) -> str | None:
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None
