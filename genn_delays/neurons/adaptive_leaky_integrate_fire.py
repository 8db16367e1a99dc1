"""Leaky integrate-and-fire neuron whose threshold rises with every spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import keywords_only, refuses
from ..errors import check_switch
from .leaky_integrate_fire import check_integration, leak
from .neuron import (
    NEURONS,
    DynamicNeuron,
    Equations,
    Integration,
    check_input_latency,
    check_parameter,
    check_reset,
    input_values,
)


@NEURONS.register("adaptive_leaky_integrate_fire")
@refuses(
    integrate_during_refrac="with tau_refrac the potential stands still (mlGeNN's False); for True write a UserNeuron",
    solver="write integration='exact' or 'linear_euler'",
)
@keywords_only
@dataclass(kw_only=True)
class AdaptiveLeakyIntegrateFire(DynamicNeuron):
    """Adaptive leaky integrate-and-fire neuron (ALIF; Bellec et al. 2018, arXiv 1803.09574).

    Its parameters are given by name: their order is not mlGeNN's.

    With the defaults, beside the membrane of :class:`LeakyIntegrateFire`::

        a[t] = (1 - dt / tau_adapt) a'[t-1],    S[t] = (u[t] >= v_thresh + beta a[t]),    a' = a + S

    Args:
        tau_mem: membrane time constant in ms.
        tau_adapt: time constant of the adaptation in ms.
        v_thresh: threshold of a neuron at rest; above 0 with `relative_reset`, else above `v_reset`.
        beta: how much a spike raises the threshold.
        v_reset: potential after a spike, where the reset is absolute.
        v, a: initial potential and adaptation.
        scale_i: divide the input current by `tau_mem` too.
        integration: ``"linear_euler"`` or ``"exact"``; ``"euler"`` or ``"rk4"`` with synapses of a conductance.
        relative_reset: subtract `v_thresh` at a spike (mlGeNN 2's default for this neuron).
        tau_refrac: refractory period in ms, in which the potential stands still and the adaptation goes on decaying.
        input_latency: time steps by which the input acts late; needs ``"linear_euler"``.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    tau_mem: Any = 20.0
    tau_adapt: Any = 2000.0
    v_thresh: Any = 1.0
    beta: Any = 0.0174
    v_reset: Any = 0.0
    v: Any = 0.0
    a: Any = 0.0
    scale_i: bool = False
    integration: Integration = "linear_euler"
    relative_reset: bool = True
    tau_refrac: Any = None
    input_latency: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_readout(spiking=True)
        for name in ("tau_mem", "tau_adapt", *(["tau_refrac"] if self.tau_refrac is not None else [])):
            setattr(self, name, check_parameter(name, getattr(self, name), 0.0, open_low=True))
        for name in ("v_thresh", "beta", "v_reset", "v", "a"):
            setattr(self, name, check_parameter(name, getattr(self, name)))
        check_integration(self.integration)
        self.input_latency = check_input_latency(self.input_latency, self.integration)
        check_switch("scale_i", self.scale_i)
        check_switch("relative_reset", self.relative_reset)
        check_reset(f"{type(self).__name__} ", vars(self), relative=self.relative_reset)

    def check_sampled(self, population: str, values: dict[str, npt.NDArray[np.float64]]) -> None:
        check_reset(f"population {population!r}: ", values, relative=self.relative_reset)

    def equations(self) -> Equations:
        reset = "v - v_thresh" if self.relative_reset else "v_reset"
        equations = Equations(
            variables={"v": (leak(self.scale_i), reset), "a": ("-a / tau_adapt", "a + 1")},
            threshold="v - v_thresh - beta * a",
            parameters=("tau_mem", "tau_adapt", "v_thresh", "beta", "v_reset"),
            integration=self.integration,
        )
        return equations.with_input_latency(self.input_latency).with_refractory(self.tau_refrac)

    def parameter_values(self) -> dict[str, Any]:
        names = ("tau_mem", "tau_adapt", "v_thresh", "beta", "v_reset", "v", "a")
        values = {name: getattr(self, name) for name in names} | input_values(self.input_latency)
        return values if self.tau_refrac is None else {**values, "tau_refrac": self.tau_refrac}
