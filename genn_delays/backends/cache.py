"""The cache of compiled code in the user's cache folder; a damaged entry is never used."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ..errors import BackendUnavailableError, CompileError
from ..paths import atomic_path, atomic_write, cache_dir
from ..plan.plan import Plan
from ..private import make_private, private_folder, read_private, write_private

_TIMEOUT = 600
MOST_AT_ONCE = 16
"""Sources that are compiled at once, whatever the number of processors: a compiler takes some hundred MB."""


def cached(
    folder: str, source: str, key: Sequence[str], suffixes: tuple[str, str], build: Callable[[Path, Path], None]
) -> tuple[Path, bool]:
    """The file built from a source, and whether it had to be built now.

    An entry is the source, the file built from it and a checksum; one whose checksum is wrong, or that somebody else
    may
    have written, is built again. The source is kept where building fails, to be read beside the error.

    Args:
        folder: of the entry, below the cache folder; other users must not be able to write to it.
        key: what the file depends on besides the source.
        suffixes: of the source's file and of the built one.
        build: writes the second of two paths from the source at the first.
    """
    parent = private_folder(cache_dir() / folder, "kernels", BackendUnavailableError)
    name = hashlib.sha256("\0".join([source, *key]).encode()).hexdigest()[:32]
    text, built, checksum = (parent / f"{name}{suffix}" for suffix in (*suffixes, ".sha256"))
    if _intact(built, checksum):
        return built, False
    atomic_write(text, source.encode())
    with atomic_path(built) as part:
        build(text, part)
        make_private(part)
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
    write_private(checksum, digest.encode())
    return built, True


def compile_together(
    plans: Iterable[Plan], emit: Callable[[Plan], str], build: Callable[[str], object], processors: int
) -> None:
    """Have the sources of several plans compiled at once, so that the cache has them when their engines are built.

    This only changes when they are compiled. A source that fails is compiled again when its engine is built, and
    raises its error there.

    Args:
        plans: a source that several have is compiled once.
        emit: gives the source of a plan; called in this thread.
        build: compiles a source into the cache; compilers are processes, or release Python's lock.
        processors: that may be used.
    """
    sources: dict[str, None] = {}
    for plan in plans:
        with suppress(Exception):
            sources[emit(plan)] = None

    def attempt(source: str) -> None:
        with suppress(Exception):
            build(source)

    pool = ThreadPoolExecutor(max(1, min(processors, MOST_AT_ONCE)))
    try:
        for _ in pool.map(attempt, sources):
            pass
    finally:  # an interruption waits for the compilers that have begun, and starts no other
        pool.shutdown(cancel_futures=True)


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


def _intact(built: Path, checksum: Path) -> bool:
    """True if an entry is whole and nobody else could have written it."""
    content, expected = read_private(built), read_private(checksum)
    return content is not None and hashlib.sha256(content).hexdigest().encode() == (expected or b"").strip()
