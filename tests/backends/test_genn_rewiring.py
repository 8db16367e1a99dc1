"""Rewiring in GeNN's own connectivity updates: the invariants, the chances, and the best candidates."""

from __future__ import annotations

import numpy as np
import pytest
from networks import largest_difference
from rewired import totals
from scipy.stats import chisquare

from genn_delays import (
    SET,
    Adam,
    Connection,
    DeepR,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    GeNN,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    NormalInt,
    Population,
    RigL,
    SpikeInput,
    UniformInt,
)
from genn_delays.backends.genn import engine as genn_engine
from genn_delays.backends.reference.rewiring import gradient_at
from genn_delays.connectivity import Synapses, home_words
from genn_delays.learning.optimisers import Optimisers
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Rewired
from genn_delays.random import Purpose, philox

found = GeNN().availability()
pytestmark = [pytest.mark.genn, pytest.mark.skipif(not found.available, reason=found.detail)]

TIME_STEPS = 20


def small_network(delay=None, *, spikes=True, sparsity=0.8, seed=1):
    """12 inputs, 15 hidden, 4 outputs, with exponential synapses; delays of 0 to 9 steps where not given."""
    network = Network(seed=seed)
    with network:
        a = Population(SpikeInput() if spikes else Input(), 12, name="in")
        shared = {"tau_mem": 10.0, "scale_i": True, "integration": "exact"}
        h = Population(LeakyIntegrateFire(v_thresh=0.5, **shared), 15, name="hidden")
        o = Population(LeakyIntegrate(readout="avg_var", **shared), 4, name="out")
        for source, target in ((a, h), (h, o)):
            connectivity = FixedNumber(sparsity=sparsity, weight=KaimingUniform(20.0), delay=delay or UniformInt(0, 9))
            Connection(source, target, connectivity, Exponential(4.0))
    return network


def compiled(network, rule, backend="genn", *, alpha=0.05, batch=1, delay=None):
    learned = {"weight": Adam(alpha)} | ({} if delay is None else {"delay": delay})
    compiler = EventPropCompiler(TIME_STEPS, batch, backend=backend, rng_seed=5)
    return compiler.compile(network, optimisers={"all_connections": learned}, rewiring={"all_connections": rule})


def data(count=8):
    random = np.random.default_rng(2)
    x = (random.random((count, TIME_STEPS, 12)) < 0.2).astype(np.float32)
    return {"in": x}, {"out": random.integers(0, 4, count)}


def signs(network, connection, s, rule):
    """The sign of every synapse for good: its pair's, or its source neuron's."""
    if rule.dale:
        word = philox(network.seed, Purpose.DALE, connection.source.index, s.pre)[0]
    else:
        word = home_words(s.pre, s.post, 0, network.seed, connection.index)[0]
    return np.where(word < connection.connectivity.home_sign_threshold(connection.source.size), -1, 1)


def home(network, connection, s):
    """The delay of every pair for good."""
    words = home_words(s.pre, s.post, 0, network.seed, connection.index)[1]
    return connection.connectivity.delay_initializer.from_words(words)


