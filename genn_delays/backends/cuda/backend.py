"""Backend ``cuda``: what it needs, and which GPU it uses."""

from __future__ import annotations

from dataclasses import dataclass

from ...compilers.plan import Plan
from ...errors import BackendUnavailableError, check_count
from ..protocol import Availability, Engine


@dataclass(frozen=True)
class CUDA:
    """Generated CUDA C++ on an NVIDIA GPU, compiled at run time; needs ``pip install 'genn-delays[cuda]'``.

    Args:
        device: which GPU, from 0, in the order in which ``nvidia-smi`` lists those that are visible.
    """

    device: int = 0

    name = "cuda"

    def __post_init__(self) -> None:
        check_count("device", self.device, 0)

    def availability(self) -> Availability:
        from .real import gpus

        try:
            found = gpus()
        except BackendUnavailableError as error:
            return Availability(False, str(error))
        listed = [
            f"{g.index}: {g.name}, {g.memory / 2**30:.0f} GiB, {g.arch}, driver for CUDA {g.driver}" for g in found
        ]
        return Availability(True, "; ".join(listed))

    def versions(self) -> dict[str, str]:
        from .compiler import find_compiler
        from .real import gpus

        found = gpus()
        gpu = found[min(self.device, len(found) - 1)]
        return {"compiler": find_compiler().version, "gpu": f"{gpu.name} ({gpu.arch})", "driver": gpu.driver}

    def build(self, plan: Plan) -> Engine:
        from .engine import CUDAEngine
        from .real import CudaDevice

        return CUDAEngine(plan, CudaDevice(self.device))
