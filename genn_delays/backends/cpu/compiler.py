"""Finding the machine's C++ compiler, compiling generated source with it, and caching the result."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import BackendUnavailableError, CompileError, install_extra
from ..cache import cached, run_compiler

FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fopenmp-simd", "-fno-exceptions",
    "-fno-rtti", "-fPIC", "-shared", "-pthread", "-x", "c++",
)  # fmt: skip
NO_TRAPS = ("-fno-trapping-math",)
"""With this too a loop becomes vectors in which a choice has a side that may divide by 0: as no operation stops the
program, both sides may be computed. Values are the same."""


@dataclass(frozen=True)
class HostCompiler:
    """A C++ compiler: the command that runs it and what it says of itself."""

    command: tuple[str, ...]
    version: str


@cache
def find_compiler(cxx: str | None = None) -> HostCompiler:
    """The first of ``$CXX``, g++, clang++ and the ``ziglang`` wheel that runs.

    Args:
        cxx: the value of ``$CXX``, None where it is not set.

    Raises:
        BackendUnavailableError: ``$CXX`` does not run, or no compiler is there.
    """
    if cxx:
        try:
            command = tuple(shlex.split(cxx))
        except ValueError as error:
            raise BackendUnavailableError(
                f"the C++ compiler $CXX = {cxx!r} is not a command ({error}); unset CXX or name one"
            ) from error
        version = _version(command) if command else None
        if version is None:
            raise BackendUnavailableError(
                f"the C++ compiler $CXX = {cxx!r} does not run; unset CXX or name one that does"
            )
        return HostCompiler(command, version)
    # `zig cc` and not `zig c++`: the latter first builds the C++ library, a minute for nothing the kernels use
    zig = () if not _has_zig() else (sys.executable, "-m", "ziglang", "cc")
    for command in (("g++",), ("clang++",), zig):
        if command and shutil.which(command[0]) and (version := _version(command)) is not None:
            return HostCompiler(command, version)
    raise BackendUnavailableError(
        "no C++ compiler was found ($CXX, g++, clang++, ziglang): install g++ (Debian and Ubuntu: apt install g++), "
        f"clang, or {install_extra('zig')}"
    )


def compiler() -> HostCompiler:
    """The compiler in use, as :func:`find_compiler` chooses it now."""
    return find_compiler(os.environ.get("CXX") or None)


def _has_zig() -> bool:
    from importlib.util import find_spec

    return find_spec("ziglang") is not None


def _version(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(  # a compiler's output may be in any encoding
            [*command, "--version"], capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


@cache
def processor() -> str:
    """The processor's model and features, which ``-march=native`` compiles for."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        kept = {line for line in lines if line.split("\t")[0] in ("model name", "flags", "Features", "CPU part")}
        text = "\n".join(sorted(kept))
    except OSError:
        text = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {text}".encode()).hexdigest()[:16]


def compile_source(source: str, more: tuple[str, ...] = ()) -> tuple[Path, bool]:
    """A shared library of the source, compiled or from the cache, and whether it had to be compiled.

    Flags are :data:`FLAGS` and `more`. The key is the source, the compiler, its version and flags, and the processor.

    Raises:
        BackendUnavailableError: no compiler.
        CompileError: the compiler refused the source.
    """
    tool, flags = compiler(), (*more, *FLAGS)

    def build(text: Path, part: Path) -> None:
        run_compiler([*tool.command, *flags, str(text), "-o", str(part)], text, part)

    return cached("kernels", source, (*tool.command, tool.version, *flags, processor()), (".cpp", ".so"), build)


def load_library(source: str, more: tuple[str, ...] = ()) -> tuple[ctypes.CDLL, Path, bool]:
    """The loaded library of a source, its path, and whether it had to be compiled; see :func:`compile_source`."""
    path, compiled = compile_source(source, more)
    try:
        return ctypes.CDLL(str(path)), path, compiled
    except OSError as error:
        raise CompileError("load", str(error), str(path.with_suffix(".cpp"))) from error
