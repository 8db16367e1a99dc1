"""Backend ``genn``: the same network as a GeNN model, through PyGeNN."""

from __future__ import annotations

from dataclasses import dataclass

from ...compilers.plan import Plan
from ...errors import BackendUnavailableError, unknown
from ..protocol import Availability, Engine
from . import packages


@dataclass(frozen=True)
class GeNN:
    """GeNN's own kernels, through PyGeNN (5.4 or later).

    Args:
        backend: GeNN's backend, ``"cuda"``, ``"hip"`` or ``"single_threaded_cpu"``; the first of these that PyGeNN was
            built with where not given. The GPU runs a batch at once, the CPU one example after the other on one thread.
    """

    backend: str | None = None

    name = "genn"

    def __post_init__(self) -> None:
        if self.backend is not None and self.backend not in BACKENDS:
            raise unknown("backend of GeNN", self.backend, BACKENDS)

    def availability(self) -> Availability:
        try:
            packages.load("pygenn")
            return Availability(True, f"PyGeNN {packages.version('pygenn')}, {self._backend()}")
        except BackendUnavailableError as error:
            return Availability(False, str(error))

    def _backend(self) -> str:
        packages.load("pygenn")
        from pygenn.genn_model import backend_modules

        built = [name for name in BACKENDS if name in backend_modules]
        if self.backend is None and built:
            return built[0]
        if self.backend not in built:
            raise BackendUnavailableError(
                f"this PyGeNN was built for {', '.join(built) or 'no backend'}, not for {self.backend or 'any known'}; "
                f"building it: {packages.PAGES['pygenn']}"
            )
        return self.backend

    def build(self, plan: Plan) -> Engine:
        backend = self._backend()
        from .engine import GeNNEngine

        return GeNNEngine(plan, backend, 1 if backend == "single_threaded_cpu" else plan.batch_size)


BACKENDS = ("cuda", "hip", "single_threaded_cpu")
"""GeNN's backends, the fastest first."""
