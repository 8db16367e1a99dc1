"""Leaky integrate-and-fire neuron with delta synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import keywords_only, refuses
from ..errors import check_choice, check_switch
from .neuron import (
    INTEGRATIONS,
    NEURONS,
    DynamicNeuron,
    Equations,
    Integration,
    Neuron,
    check_input_latency,
    check_parameter,
    check_reset,
    input_values,
)


@NEURONS.register("leaky_integrate_fire")
@refuses(
    integrate_during_refrac="with tau_refrac the potential stands still (mlGeNN's False); for True write a UserNeuron",
    solver="write integration='exact' or 'linear_euler'",
)
@keywords_only
@dataclass(kw_only=True)
class LeakyIntegrateFire(DynamicNeuron):
    """Leaky integrate-and-fire neuron. Its parameters are given by name: their order is not mlGeNN's.

    With the defaults (Mészáros, Knight & Nowotny 2024, Eq. 1-2)::

        u[t] = (1 - dt / tau_mem) u[t-1] (1 - S[t-1]) + Isyn[t] dt,    S[t] = (u[t] >= v_thresh)

    The recorded variable is `u` before the reset.

    Args:
        tau_mem: membrane time constant in ms.
        v_thresh: threshold, in the unit of the membrane potential; above `v_reset`, or above 0 with `relative_reset`.
        v_reset: potential after a spike (absolute reset).
        v: initial potential.
        scale_i: divide the input current by `tau_mem` too, as mlGeNN 3 does: ``dv/dt = (-v + Isyn) / tau_mem``.
        integration: ``"linear_euler"`` or ``"exact"``; ``"euler"`` or ``"rk4"`` with synapses of a conductance.
        relative_reset: subtract the threshold at a spike in place of setting the potential to `v_reset`.
        tau_refrac: refractory period in ms, rounded to whole time steps: after a spike the potential stands still and
            the neuron does not spike. None for none.
        input_latency: time steps by which the input acts late: at 1, `Isyn[t-1]` stands in the equation. Published
            PyTorch code often has some; needs ``"linear_euler"``.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    tau_mem: Any = 20.0
    v_thresh: Any = 1.0
    v_reset: Any = 0.0
    v: Any = 0.0
    scale_i: bool = False
    integration: Integration = "linear_euler"
    relative_reset: bool = False
    tau_refrac: Any = None
    input_latency: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_readout(spiking=True)
        for name in ("tau_mem", *(["tau_refrac"] if self.tau_refrac is not None else [])):
            setattr(self, name, check_parameter(name, getattr(self, name), 0.0, open_low=True))
        for name in ("v_thresh", "v_reset", "v"):
            setattr(self, name, check_parameter(name, getattr(self, name)))
        check_integration(self.integration)
        self.input_latency = check_input_latency(self.input_latency, self.integration)
        check_switch("scale_i", self.scale_i)
        check_switch("relative_reset", self.relative_reset)
        check_reset(f"{type(self).__name__} ", vars(self), relative=self.relative_reset)

    def check_sampled(self, population: str, values: dict[str, npt.NDArray[np.float64]]) -> None:
        check_reset(f"population {population!r}: ", values, relative=self.relative_reset)

    @classmethod
    def examples(cls) -> list[Neuron]:
        return [
            cls(),
            cls(scale_i=True, integration="exact"),
            cls(relative_reset=True),
            cls(tau_refrac=2.0),
            cls(tau_refrac=1.0, input_latency=2),
        ]

    def equations(self) -> Equations:
        equations = Equations(
            variables={"v": (leak(self.scale_i), "v - v_thresh" if self.relative_reset else "v_reset")},
            threshold="v - v_thresh",
            parameters=("tau_mem", "v_thresh", "v_reset"),
            integration=self.integration,
        )
        return equations.with_input_latency(self.input_latency).with_refractory(self.tau_refrac)

    def parameter_values(self) -> dict[str, Any]:
        values = {"tau_mem": self.tau_mem, "v_thresh": self.v_thresh, "v_reset": self.v_reset, "v": self.v}
        values |= input_values(self.input_latency)
        return values if self.tau_refrac is None else {**values, "tau_refrac": self.tau_refrac}


def leak(scale_i: bool) -> str:
    """The right-hand side dv/dt of a leaky membrane."""
    return "(-v + Isyn) / tau_mem" if scale_i else "-v / tau_mem + Isyn"


def check_integration(integration: str) -> None:
    """An error for an unknown integration rule."""
    check_choice("integration", integration, INTEGRATIONS)
