"""Neurons: parameters, equations, the step and the adjoint derived from them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from networks import largest_difference
from refused import refused
from scipy.linalg import expm

from genn_delays import (
    Connection,
    Dense,
    Exponential,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Reference,
    SpikeRecorder,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    UserNeuron,
    VarRecorder,
)
from genn_delays.derive import printed
from genn_delays.derive.equations import derive
from genn_delays.errors import InvalidValueError
from genn_delays.neurons import NEURONS, READOUTS, Equations

TAU, DT = 8.0, 0.5


def evaluate(text: str, **values):
    return printed.evaluate(text, values)


def coefficients(neuron, dt: float = DT, **parameters) -> dict[str, float]:
    model = derive(neuron.equations(), True)
    known = {**neuron.parameter_values(), **parameters}
    return {name: float(evaluate(text, **known, dt=dt)) for name, text in model.coefficients.items()}


def population(neuron, size: int = 5, seed: int = 0) -> Population:
    return Population(neuron, size, "h", network=Network(seed))


def user(**changes) -> UserNeuron:
    """A leaky neuron as its user would write it, with changes."""
    arguments = {
        "vars": {"v": ("-v / tau_mem + Isyn", "0")},
        "threshold": "v - 1",
        "param_vals": {"tau_mem": TAU},
    }
    return UserNeuron(**arguments | changes)


# --- parameters ------------------------------------------------------------------------------------------------------


def test_numbers_arrays_and_initialisers():
    taus = [1.0, 2.0, 3.0, 4.0, 5.0]
    values = population(LeakyIntegrateFire(tau_mem=np.array(taus), v_thresh=0.7, v=Normal(1, 2))).parameters()
    assert values["tau_mem"].tolist() == taus
    assert values["v_thresh"].tolist() == [0.7] * 5
    assert values["v_reset"].tolist() == [0.0] * 5
    assert len(set(values["v"].tolist())) == 5
    assert all(array.shape == (5,) for array in values.values())
    assert population(LeakyIntegrate(tau_mem=taus)).parameters()["tau_mem"].tolist() == taus
    assert population(LeakyIntegrate(v="normal")).parameters()["v"].std() > 0


def test_parameters_are_drawn_apart():
    """Every parameter, population and seed has numbers of its own."""
    neuron = LeakyIntegrateFire(tau_mem=Uniform(1, 2), v_thresh=Uniform(1, 2))
    values = population(neuron).parameters()
    network = Network(0)
    other = [Population(neuron, 5, network=network).parameters() for _ in range(2)][1]
    reseeded = population(neuron, seed=1).parameters()
    draws = [values["tau_mem"], values["v_thresh"], other["tau_mem"], reseeded["tau_mem"]]
    assert len({draw.tobytes() for draw in draws}) == 4
    assert np.array_equal(values["tau_mem"], population(neuron).parameters()["tau_mem"])


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: LeakyIntegrateFire(tau_mem=0), ("tau_mem", "(0, inf)", "got 0")),
        (lambda: LeakyIntegrateFire(tau_mem=-1.5), ("tau_mem", "(0, inf)", "-1.5")),
        (lambda: LeakyIntegrate(tau_mem=float("inf")), ("tau_mem", "inf")),
        (lambda: LeakyIntegrateFire(v_thresh=float("nan")), ("v_thresh", "nan")),
        (lambda: LeakyIntegrateFire(v_reset=None), ("v_reset", "number", "None")),
        (lambda: LeakyIntegrate(v=True), ("v", "number", "True")),
        (lambda: LeakyIntegrateFire(integration="eluer"), ("integration", "'eluer'", "linear_euler", "exact")),
        (lambda: LeakyIntegrate(integration=None), ("integration", "None", "linear_euler")),
        (lambda: LeakyIntegrateFire(scale_i=1), ("scale_i", "true or false", "1")),
        (lambda: LeakyIntegrateFire(relative_reset="no"), ("relative_reset", "true or false", "'no'")),
        (lambda: LeakyIntegrate(scale_i=None), ("scale_i", "true or false", "None")),
        (lambda: LeakyIntegrate(readout="sum_vra"), ("readout", "'sum_vra'", "sum_softmax", "Did you mean 'sum_var'?")),
        (lambda: LeakyIntegrate(readout=["sum_var"]), ("readout", "['sum_var']")),
        (lambda: LeakyIntegrateFire(readout="sum_var"), ("LeakyIntegrateFire", "'sum_var'", "LeakyIntegrate")),
    ],
)
def test_bad_parameters(make, parts):
    with refused(*parts):
        make()


@pytest.mark.parametrize(
    ("neuron", "parts"),
    [
        (LeakyIntegrateFire(tau_mem=[1.0, 2.0]), ("tau_mem of population 'h'", "(5,)", "(2,)")),
        (LeakyIntegrateFire(tau_mem=[[1.0] * 5]), ("tau_mem of population 'h'", "(5,)", "(1, 5)")),
        (LeakyIntegrateFire(tau_mem=[1, 2, 3, 0, 5]), ("tau_mem of population 'h'", "above 0", "0.0")),
        (LeakyIntegrateFire(v=[1, 2, np.nan, 0, 5]), ("v of population 'h'", "finite", "nan")),
        (LeakyIntegrateFire(v_thresh=["a"] * 5), ("v_thresh of population 'h'", "real numbers", "<U1")),
        (LeakyIntegrateFire(tau_mem=Uniform(-1, 0)), ("tau_mem of population 'h'", "above 0", "-0.")),
        (LeakyIntegrateFire(tau_mem="unifrom"), ("tau_mem of population 'h'", "'unifrom'", "uniform")),
        (user(param_vals={"tau_mem": 0.0}), ("tau_mem of population 'h'", "above 0", "0.0")),
        (user(param_vals={"tau_mem": float("nan")}), ("tau_mem of population 'h'", "nan")),
        (user(var_vals={"v": [0.0]}), ("v of population 'h'", "(5,)", "(1,)")),
    ],
    ids=lambda x: "" if isinstance(x, tuple) else type(x).__name__,
)
def test_bad_values_per_neuron(neuron, parts):
    with refused(*parts):
        population(neuron).parameters()


def test_registry():
    assert {type(LeakyIntegrateFire()), LeakyIntegrate, UserNeuron} < set(NEURONS.values())
    for name, readout in READOUTS.items():
        fits, other = LeakyIntegrate, LeakyIntegrateFire
        if readout.reads == "spikes":
            fits, other = other, fits
        assert fits(readout=name).readout == name
        with refused(f"{other.__name__} with readout {name!r}", "spike", "allowed"):
            other(readout=name)


# --- the derived step ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "a", "b"),
    [
        ({}, 1 - DT / TAU, DT),
        ({"scale_i": True}, 1 - DT / TAU, DT / TAU),
        ({"integration": "exact"}, np.exp(-DT / TAU), TAU * (1 - np.exp(-DT / TAU))),
        ({"integration": "exact", "scale_i": True}, np.exp(-DT / TAU), 1 - np.exp(-DT / TAU)),
    ],
    ids=["published", "scaled", "exact", "exact scaled"],
)
@pytest.mark.parametrize("kind", [LeakyIntegrateFire, LeakyIntegrate])
def test_coefficients(kind, arguments, a, b):
    """``u[t] = a u[t-1] + b I[t]``: what the design writes for the default, mlGeNN's forms for the others."""
    found = coefficients(kind(tau_mem=TAU, **arguments))
    assert found == pytest.approx({"a__v": a, "b__v": b}, rel=1e-12)


