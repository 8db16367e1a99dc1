"""Backend ``event_exact``: the limit to which engines with time steps converge as ``dt`` becomes small."""

from __future__ import annotations

from dataclasses import dataclass

from ...plan.exchanged import Availability
from ...plan.plan import Plan
from .engine import EventExactEngine


@dataclass(frozen=True)
class EventExact:
    """Networks with exponential synapses in continuous time, in double precision; they are not trained by it.

    Only inputs and readouts know time steps: what an input sends in step k happens at ``k dt``, a readout reads its
    variable at the times ``k dt``, and the run ends with the last of them. It is not among the backends by name: give
    ``backend=EventExact()``.
    """

    name = "event_exact"

    def availability(self) -> Availability:
        import numpy

        return Availability(True, f"NumPy {numpy.__version__}, one thread")

    def versions(self) -> dict[str, str]:
        return {}

    def build(self, plan: Plan) -> EventExactEngine:
        return EventExactEngine(plan)
