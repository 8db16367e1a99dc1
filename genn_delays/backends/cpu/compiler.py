"""Finding the machine's C++ compiler, compiling generated source with it, and keeping what came out."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import BackendUnavailableError, CompileError, install_extra
from ...paths import atomic_path, atomic_write, cache_dir

FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fopenmp-simd", "-fno-exceptions",
    "-fno-rtti", "-fPIC", "-shared", "-pthread", "-x", "c++",
)  # fmt: skip
_TIMEOUT = 300


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
        command = tuple(shlex.split(cxx))
        version = _version(command)
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
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


@cache
def processor() -> str:
    """What ``-march=native`` means here: the processor's model and features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kept = {line for line in lines if line.split("\t")[0] in ("model name", "flags", "Features", "CPU part")}
        text = "\n".join(sorted(kept))
    except OSError:
        text = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {text}".encode()).hexdigest()[:16]


def compile_source(source: str) -> tuple[Path, bool]:
    """A shared library of the source, compiled or from the cache, and whether it had to be compiled.

    The key is the source, the compiler, its version and flags, and the processor. An entry is its library and a
    checksum; one whose checksum is wrong is compiled again.

    Raises:
        BackendUnavailableError: no compiler.
        CompileError: the compiler refused the source.
    """
    tool = compiler()
    key = "\0".join([source, *tool.command, tool.version, *FLAGS, processor()])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    folder = kernel_folder()
    library, checksum, text = (folder / f"{name}{suffix}" for suffix in (".so", ".sha256", ".cpp"))
    if _intact(library, checksum):
        return library, False
    atomic_write(text, source.encode())
    with atomic_path(library) as part:
        command = [*tool.command, *FLAGS, str(text), "-o", str(part)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CompileError("compile", f"{shlex.join(command)}\n{error}", str(text)) from error
        if done.returncode != 0:
            log = f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
            raise CompileError("compile", log, str(text))
        if not part.is_file():
            message = f"{shlex.join(command)}\nthe compiler wrote no output file; is it a C++ compiler?"
            raise CompileError("compile", message, str(text))
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
    atomic_write(checksum, digest.encode())
    return library, True


def load_library(source: str) -> tuple[ctypes.CDLL, Path, bool]:
    """The loaded library of a source, its path, and whether it had to be compiled."""
    path, compiled = compile_source(source)
    try:
        return ctypes.CDLL(str(path)), path, compiled
    except OSError as error:
        raise CompileError("load", str(error), str(path.with_suffix(".cpp"))) from error


def kernel_folder() -> Path:
    """Where compiled kernels are kept; see :func:`private_folder`."""
    return private_folder(cache_dir() / "kernels")


def private_folder(folder: Path) -> Path:
    """A folder of the user's own for code that will be run, that others cannot write to; made where it is not there.

    Raises:
        BackendUnavailableError: the folder belongs to somebody else, or others can write to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as error:
        raise BackendUnavailableError(
            f"cannot use the kernel cache {folder}: {error.strerror or error}; set GENN_DELAYS_CACHE to your own folder"
        ) from error
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise BackendUnavailableError(
            f"refusing to load kernels from {folder}: it belongs to another user or others can write to it; "
            "set GENN_DELAYS_CACHE to a folder of your own"
        )
    return folder


def _intact(library: Path, checksum: Path) -> bool:
    try:
        return hashlib.sha256(library.read_bytes()).hexdigest() == checksum.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return False
