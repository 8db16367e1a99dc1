"""mlGeNN: networks in both directions, and its EventProp compiler as a trainer, beside our own engines."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ml_genn_here import TRAINER
from refused import refused

from genn_delays import (
    Adam,
    Connection,
    CosineAnnealing,
    DeepR,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    Uniform,
    UniformInt,
)

pytestmark = pytest.mark.genn

DURATION = 80.0  # ms
LEARNED = {"all_connections": {"weight": Adam(), "delay": Adam()}}


def described(
    seed: int, dt: float = 1.0, readout: str = "avg_var", hidden: tuple[int, ...] = (8,), recurrent: bool = False,
    scale_i: bool = True, weak: float = 1.0,
) -> Network:  # fmt: skip
    """A small random network whose delays in ms, 0 to 15, do not depend on the time step."""
    random, network = np.random.default_rng(seed), Network(seed=seed)
    with network:
        pops = [Population(SpikeInput(), 10, name="in")]
        kind: dict[str, Any] = {"scale_i": scale_i, "integration": "exact"}
        pops += [Population(LeakyIntegrateFire(tau_mem=15.0, **kind), size) for size in hidden]
        pops.append(Population(LeakyIntegrate(tau_mem=30.0, readout=readout, **kind), 3, name="out"))
        pairs = list(pairwise(pops))
        for source, target in pairs + ([(pops[1], pops[1])] if recurrent else []):
            chosen = np.flatnonzero(random.random(source.size * target.size) < 0.6)
            pre, post = np.divmod(chosen, target.size)
            mean, spread = (0.2, weak) if target is pops[-1] else (-0.5, 0.8) if source is target else (1.5, 0.4)
            weight = random.normal(mean, spread, pre.size) / (1 if scale_i else target.neuron.tau_mem)
            delay = random.integers(int(source is target), 16, pre.size)
            steps = np.rint(delay / dt).astype(int)
            connectivity = Sparse(pre, post, weight, steps)
            Connection(source, target, connectivity, Exponential(20.0), max_delay_steps=round(15 / dt))
    return network


def data(seed: int, count: int = 1, spikes: int = 10) -> tuple[dict[str, Any], dict[str, Any]]:
    random, examples = np.random.default_rng(1000 + seed), []
    for _ in range(count):
        key = np.unique(random.integers(0, 50, spikes) * 10 + random.integers(0, 10, spikes))
        examples.append((key // 10 * 1.0, key % 10))
    return {"in": examples}, {"out": random.integers(0, 3, count)}


def compiled(network: Network, backend: Any, dt: float = 1.0, optimisers: Any = None, **arguments: Any) -> Any:
    compiler = EventPropCompiler(round(DURATION / dt), 1, dt=dt, backend=backend, **arguments)
    return compiler.compile(network, optimisers=LEARNED if optimisers is None else optimisers)


def gradients(network: Network, x: Any, y: Any, backend: Any, dt: float = 1.0) -> dict[tuple[str, str], np.ndarray]:
    with compiled(network, backend, dt) as c:
        return {(v, k.name): g for v in ("weight", "delay") for k, g in c.gradients(x, y, v)[1].items()}


def differences(seed: int, dt: float, **arguments: Any) -> dict[tuple[str, str], tuple[float, float]]:
    """By variable and connection the cosine of mlGeNN's gradient with ours, and ``|mlGeNN's - ours| / |ours|``."""
    network, (x, y) = described(seed, dt, **arguments), data(seed)
    found, ours = gradients(network, x, y, TRAINER, dt), gradients(network, x, y, "cpu", dt)
    rows = {}
    for key, g in ours.items():
        norm = np.linalg.norm(g)
        cosine = float(found[key] @ g / np.linalg.norm(found[key]) / norm)
        rows[key] = cosine, float(np.linalg.norm(found[key] - g) / norm)
    return rows


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "arguments"),
    [
        (0, {}),
        (4, {"scale_i": False}),
        (2, {"hidden": (6, 6)}),
        (2, {"recurrent": True}),
        (0, {"readout": "avg_var_exp_weight"}),
        (0, {"readout": "sum_var", "weak": 0.05}),
        (0, {"readout": "max_var", "weak": 0.05}),  # a maximum just at an arrival has two derivatives
    ],
)
def test_gradients_are_ours_as_steps_become_shorter(seed: int, arguments: dict[str, Any]) -> None:
    """The scale is right too: not only the cosine comes to 1."""
    rows = [differences(seed, dt, **arguments) for dt in (1.0, 0.25, 0.0625)]
    for key in rows[0]:
        errors = [row[key][1] for row in rows]
        assert errors[1] < 0.75 * errors[0] and errors[2] < 0.75 * errors[1], (key, errors)
        assert errors[2] < 0.05, (key, errors)
        assert rows[2][key][0] > 0.999, key


@pytest.mark.parametrize("seed", [0, 4])
def test_gradients_agree_at_whole_steps(seed: int) -> None:
    for key, (cosine, _) in differences(seed, 1.0).items():
        assert cosine > 0.99, (key, cosine)


def test_a_spike_in_the_last_step_does_not_hide_earlier_ones() -> None:
    """mlGeNN's backward pass waits for such a spike for good, and misses all before it."""
    network = Network()
    with network:
        a, b = Population(SpikeInput(), 1, name="in"), Population(LeakyIntegrateFire(tau_mem=15.0, scale_i=True), 1)
        c = Population(LeakyIntegrate(tau_mem=30.0, scale_i=True, readout="avg_var"), 2, name="out")
        Connection(a, b, Sparse([0], [0], [9.0], [2]), Exponential(20.0))
        Connection(b, c, Sparse([0, 0], [0, 1], [1.0, -1.0], [0, 3]), Exponential(20.0))
    x, y = {"in": [([5.0], [0])]}, {"out": np.array([0])}
    with EventPropCompiler(30, 1, backend=TRAINER).compile(network) as one:
        expected = one.gradients(x, y)[1]
        last = int(np.flatnonzero(one.engine.spikes(1)[0, :, 0])[-1])
    with EventPropCompiler(last + 1, 1, backend=TRAINER).compile(network) as one:
        found = one.gradients(x, y)[1]
        assert one.engine.spikes(1)[0, -1, 0] and one.engine.spike_count(1) > 1
    with EventPropCompiler(last + 1, 1).compile(network) as one:
        ours = one.gradients(x, y)[1]
    for c in network.connections:
        assert np.linalg.norm(found[c]) > 0.1 * np.linalg.norm(expected[c])
        assert found[c] @ ours[c] > 0.9 * np.linalg.norm(found[c]) * np.linalg.norm(ours[c])


