"""Schedules of their own length, and delays that learn by an optimiser and a schedule of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case
from refused import refused

from genn_delays import SGD, Adam, Callback, CosineAnnealing, ExponentialDecay, OneCycle
from genn_delays.learning.schedules import Progress

CASE = replace(Case(seed=7), learn_delays=True)


def values(schedule, alpha, num_epochs, num_batches=1):
    """The learning rate of every batch of a training."""
    return [
        schedule.values(alpha, Progress(epoch, num_epochs, batch, num_batches))["alpha"]
        for epoch in range(num_epochs)
        for batch in range(num_batches)
    ]


class Rates(Callback):
    """What the optimisers' learning rates were, (weights, delays) of the first connection in every step."""

    def __init__(self):
        self.rates = []

    def on_train_begin(self):
        engine = self.compiled_network.engine
        update = engine.update

        def spy(step, optimisers, *more):
            self.rates.append(tuple(o and o.alpha for o in optimisers[0]))
            return update(step, optimisers, *more)

        engine.update = spy


def rates(optimisers, epochs, backend="reference"):
    compiled, callback = CASE.compile(backend, optimisers={"all_connections": optimisers}), Rates()
    compiled.train(*CASE.data(), epochs, callbacks=[callback])
    return [list(column) for column in zip(*callback.rates, strict=True)]


# --- length ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [CosineAnnealing, lambda **k: OneCycle(0.1, **k)], ids=["cosine", "one_cycle"])
def test_a_schedule_may_be_longer_than_the_training(make):
    """Its rates are the first of those of a training that long; without a length it ends with the training."""
    longer = values(make(), 0.3, 10)
    assert values(make(length=10), 0.3, 4) == longer[:4]
    assert values(make(), 0.3, 4) != longer[:4]
    assert values(make(length=10), 0.3, 10) == longer
    batches = values(make(per="batch"), 0.3, 5, 4)
    assert values(make(per="batch", length=20), 0.3, 3, 4) == batches[:12]


@pytest.mark.parametrize(
    ("schedule", "epochs", "words"),
    [
        (CosineAnnealing(length=2), 3, ("CosineAnnealing length", "at least 3", "epochs", "got 2")),
        (OneCycle(0.1, length=1), 2, ("OneCycle length", "at least 2", "epochs", "got 1")),
        (ExponentialDecay(length=5, per="batch"), 3, ("ExponentialDecay length", "at least 6", "batches", "got 5")),
    ],
)
@pytest.mark.parametrize("where", ["weight", "delay", "batch_norm", "tau_mem"])
def test_a_schedule_shorter_than_the_training_is_refused(schedule, epochs, words, where):
    """Whoever's it is, before anything is learned; two batches are an epoch here."""
    case = replace(CASE, batch_norm=True)
    scheduled = Adam(0.01, schedule=schedule)
    optimisers = {"all_connections": {"weight": Adam(), "delay": Adam()}}
    if where in ("weight", "delay"):
        optimisers["all_connections"][where] = scheduled
    else:
        optimisers["population1"] = {where: scheduled}
    compiled = case.compile("reference", optimisers=optimisers)
    before = compiled.synapses("in_population1").weight.copy()
    with refused(*words):
        compiled.train(*case.data(), epochs, callbacks=())
    assert (compiled.epoch, compiled.step) == (0, 0)
    np.testing.assert_array_equal(compiled.synapses("in_population1").weight, before)
    compiled.train(*case.data(), epochs - 1, callbacks=())


def test_training_in_parts_is_training_at_once(backend):
    """With a length the rates do not depend on how many epochs are asked for at first; without one they do."""

    def trained(schedule, *parts):
        compiled = CASE.compile(backend, optimisers={"all_connections": {"weight": SGD(0.5, schedule=schedule)}})
        for epochs in parts:
            compiled.train(*CASE.data(), epochs, callbacks=())
        return compiled.synapses("population1_out").weight

    whole = trained(CosineAnnealing(length=6), 6)
    np.testing.assert_array_equal(trained(CosineAnnealing(length=6), 2, 6), whole)
    np.testing.assert_array_equal(trained(CosineAnnealing(), 6), whole)
    assert (trained(CosineAnnealing(), 2, 6) != whole).any()


