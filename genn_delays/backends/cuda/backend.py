"""Backend ``cuda``: its requirements, and the choice of a GPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ...communicators import Communicator
from ...errors import BackendUnavailableError, check_choice, check_count, keep
from ...plan.exchanged import Availability
from ...plan.plan import Plan
from ...plan.protocol import Engine, SharedEngine
from ...plan.simulation import Places, Recording, SimulationEngine, SimulationPlan
from ..cache import compile_together
from ..cpu.backend import available_processors

if TYPE_CHECKING:
    from .engine import CUDAEngine
    from .wiring import CUDAWiring

TAPES = ("float32", "float16")


@dataclass(frozen=True)
class CUDA:
    """Generated CUDA C++ on an NVIDIA GPU, compiled at run time; needs ``pip install 'genn-delays[cuda]'``.

    Args:
        device: which GPU, from 0, in the order in which ``nvidia-smi`` lists those that are visible. Of ranks on a
            machine the first has this one, each of the others the next one that no rank before it has.
        tape: what the variables of hidden populations are kept in from the forward to the backward pass, ``"float32"``
            or ``"float16"``, which needs less memory. Spikes are the same; gradients are not quite: the derivative of a
            spike is taken at a variable rounded to 11 bits. On the networks of the tests they move by 0.0004 % to
            0.33 % of the largest.
    """

    device: int = 0
    tape: Literal["float32", "float16"] = "float32"

    name = "cuda"

    def __post_init__(self) -> None:
        keep(self, device=check_count("device", self.device, 0))
        check_choice("tape", self.tape, TAPES)

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
        return self._engine(plan, None)

    def for_rank(self, plan: Plan, communicator: Communicator) -> CUDA:
        """See :class:`~genn_delays.plan.protocol.ForRank`: with a GPU of its own."""
        from .gpus import gpu_of_rank
        from .real import gpus

        communicator.check_alike("before training", {"the tape of backend 'cuda'": self.tape})
        return replace(self, device=gpu_of_rank(gpus(), self.device, communicator))

    def build_share(self, plan: Plan, communicator: Communicator) -> SharedEngine:
        return self._engine(plan, communicator)

    def _engine(self, plan: Plan, communicator: Communicator | None) -> CUDAEngine:
        from .engine import CUDAEngine
        from .real import CudaDevice

        device = CudaDevice(self.device)
        try:
            return CUDAEngine(plan, device, self.tape, communicator)
        except BaseException:  # a smaller batch may be tried next, and shall find the memory free
            device.close()
            raise

    def connect_simulation(self, places: Places) -> CUDAWiring:
        from .real import CudaDevice
        from .wiring import connect

        with CudaDevice(self.device) as device:
            return connect(places, device)

    def build_simulation(self, plan: SimulationPlan, wiring: CUDAWiring, recording: Recording) -> SimulationEngine:
        from .real import CudaDevice
        from .simulation import CUDASimulation

        device = CudaDevice(self.device)
        try:
            return CUDASimulation(plan, wiring, recording, device)
        except BaseException:
            device.close()
            raise

    def compile_ahead(self, plans: Iterable[Plan]) -> None:
        from ...codegen.cuda import emit_cuda
        from .real import compiling_for

        half, build = self.tape == "float16", compiling_for(self.device)
        compile_together(plans, lambda plan: emit_cuda(plan, half), build, available_processors())