@pytest.mark.parametrize(("readout", "weak"), [("avg_var", 1.0), ("sum_var", 0.05)])
def test_the_factor_between_mlgenns_reg_lambda_and_our_strength(readout: str, weak: float, monkeypatch: Any) -> None:
    """The factor that SpikeRegularisation states makes mlGeNN's regularisation ours, beside the loss's gradient."""
    import ml_genn.compilers

    dt, reg_lambda, plain = 0.0625, 1e-4, ml_genn.compilers.EventPropCompiler
    network, (x, y) = described(0, dt, readout, weak=weak), data(0)
    _, hidden, out = network.populations
    factor = hidden.neuron.tau_mem * out.neuron.tau_mem * (DURATION / dt if readout == "sum_var" else 1)
    into_hidden = network.connections[0]
    strengths = {"reg_strength_upper": reg_lambda * factor, "reg_strength_lower": reg_lambda * factor}

    def found(backend: Any, **arguments: Any) -> np.ndarray:
        with compiled(network, backend, dt, {into_hidden: Adam()}, **arguments) as c:
            return np.asarray(c.gradients(x, y)[1][into_hidden])

    ours = found("cpu", **strengths, reg_nu_upper=3.0) - found("cpu")
    before = found(TRAINER)
    numbers = {"reg_lambda_upper": reg_lambda, "reg_lambda_lower": reg_lambda, "reg_nu_upper": 3.0}
    monkeypatch.setattr(ml_genn.compilers, "EventPropCompiler", partial(plain, **numbers))
    theirs = found(TRAINER) - before
    assert np.linalg.norm(ours) > 0.01 * np.linalg.norm(before)
    assert np.linalg.norm(theirs - ours) < 0.1 * np.linalg.norm(ours)


# --- the engine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recurrent", [False, True])
def test_one_trial_leaves_nothing_for_the_next(recurrent: bool) -> None:
    """A, B, A gives A twice, though B ends with spikes under way, and mlGeNN's tapes are no longer than A needs."""
    network, (x, y) = described(3, recurrent=recurrent), data(3)
    late = {"in": [(np.repeat(np.arange(70.0, 80.0), 10), np.tile(np.arange(10), 10))]}
    with compiled(network, TRAINER, max_spikes=13) as c:
        first = c.gradients(x, y), c.gradients(x, y, "delay"), c.predict(x)[0]
        c.gradients(late, y)
        c.predict(late)
        assert c.engine.spikes(1)[:, -1].any()
        assert c.engine.spikes(1)[:, -15:].sum() > 15
        again = c.gradients(x, y), c.gradients(x, y, "delay"), c.predict(x)[0]
    assert first[0][0] == again[0][0]
    for one, other in zip(first, again, strict=True):
        one, other = (values[1] if isinstance(values, tuple) else values for values in (one, other))
        for g, h in zip(one.values(), other.values(), strict=True):
            np.testing.assert_array_equal(g, h)


