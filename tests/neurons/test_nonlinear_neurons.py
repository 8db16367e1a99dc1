"""Nonlinear neurons: their gradients, their solutions, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nonlinear_cases as cases
import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from refused import refused
from scipy.integrate import solve_ivp

import genn_delays as gd

STEPS = 20
NEURONS = cases.neurons()


@pytest.mark.parametrize("synapse", ["delta", gd.Exponential(3.0)], ids=["delta", "exponential"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("name", NEURONS)
def test_gradient_is_the_derivative_of_the_loss(name: str, detach: bool, synapse: Any) -> None:
    """A refractory period begins at a whole spike, so that the full derivative of the reset does not exist."""
    neuron = NEURONS[name]
    if not detach:
        neuron = replace(neuron, tau_refrac=None)
    network = cases.network({"hidden": neuron}, synapse)
    compiled = gd.SurrogateCompiler(STEPS, 2, backend=SMOOTH, detach_reset=detach).compile(network)
    x, y = cases.data(2, STEPS)
    if detach:  # as an AdEx neuron that is reset by half does not come back
        spikes = gd.SurrogateCompiler(STEPS, 2, backend=gd.Reference(dtype="float64")).compile(network)
        spikes.gradients(x, y)
        assert spikes.engine.spiked[2].any()
        compiled.engine.frozen_resets = {2: spikes.engine.spiked[2].copy()}
    check_gradient(compiled, x, y, "weight", tolerance=1e-5, step=1e-7)


def test_what_arrives_at_a_held_neuron_has_no_gradient() -> None:
    """It was as large as if the potential moved: a third of the largest gradient was wrong."""
    neuron = gd.LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.3, v_reset=-0.1, tau_refrac=3.0)
    compiled = gd.SurrogateCompiler(30, 2, backend=SMOOTH).compile(cases.network({"hidden": neuron}))
    x, y = cases.data(2, 30)
    compiled.gradients(x, y)
    assert (compiled.engine.spiked[2] >= 0.5).sum() > 2
    check_gradient(compiled, x, y, "weight")


# --- solutions -------------------------------------------------------------------------------------------------------


def course(neuron: Any, dt: float, duration: float, current: float, backend: Any = None) -> tuple[Any, Any]:
    """All variables ``[variable, time]`` and the spikes of one neuron under a constant current."""
    steps = round(duration / dt)
    network = gd.Network()
    with network:
        first = gd.Population(gd.Input(), 1, "in")
        one = gd.Population(neuron, 1, "one")
        out = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 1)
        gd.Connection(first, one, gd.Dense(weight=1.0))
        gd.Connection(one, out, gd.Dense(weight=1.0))
    compiler = gd.SurrogateCompiler(steps, 1, dt=dt, backend=backend or gd.Reference(dtype="float64"))
    with compiler.compile(network) as compiled:
        compiled.engine.keep_variables(one.index)
        compiled.predict({first: np.full((1, steps, 1), current, np.float32)})
        names = neuron.equations().variables
        found = np.array([compiled.engine.variable(one.index, s)[0, :, 0] for s in names])
        return found, compiled.engine.spikes(one.index)[0, :, 0]


def adex(t: float, x: Any, current: float) -> list[float]:
    v, w = x
    return [(-30 * (v + 70.6) + 60 * np.exp((v + 50.4) / 2) - w + current) / 281, (4 * (v + 70.6) - w) / 144]


def izhikevich(t: float, x: Any, current: float) -> list[float]:
    v, u = x
    return [0.04 * v * v + 5 * v + 140 - u + current, 0.02 * (0.2 * v - u)]


def axon(t: float, x: Any, current: float) -> list[float]:
    """As the paper has it, with its own quotients."""
    v, m, h, n = x
    a_m, b_m = 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)), 4 * np.exp(-(v + 65) / 18)
    a_h, b_h = 0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))
    a_n, b_n = 0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)), 0.125 * np.exp(-(v + 65) / 80)
    flow = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
    return [current - flow, a_m * (1 - m) - b_m * m, a_h * (1 - h) - b_h * h, a_n * (1 - n) - b_n * n]


SOLVED: dict[str, tuple[Any, Any, list[float], float, float, tuple[float, float]]] = {
    "adaptive_exponential": (gd.AdaptiveExponential, adex, [-70.6, 0.0], 700.0, 16.0, (0.5, 4.0)),
    "izhikevich": (gd.Izhikevich, izhikevich, [-65.0, -13.0], 10.0, 2.5, (0.0625, 0.5)),
    "hodgkin_huxley": (gd.HodgkinHuxley, axon, [-65.0, 0.0529, 0.5961, 0.3177], 10.0, 8.0, (0.015625, 0.0625)),
}
"""By name the neuron, its equations again, where they begin, the current, how long (ms) it does not spike or has no
reset, and the longer of two steps under both rules."""


@pytest.mark.parametrize("rule", ["euler", "rk4"])
@pytest.mark.parametrize("name", SOLVED)
def test_errors_shrink_with_the_rules_order(name: str, rule: str) -> None:
    """Half the step leaves half the error of forward Euler and a sixteenth of Runge-Kutta's; in double precision."""
    kind, f, start, current, duration, longest = SOLVED[name]
    solution = solve_ivp(f, (0, duration), start, args=(current,), method="DOP853", rtol=1e-12, atol=1e-12)
    exact, errors = solution.y[:, -1], []
    for dt in (longest[rule == "rk4"] / n for n in (1, 2)):
        found, spikes = course(kind(integration=rule), dt, duration, current)
        assert spikes.sum() == (name == "hodgkin_huxley")
        errors.append(np.abs(found[:, -1] - exact).max() / np.abs(exact).max())
    order = np.log2(errors[0] / errors[1])
    expected = 1.0 if rule == "euler" else 4.0
    assert abs(order - expected) < 0.35, (order, errors)
    assert errors[1] < (0.03 if rule == "euler" else 1e-3)


