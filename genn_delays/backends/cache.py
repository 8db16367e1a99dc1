"""What compilers made of generated source, kept in the user's cache folder, never trusted when damaged."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import BackendUnavailableError, CompileError
from ..paths import atomic_path, atomic_write, cache_dir

_TIMEOUT = 600


def cached(
    folder: str, source: str, key: Sequence[str], suffixes: tuple[str, str], build: Callable[[Path, Path], None]
) -> tuple[Path, bool]:
    """The file that was built of a source, and whether it had to be built.

    An entry is the source, what was built of it and a checksum; one whose checksum is wrong is built again. The source
    stays where building fails, for whoever reads the error.

    Args:
        folder: of the entry, below the cache folder; nobody else may write to it.
        key: what the file depends on besides the source.
        suffixes: of the source's file and of the built one.
        build: writes the second of two paths from the source at the first.
    """
    parent = private_folder(cache_dir() / folder)
    name = hashlib.sha256("\0".join([source, *key]).encode()).hexdigest()[:32]
    text, built, checksum = (parent / f"{name}{suffix}" for suffix in (*suffixes, ".sha256"))
    if _intact(built, checksum):
        return built, False
    atomic_write(text, source.encode())
    with atomic_path(built) as part:
        build(text, part)
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
    atomic_write(checksum, digest.encode())
    return built, True


def run_compiler(command: Sequence[str], text: Path, part: Path) -> None:
    """Run a compiler that writes `part` from the source at `text`.

    Raises:
        CompileError: it could not be run, refused the source, or wrote nothing; with all that it said.
    """
    try:
        done = subprocess.run(  # what a compiler prints may be in any encoding
            command, check=False, capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError("compile", f"{shlex.join(command)}\n{error}", str(text)) from error
    if done.returncode != 0:
        raise CompileError("compile", f"{shlex.join(command)}\n{done.stdout}{done.stderr}", str(text))
    if not part.is_file():
        message = f"{shlex.join(command)}\nthe compiler wrote no output file; is it a C++ compiler?"
        raise CompileError("compile", message, str(text))


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


def _intact(built: Path, checksum: Path) -> bool:
    try:
        return hashlib.sha256(built.read_bytes()).hexdigest() == checksum.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return False