def test_inputs_come_in_their_steps() -> None:
    """GeNN's time is in single precision: 0.7 ms times a step is not always what it is here, and none may be late."""
    network, steps = described(0, 0.7), np.arange(0, 113)
    with compiled(network, TRAINER, 0.7) as c:
        c.predict({"in": [(steps * 0.7, steps % 10)]})
        given = c.engine.spikes(0)
        assert given.sum() == steps.size
        np.testing.assert_array_equal(c.engine.model.spikes(c.plan.populations[0], 1), given)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("largest", [0, 1, 24, 300])
def test_a_delay_at_the_maximum_arrives(largest: int, learned: bool) -> None:
    """mlGeNN's buffer has a slot for it, and nothing comes round in it."""
    if learned and largest == 0:
        return  # there is nothing to learn
    network = Network()
    with network:
        a = Population(SpikeInput(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=1000.0, readout="sum_var", integration="exact"), 3, name="out")
        delays = [0, largest, max(largest - 1, 0)]
        Connection(a, o, Sparse([0, 0, 0], [0, 1, 2], [1.0, 1.0, 1.0], delays), Exponential(900.0), None, largest)
    x = {"in": [([0.0], [0])]}
    optimisers = {"all_connections": {"weight": Adam(), "delay": Adam()} if learned else {"weight": Adam()}}
    found = []
    for backend in (TRAINER, "cpu"):
        with EventPropCompiler(largest + 2, 1, backend=backend).compile(network, optimisers=optimisers) as c:
            found.append(c.predict(x)[0][o][0])
    np.testing.assert_allclose(found[0], found[1], rtol=0.01)
    assert found[0][1] > 0