class Births:
    """Trains by hand and writes down every synapse that is grown, when it is."""

    def __init__(self, network, compiled_network):
        self.network, self.engine, self.plan = network, compiled_network.engine, compiled_network.plan
        self.born = {c.index: [] for c in self.plan.connections}
        self._compiled = compiled_network

    def run(self, batches):
        original = self.engine.rewire

        def rewire(step, drops):
            counts = original(step, drops)
            for index, count in counts.items():
                state = self.engine.state(index)
                new = state.age == 0
                assert new.sum() == count.total
                assert all((m[new] == 0).all() for m in state.moments)
                np.testing.assert_allclose(np.abs(state.synapses.weight[new]), 1e-12, rtol=1e-6)
                self.born[index].append(Synapses(*(a[new] for a in state.synapses)))
            return counts

        self.engine.rewire = rewire
        x, y = data()
        self._compiled.train(x, y, batches // 8, callbacks=[])
        del self.engine.rewire
        return [Synapses(*(np.concatenate(a) for a in zip(*born, strict=True))) for born in self.born.values()]


RULES = [
    DeepR(l1=0.05),
    DeepR(l1=0.05, growth_delay="redraw"),
    DeepR(l1=0.05, dale=True),
    DeepR(l1=0.05, growth="gradient"),
    DeepR(l1=0.05, growth="gradient", growth_delay="redraw", candidates=20),
    SET(fraction=0.2, interval=3),
    RigL(fraction=0.3, interval=3),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_invariants_after_a_thousand_batches(rule):
    network = small_network()
    with compiled(network, rule) as trained:
        born = Births(network, trained).run(1000)
        for connection, births in zip(network.connections, born, strict=True):
            before, after = connection.synapses, trained.synapses(connection)
            assert births.pre.size == trained.rewirings[connection.name] > 100
            assert after.pre.size == before.pre.size
            pair = after.post.astype(int) * connection.source.size + after.pre
            assert np.all(np.diff(pair) > 0), "no pair twice, and sorted"
            assert after.delay.max() <= 9
            if rule.signed:
                np.testing.assert_array_equal(np.sign(after.weight), signs(network, connection, after, rule))
            np.testing.assert_array_equal(np.sign(births.weight), signs(network, connection, births, rule))
            if rule.growth_delay == "pair":
                np.testing.assert_array_equal(births.delay, home(network, connection, births))
            else:
                assert (births.delay != home(network, connection, births)).mean() > 0.5


@pytest.mark.parametrize("delay", [UniformInt(0, 9), NormalInt(12.0, 3.0, 2, 19), UniformInt(7, 7)], ids=repr)
@pytest.mark.parametrize("mode", ["pair", "redraw"])
def test_newborn_delays_have_their_distribution(delay, mode):
    """Logged at birth, over 1,000 batches; chi-square against the initialiser's."""
    network = small_network(delay)
    with compiled(network, DeepR(l1=0.05, growth_delay=mode)) as trained:
        births = Births(network, trained).run(1000)[0]
    connection = network.connections[0]
    initializer = connection.connectivity.delay_initializer
    if mode == "pair":  # a pair that is grown again has the same delay: count pairs once
        key = np.unique(births.post.astype(int) * 12 + births.pre, return_index=True)[1]
        births = Synapses(*(a[key] for a in births))
    chances = np.diff(np.concatenate([[0.0], initializer.cumulative(), [1.0]]))
    counts = np.bincount(births.delay - initializer.low, minlength=chances.size)
    assert counts.sum() > 100
    if chances.size == 1:
        assert counts.tolist() == [births.delay.size]
        return
    common = chances * counts.sum() >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(chances[common], chances[~common].sum()) * counts.sum()
    keep = expected > 0
    assert chisquare(observed[keep], expected[keep]).pvalue > 1e-3


def test_every_empty_pair_is_as_likely():
    network = small_network(sparsity=0.9)
    connection = network.connections[0]
    grown = np.zeros(12 * 15)
    with compiled(network, DeepR()) as trained:
        engine = trained.engine
        state = engine.state(0)
        first = state.synapses
        kill = np.arange(first.pre.size) % 2 == 0
        free = np.ones(12 * 15, dtype=bool)
        living = first.post[~kill].astype(int) * 12 + first.pre[~kill]
        free[living] = False
        for step in range(600):
            state.synapses = first._replace(weight=np.where(kill, 0, 1).astype(np.float32))
            engine.set_state(0, state)
            assert totals(engine.rewire(step, {0: 0})) == {0: int(kill.sum())}
            after = engine.state(0)
            new = after.age == 0 if after.age.any() else np.abs(after.synapses.weight) < 1e-6
            np.add.at(grown, after.synapses.post[new].astype(int) * 12 + after.synapses.pre[new], 1)
    assert grown[~free].sum() == 0
    assert grown.sum() == 600 * kill.sum()
    assert chisquare(grown[free]).pvalue > 1e-3
    assert connection.synapses.pre.size == first.pre.size


@pytest.mark.parametrize("rule", [DeepR(), DeepR(growth="gradient"), SET(interval=3), RigL(interval=3)], ids=repr)
def test_newborn_synapses_that_go_are_counted_apart(rule):
    """By their age, as on every backend."""
    with compiled(small_network(), rule) as trained:
        x, y = data()
        trained.gradients(x, y)
        engine, c, every = trained.engine, trained.plan.connections[0], getattr(rule, "interval", 1)
        for step, ages, newborn in ((every - 1, [every], 0), (5 * every - 1, [every, 5 * every, every + 1, 1], 2)):
            state = engine.state(0)
            gone = np.arange(len(ages)) * 3
            weight, age = np.full(c.size, 0.5, np.float32), np.full(c.size, 9 * every, np.uint16)
            weight[gone], age[gone] = 0, ages
            state.synapses, state.age = state.synapses._replace(weight=weight), age
            engine.set_state(0, state)
            count = 0 if isinstance(rule, DeepR) else len(ages)
            assert engine.rewire(step, {0: count})[0] == Rewired(len(ages) - newborn, newborn)


def test_decoupled_l1_of_a_rule_is_a_drift():
    """Where no gradient was found it is all that moves weights: ``w - alpha l1 sign(w)`` a step, and never past 0."""
    with compiled(small_network(), DeepR(l1=0.5, decoupled_l1=True)) as trained:
        before = trained.engine.state(0).synapses.weight.astype(np.float64)
        for step in range(3):
            trained.engine.update(step, {0: Optimisers(Adam(0.05), None)})
        found = trained.engine.state(0).synapses.weight
    expected = np.sign(before) * np.maximum(np.abs(before) - 3 * 0.05 * 0.5, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("growth", ["random", "gradient"])
def test_rows_get_room(growth, monkeypatch):
    """GeNN's rows have a fixed length: where more grow in one, the model is built again and nothing is lost."""
    monkeypatch.setattr(genn_engine, "row_room", lambda c, longest: max(1, longest))
    network = small_network()
    builds = []
    build = genn_engine.GeNNEngine._build
    monkeypatch.setattr(genn_engine.GeNNEngine, "_build", lambda self, grown=(): builds.append(1) or build(self, grown))
    rule = DeepR(l1=0.05, growth=growth)
    with compiled(network, rule) as trained:
        births = Births(network, trained).run(160)
    assert len(builds) > 2
    for connection, grown in zip(network.connections, births, strict=True):
        after = trained.synapses(connection)
        assert after.pre.size == connection.synapses.pre.size
        assert np.all(np.diff(after.post.astype(int) * connection.source.size + after.pre) > 0)
        np.testing.assert_array_equal(grown.delay, home(network, connection, grown))


def test_room_does_not_change_what_is_grown(monkeypatch):
    """Rebuilding is no event of training: with random growth the same synapses result, bit by bit."""

    def trained():
        network = small_network()
        with compiled(network, DeepR(l1=0.05)) as c:
            c.train(*data(), 12, callbacks=[])
            return [c.synapses(connection) for connection in network.connections]

    roomy = trained()
    monkeypatch.setattr(genn_engine, "row_room", lambda c, longest: max(1, longest))
    for one, two in zip(roomy, trained(), strict=True):
        for a, b in zip(one[:3], two[:3], strict=True):
            np.testing.assert_array_equal(a, b)
        assert largest_difference(one.weight, two.weight) < 1e-4


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("rule", [DeepR(growth="gradient", candidates=10**6), RigL(interval=1)], ids=repr)
def test_the_best_candidates_are_grown(rule, spikes):
    """With every empty pair a candidate, those are grown whose gradient helps most by the reference's measure."""
    network = small_network(spikes=spikes)
    free = [c.num_pairs - c.synapses.pre.size for c in network.connections]
    rule = type(rule)(**({"growth": "gradient"} if isinstance(rule, DeepR) else {"interval": 1}), candidates=min(free))
    x, y = data(1)
    one = compiled(network, rule)
    two = compiled(small_network(spikes=spikes), rule, "reference")
    index = int(np.argmin(free))
    c, due = two.plan.connections[index], Progress(0, 10, 0, 1)
    with one:
        for n in (one, two):
            n.gradients(x, y)
            state = n.engine.state(index)
            kill = np.arange(state.age.size) % 3 == 0
            state.synapses = state.synapses._replace(
                weight=np.where(kill, 1e-9, state.synapses.weight).astype(np.float32)
            )
            if isinstance(rule, DeepR):
                state.synapses.weight[kill] = 0
            if n is two:
                n.engine.set_state(index, state)
        _set_weights(one, index, state.synapses)
        count = rule.num_dropped(c.size, due)
        dropped = np.flatnonzero(rule.dropped(state.synapses.weight, count))
        assert totals(one.engine.rewire(0, {index: count})) == {index: dropped.size}
        after = one.engine.state(index).synapses
    pair = c.first.draw().post.astype(int) * c.num_pre + c.first.draw().pre
    empty = np.setdiff1d(np.arange(c.num_pre * c.num_post), pair)
    born = Synapses(
        (empty % c.num_pre).astype(np.int32), (empty // c.num_pre).astype(np.int32),
        np.zeros(empty.size, np.uint16), np.ones(empty.size, np.float32),
    )  # fmt: skip
    born = born._replace(delay=home(network, network.connections[index], born))
    sign = signs(network, network.connections[index], born, rule)
    helps = rule.helps(gradient_at(two.engine, c, born), sign)
    grown = np.setdiff1d(after.post.astype(int) * c.num_pre + after.pre, pair)
    best = np.sort(helps)[::-1][dropped.size - 1]
    assert grown.size == dropped.size
    assert helps[np.isin(empty, grown)].min() >= best - 1e-5 * np.abs(helps).max()


def _set_weights(trained, index, synapses):
    """Other weights of the living, gradients and candidates as they are."""
    from genn_delays.backends.genn import ragged
    from genn_delays.codegen.genn import Fate

    group = trained.engine.model.parts.synapses[index]
    pre, post, values = ragged.read(group, ["g", "fate"])
    weight = dict(zip(zip(synapses.pre.tolist(), synapses.post.tolist(), strict=True), synapses.weight, strict=True))
    for n, (j, i, fate) in enumerate(zip(pre.tolist(), post.tolist(), values["fate"], strict=True)):
        if fate == Fate.LIVING:
            values["g"][n] = weight[j, i]
    ragged.write_variable(group, "g", values["g"])


def test_candidates_carry_nothing():
    """Forwards and in the gradients of the living, they are not there."""
    x, y = data()
    with compiled(small_network(), DeepR(growth="gradient")) as one, compiled(small_network(), DeepR(), "cpu") as two:
        a, b = one.gradients(x, y), two.gradients(x, y)
        assert a[0] == pytest.approx(b[0], rel=1e-6)
        for g, h in zip(a[1].values(), b[1].values(), strict=True):
            assert largest_difference(g, h) < 1e-5


def test_learned_delays_are_rewired_too():
    network = small_network()
    with compiled(network, DeepR(l1=1e-3), delay=Adam(0.3)) as trained:
        Births(network, trained).run(400)
        for c in network.connections:
            state = trained.engine.state(c.index)
            np.testing.assert_array_equal(np.rint(state.position), state.synapses.delay)
            assert (state.position != state.synapses.delay).mean() > 0.2
            assert state.position.max() <= 9


def test_a_run_is_a_function_of_its_seed():
    def weights():
        network = small_network()
        with compiled(network, DeepR(l1=0.05, growth="gradient"), batch=3) as trained:
            trained.train(*data(), 10, callbacks=[])
            return [a for c in network.connections for a in trained.synapses(c)]

    for one, two in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(one, two)
