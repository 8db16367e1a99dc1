"""Quadratic integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..arguments import keywords_only
from .neuron import NEURONS, Equations, Neuron
from .nonlinear import NonlinearNeuron


@NEURONS.register("quadratic_integrate_fire")
@keywords_only
@dataclass(kw_only=True)
class QuadraticIntegrateFire(NonlinearNeuron):
    """Quadratic integrate-and-fire neuron (QIF), the normal form of neurons that begin to spike at a saddle-node
    (Ermentrout & Kopell 1986, doi 10.1137/0146017; in this form Montbrió, Pazó & Roxin 2015,
    doi 10.1103/PhysRevX.5.021028)::

        tau_mem dv/dt = v^2 + eta + Isyn
        spike where v >= v_peak: v = v_reset

    Potentials have no unit. With `eta` below 0 a neuron rests at ``-sqrt(-eta)`` and spikes if it is pushed beyond
    ``sqrt(-eta)``; above 0 it spikes by itself, with ``v_peak = -v_reset`` towards infinity every
    ``pi tau_mem / sqrt(eta)``.

    Args:
        tau_mem: time constant in ms.
        eta: excitability.
        v_peak: potential at which a spike is sent.
        v_reset: potential after a spike.
        v: initial potential.
        integration: ``"euler"`` or ``"rk4"``.
        tau_refrac: refractory period in ms, in which the potential stands still; None for none.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    tau_mem: Any = 10.0
    eta: Any = -1.0
    v_peak: Any = 100.0
    v_reset: Any = -100.0
    v: Any = -1.0

    constants: ClassVar = ("tau_mem", "eta", "v_peak", "v_reset")
    positive: ClassVar = ("tau_mem",)
    states: ClassVar = ("v",)
    reset: ClassVar = ("v_peak", "v_reset")

    @classmethod
    def examples(cls) -> list[Neuron]:
        """With a peak that small inputs reach, and that surrogates see."""
        return [
            cls(tau_mem=3.0, v_peak=1.5, v_reset=-1.0, v=0.9),
            cls(tau_mem=3.0, v_peak=1.5, v_reset=-1.0, v=0.9, tau_refrac=2.0),
        ]

    def equations(self) -> Equations:
        return Equations(
            variables={"v": ("(v**2 + eta + Isyn) / tau_mem", "v_reset")},
            threshold="v - v_peak",
            parameters=self.constants,
            integration=self.integration,
        ).with_refractory(self.tau_refrac)