@pytest.mark.parametrize("name", SOLVED)
def test_single_precision_follows_double(name: str) -> None:
    """Runge-Kutta in small steps is limited by rounding alone."""
    kind, f, start, current, duration, longest = SOLVED[name]
    solution = solve_ivp(f, (0, duration), start, args=(current,), method="DOP853", rtol=1e-12, atol=1e-12)
    found, _ = course(kind(integration="rk4"), longest[1] / 16, duration, current, "cpu")
    assert np.abs(found[:, -1] - solution.y[:, -1]).max() < 1e-4 * np.abs(solution.y[:, -1]).max()


@pytest.mark.parametrize("v", [-40.0, -55.0])
@pytest.mark.parametrize("rule", ["euler", "rk4"])
def test_rates_of_the_axon_are_finite_where_their_quotients_are_not(v: float, rule: str) -> None:
    """0 / 0 at these potentials; their limits are 1 and 0.1 per ms."""
    near, _ = course(gd.HodgkinHuxley(v=v + 1e-3, integration=rule), 0.01, 0.05, 0.0)
    at, _ = course(gd.HodgkinHuxley(v=v, integration=rule), 0.01, 0.05, 0.0)
    assert np.isfinite(at).all()
    np.testing.assert_allclose(at, near, rtol=1e-3)


def test_an_axon_fires_once_a_cycle() -> None:
    """Under a constant current of 10 uA/cm2 it fires at about 68 Hz (Hodgkin & Huxley's equations at 6.3 degrees)."""
    found, spikes = course(gd.HodgkinHuxley(integration="rk4"), 0.05, 100.0, 10.0, "cpu")
    above = found[0] >= 0
    assert spikes.sum() == (above[1:] & ~above[:-1]).sum() == 7
    assert above.sum() > 3 * spikes.sum()


def test_a_neuron_that_spikes_when_it_rises(backend: Any) -> None:
    """Once where the threshold is reached, and again only after it has been below."""
    neuron = gd.UserNeuron(vars={"v": ("Isyn - v", None)}, threshold="v - 1", rising=True, integration="euler")
    network = gd.Network()
    with network:
        first, one = gd.Population(gd.Input(), 1, "in"), gd.Population(neuron, 1, "one")
        out = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 1)
        gd.Connection(first, one, gd.Dense(weight=1.0))
        gd.Connection(one, out, gd.Dense(weight=1.0))
    v = np.array([0.0, 1.0, 2.0, 1.0, 0.5, 1.5, 0.9, 1.0, 1.0])
    with gd.SurrogateCompiler(v.size, 1, backend=backend).compile(network) as compiled:
        compiled.predict({first: v.astype(np.float32).reshape(1, -1, 1)})
        found = compiled.engine.spikes(one.index)[0, :, 0]
    np.testing.assert_array_equal(found, [0, 1, 0, 0, 0, 1, 0, 1, 0])


