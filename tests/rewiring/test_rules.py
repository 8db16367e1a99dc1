"""Rewiring rules: every registered one does the same on every backend, and a user's own is its class alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from refused import refused
from rewired import assert_same_state, data, rewire, set_gradient, small_network, train

from genn_delays import (
    SET,
    SGD,
    Adam,
    Connection,
    DeepR,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    GaussianKernel,
    KaimingUniform,
    LeakyIntegrate,
    Network,
    Population,
    RigL,
    SignedRigL,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends import BACKENDS
from genn_delays.bodies import BodyError
from genn_delays.learning.optimisers import Optimisers
from genn_delays.learning.schedules import Progress
from genn_delays.registry import register
from genn_delays.rewiring import REWIRING, RewiringRule


@dataclass(frozen=True)
class SNFSLike(RewiringRule):
    """What of sparse networks from scratch (Dettmers & Zettlemoyer 2019, arXiv 1907.04840) needs no dense memory.

    The original drops the smallest magnitudes and grows where the momentum of the gradient is largest. Synapses that
    are not there have no momentum here: growth goes by the gradient of the batch, halved where it would act against the
    sign that the synapse is born with. Synapses that live have momentum, and it counts for their worth.
    """

    fraction: float = 0.2
    interval: int = 2
    trust: float = 10.0
    against: float = 0.5
    growth: Any = field(default="gradient", init=False, repr=False)

    score = "score = abs(w) * (1 + real(trust) * abs(moment0))"
    help = "help = abs(g) if sign * g < 0 else real(against) * abs(g)"

    @property
    def every(self) -> int:
        return self.interval

    def due(self, step: int, progress: Progress) -> bool:
        return (step + 1) % self.interval == 0

    def num_dropped(self, size: int, progress: Progress) -> int:
        return int(self.fraction * size)

    @classmethod
    def examples(cls) -> tuple[SNFSLike, ...]:
        return (
            cls(),
            cls(0.3, 1, trust=0.0, growth_delay="best", candidates=25),
            cls(0.1, 3, trust=1e3, growth_delay="redraw"),
        )


@dataclass(frozen=True)
class Tired(RewiringRule):
    """Says of each synapse whether it goes; its names are those of C and of the code around it."""

    size: float = 0.02
    switch: float = 1.0
    growth: Any = "random"

    signed = True
    gone = """
        w = abs(w) + real(power(0.5, age)) * abs(moment1)
        gone = w < real(size) and real(age) > real(switch) or w == 0
        """

    @classmethod
    def examples(cls) -> tuple[Tired, ...]:
        return cls(), cls(size=0.05, switch=0.0, growth="gradient", candidates=30)


@dataclass(frozen=True)
class Signs(SET):
    """Scores of both signs, -0 and 0 among them: the most negative weights go first."""

    score = "score = floor(w * 4) * 0.25"


OWN = {"snfs_like": SNFSLike, "slots": Tired, "real": Signs}
"""The names are such that others in generated code end with them."""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for name, rule in OWN.items():
        register(name)(rule)
    yield
    for name in OWN:
        dict.pop(REWIRING, name)


EVERY = [rule for kind in (DeepR, RigL, SignedRigL, SET, *OWN.values()) for rule in kind.examples()]
INGREDIENTS: list[dict[str, Any]] = [{}, {"kernel": GaussianKernel(sigma=2.0), "kernel_count": 2}]


def test_every_registered_rule_is_here() -> None:
    assert {type(rule) for rule in EVERY} == set(REWIRING.values())


@pytest.mark.parametrize("ingredients", INGREDIENTS, ids=lambda i: "spread" if i else "plain")
@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_kernels_are_the_definition(rule: RewiringRule, ingredients: dict[str, Any], kernels: Any) -> None:
    """Fed the same activity, weights, moments, ages and gradients, the same synapses go and the same are grown."""
    network = small_network(**ingredients)
    one, two = (train(network, rule, backend, 0, batch=4) for backend in (kernels, "reference"))
    random, rewired, now = np.random.default_rng(0), 0, Progress(0, 1, 0, 1)
    inputs, labels = data(network, 4)
    for compiled in (one, two):
        compiled.gradients(inputs, labels)  # growth goes by this batch
    for step in range(8):
        for c in one.plan.connections:
            state = one.engine.state(c.index)
            weight = np.round(random.normal(0, 0.3, c.size), 1).astype(np.float32)  # many are equal, or 0
            if rule.signed:
                weight = np.copysign(weight, state.synapses.weight)
            state.synapses = state.synapses._replace(weight=weight)
            state.age = random.integers(0, 6, c.size).astype(np.uint16)
            for number, m in enumerate(state.moments):  # the second is a mean of squares
                some = random.normal(0, 0.1, c.size) * (random.random(c.size) < 0.5)
                m[:] = some if number == 0 else np.abs(some)
            gradient = random.normal(0, 1e-3, c.size).astype(np.float32)
            for engine in (one.engine, two.engine):
                engine.set_state(c.index, state)
                set_gradient(engine, c.index, gradient)
        counts = []
        for engine in (one.engine, two.engine):
            engine.update(step, {c.index: Optimisers(c.optimiser, None) for c in one.plan.connections})
            counts.append(rewire(engine, step, now))
        assert counts[0] == counts[1]
        rewired += sum(counts[0].values())
        for c in one.plan.connections:
            assert_same_state(one.engine, two.engine, c.index)
    assert rewired > 5


def test_several_rules_in_one_network(kernels: Any) -> None:
    """Each connection has its own, and the numbers of its own."""
    network, found = small_network(), []
    for backend in (kernels, "reference"):
        compiler = SurrogateCompiler(16, 4, backend=backend, rng_seed=5)
        rules = {"in_hidden": SNFSLike(0.3, 1, trust=3.0), "hidden_out": Tired(size=0.3, switch=-1.0)}
        compiled = compiler.compile(network, rewiring=rules)
        compiled.gradients(*data(network, 4))
        assert all(count > 0 for count in rewire(compiled.engine, 3).values())
        found.append(compiled.engine)
    for c in network.connections:
        assert_same_state(*found, c.index)


# --- the formulas against others -------------------------------------------------------------------------------------


def test_criteria_are_what_they_say() -> None:
    """Once more in plain NumPy, in double precision."""
    random = np.random.default_rng(3)
    w, m, v = (random.normal(size=200).astype(np.float32) for _ in range(3))
    w[::10] *= 0.0
    age, sign, g = random.integers(0, 9, 200), random.choice([-1.0, 1.0], 200), random.normal(size=200)
    np.testing.assert_array_equal(DeepR().dropped(w, 0), w == 0)
    for rule in (SET(), RigL()):
        order = sorted(range(200), key=lambda k: (abs(w[k]), k))
        assert np.flatnonzero(rule.dropped(w, 31)).tolist() == sorted(order[:31])
        np.testing.assert_array_equal(rule.helps(g, sign), np.abs(g))
    np.testing.assert_array_equal(SignedRigL().dropped(w, 31), RigL().dropped(w, 31))
    for rule in (DeepR(), SignedRigL()):
        np.testing.assert_array_equal(rule.helps(g, sign), -sign * g)
    worth = np.abs(w.astype(float)) * (1 + 10 * np.abs(m.astype(float)))
    found = SNFSLike().dropped(w, 50, age, [m, v])
    assert found.sum() == 50 and worth[found].max() <= worth[~found].min() * (1 + 1e-6)
    tired = np.abs(w.astype(float)) + 0.5**age * np.abs(v.astype(float))
    np.testing.assert_array_equal(
        Tired(size=0.5, switch=2.0).dropped(w, 0, age, [m, v]), (tired < 0.5) & (age > 2) | (tired == 0)
    )
    np.testing.assert_allclose(SNFSLike().helps(g, sign), np.where(sign * g < 0, 1, 0.5) * np.abs(g))


def test_signed_rigl_keeps_signs_and_acts_at_its_interval(kernels: Any) -> None:
    """Half-trained networks keep Dale's law, and hold synapses of weight 0 between two times."""
    network, rule = small_network(sparsity=0.5), SignedRigL(fraction=0.3, interval=4, end=1.0, dale=True)
    weights, rewired = [], []
    for steps in (6, 8):
        with train(network, rule, kernels, steps, alpha=0.3) as compiled:
            for connection in network.connections:
                s = compiled.synapses(connection)
                assert not np.intersect1d(s.pre[s.weight > 0], s.pre[s.weight < 0]).size
                weights.append(s.weight)
            rewired.append(sorted(map(tuple, np.stack([*compiled.synapses(network.connections[0])[:2]], 1).tolist())))
    assert any((w == 0).any() for w in weights[:2])
    assert rewired[0] != rewired[1]
    assert [w.size for w in weights[:2]] == [w.size for w in weights[2:]]


