"""Growth where the gradient is largest: against a dense computation, on every backend, and after hundreds of steps."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused
from rewired import (
    LARGEST_DELAY,
    TIME_STEPS,
    assert_same_state,
    data,
    rewire,
    set_gradient,
    signs,
    small_network,
    train,
)

from genn_delays import (
    SET,
    Adam,
    Callback,
    Connection,
    DeepR,
    Dense,
    GaussianKernel,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    RigL,
    Sparse,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.learning.optimisers import Optimisers
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Pass

GRADIENT = {"growth": "gradient", "l1": 0.01}
WIDE = GaussianKernel(sigma=2.0)


# --- the dense computation -------------------------------------------------------------------------------------------


def with_probes(compiled, ingredients, probe_delay):
    """The same network as it is now, and beside its synapses one of weight 0 for every pair, at `probe_delay`.

    Compiled for the reference; a synapse of weight 0 changes nothing, and its gradient is dL/dw of that pair.
    """
    old, network = compiled.network, Network(seed=compiled.network.seed)
    kernel, norm, dropout = (ingredients.get(key) for key in ("kernel", "batch_norm", "dropout"))
    with network:
        a = Population(Input(), 12, name="in")
        neuron = LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5)
        h = Population(neuron, 15, name="hidden", batch_norm=norm, dropout=dropout or 0.0)
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 4, name="out")
        for c, (source, target) in zip(old.connections, ((a, h), (h, o)), strict=True):
            s, pairs = compiled.synapses(c), np.arange(source.size * target.size)
            pre, post = np.append(s.pre, pairs % source.size), np.append(s.post, pairs // source.size)
            weight = np.append(s.weight, np.zeros(pairs.size))
            delay = np.append(s.delay, np.broadcast_to(probe_delay[c.index], pairs.shape)).astype(int)
            connectivity = Sparse(pre, post, weight, delay, multapses=True)
            Connection(source, target, connectivity, max_delay_steps=LARGEST_DELAY, delay_kernel=kernel)
    return SurrogateCompiler(TIME_STEPS, 4, backend="reference", rng_seed=5).compile(network)


def dense_gradients(compiled, ingredients, probe_delay):
    """dL/dw of every pair, by connection, in order of (post, pre)."""
    probes = with_probes(compiled, ingredients, probe_delay)
    _, gradients = probes.gradients(*batch(compiled.network))
    return [g[c.synapses.weight == 0] for c, g in gradients.items()]


def batch(network):
    """Inputs of both signs, so that correlograms have their peaks at any lag."""
    x, y = data(network, 4)
    return {"in": np.random.default_rng(4).normal(0.2, 1.0, x["in"].shape).astype(np.float32)}, y


def home(network):
    """The delay and the sign that every pair has for good: those it would have in a dense network."""
    dense = Network(seed=network.seed)
    with dense:
        pops = [Population(p.neuron, p.size, name=p.name) for p in network.populations]
        for c in network.connections:
            Connection(pops[c.source.index], pops[c.target.index], Dense(delay=UniformInt(0, LARGEST_DELAY)))
    return [c.synapses for c in dense.connections]


def due(rule):
    """A point of training at which every rule is due, and its step."""
    return 0 if not isinstance(rule, RigL | SET) else rule.interval - 1


def helps(rule, gradient, sign):
    return -sign * gradient if rule.signed else np.abs(gradient)


INGREDIENTS = [{}, {"kernel": WIDE}, {"kernel": WIDE, "batch_norm": True, "dropout": 0.3}]
EXACT = [
    RigL(fraction=0.25, interval=1),
    DeepR(**GRADIENT),
    DeepR(**GRADIENT, dale=True),
]


def before_rewiring(rule, backend, ingredients):
    """A network that has just seen a batch; then a quarter of its synapses is made ready to be dropped."""
    network = small_network(**ingredients)
    compiled = train(network, rule, backend, 0)
    compiled.gradients(*batch(network))
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        condemned = np.argsort(np.abs(state.synapses.weight))[: c.size // 4]
        if rule.signed:
            state.synapses.weight[condemned] *= 0.0  # keeps its sign
        compiled.engine.set_state(c.index, state)
    return compiled


def pairs_of(connection, synapses):
    return synapses.post.astype(int) * connection.source.size + synapses.pre


@pytest.mark.parametrize("ingredients", INGREDIENTS, ids=lambda x: "+".join(x) or "plain")
@pytest.mark.parametrize("rule", EXACT, ids=repr)
def test_growth_is_where_a_dense_network_has_its_largest_gradients(rule, ingredients, backend):
    """Every pair without a living synapse is looked at, those just dropped too, at its own delay."""
    compiled = before_rewiring(rule, backend, ingredients)
    network = compiled.network
    start = train(network, rule, "reference", 0)  # as it was when the batch was seen
    delays = [s.delay for s in home(network)]
    gradients = dense_gradients(start, ingredients, delays)
    before = [compiled.synapses(c) for c in network.connections]
    counts = rewire(compiled.engine, due(rule))
    for c, old, gradient, place in zip(network.connections, before, gradients, home(network), strict=True):
        size, count = old.pre.size, counts[c.index]
        assert count == size // 4
        ranked = np.argsort(np.abs(old.weight), kind="stable")
        living = np.sort(pairs_of(c, old)[ranked[count:]])
        free = np.setdiff1d(np.arange(c.num_pairs), living)
        scores = helps(rule, gradient, signs(network, c, place, rule))[free]
        order = np.argsort(-scores, kind="stable")
        assert scores[order[count - 1]] - scores[order[count]] > 1e-5 * np.abs(scores).max(), "the test needs a margin"
        new = compiled.synapses(c)
        np.testing.assert_array_equal(pairs_of(c, new), np.sort(np.append(living, free[order[:count]])))
        born = np.abs(new.weight) == np.float32(1e-12)
        assert born.sum() == count
        np.testing.assert_array_equal(new.delay[born], delays[c.index][pairs_of(c, new)[born]])
        np.testing.assert_array_equal(np.sign(new.weight[born]), signs(network, c, new, rule)[born])


@pytest.mark.parametrize(
    "rule",
    [
        DeepR(growth_delay="best"),
        DeepR(**GRADIENT, growth_delay="best", dale=True),
        RigL(fraction=0.25, interval=1, growth_delay="best"),
        SET(fraction=0.25, interval=1, growth_delay="best"),
    ],
    ids=repr,
)
def test_best_delay_is_where_the_correlogram_is_strongest(rule, backend):
    """Of all lags of the delays' distribution, found by one dense network a lag."""
    ingredients = {"batch_norm": True, "dropout": 0.3}
    compiled = before_rewiring(rule, backend, ingredients)
    network = compiled.network
    start = train(network, rule, "reference", 0)
    lags = [dense_gradients(start, ingredients, [lag, lag]) for lag in range(LARGEST_DELAY + 1)]
    rewire(compiled.engine, due(rule))
    for c in network.connections:
        new = compiled.synapses(c)
        born = np.abs(new.weight) == np.float32(1e-12)
        correlogram = np.stack([gradient[c.index][pairs_of(c, new)[born]] for gradient in lags])
        scores = helps(rule, correlogram, signs(network, c, new, rule)[born])
        chosen = scores[new.delay[born], np.arange(born.sum())]
        np.testing.assert_allclose(chosen, scores.max(axis=0), atol=1e-5 * np.abs(scores).max())
        silent = ~correlogram.any(axis=0)
        assert not new.delay[born][silent].any(), "of equal lags the shortest"
        assert c.index > 0 or np.unique(new.delay[born][~silent]).size > 2


