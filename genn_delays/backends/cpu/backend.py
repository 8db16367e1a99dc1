"""Backend ``cpu``: its requirements and its threads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...communicators import Communicator
from ...errors import BackendUnavailableError, check_count, keep
from ...plan.exchanged import Availability
from ...plan.plan import Plan
from ...plan.protocol import Engine, SharedEngine
from ...plan.simulation import Places, Recording, SimulationEngine, SimulationPlan
from ..cache import compile_together
from .compiler import compile_source, compiler

if TYPE_CHECKING:
    from .wiring import CPUWiring


@dataclass(frozen=True)
class CPU:
    """Generated C++ on this machine's processor.

    Args:
        threads: threads of the pool, the processors this process may use where None. Results do not depend on it.
    """

    threads: int | None = None

    name = "cpu"

    def __post_init__(self) -> None:
        if self.threads is not None:
            keep(self, threads=check_count("threads", self.threads, 1, 1024))

    @property
    def num_threads(self) -> int:
        """Threads it will use."""
        return self.threads or available_processors()

    def availability(self) -> Availability:
        try:
            found = compiler()
        except BackendUnavailableError as error:
            return Availability(False, str(error))
        threads = self.num_threads
        return Availability(True, f"{found.version} ({' '.join(found.command)}), {threads} thread{'s'[: threads > 1]}")

    def versions(self) -> dict[str, str]:
        return {"compiler": compiler().version}

    def build(self, plan: Plan) -> Engine:
        from .engine import CPUEngine

        return CPUEngine(plan, self.num_threads)

    def build_inference(self, plan: Plan) -> Engine:
        from .inference import CPUInference

        return CPUInference(plan, self.num_threads)

    def build_share(self, plan: Plan, communicator: Communicator) -> SharedEngine:
        from .engine import CPUEngine

        threads = self.threads or max(1, available_processors() // communicator.neighbours)
        return CPUEngine(plan, threads, communicator)

    def connect_simulation(self, places: Places) -> CPUWiring:
        from .wiring import connect

        return connect(places, self.num_threads)

    def build_simulation(self, plan: SimulationPlan, wiring: CPUWiring, recording: Recording) -> SimulationEngine:
        from .simulation import CPUSimulation

        return CPUSimulation(plan, wiring, recording, self.num_threads)

    def compile_ahead(self, plans: Iterable[Plan]) -> None:
        from ...codegen.emit import emit

        compile_together(plans, emit, compile_source, available_processors())


def available_processors() -> int:
    """Processors this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