@pytest.mark.parametrize("integration", ["linear_euler", "exact"])
def test_coefficients_of_coupled_variables(integration):
    """Two variables and a constant drive, against a matrix exponential (or its first term)."""
    tau_m, tau_s, rest = 20.0, 5.0, -0.3
    neuron = UserNeuron(
        vars={"v": ("(-v + j + rest) / tau_m", None), "j": ("-j / tau_s + Isyn", None)},
        param_vals={"tau_m": tau_m, "tau_s": tau_s, "rest": rest},
        integration=integration,
    )
    found = coefficients(neuron)
    A = np.array([[-1 / tau_m, 1 / tau_m], [0, -1 / tau_s]])
    M = expm(A * DT) if integration == "exact" else np.eye(2) + A * DT
    drive = np.linalg.inv(A) @ (expm(A * DT) - np.eye(2)) if integration == "exact" else np.eye(2) * DT
    expected = {"a__v": M[0, 0], "a__v__j": M[0, 1], "a__j": M[1, 1], "c__v": drive[0, 0] * rest / tau_m}
    expected |= {"b__j": drive[1, 1], "b__v": drive[0, 1]}
    if integration == "linear_euler":
        del expected["b__v"]  # the current reaches v one step later
    assert found == pytest.approx(expected, rel=1e-9)