# --- the same on every backend ---------------------------------------------------------------------------------------

LEARNED = {"kernel": WIDE, "kernel_count": 2}
ROUNDS = [  # all of them with batch norm and dropout
    (RigL(fraction=0.2, interval=3), {}),
    (RigL(fraction=0.2, interval=2, growth_delay="best", candidates=20), {"kernel_count": 2}),
    (RigL(fraction=0.3, interval=2, growth_delay="redraw"), LEARNED),
    (DeepR(**GRADIENT), {}),
    (DeepR(**GRADIENT, growth_delay="redraw", dale=True), LEARNED),
    (DeepR(**GRADIENT, growth_delay="best", candidates=25, temperature=1e-5), LEARNED),
    (DeepR(l1=0.01, growth_delay="best"), LEARNED),
    (SET(fraction=0.2, interval=3, growth_delay="best"), {"kernel_count": 2}),
]


@pytest.mark.parametrize(("rule", "ingredients"), ROUNDS, ids=repr)
def test_equals_reference_over_50_rounds(rule, ingredients, kernels):
    """Weights, delays, moments and ages, bit by bit; every tenth round sees a batch with what has grown so far."""
    network = small_network(**ingredients, batch_norm=True, dropout=0.1)
    one, two = (train(network, rule, backend, 0, delay=Adam(0.3)) for backend in (kernels, "reference"))
    random, rewired, now = np.random.default_rng(0), 0, Progress(0, 1, 0, 1)
    widths = {c.index: c.kernel.width(c.max_delay, now) for c in one.plan.connections if c.kernel}
    for step in range(50):
        if step % 10 == 0:
            for compiled in (one, two):
                compiled.gradients(*batch(network))
                compiled.engine.forward(Pass(training=True, step=step, widths=widths))
                compiled.engine.loss({2: batch(network)[1]["out"].astype(np.int32)})
                compiled.engine.backward()
        for c in one.plan.connections:
            state = one.engine.state(c.index)
            shrink = random.random(c.size) < 0.1
            shrunk = np.where(shrink, np.copysign(np.float32(1e-5), state.synapses.weight), state.synapses.weight)
            state.synapses = state.synapses._replace(weight=shrunk)
            for engine in (one.engine, two.engine):
                engine.set_state(c.index, state)
            for variable in ("weight", "delay"):
                gradient = random.normal(0, 1e-3, c.size).astype(np.float32)
                for engine in (one.engine, two.engine):
                    set_gradient(engine, c.index, gradient, variable)
        counts = []
        for engine in (one.engine, two.engine):
            engine.update(step, {c.index: Optimisers(c.optimiser, c.delay_optimiser) for c in one.plan.connections})
            counts.append(rewire(engine, step))
        assert counts[0] == counts[1]
        rewired += sum(counts[0].values())
        for c in one.plan.connections:
            assert_same_state(one.engine, two.engine, c.index)
    assert rewired > 100


