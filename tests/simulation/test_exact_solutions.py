"""Simulated neurons against their solutions in continuous time, as time steps shrink: linear ones in closed form, the
others by SciPy's `solve_ivp` with its events for spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from genn_delays import (
    AdaptiveExponential,
    AdaptiveLeakyIntegrateFire,
    Alpha,
    Connection,
    Current,
    Dense,
    Exponential,
    HodgkinHuxley,
    Izhikevich,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SimulationCompiler,
    SpikeSource,
)

BACKEND = "cpu"


def simulated(
    neuron: Any, dt: float, duration: float, *, current: float = 0.0, synapse: Any = None, record: str = "v",
    start: dict[str, float] | None = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Times and values of a variable before the jumps, and spike times; with a synapse one spike arrives at 2 ms."""
    network = Network()
    with network:
        p = Population(neuron, 1, "p", drives=[Current(current)] if current else [])
        if synapse is not None:
            source = Population(SpikeSource([0.0], [0]), 1, "source")
            Connection(source, p, Dense(weight=0.75, delay=round(2.0 / dt)), synapse)
    spikes = ["spikes"] if p.spiking else []
    with SimulationCompiler(dt, backend=BACKEND).compile(network, {p: [record, *spikes]}) as simulation:
        for name, value in (start or {}).items():
            simulation.set(p, name, value)
        simulation.run(duration)
        times, values = simulation.trace(p, record)
        found = simulation.spikes(p)[0] + dt if spikes else None  # a step ends dt after it begins
        return times + dt, values[:, 0].astype(float), found


def order(errors: list[float]) -> float:
    """By how many powers of two the error falls as the step is halved, over all of them."""
    return float(np.log2(errors[0] / errors[-1])) / (len(errors) - 1)


# --- linear --------------------------------------------------------------------------------------------------------

TAU, SYN = 10.0, 4.0


def impulse(t: Any) -> Any:
    """A delta spike of weight w moves the potential by w dt: a current of w for one step."""
    return np.exp(-t / TAU)


def exponential(t: Any) -> Any:
    return TAU * SYN / (TAU - SYN) * (np.exp(-t / TAU) - np.exp(-t / SYN))


def alpha(t: Any) -> Any:
    """The integral of ``(s / SYN) exp(1 - s / SYN) exp(-(t - s) / TAU)`` over s."""
    rate = 1 / SYN - 1 / TAU
    return np.e / SYN * np.exp(-t / TAU) * (1 - np.exp(-rate * t) * (1 + rate * t)) / rate**2


@pytest.mark.parametrize("kind", ["delta", "exponential", "alpha"])
@pytest.mark.parametrize("integration", ["linear_euler", "exact"])
@pytest.mark.parametrize("model", [LeakyIntegrate, LeakyIntegrateFire])
def test_the_response_to_a_spike(model: Any, integration: str, kind: str) -> None:
    """Of first order under linear Euler; the exact rule has nothing to shrink but rounding. A spike that arrives within
    a step counts from its end, through a synapse with a current of its own."""
    synapse, response = {"delta": ("delta", impulse), "exponential": (Exponential(SYN), exponential),
                         "alpha": (Alpha(SYN), alpha)}[kind]  # fmt: skip
    errors, solution = [], np.zeros(1)
    for dt in (0.25, 0.125, 0.0625):
        kwargs = {"v_thresh": 99.0} if model is LeakyIntegrateFire else {}
        t, v, _ = simulated(model(tau_mem=TAU, integration=integration, **kwargs), dt, 30.0, synapse=synapse)
        since = t - 2.0 - dt
        solution = np.where(since >= -1e-9, 0.75 * response(np.maximum(since, 0.0)), 0.0)
        if kind == "delta":  # the charge w dt, which the exact rule lets decay within the step
            solution *= dt if integration == "linear_euler" else TAU * (1 - np.exp(-dt / TAU))
            v, solution = v / dt, solution / dt
        errors.append(np.abs(v - solution).max() / np.abs(solution).max())
    if integration == "exact":
        assert max(errors) < 1e-5, errors
    else:
        assert abs(order(errors) - 1) < 0.1 and errors[-1] < 0.02, errors


@pytest.mark.parametrize("integration", ["linear_euler", "exact"])
def test_a_constant_current_makes_spikes_at_regular_times(integration: str) -> None:
    """``T = tau log(I tau / (I tau - v_thresh))`` after reset, here 10 log(4 / 3) = 2.877 ms, rounded up to steps."""
    period = TAU * np.log(4 / 3)
    for dt in (0.1, 0.05, 0.01):
        _, _, spikes = simulated(
            LeakyIntegrateFire(tau_mem=TAU, v_thresh=0.5, integration=integration), dt, 60.0, current=0.2
        )
        assert spikes.size >= 18
        intervals = np.diff(spikes)
        assert np.ptp(intervals) < 1e-6
        late = intervals[0] - period
        assert -0.6 * dt * (integration == "linear_euler") - 1e-6 <= late <= dt + 1e-6