def run_model(neuron, current, dt: float = DT, detach: bool = True):
    """The printed NumPy expressions, step by step: potentials, spikes, and a function for the adjoint."""
    model = derive(neuron.equations(), detach)
    known = {**neuron.parameter_values(), **coefficients(neuron, dt)}
    state = {s: float(known.get(s, 0.0)) for s in model.states}
    tape, spikes = [], []
    for value in current:
        now = {s: evaluate(model.update[s].py, **{**known, **state, "Isyn": value}) for s in model.states}
        spike = evaluate(model.threshold.py, **{**known, **now}) >= 0
        jumped = {s: evaluate(text.py, **{**known, **now}) for s, text in model.jump.items()}
        state = {**now, **(jumped if spike else {})}
        tape.append(now)
        spikes.append(spike)
    return model, known, tape, np.array(spikes)


CURRENT = np.random.default_rng(5).uniform(-0.2, 0.8, 200)


def test_lif_is_the_published_formula():
    """``u[t] = a u[t-1] (1 - S[t-1]) + I[t] dt``, ``S[t] = u[t] >= v_thresh``, u before the reset."""
    _, _, tape, spikes = run_model(LeakyIntegrateFire(tau_mem=TAU, v=0.3), CURRENT)
    u, s = 0.3, False
    for t, value in enumerate(CURRENT):
        u = (1 - DT / TAU) * u * (1 - s) + value * DT
        s = u >= 1.0
        assert tape[t]["v"] == pytest.approx(u, rel=1e-12)
        assert spikes[t] == s
    assert 5 < spikes.sum() < 100


@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        ({"v_reset": -0.4}, lambda u: -0.4),
        ({"relative_reset": True}, lambda u: u - 1.0),
        ({"relative_reset": True, "v_reset": 5.0}, lambda u: u - 1.0),
    ],
    ids=["v_reset", "relative", "relative whatever v_reset"],
)
def test_resets(arguments, after):
    _, _, tape, spikes = run_model(LeakyIntegrateFire(tau_mem=TAU, **arguments), CURRENT)
    assert spikes[:-1].sum() > 5
    for t in range(1, len(CURRENT)):
        before = tape[t - 1]["v"]
        u = after(before) if spikes[t - 1] else before
        assert tape[t]["v"] == pytest.approx((1 - DT / TAU) * u + CURRENT[t] * DT, rel=1e-9)


@pytest.mark.parametrize("detach", [True, False])
def test_lif_adjoint_is_the_published_formula(detach):
    """``l[t] = ds e + a (1 - S) l[t+1]``, ``g = dt l``; with the reset differentiated e becomes ``e - a u l[t+1]``."""
    model, known, tape, spikes = run_model(LeakyIntegrateFire(tau_mem=TAU), CURRENT[:60], detach=detach)
    random, a = np.random.default_rng(1), 1 - DT / TAU
    found = expected = 0.0
    for t in reversed(range(60)):
        e, u, s = random.normal(), tape[t]["v"], float(spikes[t])
        ds = 2.5 / (1 + (np.pi * 5 * (u - 1) / 2) ** 2)
        found = evaluate(model.adjoint["v"].py, **{**known, "v": u}, S__=s, ds__=ds, e__=e, L__v=found)
        through = e if detach else e - a * u * expected
        expected = ds * through + a * (1 - s) * expected
        assert found == pytest.approx(expected, rel=1e-9)
        assert evaluate(model.gradient.py, **known, l__v=found) == pytest.approx(DT * expected, rel=1e-9)
    assert spikes[:60].any()


