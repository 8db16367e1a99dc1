"""Adaptive exponential integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..arguments import keywords_only
from .neuron import NEURONS, Equations, Neuron
from .nonlinear import NonlinearNeuron


@NEURONS.register("adaptive_exponential")
@keywords_only
@dataclass(kw_only=True)
class AdaptiveExponential(NonlinearNeuron):
    """Adaptive exponential integrate-and-fire neuron (AdEx; Brette & Gerstner 2005, doi 10.1152/jn.00686.2005)::

        c_m dv/dt = -g_leak (v - e_leak) + g_leak delta_t exp((v - v_t) / delta_t) - w + Isyn
        tau_w dw/dt = a (v - e_leak) - w
        spike where v >= v_peak: v = v_reset, w = w + b

    Units are mV, ms, pF, nS and pA, in which the equations hold without factors; weights of delta synapses are in pA
    for one time step. The defaults are those of the paper, which fits a detailed model of a regular spiking cell; there
    the potential is reset to `e_leak`. The upstroke is fast: take a dt of 0.1 ms or less, or for training a `v_peak`
    that is closer to `v_t`, since a surrogate sees what is near the peak, and steps that jump over it are not near.
    Under ``"rk4"`` take a `v_peak` a few mV above `v_t`: on the way to a higher one its inner stages overflow.

    Args:
        c_m: membrane capacitance in pF.
        g_leak: leak conductance in nS.
        e_leak: resting potential in mV.
        v_t: potential in mV at which a spike begins.
        delta_t: slope factor of its upstroke in mV.
        tau_w: time constant of the adaptation in ms.
        a: coupling of the adaptation to the potential in nS.
        b: adaptation added by a spike in pA.
        v_peak: potential in mV at which a spike is sent and the potential is reset.
        v_reset: potential after a spike in mV.
        v, w: initial potential in mV and adaptation in pA.
        integration: ``"euler"`` or ``"rk4"``.
        tau_refrac: refractory period in ms, in which the potential stands still and the adaptation goes on; None for
            none.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    c_m: Any = 281.0
    g_leak: Any = 30.0
    e_leak: Any = -70.6
    v_t: Any = -50.4
    delta_t: Any = 2.0
    tau_w: Any = 144.0
    a: Any = 4.0
    b: Any = 80.5
    v_peak: Any = 20.0
    v_reset: Any = -70.6
    v: Any = -70.6
    w: Any = 0.0

    constants: ClassVar = ("c_m", "g_leak", "e_leak", "v_t", "delta_t", "tau_w", "a", "b", "v_peak", "v_reset")
    positive: ClassVar = ("c_m", "g_leak", "delta_t", "tau_w")
    states: ClassVar = ("v", "w")
    reset: ClassVar = ("v_peak", "v_reset")

    @classmethod
    def examples(cls) -> list[Neuron]:
        """With small potentials, so that inputs of about 1 matter."""
        small: dict[str, Any] = {
            "c_m": 1.0, "g_leak": 0.1, "e_leak": 0.0, "v_t": 1.0, "delta_t": 0.5, "tau_w": 30.0, "a": 0.02, "b": 0.1,
            "v_peak": 1.5, "v_reset": 0.0, "v": 0.0,
        }  # fmt: skip
        return [cls(**small), cls(**small, tau_refrac=2.0)]

    def equations(self) -> Equations:
        exponential = "g_leak * delta_t * exp((v - v_t) / delta_t)"
        return Equations(
            variables={
                "v": (f"(-g_leak * (v - e_leak) + {exponential} - w + Isyn) / c_m", "v_reset"),
                "w": ("(a * (v - e_leak) - w) / tau_w", "w + b"),
            },
            threshold="v - v_peak",
            parameters=self.constants,
            integration=self.integration,
        ).with_refractory(self.tau_refrac)
