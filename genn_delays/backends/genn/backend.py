"""Backend ``genn``: the same network as a GeNN model, through PyGeNN."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import BackendUnavailableError, check_choice
from ...plan.exchanged import Availability
from ...plan.plan import Plan
from ...plan.protocol import Engine
from . import ml_genn, packages
from .build import check_tools


@dataclass(frozen=True)
class GeNN:
    """GeNN's own kernels, through PyGeNN (5.4 or later).

    Args:
        backend: GeNN's backend, ``"cuda"``, ``"hip"`` or ``"single_threaded_cpu"``; the first of these that PyGeNN was
            built with where not given. The GPU runs a batch at once, the CPU one example after the other on one thread.
        trainer: which code computes gradients and learns under EventProp: ``"own"``, this library's code for GeNN, or
            ``"ml_genn"``, mlGeNN's own EventProp compiler (2.3 or later), which can do less: each thing that it cannot
            is an error.
    """

    backend: str | None = None
    trainer: str = "own"

    name = "genn"

    def __post_init__(self) -> None:
        if self.backend is not None:
            check_choice("backend of GeNN", self.backend, BACKENDS)
        check_choice("trainer of GeNN", self.trainer, TRAINERS)

    def availability(self) -> Availability:
        try:
            found = f"PyGeNN {packages.version('pygenn')}, {self._backend()}"
            check_tools()
            if self.trainer == "ml_genn":
                ml_genn.load()
                found += f", mlGeNN {packages.version('ml_genn')}"
            return Availability(True, found)
        except BackendUnavailableError as error:
            return Availability(False, str(error))

    def versions(self) -> dict[str, str]:
        from ..cpu.compiler import compiler

        found = {"compiler": compiler().version, "pygenn": packages.version("pygenn")}
        if self.trainer == "ml_genn":
            found["ml_genn"] = packages.version("ml_genn")
        return found

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
        check_tools()
        lanes = 1 if backend == "single_threaded_cpu" else plan.batch_size
        if self.trainer == "ml_genn":
            from .ml_genn.engine import MLGeNNEngine

            return MLGeNNEngine(plan, backend, lanes)
        from .engine import GeNNEngine

        return GeNNEngine(plan, backend, lanes)


BACKENDS = ("cuda", "hip", "single_threaded_cpu")
"""GeNN's backends, the fastest first."""
TRAINERS = ("own", "ml_genn")
