"""Backends by name. A new one is a new folder and one line in :data:`BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import unknown
from ..plan.protocol import Backend
from .cpu import CPU
from .cuda import CUDA
from .genn import GeNN
from .reference import Reference

BACKENDS: dict[str, Callable[[], Backend]] = {"cpu": CPU, "cuda": CUDA, "genn": GeNN, "reference": Reference}


def as_backend(value: Any) -> Backend:
    """A registered name or a backend as a backend."""
    if isinstance(value, str):
        if value not in BACKENDS:
            raise unknown("backend", value, BACKENDS)
        return BACKENDS[value]()
    if isinstance(value, type) and hasattr(value, "build"):
        return as_backend(value())
    if not callable(getattr(value, "build", None)):
        raise unknown("backend", value, BACKENDS)
    backend: Backend = value
    return backend


def simulating() -> tuple[str, ...]:
    """The names of the backends that run simulations."""
    return tuple(name for name, kind in BACKENDS.items() if hasattr(kind, "build_simulation"))


__all__ = ["BACKENDS", "CPU", "CUDA", "Backend", "GeNN", "Reference", "as_backend", "simulating"]
