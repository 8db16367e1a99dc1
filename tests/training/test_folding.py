"""Batch norm folded into weights and bias currents: the same network but for rounding, plain and sparse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case

from genn_delays import (
    Adam,
    BatchNorm,
    Connection,
    DeepR,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SurrogateCompiler,
    UniformInt,
    fold_batch_norm,
)

CASES = [replace(c, batch_norm=True) for c in (Case.published(seed) for seed in range(9)) if not c.recurrent]


def evaluated(compiled, x):
    """Outputs, and spikes and potentials of the last batch, of an evaluation."""
    dynamic = [p for p in compiled.network.populations if not p.neuron.is_input]
    for p in dynamic:
        compiled.engine.keep_variables(p.index)
    outputs = compiled.predict(x)[0]
    spikes = {p.name: compiled.engine.spikes(p.index) for p in dynamic if p.spiking}
    potentials = {p.name: compiled.engine.variable(p.index, "v") for p in dynamic}
    return next(iter(outputs.values())), spikes, potentials


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"seed{c.seed}")
def test_folded_network_computes_the_same(case, backend):
    """After training: the first layer's potentials to 1e-5, its spikes wherever |v - v_thresh| > 1e-4."""
    compiled = case.compile(backend)
    x, y = case.data()
    compiled.train(x, y, 3, callbacks=())
    folded, broken = fold_batch_norm(compiled)
    assert broken == {}
    assert all(p.batch_norm is None and p.dropout == 0 for p in folded.populations)
    assert all(isinstance(c.connectivity, Sparse) and c.delay_kernel is None for c in folded.connections)
    plain = SurrogateCompiler(case.time_steps, case.batch_size, backend=backend).compile(folded)
    _, spikes, potentials = evaluated(compiled, x)
    _, spikes_f, potentials_f = evaluated(plain, x)
    first = compiled.network.populations[1].name
    clear = np.abs(potentials[first] - 0.5) > 1e-4  # and everything before it, or a reset differs
    clear = np.logical_and.accumulate(clear, axis=1)
    assert clear.mean() > 0.5
    scale = np.abs(potentials[first]).max()
    assert np.abs(potentials[first] - potentials_f[first])[clear].max() < 1e-5 * max(scale, 1.0)
    np.testing.assert_array_equal(spikes[first][clear], spikes_f[first][clear])


def test_powers_of_two_fold_without_rounding(any_backend):
    """With factors 0.5, 2, -4 ... every spike and every potential of every layer is the same."""
    case = replace(CASES[0], kernel=None)
    compiled = case.compile(any_backend)
    random = np.random.default_rng(0)
    for p, state in zip(compiled.plan.populations, compiled.populations, strict=True):
        if p.batch_norm is not None:
            assert p.batch_norm.epsilon == 1e-5
            state.values["batch_norm_scale"] = random.choice([0.5, 1.0, 2.0, -4.0], p.size).astype(np.float32)
            state.values["batch_norm_var"] = np.full(p.size, 1.0, np.float32) - np.float32(1e-5)
            state.values["batch_norm_mean"] = random.normal(size=p.size).astype(np.float32)
            compiled.engine.set_values(p.index, state.values)
    folded, _ = fold_batch_norm(compiled)
    factors = {c.name: c.synapses.weight for c in folded.connections}
    plain = SurrogateCompiler(case.time_steps, case.batch_size, backend=any_backend).compile(folded)
    for c in compiled.network.connections:
        ratio = factors[c.name] / compiled.synapses(c).weight
        assert np.isin(ratio, [0.5, 1.0, 2.0, -4.0]).all()
    x, _ = case.data()
    one, two = evaluated(compiled, x), evaluated(plain, x)
    np.testing.assert_array_equal(one[0], two[0])
    for a, b in ((one[1], two[1]), (one[2], two[2])):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_a_negative_factor_that_breaks_dales_law_is_reported():
    network = Network(seed=0)
    with network:
        a = Population(Input(), 6, name="in")
        h = Population(LeakyIntegrateFire(), 5, name="h", batch_norm=BatchNorm(scale=[1.0, -1.0, 1.0, 1.0, 1.0]))
        o = Population(LeakyIntegrate(readout="sum_var"), 3, name="out")
        Connection(a, h, FixedNumber(sparsity=0.2, delay=UniformInt(0, 3)))
        Connection(h, o, FixedNumber(sparsity=0.2, delay=UniformInt(0, 3)))
    rule = {"all_connections": DeepR(dale=True)}
    with SurrogateCompiler(8, 2, backend="reference").compile(network, rewiring=rule) as compiled:
        folded, broken = fold_batch_norm(compiled)
        s = compiled.synapses("in_h")
    onto = set(s.pre[s.post == 1].tolist())
    elsewhere = set(s.pre[s.post != 1].tolist())
    assert set(broken) == {"in_h"}
    assert set(broken["in_h"].tolist()) == onto & elsewhere
    assert folded.populations[1].bias is not None


def test_learned_time_constants_are_kept(backend):
    case = replace(CASES[1], learn_delays=False, kernel=None)
    everything = {"all_connections": Adam(), case.network().populations[1].name: {"tau_mem": Adam(0.5)}}
    compiled = case.compile(backend, optimisers=everything)
    x, y = case.data()
    compiled.train(x, y, 3, callbacks=())
    folded, _ = fold_batch_norm(compiled)
    learned = compiled.populations[1].values["tau_mem"]
    assert np.abs(learned - compiled.plan.populations[1].values["tau_mem"]).min() > 0.1
    np.testing.assert_array_equal(folded.populations[1].parameters()["tau_mem"].astype(np.float32), learned)


def test_bias_is_a_constant_current(backend):
    """v of an integrator with bias b alone: b, b (1 + a), b (1 + a + a^2), ..."""
    network = Network(seed=0)
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_var"), 2, name="out", bias=[0.25, -1.0])
        Connection(a, o, Sparse([0, 0], [0, 1], [1.0, 1.0]))
    with SurrogateCompiler(12, 1, backend=backend).compile(network) as compiled:
        compiled.predict({"in": np.zeros((1, 12, 1), np.float32)})
        v = compiled.engine.variable(1, "v")[:, :, 0]
    np.testing.assert_allclose(v[0], 0.25 * np.cumsum(0.9 ** np.arange(12)), rtol=1e-5)
    np.testing.assert_allclose(v[1], -4 * v[0], rtol=1e-5)