@pytest.mark.parametrize("integration", ["linear_euler", "exact"])
def test_an_adaptive_neuron(integration: str) -> None:
    """Its adaptation decays by itself and lifts the threshold, so the first spike is where
    ``I tau (1 - exp(-t / tau)) = v_thresh + beta a exp(-t / tau_adapt)``."""
    t = np.linspace(0, 60, 600_001)
    above = 0.2 * TAU * (1 - np.exp(-t / TAU)) >= 0.5 + 0.4 * 2.0 * np.exp(-t / 20.0)
    first, errors = t[above.argmax()], []
    for dt in (0.2, 0.1, 0.05):
        neuron = AdaptiveLeakyIntegrateFire(
            tau_mem=TAU, tau_adapt=20.0, v_thresh=0.5, beta=0.4, integration=integration
        )
        times, a, spikes = simulated(neuron, dt, 30.0, current=0.2, record="a", start={"a": 2.0})
        assert abs(spikes[0] - first) <= 1.6 * dt
        quiet = times <= spikes[0]
        errors.append(np.abs(a[quiet] - 2.0 * np.exp(-times[quiet] / 20.0)).max())
    if integration == "exact":
        assert max(errors) < 1e-5
    else:
        assert abs(order(errors) - 1) < 0.1 and errors[-1] < 0.01, errors


# --- nonlinear -------------------------------------------------------------------------------------------------------


def adex(t: float, x: Any) -> list[float]:
    v, w = x
    return [(-30 * (v + 70.6) + 60 * np.exp(min(v + 50.4, 80.0) / 2) - w + 900.0) / 281, (4 * (v + 70.6) - w) / 144]


def izhikevich(t: float, x: Any) -> list[float]:
    v, u = x
    return [0.04 * v * v + 5 * v + 140 - u + 10.0, 0.02 * (0.2 * v - u)]


def axon(t: float, x: Any) -> list[float]:
    v, m, h, n = x
    a_m, b_m = 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)), 4 * np.exp(-(v + 65) / 18)
    a_h, b_h = 0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))
    a_n, b_n = 0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)), 0.125 * np.exp(-(v + 65) / 80)
    flow = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
    return [10.0 - flow, a_m * (1 - m) - b_m * m, a_h * (1 - h) - b_h * h, a_n * (1 - n) - b_n * n]


def solved(f: Callable[..., Any], start: list[float], duration: float, peak: float, jump: Any) -> list[float]:
    """Spike times: upward crossings of the peak, each followed by the jump, if there is one."""

    def crossing(t: float, x: Any) -> float:
        return float(x[0] - peak)

    crossing.terminal, crossing.direction = jump is not None, 1.0  # type: ignore[attr-defined]
    found: list[float] = []
    now, state = 0.0, np.array(start)
    while True:
        run = solve_ivp(f, (now, duration), state, events=crossing, rtol=1e-10, atol=1e-10, method="DOP853")
        found += list(run.t_events[0])
        if jump is None or run.status != 1:
            return found
        now, state = run.t[-1], np.array(jump(run.y[:, -1]))


SPIKING: dict[str, tuple[Any, Any, list[float], float, float, Any, float, float, dict[str, float]]] = {
    "adaptive_exponential": (
        AdaptiveExponential(integration="rk4", v_peak=-42.0), adex, [-70.6, 0.0], 150.0, -42.0,
        lambda x: [-70.6, x[1] + 80.5], 900.0, 0.05, {},
    ),
    "izhikevich": (
        Izhikevich(integration="rk4"), izhikevich, [-65.0, -13.0], 150.0, 30.0, lambda x: [-65.0, x[1] + 8.0], 10.0,
        0.05, {},
    ),
    "hodgkin_huxley": (
        HodgkinHuxley(integration="rk4"), axon, [-65.0, 0.0529, 0.5961, 0.3177], 60.0, 0.0, None, 10.0, 0.02,
        {"v": -65.0, "m": 0.0529, "h": 0.5961, "n": 0.3177},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPIKING)
def test_spike_times_of_solve_ivp(name: str) -> None:
    """As many spikes, at times whose error falls with the step: a reset waits for the end of its step."""
    neuron, f, start, duration, peak, jump, current, longest, begin = SPIKING[name]
    expected, errors = np.array(solved(f, start, duration, peak, jump)), []
    assert expected.size >= 4
    for dt in (longest, longest / 2, longest / 4, longest / 8):
        _, _, spikes = simulated(neuron, dt, duration, current=current, start=begin)
        assert spikes.size == expected.size, (spikes, expected)
        errors.append(float(np.abs(spikes - expected).max()))
    assert order(errors) > 0.6, errors
    assert errors[-1] < longest, errors