@pytest.mark.parametrize("length", [0, -1, 2.5, "long"])
def test_bad_lengths(length):
    with refused("ExponentialDecay length", "at least 1", str(length)):
        ExponentialDecay(length=length)


# --- delays ----------------------------------------------------------------------------------------------------------


def test_delays_move_by_their_own_rate(backend):
    """Adam's first step is alpha for every gradient that is not 0, so 0.1 of a time step, and rounding follows."""
    optimisers = {"all_connections": {"weight": Adam(1e-3), "delay": Adam(0.1)}}
    compiled = CASE.compile(backend, optimisers=optimisers)
    x, y = CASE.data()
    x, y = {"in": x["in"][: CASE.batch_size]}, {"out": y["out"][: CASE.batch_size]}
    gradients = compiled.gradients(x, y, "delay")[1]
    start = {c: (compiled.delays(c).copy(), compiled.synapses(c).weight.copy()) for c in gradients}
    compiled.train(x, y, 1, callbacks=())
    for c, g in gradients.items():
        delay, weight = start[c]
        large = np.abs(g) > 1e-5
        expected = np.clip(delay - 0.1 * np.sign(g), 0, c.max_delay_steps)
        assert large.sum() > 3
        np.testing.assert_allclose(compiled.delays(c)[large], expected[large], atol=2e-4)
        assert np.abs(compiled.synapses(c).weight - weight).max() == pytest.approx(1e-3, rel=1e-3)
    for epochs in (10, 30):
        compiled.train(x, y, epochs, callbacks=())
    for c, (delay, _) in start.items():
        np.testing.assert_array_equal(compiled.synapses(c).delay, np.rint(compiled.delays(c)))
        assert (compiled.synapses(c).delay != delay).any()


@pytest.mark.parametrize("kernel", [None, "gaussian"])
def test_delays_that_are_not_named_stay(kernel, backend):
    """A delay kernel alone does not move them."""
    case = replace(CASE, kernel=kernel)
    compiled = case.compile(backend, optimisers={"all_connections": {"weight": Adam(0.1)}})
    start = {c: compiled.delays(c).copy() for c in compiled.network.connections}
    compiled.train(*case.data(), 5, callbacks=())
    for c, delay in start.items():
        np.testing.assert_array_equal(compiled.delays(c), delay)
        np.testing.assert_array_equal(compiled.synapses(c).delay, delay)


def test_delays_alone_can_be_learned(backend):
    compiled = CASE.compile(backend, optimisers={"all_connections": {"delay": Adam(0.1)}})
    start = {c: (compiled.delays(c).copy(), compiled.synapses(c)) for c in compiled.network.connections}
    compiled.train(*CASE.data(), 3, callbacks=())
    for c, (delay, synapses) in start.items():
        assert (compiled.delays(c) != delay).any()
        np.testing.assert_array_equal(np.sort(compiled.synapses(c).weight), np.sort(synapses.weight))


@pytest.mark.parametrize("delays", [CosineAnnealing(), ExponentialDecay(0.9, per="batch"), None], ids=repr)
def test_schedules_of_weights_and_delays_are_apart(delays):
    """Each has the rates of its own schedule in every one of the two batches of an epoch, whatever the other's are."""
    weights = ExponentialDecay(0.5)
    found = rates({"weight": SGD(0.2, schedule=weights), "delay": Adam(0.1, schedule=delays)}, 4)
    assert found[0] == values(weights, 0.2, 4, 2)
    assert found[1] == ([0.1] * 8 if delays is None else values(delays, 0.1, 4, 2))


def test_weights_without_a_schedule_beside_delays_with_one():
    found = rates({"weight": Adam(0.01), "delay": Adam(0.1, schedule=OneCycle(0.5))}, 3)
    assert found == [[0.01] * 6, values(OneCycle(0.5), 0.1, 3, 2)]