def test_derivation_is_deterministic():
    assert derive(user().equations(), True) == derive(user().equations(), True)
    lines = derive(LeakyIntegrateFire().equations(), True).equations
    assert lines[0] == "dv/dt = -v / tau_mem + Isyn"
    assert "spike where v - v_thresh >= 0" in lines


# --- neurons of the user's own ---------------------------------------------------------------------------------------


def alif(**changes) -> UserNeuron:
    """Adaptive threshold; parameters with names that mean something to SymPy or to C."""
    return user(
        vars={"v": ("-v / tau_mem + Isyn", "0"), "a": ("-a / E", "a + 1")},
        threshold="v - I - gamma * a",
        param_vals={"tau_mem": TAU, "E": 30.0, "I": 0.5, "gamma": 0.2},
    )


def adaptive_network(weight=None) -> Network:
    network = Network(seed=2)
    with network:
        x, h = Population(Input(), 4, "x"), Population(alif(), 6, "h")
        o = Population(LeakyIntegrate(tau_mem=TAU, readout="sum_var"), 2, "o")
        Connection(x, h, Dense(weight=weight or Uniform(0, 0.4), delay=UniformInt(0, 4)))
        Connection(h, h, Dense(weight=Normal(0, 0.1), delay=UniformInt(1, 4)))
        Connection(h, o, Dense(weight=KaimingUniform(), delay=UniformInt(0, 4)))
    return network


