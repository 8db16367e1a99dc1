"""Izhikevich's simple model of spiking neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..arguments import keywords_only
from .neuron import NEURONS, Equations, Neuron
from .nonlinear import NonlinearNeuron


@NEURONS.register("izhikevich")
@keywords_only
@dataclass(kw_only=True)
class Izhikevich(NonlinearNeuron):
    """Izhikevich's simple model (Izhikevich 2003, doi 10.1109/TNN.2003.820440)::

        dv/dt = 0.04 v^2 + 5 v + 140 - u + Isyn
        du/dt = a (b v - u)
        spike where v >= v_peak: v = c, u = u + d

    Potentials are in mV, time in ms; `Isyn` is in mV / ms. The defaults are those of a regular spiking cell; others in
    the paper are, as (a, b, c, d): chattering (0.02, 0.2, -50, 2), fast spiking (0.1, 0.2, -65, 2), low-threshold
    spiking (0.02, 0.25, -65, 2).

    The program in the paper takes steps of 1 ms and does two half steps of v, then one of u with the new v. Here all
    right-hand sides are computed of the values before a step: ``integration="euler"`` with dt = 0.5 ms differs from it
    by u's moving with v every half step.

    Args:
        a: rate of the recovery per ms.
        b: coupling of the recovery to the potential.
        c: potential after a spike in mV.
        d: recovery added by a spike.
        v_peak: potential in mV at which a spike is sent.
        v, u: initial potential in mV and recovery.
        integration: ``"euler"`` or ``"rk4"``.
        tau_refrac: refractory period in ms, in which the potential stands still and the recovery goes on; None for
            none.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    a: Any = 0.02
    b: Any = 0.2
    c: Any = -65.0
    d: Any = 8.0
    v_peak: Any = 30.0
    v: Any = -65.0
    u: Any = -13.0

    constants: ClassVar = ("a", "b", "c", "d", "v_peak")
    positive: ClassVar = ("a",)
    states: ClassVar = ("v", "u")
    reset: ClassVar = ("v_peak", "c")

    @classmethod
    def examples(cls) -> list[Neuron]:
        """Beginning just below the upstroke, so that small inputs matter; a peak close to it is one that surrogates
        see."""
        return [cls(v=-52.0, u=-13.0, v_peak=-49.0), cls(v=-52.0, u=-13.0, v_peak=-49.0, tau_refrac=2.0)]

    def equations(self) -> Equations:
        return Equations(
            variables={
                "v": ("0.04 * v**2 + 5 * v + 140 - u + Isyn", "c"),
                "u": ("a * (b * v - u)", "u + d"),
            },
            threshold="v - v_peak",
            parameters=self.constants,
            integration=self.integration,
        ).with_refractory(self.tau_refrac)
