"""Integrate-and-fire neuron: a membrane without a leak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import keywords_only
from ..errors import check_switch
from .neuron import NEURONS, DynamicNeuron, Equations, Neuron, check_parameter, check_reset


@NEURONS.register("integrate_fire")
@keywords_only
@dataclass(kw_only=True)
class IntegrateFire(DynamicNeuron):
    """Integrate-and-fire neuron without a leak. Its parameters are given by name.

    ::

        u[t] = u[t-1] (1 - S[t-1]) + Isyn[t] dt,    S[t] = (u[t] >= v_thresh)

    Source: mlGeNN's ``IntegrateFire``, which adds `Isyn` whatever `dt` is.

    Args:
        v_thresh: threshold, in the unit of the membrane potential; above `v_reset`, or above 0 with `relative_reset`.
        v_reset: potential after a spike (absolute reset).
        v: initial potential.
        relative_reset: subtract the threshold at a spike in place of setting the potential to `v_reset`.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    v_thresh: Any = 1.0
    v_reset: Any = 0.0
    v: Any = 0.0
    relative_reset: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_readout(spiking=True)
        for name in ("v_thresh", "v_reset", "v"):
            setattr(self, name, check_parameter(name, getattr(self, name)))
        check_switch("relative_reset", self.relative_reset)
        check_reset(f"{type(self).__name__} ", vars(self), relative=self.relative_reset)

    def check_sampled(self, population: str, values: dict[str, npt.NDArray[np.float64]]) -> None:
        check_reset(f"population {population!r}: ", values, relative=self.relative_reset)

    @classmethod
    def examples(cls) -> list[Neuron]:
        return [cls(), cls(relative_reset=True)]

    def equations(self) -> Equations:
        return Equations(
            variables={"v": ("Isyn", "v - v_thresh" if self.relative_reset else "v_reset")},
            threshold="v - v_thresh",
            parameters=("v_thresh", "v_reset"),
        )

    def parameter_values(self) -> dict[str, Any]:
        return {"v_thresh": self.v_thresh, "v_reset": self.v_reset, "v": self.v}
