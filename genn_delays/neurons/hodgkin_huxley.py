"""Hodgkin-Huxley neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..arguments import keywords_only
from ..errors import InvalidValueError, shown
from .neuron import NEURONS, Equations, Neuron
from .nonlinear import NonlinearNeuron


@NEURONS.register("hodgkin_huxley")
@keywords_only
@dataclass(kw_only=True)
class HodgkinHuxley(NonlinearNeuron):
    """The squid's giant axon (Hodgkin & Huxley 1952, doi 10.1113/jphysiol.1952.sp004764), as one compartment::

        c_m dv/dt = -g_na m^3 h (v - e_na) - g_k n^4 (v - e_k) - g_leak (v - e_leak) + Isyn
        dx/dt = phi (alpha_x (1 - x) - beta_x x)   for x = m, h, n
        alpha_m = 0.1 (v + 40) / (1 - exp(-(v + 40) / 10))     beta_m = 4 exp(-(v + 65) / 18)
        alpha_h = 0.07 exp(-(v + 65) / 20)                      beta_h = 1 / (1 + exp(-(v + 35) / 10))
        alpha_n = 0.01 (v + 55) / (1 - exp(-(v + 55) / 10))    beta_n = 0.125 exp(-(v + 65) / 80)
        spike where v rises to v_thresh; there is no reset

    Units are mV, ms, uF/cm2, mS/cm2 and uA/cm2. Potentials are those of the paper with its sign turned and the rest at
    -65 mV. alpha_m and alpha_n are written with ``exprel(x) = (exp(x) - 1) / x``, so that they are smooth at -40 and
    -55 mV too. A spike is sent in the step in which the potential gets to `v_thresh`, and the next one not before it
    has been below. Gates follow within 0.1 ms: take a dt of about 0.01 ms under ``"euler"``, 0.05 under ``"rk4"``.

    Args:
        c_m: membrane capacitance in uF/cm2.
        g_na, g_k, g_leak: conductances of sodium, potassium and leak in mS/cm2.
        e_na, e_k, e_leak: their reversal potentials in mV.
        phi: factor of the gates' rates, ``3^((T - 6.3) / 10)`` at a temperature of T degrees Celsius.
        v_thresh: potential in mV at whose upward crossing a spike is sent.
        v, m, h, n: initial potential in mV and gates; those at rest.
        integration: ``"euler"`` or ``"rk4"``.
        readout: how the loss reads the population's spikes: ``"spike_count"`` or ``"first_spike_time"`` (in ms).
    """

    c_m: Any = 1.0
    g_na: Any = 120.0
    g_k: Any = 36.0
    g_leak: Any = 0.3
    e_na: Any = 50.0
    e_k: Any = -77.0
    e_leak: Any = -54.387
    phi: Any = 1.0
    v_thresh: Any = 0.0
    v: Any = -65.0
    m: Any = 0.0529
    h: Any = 0.5961
    n: Any = 0.3177

    constants: ClassVar = ("c_m", "g_na", "g_k", "g_leak", "e_na", "e_k", "e_leak", "phi", "v_thresh")
    positive: ClassVar = ("c_m", "phi")
    states: ClassVar = ("v", "m", "h", "n")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau_refrac is not None:
            raise InvalidValueError(
                f"HodgkinHuxley tau_refrac must be None, got {shown(self.tau_refrac)}: its equations have a refractory "
                "period of their own, and no variable stands still"
            )

    @classmethod
    def examples(cls) -> list[Neuron]:
        """Slowed down, so that it goes in steps of 1 ms; beginning near the threshold, so that small inputs matter."""
        return [cls(c_m=30.0, phi=0.03, v_thresh=-59.0, v=-60.0, g_leak=1.5)]

    def equations(self) -> Equations:
        currents = "-g_na * m**3 * h * (v - e_na) - g_k * n**4 * (v - e_k) - g_leak * (v - e_leak)"
        rates = {
            "m": ("1 / exprel(-(v + 40) / 10)", "4 * exp(-(v + 65) / 18)"),
            "h": ("0.07 * exp(-(v + 65) / 20)", "1 / (1 + exp(-(v + 35) / 10))"),
            "n": ("0.1 / exprel(-(v + 55) / 10)", "0.125 * exp(-(v + 65) / 80)"),
        }
        gates: dict[str, tuple[str, str | None]] = {
            x: (f"phi * ({alpha} * (1 - {x}) - {beta} * {x})", None) for x, (alpha, beta) in rates.items()
        }
        return Equations(
            variables={"v": (f"({currents} + Isyn) / c_m", None), **gates},
            threshold="v - v_thresh",
            parameters=self.constants,
            integration=self.integration,
            rising=True,
        )
