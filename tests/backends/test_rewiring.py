"""Rewiring on ragged synapses: the same on every backend, and its invariants after thousands of rewirings."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused
from rewired import assert_same_state, data, rewire, set_gradient, signs, small_network, train
from scipy.stats import chisquare

from genn_delays import (
    SET,
    Adam,
    Callback,
    Connection,
    DeepR,
    Input,
    LeakyIntegrate,
    Network,
    Population,
    RigL,
    Sparse,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)
from genn_delays.connectivity import home_words
from genn_delays.learning.optimisers import Optimisers
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Rewired
from genn_delays.random import Purpose, sample_distinct

L1 = {"l1": 0.01}  # so that much is rewired
RULES = [
    DeepR(**L1),
    DeepR(**L1, growth_delay="redraw"),
    DeepR(dale=True, l1=0.05),
    DeepR(**L1, temperature=1e-4),
    DeepR(**L1, dale=True, growth_delay="redraw", temperature=1e-5),
    DeepR(l1=0.5, decoupled_l1=True),
    SET(fraction=0.2, interval=3),
    SET(fraction=1.0, interval=7, growth_delay="redraw"),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_equals_reference_after_50_rounds(rule, kernels):
    """Fed the same weights, moments and gradients, both give the same connectivity, delays, signs and bits."""
    network = small_network()
    one, two = (train(network, rule, backend, 2) for backend in (kernels, "reference"))
    random, rewired = np.random.default_rng(0), 0
    for step in range(2, 52):
        for c in one.plan.connections:
            state = one.engine.state(c.index)
            shrink = random.random(state.age.size) < 0.1
            shrunk = np.where(shrink, np.copysign(np.float32(1e-5), state.synapses.weight), state.synapses.weight)
            state.synapses = state.synapses._replace(weight=shrunk)
            gradient = random.normal(0, 1e-3, state.age.size).astype(np.float32)
            for engine in (one.engine, two.engine):
                engine.set_state(c.index, state)
                set_gradient(engine, c.index, gradient)
        counts = []
        for engine in (one.engine, two.engine):
            engine.update(step, {c.index: Optimisers(c.optimiser, None) for c in one.plan.connections})
            counts.append(rewire(engine, step))
        assert counts[0] == counts[1]
        rewired += sum(counts[0].values())
        for c in one.plan.connections:
            assert_same_state(one.engine, two.engine, c.index)
    assert rewired > 100


@pytest.mark.parametrize("rule", [DeepR(), DeepR(growth="gradient"), SET(interval=3), RigL(interval=2)], ids=repr)
def test_newborn_synapses_that_go_are_counted_apart(rule, backend):
    """Newborn is what was grown the last time the rule acted; what the network began with never is."""
    compiled, every = train(small_network(), rule, backend, 2), getattr(rule, "interval", 1)
    engine, c = compiled.engine, compiled.plan.connections[0]
    now, size = Progress(0, 1, 0, 1), c.size
    for step, ages, newborn in (
        (every - 1, [every], 0),  # the first time
        (2 * every - 1, [2 * every], 0),
        (5 * every - 1, [every, 5 * every, every + 1, 2 * every], 1),
        (5 * every - 1, [every, every, every + 1, 1], 3),
        (70_000 * every - 1, [every, 65_535], 1),
    ):
        state = engine.state(0)
        gone = np.arange(len(ages)) * 3
        weight, age = np.full(size, 0.5, np.float32), np.full(size, 9 * every, np.uint16)
        weight[gone], age[gone] = 0, ages
        state.synapses, state.age = state.synapses._replace(weight=weight), age
        engine.set_state(0, state)
        count = len(ages) if rule.num_dropped(size, now) else 0
        assert engine.rewire(step, {0: count})[0] == Rewired(len(ages) - newborn, newborn)
        assert (engine.state(0).age == 0).sum() == len(ages)


class Ages(Callback):
    """After every batch, how many synapses are newborn, and how many have lived a step; and what metrics say."""

    def __init__(self):
        self.born, self.grown_up, self.counts = [], [], []

    def on_batch_end(self, batch, metrics):
        age = self.compiled_network.engine.state(0).age
        self.born.append(int((age == 0).sum()))
        self.grown_up.append(int((age == 1).sum()))
        self.counts.append((metrics.rewirings["in_hidden"], metrics.newborn_rewirings["in_hidden"]))


@pytest.mark.parametrize("rule", [DeepR(l1=0.05), DeepR(l1=0.05, growth="gradient", growth_delay="best")], ids=repr)
def test_newborn_synapses_are_those_that_no_step_later_has_seen(rule, backend):
    """Of those born after a step, all that are not a step old after the next one have died as newborn ones."""
    network, ages = small_network(), Ages()
    compiled = train(network, rule, backend, 0)
    x, y = data(network, 40)
    compiled.train(x, y, 1, callbacks=[ages])
    dead = np.diff([newborn for _, newborn in ages.counts], prepend=0)
    assert dead[0] == 0 and dead.sum() > 3
    np.testing.assert_array_equal(dead[1:], np.subtract(ages.born[:-1], ages.grown_up[1:]))
    rewired = np.diff([total for total, _ in ages.counts], prepend=0)
    np.testing.assert_array_equal(rewired, ages.born)
    assert (rewired >= dead).all() and rewired.sum() > dead.sum()


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_invariants_after_thousands(rule):
    network = small_network()
    compiled = train(network, rule, "cpu", 3000, alpha=0.02)
    assert sum(compiled.rewirings.values()) > 2000
    for connection in network.connections:
        before, after = connection.synapses, compiled.synapses(connection)
        assert after.pre.size == before.pre.size
        pair = after.post.astype(int) * connection.source.size + after.pre
        assert np.all(np.diff(pair) > 0), "no pair twice, and sorted"
        assert after.delay.max() <= 9
        if rule.signed:
            np.testing.assert_array_equal(np.sign(after.weight), signs(network, connection, after, rule))
        if rule.growth_delay == "pair":
            words = home_words(after.pre, after.post, 0, network.seed, connection.index)[1]
            home = connection.connectivity.delay_initializer.from_words(words)
            np.testing.assert_array_equal(after.delay, home)


def test_sampled_weights_have_their_pairs_sign():
    """So that a pair that is dropped and grown again comes back with the sign it had."""
    network = small_network()
    for connection in network.connections:
        expected = signs(network, connection, connection.synapses, DeepR())
        np.testing.assert_array_equal(np.sign(connection.synapses.weight), expected)


def test_redraw_gives_other_delays_and_pair_the_same():
    network = small_network()
    compiled = train(network, DeepR(**L1, growth_delay="redraw"), "cpu", 1000, alpha=0.02)
    connection = network.connections[0]
    after = compiled.synapses(connection)
    words = home_words(after.pre, after.post, 0, network.seed, connection.index)[1]
    home = connection.connectivity.delay_initializer.from_words(words)
    assert (after.delay != home).mean() > 0.4


def test_excitatory_initialiser_grows_excitatory_synapses():
    network = small_network(weight=Uniform(0.1, 0.5))
    compiled = train(network, DeepR(**L1), "cpu", 400, alpha=0.05)
    assert sum(compiled.rewirings.values()) > 50
    assert all((compiled.synapses(c).weight > 0).all() for c in network.connections)


def test_newborn_synapses_start_afresh(backend):
    """Weight 1e-12, no moments, no age; the survivors keep theirs."""
    network = small_network()
    compiled = train(network, DeepR(), backend, 4)
    engine, connection = compiled.engine, network.connections[0]
    state = engine.state(0)
    kill = np.arange(state.age.size) % 3 == 0
    state.synapses = state.synapses._replace(weight=np.where(kill, 0, 1).astype(np.float32))
    engine.set_state(0, state)
    assert rewire(engine, 4)[0] == kill.sum()
    after = engine.state(0)
    born = np.abs(after.synapses.weight) == np.float32(1e-12)
    assert born.sum() == kill.sum()
    assert not after.age[born].any() and not any(m[born].any() for m in after.moments)
    values = zip(state.age, *state.moments, strict=True)
    old = dict(zip(zip(*state.synapses[:2], strict=True), values, strict=True))
    kept = zip(zip(*after.synapses[:2], strict=True), zip(after.age, *after.moments, strict=True), strict=True)
    for (pair, values), is_born in zip(kept, born, strict=True):
        assert is_born or old[pair] == values
    assert connection.synapses.pre.size == after.age.size


def test_all_synapses_may_grow_into_one_row(backend):
    """A row has no stride to overflow (genn 625): one target is left empty, and its row takes all grown."""
    network = Network(seed=0)
    with network:
        a = Population(Input(), 40, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, o, Sparse(np.arange(40), np.zeros(40, int), Uniform(0.5, 1.0), UniformInt(0, 3)))
    with SurrogateCompiler(10, 1, backend=backend).compile(network, rewiring={"all_connections": DeepR()}) as compiled:
        state = compiled.engine.state(0)
        # all but one die: 39 are grown among 39 just-dropped pairs and 40 new ones
        state.synapses = state.synapses._replace(weight=np.where(np.arange(40) == 7, 1, 0).astype(np.float32))
        compiled.engine.set_state(0, state)
        assert rewire(compiled.engine, 0) == {0: 39}
        after = compiled.synapses("in_out")
        chosen = sample_distinct(39, 79, 0, Purpose.GROWTH, 0, 0)
        empty = np.setdiff1d(np.arange(80), [7])
        np.testing.assert_array_equal(np.sort(after.post * 40 + after.pre), np.sort([*empty[chosen], 7]))
        compiled.gradients({"in": np.ones((1, 10, 40), np.float32)}, {"out": np.array([1])})


def test_every_empty_pair_is_as_likely(backend):
    """Counts of grown pairs over many rounds, chi-square at 1e-3 with a fixed seed."""
    network = Network(seed=0)
    with network:
        a = Population(Input(), 6, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 5, name="out")
        Connection(a, o, Sparse([0, 1, 2, 5], [0, 1, 1, 4], Uniform(0.5, 1.0), 0))
    with SurrogateCompiler(4, 1, backend=backend).compile(network, rewiring={"all_connections": DeepR()}) as compiled:
        start = compiled.engine.state(0)
        dead = start.copy()
        dead.synapses.weight[2:] = 0
        counts = np.zeros(30)
        for step in range(2000):
            compiled.engine.set_state(0, dead)
            rewire(compiled.engine, step)
            after = compiled.synapses("in_out")
            counts[after.post * 6 + after.pre] += 1
    living = dead.synapses.post[:2] * 6 + dead.synapses.pre[:2]
    assert (counts[living] == 2000).all()
    assert chisquare(np.delete(counts, living)).pvalue > 1e-3


def test_several_synapses_a_pair(backend):
    """A pair has as many slots as the connectivity gave any pair synapses: free ones of a pair with living synapses
    are grown into like all others, none gets more, and survivors keep their order ahead of the newborn."""
    network = Network(seed=0)
    with network:
        a = Population(Input(), 5, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 4, name="out")
        pre, post = [0, 0, 0, 1, 3, 3], [0, 0, 0, 2, 2, 2]
        Connection(a, o, Sparse(pre, post, Uniform(0.5, 1.0), [1, 2, 3, 4, 5, 6], multapses=True))
    with SurrogateCompiler(4, 1, backend=backend).compile(network, rewiring={"all_connections": DeepR()}) as compiled:
        assert compiled.plan.connections[0].capacity == 3
        state = compiled.engine.state(0)
        state.synapses.weight[[1, 3]] = 0
        grown = np.zeros(20, dtype=int)
        for step in range(600):
            compiled.engine.set_state(0, state)
            assert rewire(compiled.engine, step) == {0: 2}
            s = compiled.synapses("in_out")
            born = np.abs(s.weight) < 1e-6
            pair = s.post.astype(int) * 5 + s.pre
            np.add.at(grown, pair[born], 1)
            kept = [(int(j), int(i), int(d)) for j, i, d in zip(*(f[~born] for f in s[:3]), strict=True)]
            assert kept == [(0, 0, 1), (0, 0, 3), (3, 2, 5), (3, 2, 6)]
            assert np.all(np.diff(pair) >= 0) and np.bincount(pair).max() <= 3
            same = np.diff(pair) == 0
            assert np.all(born[1:][same] >= born[:-1][same]), "survivors of a pair come first"
    slots = np.full(20, 3)
    slots[[0, 13]] = 1
    assert chisquare(grown, slots * grown.sum() / slots.sum()).pvalue > 1e-3


def test_explicit_weights_keep_their_sign_under_dale():
    network = Network(seed=0)
    with network:
        a = Population(Input(), 4, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 6, name="out")
        Connection(a, o, Sparse([0, 1, 2, 3], [0, 1, 2, 3], [1.0, -1.0, 2.0, -2.0], UniformInt(0, 3)))
    random = np.random.default_rng(0)
    x, y = random.random((4, 8, 4)).astype(np.float32), random.integers(0, 6, 4)
    compiler = SurrogateCompiler(8, 4)
    everywhere = {"all_connections": {"weight": Adam(1.0)}}
    with compiler.compile(network, optimisers=everywhere, rewiring={"in_out": DeepR(dale=True)}) as compiled:
        compiled.train({"in": x}, {"out": y}, 200, callbacks=())
        assert compiled.rewirings["in_out"] > 3
        after = compiled.synapses("in_out")
    np.testing.assert_array_equal(np.sign(after.weight), np.array([1, -1, 1, -1])[after.pre])


def test_set_drops_the_smallest_when_it_is_due(backend):
    """Every third step a fifth goes, the smallest first, and nothing else; signs are free."""
    network = small_network()
    compiled = train(network, SET(fraction=0.2, interval=3), backend, 2)
    engine, size = compiled.engine, network.connections[0].synapses.pre.size
    random = np.random.default_rng(0)
    for step in range(2, 9):
        state = engine.state(0)
        state.synapses = state.synapses._replace(weight=random.normal(size=size).astype(np.float32))
        engine.set_state(0, state)
        rewired = rewire(engine, step)
        if (step + 1) % 3:
            assert rewired == {}
            continue
        assert rewired[0] == int(0.2 * size)
        left = np.sort(np.abs(state.synapses.weight))[int(0.2 * size) :]
        after = np.abs(engine.state(0).synapses.weight)
        np.testing.assert_array_equal(np.sort(after)[int(0.2 * size) :], left)


def test_equal_weights_go_in_order(backend):
    """Ties break by place, on every backend alike."""
    network = small_network(weight=Uniform(0.5, 0.5))
    rule = {"all_connections": SET(fraction=0.25, interval=1)}
    with SurrogateCompiler(4, 1, backend=backend).compile(network, rewiring=rule) as compiled:
        before = compiled.synapses("in_hidden")
        rewire(compiled.engine, 0)
        after = compiled.synapses("in_hidden")
    pairs = {(int(j), int(i)) for j, i in zip(before.pre, before.post, strict=True)}
    dropped = list(zip(before.pre.tolist(), before.post.tolist(), strict=True))[: before.pre.size // 4]
    old = {(int(j), int(i)) for j, i, w in zip(after.pre, after.post, after.weight, strict=True) if w == 0.5}
    assert old == pairs - set(dropped)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SET(fraction=0.0), ("SET fraction", "(0, 1]", "0.0")),
        (lambda: SET(interval=0), ("SET interval", "at least 1", "0")),
        (lambda: SET(growth_delay="worst"), ("growth_delay", "'worst'", "best, pair, redraw")),
        (lambda: SET(candidates=0), ("SET candidates", "at least 1", "0")),
        (lambda: DeepR(growth="weight"), ("growth", "'weight'", "gradient, random")),
        (lambda: RigL(fraction=0.0), ("RigL fraction", "(0, 1]", "0.0")),
        (lambda: RigL(fraction=1.5), ("RigL fraction", "(0, 1]", "1.5")),
        (lambda: RigL(interval=0), ("RigL interval", "at least 1", "0")),
        (lambda: RigL(end=0.0), ("RigL end", "(0, 1]", "0.0")),
        (lambda: DeepR(l1=-1.0), ("DeepR l1", "[0, inf)", "-1.0")),
        (lambda: DeepR(dale=1), ("DeepR dale", "true or false", "1")),
    ],
)
def test_bad_rules(make, words):
    with refused(*words):
        make()