def test_several_synapses_of_a_pair() -> None:
    network = Network()
    with network:
        a = Population(SpikeInput(), 2, name="in")
        o = Population(LeakyIntegrate(tau_mem=30.0, readout="avg_var", scale_i=True), 2, name="out")
        pairs = Sparse([0, 1, 0, 0, 1], [1, 0, 1, 1, 0], [1.0, 2.0, 3.0, 4.0, 5.0], [9, 2, 0, 4, 7], multapses=True)
        c = Connection(a, o, pairs, Exponential(20.0), max_delay_steps=12)
    x, y = {"in": [([0.0, 3.0, 9.0], [0, 1, 0])]}, {"out": np.array([1])}
    ours, found = gradients(network, x, y, "cpu"), gradients(network, x, y, TRAINER)
    for key, g in ours.items():
        np.testing.assert_allclose(found[key], g, rtol=0.25)
    with compiled(network, TRAINER) as one:
        for mine, theirs in zip(c.synapses, one.synapses(c), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def trainable(scale_i: bool) -> tuple[Network, dict[str, Any], dict[str, Any]]:
    """Two classes by which of two groups of inputs is first."""
    network, (x, _) = described(2, recurrent=True, scale_i=scale_i), data(2, 12)
    labels = np.arange(12) % 2
    for example, label in enumerate(labels):
        neuron = np.arange(10)
        x["in"][example] = (np.where((neuron < 5) == (label == 0), 2.0, 30.0) + neuron % 3 + example // 4, neuron)
    return network, x, {"out": labels}


@pytest.mark.parametrize("scale_i", [True, False])
def test_training_lowers_the_loss_and_goes_on_from_a_checkpoint_with_the_same_bits(
    scale_i: bool, tmp_path: Any
) -> None:
    network, x, y = trainable(scale_i)
    learned = {
        "weight": Adam(0.05 if scale_i else 0.003, l1=1e-5, schedule=CosineAnnealing(length=15)),
        "delay": Adam(0.3),
    }
    optimisers = {"all_connections": learned}
    with compiled(network, TRAINER, optimisers=optimisers, clip_norm=1.0) as c:
        for k in network.connections:
            np.testing.assert_array_equal(c.synapses(k).weight, k.synapses.weight)
        before = c.evaluate(x, y)[0].loss
        c.train(x, y, 2, callbacks=())
        c.save(tmp_path / "checkpoint")
        metrics, _ = c.train(x, y, 12, callbacks=())
        after = c.evaluate(x, y)[0]
        assert after.loss < 0.3 * before and after[network.outputs[0]].result > 0.9
        expected = [c.engine.state(k.index) for k in network.connections]
        for k in network.connections:
            assert (c.synapses(k).weight != k.synapses.weight).any()
            assert (c.delays(k) % 1 != 0).any()
            low = 1 if k.source is k.target else 0
            assert low <= c.delays(k).min() and c.delays(k).max() <= k.max_delay_steps
    with compiled(network, TRAINER, optimisers=optimisers, clip_norm=1.0) as c:
        c.load(tmp_path / "checkpoint")
        again, _ = c.train(x, y, 12, callbacks=())
    assert again.loss == metrics.loss
    for k, state in zip(network.connections, expected, strict=True):
        for name, values in c.engine.state(k.index).arrays().items():
            np.testing.assert_array_equal(values, state.arrays()[name], err_msg=f"{name} of {k.name}")


def test_one_step_of_adam_is_ours() -> None:
    """Learning rate, L1, weight decay, epsilon and the norm that gradients are clipped to are in our units."""
    network, (x, y) = described(0, scale_i=False), data(0)
    optimisers = {
        network.connections[0]: {"weight": Adam(0.01, epsilon=1e-3, l1=0.01, weight_decay=0.1), "delay": Adam(0.2)},
        network.connections[1]: {"delay": Adam(0.3)},
    }
    with compiled(network, TRAINER, optimisers=optimisers, clip_norm=0.01) as c:
        before = [c.engine.state(k.index) for k in network.connections]
        c.train(x, y, 1, callbacks=())
        g = {v: c.engine.gradient(0, v) for v in ("weight", "delay")}
        after = [c.engine.state(k.index) for k in network.connections]
        other = c.engine.gradient(1, "delay")
    norm = np.sqrt(sum(float(values @ values) for values in (*g.values(), other)))
    scale = np.float32(0.01 / norm)
    weight = before[0].synapses.weight
    decayed = scale * g["weight"] + np.float32(0.01) * np.copysign(1, weight) + np.float32(0.1) * weight
    expected = weight - 0.01 * decayed / (np.abs(decayed) + 1e-3)
    np.testing.assert_allclose(after[0].synapses.weight, expected, rtol=1e-5)
    np.testing.assert_allclose(after[0].moments[0], 0.1 * decayed, rtol=1e-4, atol=1e-9)
    np.testing.assert_array_equal(after[1].synapses.weight, before[1].synapses.weight)
    assert (after[0].age == 1).all() and after[1].moments == []
    assert (after[1].position != before[1].position).any()


def test_a_checkpoint_of_a_rewired_network(tmp_path: Any) -> None:
    """Its rows have other lengths, and more room is made for them; synapses of different ages are refused."""
    network = Network(seed=1)
    with network:
        a = Population(SpikeInput(), 6, name="in")
        o = Population(LeakyIntegrate(tau_mem=30.0, readout="avg_var"), 20, name="out")
        connectivity = FixedNumber(sparsity=0.9, weight=Uniform(-1, 1), delay=UniformInt(0, 5))
        c = Connection(a, o, connectivity, Exponential(20.0))
    x, y = {"in": [(np.arange(0, 18, 2) * 1.0, np.arange(9) % 6)]}, {"out": np.array([1])}
    rewiring = {c: DeepR(l1=1.0)}
    with EventPropCompiler(20, 1).compile(network, optimisers={c: Adam(0.3)}, rewiring=rewiring) as one:
        one.train(x, y, 30, callbacks=())
        one.save(tmp_path / "checkpoint")
        expected, synapses = one.predict(x)[0][o], one.synapses(c)
    assert np.bincount(synapses.pre).max() > np.bincount(c.synapses.pre).max()
    other = EventPropCompiler(20, 1, backend=TRAINER).compile(network, optimisers={c: Adam()})
    with other, refused("connection 'in_out'", "different ages, from 0 to", "trainer 'own'"):
        other.load(tmp_path / "checkpoint")
    learned = {c: {"weight": Adam(), "delay": Adam()}}  # what others have learned is begun afresh
    with EventPropCompiler(20, 1, backend=TRAINER).compile(network, optimisers=learned) as other:
        other.load(tmp_path / "checkpoint")
        for mine, theirs in zip(synapses, other.synapses(c), strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=1e-6)
        np.testing.assert_allclose(other.predict(x)[0][o], expected, rtol=0.05, atol=1e-2 * np.abs(expected).max())
