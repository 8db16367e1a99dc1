"""Building a GeNN model: in the cache folder, its output kept, one model a folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import BackendUnavailableError, CompileError
from ...paths import cache_dir
from ...private import private_folder
from ..cpu.compiler import compiler

CPU_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno")
"""GeNN itself knows no optimisation at all, or one that rounds as it likes."""

_building = threading.Lock()
"""Building changes the environment and where output goes, which all threads share."""

_in_use: set[Path] = set()
"""Folders of models of this process that are not closed: a library is loaded once, and its memory is one model's."""


def check_tools() -> None:
    """Check that the tools are there with which GeNN's code is built.

    Raises:
        BackendUnavailableError: a C++ compiler or make is missing.
    """
    compiler()
    if os.name == "posix" and shutil.which("make") is None:
        raise BackendUnavailableError("GeNN builds its code with make, which was not found (Debian: apt install make)")


def folder_for(description: str) -> Path:
    """A folder for a model of this description that no other model of this process uses, until :func:`release`.

    The same description finds what was built before.
    """
    name = hashlib.sha256(description.encode()).hexdigest()[:24]
    parent = private_folder(cache_dir() / "genn", "GeNN's models", BackendUnavailableError)
    number = 0
    while (folder := parent / (f"{name}-{number}" if number else name)) in _in_use:
        number += 1
    _in_use.add(folder)
    return folder


def release(folder: Path) -> None:
    """Let another model use the folder."""
    _in_use.discard(folder)


def build(model: Any, folder: Path) -> None:
    """Generate a model's code and compile it.

    Raises:
        CompileError: with all that GeNN and the compiler said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _building, _alone(folder), _compiler(), tempfile.TemporaryFile() as output:
        try:
            with _captured(output):
                model.build(str(folder))
        except Exception as error:  # PyGeNN's errors are RuntimeError, Exception and those of the compiler's process
            output.seek(0)
            log = output.read().decode(errors="replace")
            source = folder / f"{model.name}_CODE" / "synapseUpdate.cc"
            raise CompileError("build by GeNN", f"{log}\n{error}", str(source)) from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the folder, so that no other process builds in it."""
    with (folder / "lock").open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except ImportError:  # Windows: the user has to see to it that only one process builds
            pass
        yield


@contextlib.contextmanager
def _compiler() -> Iterator[None]:
    """GeNN's Makefile takes the compiler from the environment, and with it our flags."""
    before = os.environ.get("CXX")
    os.environ["CXX"] = shlex.join([*compiler().command, *CPU_FLAGS])
    try:
        yield
    finally:
        if before is None:
            del os.environ["CXX"]
        else:
            os.environ["CXX"] = before


@contextlib.contextmanager
def _captured(output: Any) -> Iterator[None]:
    """Redirect the output of this process and its children to a file."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(output.fileno(), number)
        yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