def test_a_held_variable_stands_still_in_all_stages(backend: Any) -> None:
    """And what depends on it is driven by the value at which it is held."""
    for rule in ("euler", "rk4"):
        neuron = gd.UserNeuron(
            vars={"v": ("Isyn - 0.1 * v**2", "0.25"), "w": ("0.5 * v", None)}, threshold="v - 1", integration=rule,
            tau_refrac=3.0,
        )  # fmt: skip
        found, spikes = course(neuron, 1.0, 6.0, 1.25, backend if isinstance(backend, str) else None)
        assert spikes.tolist() == [True, False, False, False, True, False] or rule == "rk4"
        held = slice(1, 4)
        assert spikes[0] and not spikes[held].any()
        np.testing.assert_array_equal(found[0, held], 0.25)
        np.testing.assert_allclose(np.diff(found[1, 0:4]), 0.125, rtol=1e-6)


# --- bad input -------------------------------------------------------------------------------------------------------


def test_runge_kutta_runs_and_is_not_trained(backend: Any) -> None:
    network = cases.network({"hidden": gd.Izhikevich(integration="rk4")})
    x, y = cases.data(3, STEPS)
    with gd.SurrogateCompiler(STEPS, 3, backend=backend).compile(network) as compiled:
        assert np.isfinite(next(iter(compiled.predict(x)[0].values()))).all()
        with refused("'hidden'", "'rk4' has no adjoint", "'euler'"):
            compiled.train(x, y, 1, callbacks=())
        with refused("'hidden'", "not trained"):
            compiled.gradients(x, y)


@pytest.mark.parametrize("rate", ["-v / 5 + v * Isyn", "-v / 5 + Isyn**2", "-v / 5 + Isyn + exp(Isyn / 9)"])
def test_an_input_that_is_not_added_is_not_trained(rate: str) -> None:
    neuron = gd.UserNeuron(vars={"v": (rate, "0")}, threshold="v - 1", integration="euler")
    x, y = cases.data(3, STEPS)
    with gd.SurrogateCompiler(STEPS, 3, backend="reference").compile(cases.network({"hidden": neuron})) as compiled:
        compiled.predict(x)
        with refused("'hidden'", "dv/dt", "Isyn is not added with a constant factor"):
            compiled.gradients(x, y)


def test_an_input_with_a_factor_is_trained() -> None:
    neuron = gd.UserNeuron(
        vars={"v": ("-v**3 / 5 + (2 * Isyn - 0.1) / c", "0")}, threshold="v - 1", integration="euler",
        param_vals={"c": 2.5},
    )  # fmt: skip
    compiled = gd.SurrogateCompiler(STEPS, 2, backend=SMOOTH).compile(cases.network({"hidden": neuron}))
    x, y = cases.data(2, STEPS)
    check_gradient(compiled, x, y, "weight")


@pytest.mark.parametrize("neuron", [gd.Izhikevich(), gd.HodgkinHuxley(integration="rk4")])
def test_event_prop_says_what_it_cannot_do(neuron: Any) -> None:
    network = cases.network({"hidden": neuron}, gd.Exponential(3.0))
    with refused("'hidden'", "EventProp has no adjoint", "linear", "SurrogateCompiler"):
        gd.EventPropCompiler(STEPS, 2).compile(network)


def test_event_prop_does_not_have_neurons_that_spike_when_they_rise() -> None:
    neuron = gd.UserNeuron(vars={"v": ("-v / 5 + Isyn", "0")}, threshold="v - 1", rising=True)
    with refused("'hidden'", "EventProp has no adjoint", "rise"):
        gd.EventPropCompiler(STEPS, 2).compile(cases.network({"hidden": neuron}, gd.Exponential(3.0)))


