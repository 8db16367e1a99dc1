"""Time constants that are learned: their gradients, their limit, what a checkpoint keeps of them, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from networks import Case, largest_difference
from refused import refused

from genn_delays import (
    CPU,
    SGD,
    Adam,
    Connection,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    UserNeuron,
)

T, BATCH = 15, 3
TAU = Uniform(4.0, 12.0)
LIF = {
    f"{rule}{' scale_i' * scaled}{' relative' * relative}": LeakyIntegrateFire(
        tau_mem=TAU, v_thresh=0.4, v=Uniform(-0.2, 0.2), integration=rule, scale_i=scaled, relative_reset=relative
    )
    for rule in ("linear_euler", "exact")
    for scaled in (False, True)
    for relative in (False, True)
}


def adaptive(rule="linear_euler"):
    """Two variables, coupled, with a time constant each; the second is fed by the current and jumps."""
    return UserNeuron(
        vars={"v": ("(-v + a) / tau_mem + Isyn", "v_reset"), "a": ("-a / tau_a + 0.1 * Isyn", "a - 0.2")},
        threshold="v - 0.5",
        param_vals={"tau_mem": TAU, "tau_a": Uniform(20.0, 30.0), "v_reset": 0.0},
        integration=rule,
    )


def described(hidden, *, batch_norm=False, recurrent=False, rule="linear_euler", scaled=False, dropout=0.0):
    network = Network(seed=4)
    with network:
        a = Population(Input(), 6, name="in")
        h = Population(hidden, 8, name="hidden", batch_norm=batch_norm, dropout=dropout)
        out = LeakyIntegrate(tau_mem=TAU, v=0.1, integration=rule, scale_i=scaled, readout="sum_softmax")
        o = Population(out, 3, name="out")
        for source, target in ((a, h), (h, o), *([(h, h)] if recurrent else [])):
            delay = UniformInt(2, 5) if source is target else UniformInt(0, 4)
            Connection(source, target, FixedNumber(sparsity=0.3, weight=Normal(0.2, 0.5), delay=delay))
    return network


def data(count=BATCH):
    random = np.random.default_rng(7)
    x = random.random((count, T, 6)).astype(np.float32)
    return {"in": x}, {"out": random.integers(0, 3, count)}


def compiled_for(network, backend, optimiser=None, *, batch=BATCH, dt=1.0, detach_reset=True, names=None):
    """Compiled to learn all weights and time constants (or those named, by population)."""
    optimiser = optimiser or Adam(0.01)
    if names is None:
        names = {
            p.name: [n for n in p.neuron.equations().parameters if n.startswith("tau")]
            for p in network.populations
            if not p.neuron.is_input
        }
    learned = {p: dict.fromkeys(some, optimiser) for p, some in names.items()}
    compiler = SurrogateCompiler(T, batch, backend=backend, dt=dt, detach_reset=detach_reset)
    return compiler.compile(network, optimisers={"all_connections": {"weight": Adam(0.01)}, **learned})


def check(compiled, variable):
    """Finite differences, from time constants that are those of the first pass to the last digit."""
    for p, state in zip(compiled.plan.populations, compiled.populations, strict=True):
        values = {k: v.astype(np.float64) for k, v in state.values.items()}
        compiled.engine.set_values(p.index, values)
    check_gradient(compiled, *data(), variable, tolerance=2e-6)


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("name", LIF)
def test_gradient_of_a_spiking_neurons_constant(name, detach_reset):
    check(
        compiled_for(described(LIF[name]), SMOOTH, detach_reset=detach_reset, names={"hidden": ["tau_mem"]}), "tau_mem"
    )


@pytest.mark.parametrize("dt", [1.0, 0.5])
@pytest.mark.parametrize("name", [n for n in LIF if "relative" not in n])
def test_gradient_behind_batch_norm_and_dropout(name, dt):
    network = described(LIF[name], batch_norm=True, dropout=0.25)
    check(compiled_for(network, SMOOTH, dt=dt, names={"hidden": ["tau_mem"]}), "tau_mem")


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("rule", ["linear_euler", "exact"])
def test_gradient_of_an_integrators_constant(rule, scaled):
    network = described(LIF["linear_euler"], rule=rule, scaled=scaled)
    check(compiled_for(network, SMOOTH, names={"out": ["tau_mem"]}), "tau_mem")


@pytest.mark.parametrize("variable", ["tau_mem", "tau_a"])
@pytest.mark.parametrize("rule", ["linear_euler", "exact"])
def test_gradient_of_a_users_neuron(rule, variable):
    network = described(adaptive(rule), recurrent=rule == "linear_euler")
    check(compiled_for(network, SMOOTH, names={"hidden": [variable]}), variable)


NETWORKS = {
    **{name: {"hidden": LIF[name]} for name in LIF},
    "normed": {"hidden": LIF["exact scale_i"], "batch_norm": True, "dropout": 0.25, "rule": "exact"},
    "cycle": {"hidden": LIF["linear_euler scale_i relative"], "recurrent": True, "scaled": True},
    "adaptive": {"hidden": adaptive()},
    "adaptive exact": {"hidden": adaptive("exact"), "recurrent": True},
}


def gradients(name, backend, count, batch):
    """The gradient of everything, at time constants that are not those of the beginning."""
    compiled = compiled_for(described(**NETWORKS[name]), backend, batch=batch)
    for p, state in zip(compiled.plan.populations, compiled.populations, strict=True):
        state.values |= {k: (v * 1.25).astype(np.float32) for k, v in state.values.items() if k.startswith("tau")}
        compiled.engine.set_values(p.index, state.values)
        compiled.engine.keep_variables(p.index)
    with compiled:
        variables = ["weight", *dict.fromkeys(k for s in compiled.populations for k in s.values if k.startswith("tau"))]
        found = [(n, o.name, g) for n in variables for o, g in compiled.gradients(*data(count), n)[1].items()]
        return found, [compiled.engine.variable(p.index, "v") for p in compiled.plan.populations[1:]]


@pytest.mark.parametrize("name", NETWORKS)
def test_cpu_equals_reference(name, monkeypatch):
    """Potentials to the last bit, gradients to rounding; so too where a batch is several tiles."""
    expected, potentials_r = gradients(name, "reference", 41, 41)
    for tiles in (1, 3):
        if tiles > 1:
            monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
        found, potentials = gradients(name, CPU(threads=2), 41, 41)
        for (what, owner, g), (_, _, g_r) in zip(found, expected, strict=True):
            assert np.abs(g_r).max() > 0
            assert largest_difference(g, g_r) < 2e-5, (what, owner, tiles)
        for v, v_r in zip(potentials, potentials_r, strict=True):
            np.testing.assert_array_equal(v, v_r)


# --- learning --------------------------------------------------------------------------------------------------------


def test_learned_constants_are_what_the_next_step_uses(backend):
    """A network described with the constants that another has learned computes what that one does."""
    compiled = compiled_for(described(LIF["exact"]), backend, SGD(2.0), names={"hidden": ["tau_mem"]})
    start = compiled.plan.populations[1].values["tau_mem"]
    compiled.train(*data(), 3, callbacks=())
    tau = compiled.populations[1].values["tau_mem"]
    assert np.abs(tau - start).max() > 0.01
    again = compiled_for(described(replace(LIF["exact"], tau_mem=tau.tolist())), backend, names={})
    for c in again.plan.connections:
        state = again.engine.state(c.index)
        state.synapses = compiled.synapses(c.name)
        again.engine.set_state(c.index, state)
    (one,), (two,) = (n.predict(data()[0])[0].values() for n in (compiled, again))
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_a_step_is_the_optimisers(backend):
    compiled = compiled_for(described(adaptive()), backend, SGD(0.5), names={"hidden": ["tau_mem", "tau_a"]})
    start = {k: v.copy() for k, v in compiled.populations[1].values.items()}
    expected = {k: v - 0.5 * next(iter(compiled.gradients(*data(), k)[1].values())) for k, v in start.items()}
    compiled.train(*data(), 1, callbacks=())
    for name, values in expected.items():
        np.testing.assert_allclose(compiled.populations[1].values[name], values, rtol=1e-5)
        assert (compiled.populations[1].values[name] != start[name]).any()


@pytest.mark.parametrize("rule", ["linear_euler", "exact"])
@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_a_constant_is_at_least_a_time_step(rule, dt, backend):
    """Steps that are far too large leave those that fall at dt, and the network goes on computing numbers."""
    network = described(replace(LIF[rule], tau_mem=2.0), rule=rule)
    compiled = compiled_for(network, backend, SGD(1e5), dt=dt)
    for epochs in (1, 2):
        compiled.train(*data(), epochs, callbacks=())
        values = np.concatenate([s.values["tau_mem"] for s in compiled.populations[1:]])
        assert values.min() == np.float32(dt)
    assert np.isfinite(next(iter(compiled.predict(data()[0])[0].values()))).all()


def test_only_what_is_named_is_learned(backend):
    compiled = compiled_for(described(adaptive()), backend, Adam(0.1), names={"hidden": ["tau_a"]})
    compiled.train(*data(), 2, callbacks=())
    assert list(compiled.populations[1].values) == ["tau_a"] and not compiled.populations[2].values
    assert (compiled.populations[1].values["tau_a"] != compiled.plan.populations[1].values["tau_a"]).all()


@pytest.mark.parametrize("name", ["normed", "adaptive exact"])
def test_training_goes_on_with_the_same_bits(name, tmp_path, backend):
    """A checkpoint keeps them and their optimiser; evaluation after loading is that before saving."""
    whole, first, second = (compiled_for(described(**NETWORKS[name]), backend, Adam(0.3)) for _ in range(3))
    whole.train(*data(9), 4, callbacks=())
    first.train(*data(9), 2, callbacks=())
    first.save(tmp_path / "x.safetensors")
    second.load(tmp_path / "x.safetensors")
    (one,), (two,) = (n.predict(data(9)[0])[0].values() for n in (first, second))
    np.testing.assert_array_equal(one, two)
    second.train(*data(9), 4, callbacks=())
    for a, b in zip(whole.populations, second.populations, strict=True):
        assert a.tensors().keys() == b.tensors().keys() and a.age == b.age
        for key, values in a.tensors().items():
            np.testing.assert_array_equal(values, b.tensors()[key], err_msg=key)
    for c in whole.network.connections:
        np.testing.assert_array_equal(whole.synapses(c).weight, second.synapses(c.name).weight)


def test_learning_them_lowers_the_loss(backend):
    compiled = compiled_for(described(LIF["exact"]), backend, Adam(0.3))
    before = compiled.gradients(*data())[0]
    weights = compiled.synapses("in_hidden").weight.copy()
    alone = SurrogateCompiler(T, BATCH, backend=backend).compile(
        described(LIF["exact"]), optimisers={"out": {"tau_mem": Adam(0.3)}}
    )
    alone.train(*data(), 15, callbacks=())
    assert alone.gradients(*data(), "tau_mem")[0] < 0.95 * before
    np.testing.assert_array_equal(alone.synapses("in_hidden").weight, weights)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimisers", "words"),
    [
        ({"hidden": {"tau": Adam()}}, ("population 'hidden'", "'tau'", "tau_mem")),
        ({"hidden": {"v_thresh": Adam()}}, ("population 'hidden'", "'v_thresh'", "tau_mem")),
        ({"out": {"tau_a": Adam()}}, ("population 'out'", "'tau_a'", "tau_mem")),
        ({"in": {"tau_mem": Adam()}}, ("population 'in'", "'tau_mem'", "none")),
        ({"hidden": Adam()}, ("population 'hidden'", "dict", "it can learn: tau_mem")),
        ({"hidden": {"tau_mem": "adm"}}, ("tau_mem of population 'hidden'", "'adm'", "Did you mean 'adam'?")),
        ({"hidden": {"tau_mem": 0.01}}, ("tau_mem of population 'hidden'", "0.01")),
    ],
)
def test_bad_requests(optimisers, words):
    with refused(*words):
        SurrogateCompiler(T, BATCH).plan(described(LIF["exact"]), optimisers=optimisers)


def test_gradients_of_constants_that_are_not_learned():
    compiled = compiled_for(described(LIF["exact"]), "reference", names={})
    with refused("variable with a gradient", "'tau_mem'", "weight"):
        compiled.gradients(*data(), "tau_mem")


def test_a_random_network_with_all_that_is_learned():
    """With batch norm, learned delays and kernels beside them: the same on both backends."""
    case = replace(Case.published(1), batch_norm=True)
    both = {"weight": Adam(0.01), "delay": Adam(0.1)}
    hidden = {"batch_norm": Adam(0.01), "tau_mem": Adam(0.1)}
    optimisers = {"all_connections": both, "population1": hidden, "out": {"tau_mem": Adam(0.1)}}
    found = []
    for backend in (CPU(threads=2), "reference"):
        compiled = case.compile(backend, optimisers=optimisers)
        compiled.train(*case.data(), 2, callbacks=())
        found.append(compiled.populations)
    for one, two in zip(*found, strict=True):
        for key in one.values:
            np.testing.assert_allclose(one.values[key], two.values[key], rtol=1e-3, atol=1e-4)
