"""Leaky integrator: a membrane without spikes, read by the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arguments import keywords_only, refuses
from ..errors import check_switch
from .leaky_integrate_fire import check_integration, leak
from .neuron import (
    NEURONS,
    DynamicNeuron,
    Equations,
    Integration,
    Neuron,
    check_input_latency,
    check_parameter,
    input_values,
)


@NEURONS.register("leaky_integrate")
@refuses(
    bias="write Population(..., bias=...), a current; mlGeNN adds its number in every step",
    solver="write integration='exact' or 'linear_euler'",
)
@keywords_only
@dataclass(kw_only=True)
class LeakyIntegrate(DynamicNeuron):
    """Leaky integrator ``u[t] = (1 - dt / tau_mem) u[t-1] + Isyn[t] dt`` (with the defaults).

    Its parameters are given by name: their order is not mlGeNN's.

    Args:
        tau_mem: membrane time constant in ms.
        v: initial potential.
        scale_i: divide the input current by `tau_mem` too.
        integration: ``"linear_euler"`` or ``"exact"``; ``"euler"`` or ``"rk4"`` with synapses of a conductance.
        input_latency: time steps by which the input acts late: at 1, `Isyn[t-1]` stands in the equation. Published
            PyTorch code often has some; needs ``"linear_euler"``.
        readout: how the loss reads the potential: ``"sum_var"`` (sum over time), ``"sum_softmax"`` (sum over time of
            the softmax over the population's neurons), ``"avg_var"`` (mean over time), ``"avg_var_exp_weight"`` (the
            same with weights falling from 1 to 1/e), ``"max_var"``, ``"end_var"`` (at the last step) or ``"var"`` (at
            every step for losses of a time step, at the last one for all others).
    """

    tau_mem: Any = 20.0
    v: Any = 0.0
    scale_i: bool = False
    integration: Integration = "linear_euler"
    input_latency: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_readout(spiking=False)
        self.tau_mem = check_parameter("tau_mem", self.tau_mem, 0.0, open_low=True)
        self.v = check_parameter("v", self.v)
        check_integration(self.integration)
        self.input_latency = check_input_latency(self.input_latency, self.integration)
        check_switch("scale_i", self.scale_i)

    @classmethod
    def examples(cls) -> list[Neuron]:
        return [cls(), cls(input_latency=1)]

    def equations(self) -> Equations:
        return Equations(
            variables={"v": (leak(self.scale_i), None)},
            threshold=None,
            parameters=("tau_mem",),
            integration=self.integration,
        ).with_input_latency(self.input_latency)

    def parameter_values(self) -> dict[str, Any]:
        return {"tau_mem": self.tau_mem, "v": self.v, **input_values(self.input_latency)}
