"""Backend ``reference``: always there, slow, exact in float32 and checkable in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import check_choice, check_switch
from ...plan.exchanged import Availability
from ...plan.plan import Plan
from ...plan.simulation import Places, Recording, SimulationEngine, SimulationPlan
from .engine import ReferenceEngine
from .simulation import ReferenceSimulation
from .wiring import ReferenceWiring


@dataclass(frozen=True)
class Reference:
    """Plain NumPy.

    Args:
        dtype: ``"float32"`` rounds as the generated kernels do; ``"float64"`` is for checks by finite differences.
        smooth_spikes: replace the hard spike by the surrogate's smooth one, in [0, 1]: the loss is then differentiable
            and its gradient is the one that :meth:`gradients` gives, exactly.
    """

    dtype: Literal["float32", "float64"] = "float32"
    smooth_spikes: bool = False

    name = "reference"

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, ("float32", "float64"))
        check_switch("smooth_spikes", self.smooth_spikes)

    def availability(self) -> Availability:
        import numpy

        return Availability(True, f"NumPy {numpy.__version__}, one thread")

    def versions(self) -> dict[str, str]:
        return {}

    def build(self, plan: Plan) -> ReferenceEngine:
        return ReferenceEngine(plan, self.dtype, self.smooth_spikes)

    def build_inference(self, plan: Plan) -> ReferenceEngine:
        return self.build(plan)

    def connect_simulation(self, places: Places) -> ReferenceWiring:
        return ReferenceWiring(places)

    def build_simulation(self, plan: SimulationPlan, wiring: ReferenceWiring, recording: Recording) -> SimulationEngine:
        return ReferenceSimulation(plan, wiring, recording)