def test_adaptive_neuron_by_hand(backend):
    """Spikes, potential and adaptation of an ALIF-like neuron against loops over its equations, in single precision."""
    network = Network(seed=2)
    with network:
        x, h = Population(Input(), 4, "x"), Population(alif(), 6, "h")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, "o")
        Connection(x, h, Dense(weight=Uniform(0, 0.4), delay=UniformInt(0, 4)))
        Connection(h, o, Dense())
    data = np.random.default_rng(3).random((2, 40, 4)).astype(np.float32)
    with SurrogateCompiler(40, 2, backend=backend).compile(network) as compiled:
        callbacks = [VarRecorder("h", "v"), VarRecorder("h", "a"), SpikeRecorder("h")]
        _, recorded = compiled.predict({"x": data}, callbacks=callbacks)
    f = np.float32
    decay_v, decay_a = f(1 - 1 / TAU), f(1 - 1 / 30.0)
    total = 0
    for example in range(2):
        v, a, spike = np.zeros(6, f), np.zeros(6, f), np.zeros(6, bool)
        for t in range(40):
            current = np.zeros(6, f)
            for pre, post, delay, weight in zip(*network.connections[0].synapses, strict=True):
                if t >= delay:
                    current[post] += weight * data[example, t - int(delay), pre]
            v = decay_v * np.where(spike, f(0), v) + current
            a = decay_a * np.where(spike, a + f(1), a)
            spike = v - f(0.5) - f(0.2) * a >= 0
            np.testing.assert_allclose(recorded["h_v"][example][t], v, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(recorded["h_a"][example][t], a, rtol=1e-5, atol=1e-6)
            times, neurons = (part[example] for part in recorded["h_spikes"])
            assert sorted(neurons[times == t].tolist()) == np.flatnonzero(spike).tolist()
            total += spike.sum()
    assert 40 < total < 300


def test_adaptive_neuron_on_a_cycle_is_the_same_everywhere():
    """cpu against the reference: spikes exactly, gradients to 1e-5."""
    data, labels = np.random.default_rng(4).random((3, 25, 4)), [0, 1, 1]
    results = []
    for backend in ("cpu", "reference"):
        with SurrogateCompiler(25, 3, backend=backend, detach_reset=False).compile(adaptive_network()) as compiled:
            _, gradients = compiled.gradients({"x": data}, {"o": labels})
            results.append((compiled.engine.spikes(1), list(gradients.values())))
    (spikes, found), (expected_spikes, expected) = results
    assert spikes.any()
    np.testing.assert_array_equal(spikes, expected_spikes)
    for one, other in zip(found, expected, strict=True):
        assert largest_difference(one, other) < 1e-5


def test_adaptive_neuron_has_the_gradient_of_its_loss():
    """Nobody wrote its backward pass: finite differences of the smooth loss, reset and adaptation included."""
    backend = Reference(dtype="float64", smooth_spikes=True)
    compiled = SurrogateCompiler(12, 2, backend=backend, detach_reset=False).compile(adaptive_network())
    x, y = {"x": np.random.default_rng(4).random((2, 12, 4))}, {"o": [0, 1]}
    _, gradients = compiled.gradients(x, y)

    def loss(index: int, synapse: int, change: float) -> float:
        kept, state = compiled.engine.state(index), compiled.engine.state(index)
        weight = state.synapses.weight.astype(np.float64)
        weight[synapse] += change
        state.synapses = state.synapses._replace(weight=weight)
        compiled.engine.set_state(index, state)
        value, _ = compiled.gradients(x, y)
        compiled.engine.set_state(index, kept)
        return value

    for connection, gradient in gradients.items():
        for synapse in np.random.default_rng(0).choice(gradient.size, 4, replace=False):
            slope = (loss(connection.index, synapse, 1e-5) - loss(connection.index, synapse, -1e-5)) / 2e-5
            assert abs(slope - gradient[synapse]) < 1e-6 * np.abs(gradient).max()


def test_a_lif_neuron_written_as_equations_is_the_lif_neuron():
    written = user(threshold="v - v_thresh", param_vals={"tau_mem": TAU, "v_thresh": 1.0}, var_vals={"v": 0.3})
    one, two = run_model(written, CURRENT), run_model(LeakyIntegrateFire(tau_mem=TAU, v=0.3), CURRENT)
    assert one[2] == two[2]
    assert np.array_equal(one[3], two[3])


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"vars": {}}, ("at least one variable", "none")),
        ({"vars": [("v", "-v")]}, ("UserNeuron vars", "dict", "[('v', '-v')]")),
        ({"vars": {"v": "-v"}}, ("vars['v']", "right-hand side", "'-v'")),
        ({"vars": {"v": ("-v",)}}, ("vars['v']", "right-hand side", "('-v',)")),
        ({"vars": {"v": (-1, None)}}, ("vars['v']", "right-hand side", "(-1, None)")),
        ({"vars": {"v": ("-v", 0)}}, ("v after a spike", "text or None", "0")),
        ({"vars": {"1v": ("-v", "0")}}, ("'1v'", "not a name")),
        ({"vars": {3: ("-v", "0")}}, ("3", "not a name")),
        ({"vars": {"v__": ("-v", "0")}}, ("'v__'", "not a name")),
        ({"vars": {"Isyn": ("-Isyn", "0")}}, ("'Isyn'", "reserved", "Isyn, dt")),
        ({"param_vals": {"dt": 1.0}}, ("'dt'", "reserved")),
        ({"param_vals": {"v": 1.0}}, ("'v'", "both a variable and a parameter")),
        ({"param_vals": 3}, ("param_vals", "dict", "3")),
        ({"threshold": 1.0}, ("threshold", "text or None", "1.0")),
        ({"threshold": "v - Isyn"}, ("threshold = 'v - Isyn'", "'Isyn'", "variables and parameters")),
        ({"vars": {"v": ("-v", "v - dt")}}, ("v after a spike = 'v - dt'", "'dt'")),
        ({"vars": {"v": ("-v / tau_mem + (Isyn", "0")}}, ("dv/dt = '-v / tau_mem + (Isyn'", "not an expression")),
        ({"vars": {"v": ("-v; v", "0")}}, ("dv/dt = '-v; v'", "not an expression")),
        ({"vars": {"v": ("", "0")}}, ("dv/dt = ''", "not an expression")),
        ({"vars": {"v": ("-v", "v -")}}, ("v after a spike = 'v -'", "not an expression")),
        ({"threshold": "v - 1)"}, ("threshold = 'v - 1)'", "not an expression")),
        ({"vars": {"v": ("__import__('os')", "0")}}, ("dv/dt", "arithmetic expression", "__import__")),
        ({"threshold": "v > 1"}, ("threshold = 'v > 1'", "comparison")),
        ({"var_vals": {"w": 1.0}}, ("var_vals", "'w'", "variables: v")),
        ({"integration": "rk5"}, ("integration", "'rk5'", "exact")),
        ({"readout": "sum_var"}, ("readout 'sum_var'", "the neuron spikes", "'spike_count'")),
        ({"readout": "spike_count", "threshold": None}, ("readout 'spike_count'", "does not spike", "'sum_var'")),
        ({"readout": "sum_var", "threshold": None, "output_var_name": "w"}, ("readout 'sum_var'", "out of v", "'w'")),
        ({"readout": "mean"}, ("readout", "'mean'", "sum_var")),
    ],
    ids=repr,
)
def test_bad_descriptions(changes, parts):
    with refused(*parts):
        user(**changes)