# --- invariants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "ingredients"), ROUNDS, ids=repr)
def test_invariants_after_hundreds(rule, ingredients):
    """As many synapses as at first, no pair with more than its slots, sorted; delays in range; signs for good."""
    network = small_network(**ingredients, batch_norm=True, dropout=0.1)
    compiled = train(network, rule, "cpu", 300, alpha=0.02, delay=Adam(0.1))
    assert sum(compiled.rewirings.values()) > 200
    for c, connection in zip(compiled.plan.connections, network.connections, strict=True):
        state = compiled.engine.state(c.index)
        after, pair = state.synapses, pairs_of(connection, state.synapses)
        assert after.pre.size == c.size
        assert np.all(np.diff(pair) >= 0)
        assert np.bincount(pair).max() == c.capacity
        assert state.position.min() >= 0 and state.position.max() <= LARGEST_DELAY
        np.testing.assert_array_equal(after.delay, np.rint(state.position))
        if rule.signed and (rule.dale or c.capacity == 1):
            np.testing.assert_array_equal(np.sign(after.weight), signs(network, connection, after, rule))


def test_fewer_candidates_are_a_choice_among_fewer(backend):
    """With as many candidates as are dropped growth is random; with all of them it is not."""
    grown = []
    for candidates in (None, 8):
        rule = RigL(fraction=0.25, interval=1, candidates=candidates)
        compiled = before_rewiring(rule, backend, {})
        connection, chosen = compiled.network.connections[0], set()
        assert compiled.plan.connections[0].size // 4 == 8
        state = compiled.engine.state(0)
        for step in range(10):
            compiled.engine.set_state(0, state)
            rewire(compiled.engine, step)
            new = compiled.synapses(connection)
            chosen |= set(pairs_of(connection, new)[np.abs(new.weight) == np.float32(1e-12)].tolist())
        grown.append(len(chosen))
    assert grown[0] == 8 and grown[1] > 40


# --- how much --------------------------------------------------------------------------------------------------------


class PerEpoch(Callback):
    """What was rewired in every epoch."""

    def __init__(self):
        self.counts = []

    def on_epoch_end(self, epoch, metrics):
        self.counts.append(metrics.rewirings["in_hidden"])


def test_rigls_share_follows_a_cosine_and_ends(backend):
    """Every second step, ``fraction (1 + cos(pi t / t_end)) / 2`` of the synapses, and none from `end` on."""
    network, seen = small_network(), PerEpoch()
    rule = RigL(fraction=0.5, interval=2, end=0.75)
    compiled = train(network, rule, backend, 0)
    compiled.train(*data(network, 12), 8, callbacks=[seen])  # three steps an epoch
    size, expected = network.connections[0].synapses.pre.size, np.zeros(8, int)
    for step in range(1, 24, 2):
        if step / 24 < 0.75:
            expected[step // 3] += int(0.5 / 2 * (1 + np.cos(np.pi * (step / 24) / 0.75)) * size)
    assert seen.counts == expected.tolist()
    assert expected[0] > 15 and not expected[6:].any()


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [RigL(), DeepR(**GRADIENT), SET()], ids=repr)
def test_nothing_can_grow_in_a_dense_connection(rule):
    for count in (1, 2):
        network = small_network(sparsity=0.0, kernel_count=count)
        with refused("rewiring", "'in_hidden'", "sparsity 0", "all 180 pairs are connected"):
            SurrogateCompiler(TIME_STEPS, 4).plan(network, rewiring={"in_hidden": rule})


def test_more_candidates_than_empty_pairs():
    network = small_network()
    with refused("candidates", "'in_hidden'", "at most 145", "got 146"):
        SurrogateCompiler(TIME_STEPS, 4).plan(network, rewiring={"in_hidden": RigL(candidates=146)})
    SurrogateCompiler(TIME_STEPS, 4).plan(network, rewiring={"in_hidden": RigL(candidates=145)})
