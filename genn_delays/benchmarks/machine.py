"""The machine of a measurement, in words and numbers."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ..backends.cpu.backend import available_processors
from ..errors import GennDelaysError
from ..version import __version__


def machine(backend: str = "cpu") -> dict[str, Any]:
    """Processor, memory, system, compiler and versions.

    Args:
        backend: on a GPU, whose facts are added.
    """
    import numpy

    found: dict[str, Any] = {
        "processor": processor_name(),
        "cores": available_processors(),
        "memory_bytes": memory(),
        "load": load(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **compiler(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "genn_delays": __version__,
    }
    if backend in ("cuda", "genn"):
        from ..backends import BACKENDS

        chosen = BACKENDS[backend]()
        found["device"] = chosen.availability().detail
        found |= {name: version for name, version in chosen.versions().items() if name not in found}
    return found


def processor_name() -> str:
    """The processor's model, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory() -> int | None:
    """Bytes of memory of the machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def load() -> float | None:
    """The mean number of running programs in the last minute (load average): above 0 before a benchmark, others ran
    too."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def compiler() -> dict[str, Any]:
    """The C++ compiler of generated code, and its flags."""
    from ..backends.cpu.compiler import FLAGS
    from ..backends.cpu.compiler import compiler as find

    try:
        return {"compiler": find().version, "compiler_flags": " ".join(FLAGS)}
    except GennDelaysError:  # none is needed where nothing is compiled
        return {"compiler": None, "compiler_flags": None}