@pytest.mark.parametrize("name", ["lambda", "class", "None", "is"])
def test_words_of_python_are_no_names(name):
    for arguments in ({"param_vals": {"tau_mem": TAU, name: 1.0}}, {"vars": {name: (f"-{name} + Isyn", "0")}}):
        with refused(repr(name), "word"):
            user(**arguments)


@pytest.mark.parametrize("name", ["bias", "batch_norm_scale", "batch_norm_mean"])
def test_names_of_a_populations_own_values(name):
    with refused(repr(name), "reserved"):
        user(param_vals={"tau_mem": TAU, name: 1.0})


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"vars": {"v": ("-v / tua + Isyn", "0")}}, ("dv/dt", "'tua'", "not defined", "tau_mem")),
        ({"vars": {"v": ("-v + Isyn", "reset")}}, ("v after a spike", "'reset'", "not defined")),
        ({"threshold": "v - vth"}, ("threshold", "'vth'", "not defined")),
        ({"vars": {"v": ("-v**2 + Isyn", "0")}}, ("dv/dt", "v**2", "linear")),
        ({"vars": {"v": ("-v + Isyn * v", "0")}}, ("dv/dt", "linear")),
        ({"vars": {"v": ("-v + Isyn**2", "0")}}, ("dv/dt", "Isyn**2", "linear")),
        ({"vars": {"v": ("exp(-v)", "0")}}, ("dv/dt", "exp(-v)", "linear")),
        ({"vars": {"v": ("Isyn", "0")}, "integration": "exact"}, ("'exact'", "decays", "linear_euler")),
    ],
    ids=repr,
)
def test_bad_equations(changes, parts):
    """Found when the network is compiled, by the same error on every backend."""
    network = Network()
    with network:
        x, h = Population(Input(), 2), Population(user(**changes), 2)
        o = Population(LeakyIntegrate(readout="sum_var"), 2)
        Connection(x, h, Dense())
        Connection(h, o, Dense())
    with refused(*parts):
        SurrogateCompiler(5, backend="reference").compile(network)


SILENT = {
    "no Isyn": ({"v": ("-v / 5", "0")}, "v - 1", "no equation has Isyn"),
    "Isyn times 0": ({"v": ("-v / 5 + 0 * Isyn", "0")}, "v - 1", "no equation has Isyn"),
    "another variable": (
        {"v": ("-v / 5 + 0.5", "0"), "u": ("-u / 5 + Isyn + v", None)},
        "v - 1",
        "does not get to them",
    ),
    "a threshold of numbers": ({"v": ("-v / 5 + Isyn", "0")}, "0.5 - 1", "depends on no variable"),
    "an output": ({"v": ("-v / 5", None), "u": ("-u / 5 + Isyn", None)}, None, "its output depends on v"),
}
HEARD = {
    "through a variable": ({"v": ("(-v + u) / 5", "0"), "u": ("-u / 5 + Isyn", None)}, "v - 1"),
    "through two": ({"v": ("-v + w", "0"), "w": ("-w + u", "0"), "u": ("-u + Isyn", None)}, "v - 1"),
    "through a jump": ({"v": ("-v / 5 + 1", "u"), "u": ("-u / 5 + Isyn", None)}, "v - 1"),
    "in the threshold": ({"v": ("-v / 5 + 1", "0"), "u": ("-u / 5 + Isyn", None)}, "v - 1 + u"),
}