def test_what_is_no_number_is_worth_most(backend: Any) -> None:
    """Whatever its bits, and whatever sign: it stays, to be found."""
    network = small_network()
    with SurrogateCompiler(4, 1, backend=backend).compile(network, rewiring={"all_connections": Signs()}) as compiled:
        state = compiled.engine.state(0)
        size = state.age.size
        weight = np.linspace(-2, 2, size).astype(np.float32)
        none = np.array([0x7FC00000, 0xFFC00001, 0x7FC12345], np.uint32).view(np.float32)
        weight[::4] = np.resize(none, weight[::4].size)
        state.synapses = state.synapses._replace(weight=weight)
        compiled.engine.set_state(0, state)
        compiled.engine.rewire(1, {0: size - 9})
        after = compiled.engine.state(0).synapses.weight
        assert np.isnan(after).sum() == 9


# --- rules that are none ---------------------------------------------------------------------------------------------


def rule_of(base: type = RewiringRule, **members: Any) -> type:
    return dataclass(frozen=True)(type("Mine", (base,), {"__annotations__": {}, **members}))


HOW_MANY = {"num_dropped": lambda self, size, progress: 1}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, ("Mine", "one of `gone` and `score`")),
        ({"gone": "gone = w == 0", "score": "score = w"}, ("one of `gone` and `score`",)),
        ({"gone": "gone = w"}, ("`gone`", "must be bool", "real")),
        ({"score": "score = w == 0", **HOW_MANY}, ("`score`", "must be real", "bool")),
        ({"score": "score = abs(w)"}, ("Mine", "num_dropped")),
        ({"gone": "gone = w < limit"}, ("Mine", "'limit' has no value")),
        ({"gone": "gone = w == 0", "help": "help = w"}, ("`help`", "'w' has no value")),
        ({"gone": "gone = w == 0", "help": "help = g < 0"}, ("`help`", "must be real")),
        ({"gone": "gone = w == 0", "help": 3}, ("`help`", "the text of a formula")),
        ({"gone": "gone = w == 0", "signed": 1}, ("`signed`", "true or false")),
        ({"gone": "gone = w == 0", "dropped": lambda *_: None}, ("Mine", "must not define `dropped`")),
        ({"gone": "gone = w == 0", "helps": lambda *_: None}, ("Mine", "must not define `helps`")),
        ({"gone": "gone = w == 0", "age": 0.5, "__annotations__": {"age": float}}, ("age", "names of its numbers")),
        ({"gone": "low = low * 2\ngone = w < real(low)", "low": 0.5, "__annotations__": {"low": float}},
         ("low", "only read")),
    ],
    ids=lambda x: None if isinstance(x, dict) else x[-1],
)  # fmt: skip
def test_incomplete_rules_are_refused(members: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(BodyError) as error:
        REWIRING.register("mine")(rule_of(**members))
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "mine" not in REWIRING


def test_a_rule_that_is_not_registered_is_refused(any_backend: str) -> None:
    with refused("Mine", "not registered"):
        SurrogateCompiler(16, 4, backend=any_backend).compile(
            small_network(), rewiring={"all_connections": rule_of(SET)()}
        )


@pytest.mark.parametrize(
    ("rule", "optimiser", "words"),
    [
        (Tired(), SGD(0.1), ("in_hidden", "Tired", "moment1", "SGD", "has 1 moment")),
        (SNFSLike(), SGD(0.1), None),
        (Tired(), Adam(0.1), None),
    ],
    ids=repr,
)
def test_moments_that_an_optimiser_does_not_have(rule: Any, optimiser: Any, words: Any) -> None:
    def compile_it() -> None:
        optimisers, rules = {"all_connections": {"weight": optimiser}}, {"all_connections": rule}
        SurrogateCompiler(16, 4, backend="reference").compile(small_network(), optimisers=optimisers, rewiring=rules)

    if words is None:
        compile_it()
    else:
        with refused(*words):
            compile_it()


@pytest.mark.parametrize("value", ["much", None, float("nan"), True], ids=repr)
def test_numbers_of_rules_are_checked(value: Any) -> None:
    with refused("SNFSLike trust"):
        SNFSLike(trust=value)


# --- GeNN ------------------------------------------------------------------------------------------------------------

BY_GENN = [rule for rule in EVERY if rule.growth_delay != "best" and rule.temperature == 0]


@pytest.mark.genn
@pytest.mark.parametrize("rule", BY_GENN, ids=repr)
def test_genn_drops_what_the_definition_drops(rule: RewiringRule) -> None:
    """By its own code where the rule says of each synapse whether it goes, else by the host."""
    found = BACKENDS["genn"]().availability()
    if not found.available:
        pytest.skip(found.detail)
    network, random = Network(seed=1), np.random.default_rng(0)
    with network:
        a, o = Population(SpikeInput(), 12), Population(LeakyIntegrate(readout="avg_var", scale_i=True), 15)
        Connection(a, o, FixedNumber(sparsity=0.7, weight=KaimingUniform(), delay=UniformInt(0, 9)), Exponential(4.0))
    compiler = EventPropCompiler(20, 1, backend="genn", rng_seed=5)
    with compiler.compile(network, rewiring={"all_connections": rule}) as compiled:
        compiled.gradients({a: (random.random((1, 20, 12)) < 0.3).astype(np.float32)}, {o: np.array([2])})
        state, count = compiled.engine.state(0), 9 if rule.score is not None else 0
        weight = np.round(random.normal(0, 0.3, state.age.size), 1).astype(np.float32)
        state.synapses = state.synapses._replace(weight=weight)
        state.age = random.integers(1, 6, weight.size).astype(np.uint16)
        for m in state.moments:
            m[:] = np.abs(random.normal(0, 0.1, weight.size)) * (random.random(weight.size) < 0.5)
        compiled.engine.set_state(0, state)
        gone = rule.dropped(weight, count, state.age, state.moments)
        assert 0 < gone.sum() < weight.size
        assert compiled.engine.rewire(50, {0: count})[0].total == gone.sum()
        after = compiled.engine.state(0)
    old = after.age > 0
    for name in ("pre", "post", "weight"):
        np.testing.assert_array_equal(
            getattr(after.synapses, name)[old], getattr(state.synapses, name)[~gone], err_msg=name
        )
