"""Exact integration of variables that act on each other: coefficients against matrix exponentials, in any number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm

from genn_delays import (
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    Input,
    LeakyIntegrate,
    Network,
    Normal,
    Population,
    SurrogateCompiler,
    UserNeuron,
)
from genn_delays.derive.equations import derive
from genn_delays.derive.exponentials import expm_entry, expm_slope
from genn_delays.derive.printed import evaluate
from genn_delays.neurons import Equations

MUTUAL = {"v": ("(-v + k * u + Isyn) / tau_v", "0"), "u": ("(-u - v + 0.3) / tau_u", "u + 0.1")}
ONE_WAY = {"v": ("(-v + u + Isyn) / tau_v", "0"), "u": ("-u / tau_u + 2 * Isyn", None)}
CIRCLE = {"v": ("u", "0"), "u": ("-v / 9 + Isyn", None)}  # nothing decays: it goes round
CHAIN = {"v": ("(u - v) / tau_v", "0"), "u": ("(w - u) / tau_v", None), "w": ("-w / tau_u + Isyn", None)}
SYSTEMS = {"mutual": MUTUAL, "one way": ONE_WAY, "circle": CIRCLE, "chain": CHAIN}
PARAMETERS = {
    "tau_v": np.array([20.0, 5.0, 3.0, 8.0]),
    "tau_u": np.array([5.0, 5.0, 3.0 + 1e-9, 30.0]),
    "k": np.full(4, 0.7),
}
DT = 0.5


def equations(name: str, synapse: bool) -> Equations:
    variables = SYSTEMS[name]
    used = tuple(p for p in PARAMETERS if any(p in rate for rate, _ in variables.values()))
    found = Equations(variables, "v - 1", used, integration="exact")
    return Exponential(4.0).join(found) if synapse else found


def matrices(found: Equations, known: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """A and [b, c] of the rates, by putting unit vectors into them."""
    states = list(found.variables)

    def rates(**values: float) -> np.ndarray:
        given = {**dict.fromkeys([*states, "Isyn"], 0.0), **known, **values}
        return np.array([eval(rate, {}, given) for rate, _ in found.variables.values()])

    rest = rates()
    return np.stack([rates(**{s: 1.0}) - rest for s in states], 1), np.stack([rates(Isyn=1.0) - rest, rest], 1)


@pytest.mark.parametrize("synapse", [False, True], ids=["delta", "exponential"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_coefficients_are_matrix_exponentials(name, synapse):
    """Two variables that act on each other took SymPy 34 s, with an exponential synapse over 400; equal time constants
    were refused, nearly equal ones lost all digits."""
    found = equations(name, synapse)
    model = derive(found, True)
    known = {**PARAMETERS, "dt": DT, "tau_syn": np.full(4, 4.0)}
    values = {c: np.broadcast_to(evaluate(text, known), 4) for c, text in model.coefficients.items()}
    states = list(found.variables)
    for neuron in range(4):
        a, b = matrices(found, {k: float(np.broadcast_to(v, 4)[neuron]) for k, v in known.items()})
        n = len(states)
        whole = np.zeros((n + 2, n + 2))
        whole[:n, :n], whole[:n, n:] = a * DT, b * DT
        exact = expm(whole)
        for i, s in enumerate(states):
            for j, r in enumerate(states):
                value = values.get(f"a__{s}" if s == r else f"a__{s}__{r}", np.zeros(4))[neuron]
                assert value == pytest.approx(exact[i, j], rel=1e-12, abs=1e-14)
            for j, letter in enumerate("bc"):
                value = values.get(f"{letter}__{s}", np.zeros(4))[neuron]
                assert value == pytest.approx(exact[i, n + j], rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("synapse", [False, True], ids=["delta", "exponential"])
def test_slopes_of_coefficients_are_their_derivatives(synapse):
    """By which time constants are learned."""
    model = derive(equations("mutual", synapse), True)
    known: dict[str, Any] = {"tau_v": 7.0, "tau_u": 7.0, "k": 0.7, "dt": DT, "tau_syn": 4.0}
    assert {"tau_v", "tau_u", "k"} <= set(model.sensitivity)
    for parameter, slopes in model.sensitivity.items():
        for c, text in model.coefficients.items():
            step = 1e-5
            up, down = (float(evaluate(text, {**known, parameter: known[parameter] + d})) for d in (step, -step))
            slope = float(evaluate(slopes[c], known)) if c in slopes else 0.0
            assert slope == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-9), (parameter, c)


def test_many_variables_are_derived_at_once():
    """Nothing symbolic grows with the number of variables."""
    names = [f"x{i}" for i in range(4)]
    rates = {s: (f"-{s} / tau + Isyn" + "".join(f" + {r} * w_{s}{r}" for r in names if r != s), "0") for s in names}
    weights = tuple(f"w_{s}{r}" for s in names for r in names if r != s)
    model = derive(Exponential(5.0).join(Equations(rates, "x0 - 1", ("tau", *weights), integration="exact")), True)
    known = dict.fromkeys(weights, 0.01) | {"tau": 9.0, "tau_syn": 5.0, "dt": 1.0}
    assert 0 < float(evaluate(model.coefficients["a__x0__x3"], known)) < 0.1
    assert max(len(text) for slopes in model.sensitivity.values() for text in slopes.values()) < 20_000


def test_exponentials_of_all_sizes_are_scipys():
    """Decays that are slow, fast, and too fast for a step; rotations; matrices without eigenvectors."""
    random = np.random.default_rng(2)
    for n in (1, 2, 3, 6):
        for size in (1e-9, 0.1, 1.0, 30.0):
            for m in (random.normal(size=(n, n)) * size / n, -np.diag(random.random(n)) * size, np.eye(n, k=1) * size):
                expected = expm(m)
                found = [[expm_entry(i, j, *m.ravel()) for j in range(n)] for i in range(n)]
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


def test_neurons_of_the_same_numbers_are_computed_once():
    """A number, an array, and what is not finite."""
    m = np.random.default_rng(0).normal(size=(3, 3))
    assert expm_entry(0, 2, *m.ravel()) == pytest.approx(expm(m)[0, 2], rel=1e-12)
    shared = [np.full(100_000, x) for x in m.ravel()]
    np.testing.assert_allclose(expm_entry(1, 1, *shared), np.full(100_000, expm(m)[1, 1]), rtol=1e-12)
    direction = np.zeros((3, 3))
    direction[0, 1] = 1.0
    slope = (expm(m + 1e-6 * direction) - expm(m - 1e-6 * direction)) / 2e-6
    assert expm_slope(2, 0, *m.ravel(), *direction.ravel()) == pytest.approx(slope[2, 0], rel=1e-6)
    assert np.isnan(expm_entry(0, 0, np.inf, 0.0, 0.0, 1.0))


@pytest.mark.parametrize("kind", [SurrogateCompiler, EventPropCompiler])
def test_coupled_variables_run_and_learn(kind, backend):
    """Equal time constants, on every backend as on the reference."""
    synapse = Exponential(4.0) if kind is EventPropCompiler else "delta"

    def gradients(on: Any) -> list[Any]:
        network = Network(seed=2)
        with network:
            a = Population(Input(), 4, name="in")
            neuron = UserNeuron(
                vars=MUTUAL,
                threshold="v - 0.2",
                param_vals={"tau_v": 8.0, "tau_u": 8.0, "k": 0.4},
                integration="exact",
            )
            h, o = Population(neuron, 6, name="hidden"), Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
            Connection(a, h, Dense(weight=Normal(0.3, 0.5)), synapse)
            Connection(h, o, Dense(weight=Normal(0, 1)), synapse)
        x = {"in": np.random.default_rng(1).random((3, 20, 4)).astype(np.float32)}
        with kind(20, 3, backend=on).compile(network) as compiled:
            return list(compiled.gradients(x, {"out": np.array([0, 1, 0])})[1].values())

    found = gradients(backend)
    assert all(np.abs(g).max() > 0 for g in found)
    for one, two in zip(found, gradients("reference"), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4 * np.abs(two).max())
