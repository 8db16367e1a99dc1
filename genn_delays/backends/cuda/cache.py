"""What compilers made of generated source, kept in the user's cache folder, never trusted when damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ...paths import atomic_path, atomic_write, cache_dir
from ..cpu.compiler import private_folder


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


def _intact(built: Path, checksum: Path) -> bool:
    try:
        return hashlib.sha256(built.read_bytes()).hexdigest() == checksum.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return False
