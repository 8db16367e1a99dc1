"""Spikes and classes, held against recorded spikes and predictions."""

import numpy as np
import pytest

from genn_delays import (
    Connection,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SpikeRecorder,
    SurrogateCompiler,
    Uniform,
)
from genn_delays.analysis import classes, spikes_by_population
from genn_delays.errors import InvalidValueError

STEPS, EXAMPLES = 12, 7  # batches of 3 do not divide them


@pytest.fixture
def compiled():
    network = Network(2)
    with network:
        a = Population(SpikeInput(), 9, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=8.0), 10, name="hidden")
        o = Population(LeakyIntegrate(readout="sum_var"), 4, name="out")
        Connection(a, h, FixedNumber(0.3, weight=Uniform(-0.6, 1.0)))
        Connection(h, o, FixedNumber(0.3, weight=Uniform(-1.0, 1.0)))
    with SurrogateCompiler(example_timesteps=STEPS, batch_size=3, backend="reference").compile(network) as compiled:
        yield compiled


@pytest.fixture
def x():
    return {"in": (np.random.default_rng(0).random((EXAMPLES, STEPS, 9)) < 0.3).astype(np.float32)}


def test_spikes_are_those_recorded(compiled, x):
    found = spikes_by_population(compiled, x)
    assert list(found) == ["hidden"]
    hidden = found["hidden"]
    _, recorded = compiled.predict(x, callbacks=[SpikeRecorder("hidden")])
    neurons = np.concatenate(recorded["hidden_spikes"][1])
    assert neurons.size > 20
    assert np.array_equal(hidden.counts, np.bincount(neurons, minlength=10))
    assert (hidden.examples, hidden.time_steps) == (EXAMPLES, STEPS)
    assert hidden.per_example == neurons.size / EXAMPLES
    assert hidden.rate == pytest.approx(neurons.size / (EXAMPLES * STEPS * 10))
    assert hidden.rates.max() <= 1
    assert hidden.silent == 10 - np.unique(neurons).size


def test_no_population_that_spikes():
    network = Network()
    with network:
        a, o = Population(SpikeInput(), 3, name="in"), Population(LeakyIntegrate(readout="sum_var"), 2)
        Connection(a, o, FixedNumber(0.0, weight=1.0))
    with (
        SurrogateCompiler(example_timesteps=4, backend="reference").compile(network) as compiled,
        pytest.raises(InvalidValueError, match="no population that spikes"),
    ):
        spikes_by_population(compiled, {"in": np.zeros((1, 4, 3), np.float32)})


def test_classes_are_those_predicted_and_evaluated(compiled, x):
    labels = np.array([0, 1, 1, 3, 3, 3, 0])
    found = classes(compiled, x, labels)
    (z,) = compiled.predict(x)[0].values()
    for right, chosen, count in ((r, c, found.confusion[r, c]) for r in range(4) for c in range(4)):
        assert count == ((labels == right) & (z.argmax(axis=1) == chosen)).sum()
    assert found.accuracy == compiled.evaluate(x, {"out": labels})[0].accuracy
    assert found.accuracy_by_class[2] is None  # no example
    known = [n for n in range(4) if n != 2]
    assert sum(found.accuracy_by_class[n] * (labels == n).sum() for n in known) == pytest.approx(7 * found.accuracy)


def test_of_first_spikes_the_earliest_is_chosen():
    network = Network(1)
    with network:
        a = Population(SpikeInput(), 6, name="in")
        o = Population(LeakyIntegrateFire(readout="first_spike_time"), 3, name="out")
        Connection(a, o, FixedNumber(0.0, weight=Uniform(0.0, 2.0)), Exponential(5.0))
    x = {"in": (np.random.default_rng(3).random((8, 20, 6)) < 0.2).astype(np.float32)}
    labels = np.arange(8) % 3
    with EventPropCompiler(example_timesteps=20, batch_size=8, backend="reference").compile(network) as compiled:
        found = classes(compiled, x, labels)
        assert found.accuracy == compiled.evaluate(x, {"out": labels})[0].accuracy
        (z,) = compiled.predict(x)[0].values()
        assert found.accuracy == (z.argmin(axis=1) == labels).mean()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "labels must be one an example, got 2 for 7 examples"),
        ([0] * 6 + [4], "labels of output 'out' must be from 0 to 3, got 4"),
        ([0] * 6 + [-1], "must be from 0 to 3, got -1"),
        (np.zeros(7), r"labels must be whole numbers, one an example, got float64 of shape \(7,\)"),
        (np.zeros((7, 2), int), "labels must be whole numbers"),
        (np.zeros(0, int), "labels must be whole numbers"),
    ],
)
def test_labels_that_do_not_fit(compiled, x, labels, message):
    with pytest.raises(InvalidValueError, match=message):
        classes(compiled, x, labels)
