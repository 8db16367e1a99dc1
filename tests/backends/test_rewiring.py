"""Rewiring on ragged synapses: the same on every backend, and its invariants after thousands of rewirings."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Case
from refused import refused

from genn_delays import (
    CPU,
    SET,
    Adam,
    Connection,
    DeepR,
    Dense,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)
from genn_delays.connectivity import home_words
from genn_delays.random import Purpose, philox, sample_distinct


def small_network(sparsity=0.8, seed=1, weight=None):
    network = Network(seed=seed)
    with network:
        a = Population(Input(), 12, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), 15, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 4, name="out")
        for source, target in ((a, h), (h, o)):
            initial = weight or KaimingUniform()
            Connection(source, target, FixedNumber(sparsity=sparsity, weight=initial, delay=UniformInt(0, 9)))
    return network


def train(network, rule, backend, steps, *, alpha=0.01, batch=4, rng_seed=5):
    """Steps of training on random data; gives the compiled network."""
    compiler = SurrogateCompiler(16, batch, backend=backend, rng_seed=rng_seed)
    everywhere = {"all_connections": {"weight": Adam(alpha)}}
    compiled = compiler.compile(network, optimisers=everywhere, rewiring={"all_connections": rule})
    random = np.random.default_rng(2)
    x = random.random((2 * batch, 16, network.populations[0].size)).astype(np.float32)
    y = random.integers(0, 4, 2 * batch)
    compiled.train({"in": x}, {"out": y}, steps // 2, callbacks=())
    return compiled


RULES = [
    DeepR(),
    DeepR(growth_delay="redraw"),
    DeepR(dale=True, l1=0.05),
    DeepR(temperature=1e-4),
    DeepR(dale=True, growth_delay="redraw", temperature=1e-5),
    SET(fraction=0.2, interval=3),
    SET(fraction=1.0, interval=7, growth_delay="redraw"),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_cpu_equals_reference_after_50_rounds(rule):
    """Fed the same weights, moments and gradients, both give the same connectivity, delays, signs and bits."""
    network = small_network()
    one, two = (train(network, rule, backend, 2) for backend in ("cpu", "reference"))
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
            one.engine._connection_arrays[c.index]["grad"][:] = gradient
            two.engine._gradients[c.index] = gradient
        counts = []
        for engine in (one.engine, two.engine):
            engine.update(step, {c.index: Optimisers(c.optimiser, None) for c in one.plan.connections})
            counts.append(rewire(one, step))
        assert counts[0] == counts[1]
        rewired += sum(counts[0].values())
        for c in one.plan.connections:
            a, b = one.engine.state(c.index), two.engine.state(c.index)
            for mine, theirs in zip([*a.synapses, *a.moments, a.age], [*b.synapses, *b.moments, b.age], strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert rewired > 100


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


def signs(network, connection, synapses, rule):
    """The sign of every synapse for good: its pair's, or its source neuron's."""
    if rule.dale:
        word = philox(network.seed, Purpose.DALE, connection.source.index, synapses.pre)[0]
    else:
        word = home_words(synapses.pre, synapses.post, 0, network.seed, connection.index)[0]
    return np.where(word < connection.connectivity.home_sign_threshold(connection.source.size), -1, 1)


def test_sampled_weights_have_their_pairs_sign():
    """So that a pair that is dropped and grown again comes back with the sign it had."""
    network = small_network()
    for connection in network.connections:
        expected = signs(network, connection, connection.synapses, DeepR())
        np.testing.assert_array_equal(np.sign(connection.synapses.weight), expected)


def test_redraw_gives_other_delays_and_pair_the_same():
    network = small_network()
    compiled = train(network, DeepR(growth_delay="redraw"), "cpu", 1000, alpha=0.02)
    connection = network.connections[0]
    after = compiled.synapses(connection)
    words = home_words(after.pre, after.post, 0, network.seed, connection.index)[1]
    home = connection.connectivity.delay_initializer.from_words(words)
    assert (after.delay != home).mean() > 0.4


def test_excitatory_initialiser_grows_excitatory_synapses():
    network = small_network(weight=Uniform(0.1, 0.5))
    compiled = train(network, DeepR(), "cpu", 400, alpha=0.05)
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
    assert engine.rewire(4)[0] == kill.sum()
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
        assert compiled.engine.rewire(0) == {0: 39}
        after = compiled.synapses("in_out")
        chosen = sample_distinct(39, 79, 0, Purpose.GROWTH, 0, 0)
        empty = np.setdiff1d(np.arange(80), [7])
        np.testing.assert_array_equal(np.sort(after.post * 40 + after.pre), np.sort([*empty[chosen], 7]))
        compiled.gradients({"in": np.ones((1, 10, 40), np.float32)}, {"out": np.array([1])})


def test_every_empty_pair_is_as_likely(backend):
    """Counts of grown pairs over many rounds, chi-square at 1e-3 with a fixed seed."""
    from scipy.stats import chisquare

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
            compiled.engine.rewire(step)
            after = compiled.synapses("in_out")
            counts[after.post * 6 + after.pre] += 1
    living = dead.synapses.post[:2] * 6 + dead.synapses.pre[:2]
    assert (counts[living] == 2000).all()
    assert chisquare(np.delete(counts, living)).pvalue > 1e-3


def test_several_synapses_a_pair(backend):
    """Where the connectivity allows several, living ones of a pair block it, and survivors keep their order."""
    network = Network(seed=0)
    with network:
        a = Population(Input(), 5, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 4, name="out")
        pre, post = [0, 0, 0, 1, 3, 3], [0, 0, 0, 2, 2, 2]
        Connection(a, o, Sparse(pre, post, Uniform(0.5, 1.0), [1, 2, 3, 4, 5, 6], multapses=True))
    with SurrogateCompiler(4, 1, backend=backend).compile(network, rewiring={"all_connections": DeepR()}) as compiled:
        state = compiled.engine.state(0)
        state.synapses.weight[[1, 3]] = 0
        compiled.engine.set_state(0, state)
        for step in range(200):
            compiled.engine.set_state(0, state)
            assert compiled.engine.rewire(step) == {0: 2}
            s = compiled.synapses("in_out")
            born = np.abs(s.weight) < 1e-6
            pairs = set(zip(s.pre[born].tolist(), s.post[born].tolist(), strict=True))
            assert len(pairs) == 2 and not pairs & {(0, 0), (3, 2)}
            kept = [(int(j), int(i), int(d)) for j, i, d in zip(*(f[~born] for f in s[:3]), strict=True)]
            assert kept == [(0, 0, 1), (0, 0, 3), (3, 2, 5), (3, 2, 6)]
            assert np.all(np.diff(s.post.astype(int) * 5 + s.pre) >= 0)


def test_a_grown_synapse_delivers_after_its_new_delay(backend):
    """Spikes must not be lost when a delay changes (brian2cuda 302)."""
    network = Network(seed=3)
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=5.0, readout="sum_var"), 2, name="out")
        Connection(a, o, Sparse([0], [0], [1.0], UniformInt(2, 7)))
    compiler = SurrogateCompiler(10, 1, backend=backend)
    rule = DeepR(growth_delay="redraw")
    seen = set()
    with compiler.compile(network, rewiring={"all_connections": rule}) as compiled:
        x = np.zeros((1, 10, 1), np.float32)
        x[0, 1] = 1.0
        for step in range(30):
            state = compiled.engine.state(0)
            state.synapses.weight[:] = 0
            compiled.engine.set_state(0, state)
            compiled.engine.rewire(step)
            state = compiled.engine.state(0)
            state.synapses.weight[:] = 1
            compiled.engine.set_state(0, state)
            compiled.predict({"in": x})
            post, delay = int(state.synapses.post[0]), int(state.synapses.delay[0])
            arrival = np.flatnonzero(compiled.engine.variable(1, "v")[post, :, 0])
            assert arrival[0] == 1 + delay if delay < 9 else arrival.size == 0
            seen.add(delay)
    assert len(seen) >= 4


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


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads_gives_the_same_bits(threads, tmp_path):
    """Weights, delays, connectivity and checkpoint files after 50 rewired steps."""
    network = small_network()
    files = []
    for number in (1, threads):
        compiled = train(network, DeepR(temperature=1e-6), CPU(threads=number), 50, alpha=0.02, batch=19)
        compiled.save(tmp_path / f"{number}.safetensors")
        files.append((tmp_path / f"{number}.safetensors").read_bytes())
        assert sum(compiled.rewirings.values()) > 30
    assert files[0] == files[1]


def test_same_seed_same_training_on_every_backend():
    """Same seed, other result per backend (brian2 1664): rewirings agree exactly, weights to rounding."""
    network = small_network()
    one, two = (train(network, DeepR(), backend, 10) for backend in ("cpu", "reference"))
    assert one.rewirings == two.rewirings
    for connection in network.connections:
        a, b = one.synapses(connection), two.synapses(connection)
        for field in ("pre", "post", "delay"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
        np.testing.assert_allclose(a.weight, b.weight, atol=1e-4)


def test_one_trial_leaves_nothing_for_the_next(backend):
    """A, B, A gives A twice (ml_genn 104, 115)."""
    case = Case.numbered(5)
    assert case.recurrent
    x, y = case.data()
    a = {"in": x["in"][: case.batch_size]}, {"out": y["out"][: case.batch_size]}
    b = {"in": 5 * x["in"][case.batch_size :]}, {"out": y["out"][case.batch_size :]}
    with case.compile(backend) as compiled:
        first, _, again = (compiled.gradients(*data) for data in (a, b, a))
    assert first[0] == again[0]
    for g, h in zip(first[1].values(), again[1].values(), strict=True):
        np.testing.assert_array_equal(g, h)


@pytest.mark.parametrize("largest", [0, 1, 24, 300])
def test_a_delay_at_the_maximum_arrives(largest, backend):
    """No buffer is one slot short (ml_genn 137, lava-dl 226), and no backend ignores a delay (brian2genn 49)."""
    network = Network()
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=1000.0, readout="sum_var"), 3, name="out")
        delays = [0, largest, max(largest - 1, 0)]
        Connection(a, o, Sparse([0, 0, 0], [0, 1, 2], [1.0, 1.0, 1.0], delays), max_delay_steps=largest)
    x = np.zeros((1, largest + 2, 1), np.float32)
    x[0, 0] = x[0, 1] = 1.0
    with SurrogateCompiler(largest + 2, 1, backend=backend).compile(network) as compiled:
        compiled.predict({"in": x})
        v = compiled.engine.variable(1, "v")[:, :, 0]
    for row, delay in zip(v, delays, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), np.arange(delay, largest + 2))


def test_delays_beyond_the_example_never_arrive(backend):
    network = Network()
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 1, name="out")
        Connection(a, o, Sparse([0], [0], [1.0], [65_535]))
    with SurrogateCompiler(5, 1, backend=backend).compile(network) as compiled:
        data = {"in": np.ones((1, 5, 1), np.float32)}, {"out": np.array([0])}
        _, gradients = compiled.gradients(*data)
        assert not compiled.engine.variable(1, "v").any()
    assert gradients[network.connections[0]] == [0.0]


def test_dense_connections_train():
    """Sparsity 0 is a network like any other; only rewiring has nowhere to go."""
    network = Network()
    with network:
        a = Population(Input(), 3, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, o, Dense(weight=0.1, delay=UniformInt(0, 2)))
    x, y = np.random.default_rng(0).random((4, 6, 3)).astype(np.float32), np.array([0, 1, 0, 1])
    with SurrogateCompiler(6, 2).compile(network) as compiled:
        first, _ = compiled.train({"in": x}, {"out": y}, 1, callbacks=())
        last, _ = compiled.train({"in": x}, {"out": y}, 30, callbacks=())
    assert last.loss < first.loss


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
        rewired = engine.rewire(step)
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
        compiled.engine.rewire(0)
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
        (lambda: SET(growth_delay="best"), ("growth_delay", "'best'", "pair, redraw")),
        (lambda: DeepR(l1=-1.0), ("DeepR l1", "[0, inf)", "-1.0")),
        (lambda: DeepR(dale=1), ("DeepR dale", "true or false", "1")),
    ],
)
def test_bad_rules(make, words):
    with refused(*words):
        make()
