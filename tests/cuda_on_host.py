"""The cuda backend without a GPU: the same kernels, compiled for the host, on what stands for a device."""

from __future__ import annotations

from genn_delays.backends.cpu.rows import Rows
from genn_delays.backends.cuda.engine import CUDAEngine
from genn_delays.backends.cuda.shim import ShimDevice
from genn_delays.backends.cuda.simulation import CUDASimulation
from genn_delays.backends.cuda.wiring import connect
from genn_delays.communicators import Communicator
from genn_delays.plan.exchanged import Availability
from genn_delays.plan.plan import Plan
from genn_delays.plan.simulation import Places, Recording, SimulationPlan


class CUDAOnHost:
    """A backend; see :class:`~genn_delays.backends.cuda.shim.ShimDevice` for `order` and `seed`."""

    name = "cuda_on_host"

    def __init__(
        self, order: str = "forward", seed: int = 0, memory: int = 1 << 34, tape: str = "float32", pages: str = ""
    ) -> None:
        self.device = {"order": order, "seed": seed, "memory": memory, "pages": pages}
        self.tape = tape

    def availability(self) -> Availability:
        return Availability(True, "the host in the place of a GPU")

    def versions(self) -> dict[str, str]:
        return {}

    def build(self, plan: Plan) -> CUDAEngine:
        return CUDAEngine(plan, ShimDevice(**self.device, late=True), self.tape)

    def build_share(self, plan: Plan, communicator: Communicator) -> CUDAEngine:
        return CUDAEngine(plan, ShimDevice(**self.device, late=True), self.tape, communicator)

    def connect_simulation(self, places: Places) -> Rows:
        with ShimDevice(**self.device) as device:
            return connect(places, device)

    def build_simulation(self, plan: SimulationPlan, wiring: Rows, recording: Recording) -> CUDASimulation:
        return CUDASimulation(plan, wiring, recording, ShimDevice(**self.device, late=True))

    def __repr__(self) -> str:
        return self.name