@pytest.mark.parametrize("synapse", ["delta", Exponential(4.0)], ids=["delta", "exponential"])
@pytest.mark.parametrize("name", [*SILENT, *HEARD])
def test_input_must_be_able_to_change_something(name, synapse):
    """An equation without Isyn was taken, and never spiked."""
    variables, threshold, *parts = (SILENT | HEARD)[name]
    readout = "sum_var" if threshold is None else None
    network = Network()
    with network:
        a = Population(Input(), 2, name="in")
        h = Population(UserNeuron(vars=variables, threshold=threshold, readout=readout), 2, name="hidden")
        Connection(a, h, Dense(), synapse)
        if threshold is not None:
            Connection(h, Population(LeakyIntegrate(readout="sum_var"), 2), Dense(), synapse)
    if name in HEARD:
        SurrogateCompiler(5, backend="reference").compile(network)
        return
    if synapse != "delta":
        parts = ["never changes"]  # the synaptic current itself has its input
    with refused("population 'hidden'", "connection 'in_hidden'", *parts):
        SurrogateCompiler(5, backend="reference").compile(network)


def test_functions_that_no_kernel_has_are_refused():
    with pytest.raises(InvalidValueError, match=r"gamma.*functions: exp, log"):
        derive(Equations({"v": ("-v + gamma(2)", None)}, None, ()), True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("-v * 1e-1 + Isyn", 0.9), ("-v * .5 + Isyn", 0.5), ("-v * 2.5E-1 + Isyn", 0.75), ("-v*(1/4)", 0.75)],
)
def test_numbers_as_people_write_them(text, value):
    model = derive(Equations({"v": (text, None)}, None, ()), True)
    assert evaluate(model.coefficients["a__v"], dt=1.0) == pytest.approx(value)


def test_large_integers_are_printed_as_floats():
    """As an int, 2**40 would be cut off in C and the network would spike on one backend only."""
    model = derive(Equations({"v": ("-v + Isyn", "0")}, f"v - {2**40}", ()), True)
    assert "F" in model.threshold.c and str(2**40) not in model.threshold.c


@pytest.mark.parametrize(
    "text", ["v - 9**9**9", "v - 9**(9**9)", "v - 2**1000", "v - v**99", "v - 1e31", "v - " + "9" * 400]
)
def test_numbers_too_large_are_refused_at_once(text):
    with refused("threshold", "above 1e30, an exponent above 64 or powers in a row"):
        derive(Equations({"v": ("-v + Isyn", "0")}, f"v - {text}", ()), True)


@pytest.mark.parametrize("text", ["v - 1/0", "v - log(0)", "v - 0/0", "v - sqrt(-1)"])
def test_numbers_that_are_none_are_refused(text):
    with refused("threshold", "not a finite real number"):
        derive(Equations({"v": ("-v + Isyn", "0")}, text, ()), True)


def test_a_square_root_is_one():
    model = derive(Equations({"v": ("-v + Isyn", "0")}, "sqrt(w) + v - 1", ("w",)), True)
    assert "sqrtf(w_)" in model.threshold.c and "powf" not in model.threshold.c


@pytest.mark.parametrize("neuron", [LeakyIntegrate(tau_mem=0.5), LeakyIntegrate(tau_mem=0.1, readout="sum_var")])
def test_a_step_too_long_for_linear_euler_is_refused(neuron):
    """1 - dt / tau below 0: the potential would change sign every step."""
    network = Network()
    with network:
        a = Population(Input(), 2)
        o = Population(LeakyIntegrate(tau_mem=neuron.tau_mem, readout="sum_var"), 2, name="out")
        Connection(a, o, Dense())
    with refused("'out'", "too long for linear Euler", "0 or more"):
        SurrogateCompiler(5).compile(network)
    SurrogateCompiler(5, dt=0.1).compile(network)