@pytest.mark.parametrize(
    ("neuron", "rule", "longest"),
    [
        (gd.AdaptiveExponential(tau_w=0.5), "'euler'", "0.5 ms"),
        (gd.AdaptiveExponential(tau_w=0.25, integration="rk4"), "'rk4'", "0.6963 ms"),
        (gd.Izhikevich(a=1.5), "'euler'", "0.6667 ms"),
    ],
)
def test_a_step_too_long_for_a_decay_is_refused(neuron: Any, rule: str, longest: str) -> None:
    with refused("'hidden'", "a step of 1 ms is too long", rule, longest):
        gd.SurrogateCompiler(STEPS, 2).compile(cases.network({"hidden": neuron}))
    gd.SurrogateCompiler(STEPS, 2, dt=0.1).compile(cases.network({"hidden": neuron}))


def test_what_overflows_is_named(backend: Any) -> None:
    """Steps of 1 ms are far too long for the axon's gates."""
    network = cases.network({"quiet": gd.Izhikevich(), "axon": gd.HodgkinHuxley()})
    x, y = cases.data(3, STEPS)
    compiled = gd.SurrogateCompiler(STEPS, 3, backend=backend).compile(network)
    with compiled, refused("state variable", "'axon'", error=gd.errors.TrainingError):
        compiled.evaluate(x, y)


@pytest.mark.genn
def test_genn_says_what_it_lacks() -> None:
    pytest.importorskip("pygenn")
    with refused("'genn'", "portable_exp", "'cpu'"):
        gd.SurrogateCompiler(STEPS, 2, backend="genn").compile(cases.network({"hidden": gd.AdaptiveExponential()}))


@pytest.mark.parametrize("rule", ["linear_euler", "exact"])
def test_equations_that_are_not_linear_need_another_rule(rule: Any) -> None:
    neuron = gd.UserNeuron(vars={"v": ("-v**2 + Isyn", "0")}, threshold="v - 1", integration=rule)
    with refused("dv/dt", "must be linear", rule, "'euler'"):
        gd.SurrogateCompiler(STEPS, 2).compile(cases.network({"hidden": neuron}))


@pytest.mark.parametrize("text", ["erf(v)", "-v + asin(v / 9)", "-v + atanh(0.1 * v) + Isyn"])
def test_functions_that_no_body_has_are_refused(text: str) -> None:
    neuron = gd.UserNeuron(vars={"v": (text + " + Isyn", "0")}, threshold="v - 1", integration="euler")
    with refused("dv/dt", "of a variable", "exprel", "tanh"):
        gd.SurrogateCompiler(STEPS, 2).compile(cases.network({"hidden": neuron}))


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: gd.AdaptiveExponential(delta_t=0.0), ("delta_t", "(0, inf)", "0.0")),
        (lambda: gd.AdaptiveExponential(v_peak=-80.0), ("v_peak must be above v_reset", "-80", "-70.6")),
        (lambda: gd.Izhikevich(c=40.0), ("v_peak must be above c", "30", "40")),
        (lambda: gd.Izhikevich(a=-1.0), ("a must", "-1")),
        (lambda: gd.QuadraticIntegrateFire(tau_mem=0.0), ("tau_mem", "0")),
        (lambda: gd.QuadraticIntegrateFire(integration="exact"), ("integration", "'exact'", "euler", "rk4")),
        (lambda: gd.HodgkinHuxley(tau_refrac=2.0), ("tau_refrac", "2.0")),
        (lambda: gd.HodgkinHuxley(readout="sum_var"), ("readout", "'sum_var'")),
        (lambda: gd.UserNeuron(vars={"v": ("-v", None)}, rising=True), ("rising", "threshold")),
        (lambda: gd.UserNeuron(vars={"v": ("-v", None)}, tau_refrac=2.0), ("tau_refrac", "threshold")),
        (
            lambda: gd.UserNeuron(vars={"x": ("-x", None)}, threshold="x", tau_refrac=2.0),
            ("tau_refrac", "output_var_name", "'v'"),
        ),
    ],
)
def test_bad_parameters(make: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        make()


@pytest.mark.parametrize(
    ("neuron", "parts"),
    [
        (gd.Izhikevich(a=gd.Uniform(-1.0, 1.0)), ("a of population 'hidden'", "above 0")),
        (gd.AdaptiveExponential(v_reset=gd.Uniform(0.0, 90.0)), ("'hidden'", "v_peak must be above v_reset")),
    ],
)
def test_bad_values_per_neuron(neuron: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        gd.SurrogateCompiler(STEPS, 2).compile(cases.network({"hidden": neuron}))
