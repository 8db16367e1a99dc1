"""Inputs and drives: their statistics, and that they are functions of the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from simulated import BACKENDS

from genn_delays import (
    Connection,
    Current,
    Dense,
    Exponential,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    NoiseCurrent,
    PoissonDrive,
    PoissonInput,
    Population,
    SimulationCompiler,
    SpikeInput,
    StepCurrent,
)
from genn_delays.errors import InvalidValueError
from genn_delays.plan.poisson import poisson_table
from genn_delays.random import Purpose, of_neurons, philox

NAMES = ["reference", "cpu 2"]


def driven(drives: Any, size: int = 1000) -> Network:
    """Integrators that forget all but their last step, so that `v` is the input current times dt."""
    network = Network(seed=1)
    with network:
        Population(LeakyIntegrate(tau_mem=1.0), size, "p", drives=drives)
    return network


def traced(drives: Any, name: str, seed: int = 0, steps: int = 100, size: int = 1000) -> Any:
    compiler = SimulationCompiler(1.0, backend=BACKENDS[name], rng_seed=seed)
    with compiler.compile(driven(drives, size), {"p": "v"}) as simulation:
        simulation.run(float(steps))
        return simulation.trace("p", "v")[1]


@pytest.mark.parametrize("name", NAMES)
def test_random_spikes_have_their_rate(name: str) -> None:
    network = Network()
    with network:
        Population(PoissonInput([10.0] * 1000 + [300.0] * 1000), 2000, "p")
    with SimulationCompiler(1.0, backend=BACKENDS[name]).compile(network, {"p": "spikes"}) as simulation:
        simulation.run(200.0)
        times, neurons = simulation.spikes("p")
    counts = np.bincount(neurons, minlength=2000)
    for own, share in ((counts[:1000], 0.01), (counts[1000:], 0.3)):  # binomial
        sd = np.sqrt(200 * share * (1 - share))
        assert abs(own.mean() - 200 * share) < 4 * sd / np.sqrt(1000)
        assert own.var() == pytest.approx(sd**2, rel=0.2)
    intervals = np.diff(np.sort(times[neurons == 1500]))
    assert intervals.min() >= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mean", [0.02, 1.6, 30.0, 700.0])
def test_events_of_a_poisson_drive(name: str, mean: float) -> None:
    """Mean and variance of their number, that of a Poisson distribution; weight 1/4."""
    events = 4 * traced(PoissonDrive(1000 * mean, 0.25), name)
    assert (events == np.rint(events)).all()
    assert abs(events.mean() - mean) < 4 * np.sqrt(mean / events.size)
    assert events.var() == pytest.approx(mean, rel=0.03 if mean > 1 else 0.1)
    assert abs(np.corrcoef(events[:-1].ravel(), events[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(events[:, :-1].ravel(), events[:, 1:].ravel())[0, 1]) < 0.02


def test_the_table_of_events_is_poissons() -> None:
    from scipy.stats import poisson

    for mean in (0.001, 1.6, 50.0, 1000.0):
        table = poisson_table(np.array([mean, mean]))
        for word in (0, 1, 1 << 20, 1 << 31, (1 << 32) - 1):
            events = int(table.events(np.array([word], np.uint32))[0])
            assert poisson.cdf(events, mean) * 2**32 >= word - 1  # up to the rounding of both
            assert events == 0 or poisson.cdf(events - 1, mean) * 2**32 <= word + 1
        assert table.most >= mean
    assert poisson_table(np.zeros(3)).most == 0


def test_tables_of_different_rates_have_a_column_each() -> None:
    rates = np.array([0.0, 1.6, 900.0])
    table, words = poisson_table(rates), np.full(3, 1 << 31, np.uint32)
    for k, rate in enumerate(rates):
        assert table.events(words)[k] == poisson_table(np.array([rate])).events(words[:1])[0]


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_gaussian(name: str) -> None:
    from scipy.stats import kstest

    current = traced(NoiseCurrent(sd=0.5, mean=2.0), name).ravel()
    assert kstest(current, "norm", (2.0, 0.5)).pvalue > 0.01
    assert not np.array_equal(current, traced(NoiseCurrent(sd=0.5, mean=2.0), name, seed=1).ravel())


@pytest.mark.parametrize("name", NAMES)
def test_currents(name: str) -> None:
    """Constant, by neuron and by step: `v` is their sum."""
    steps = np.arange(20, dtype=np.float32)
    assert (traced(Current(0.5), name, steps=3, size=5) == 0.5).all()
    own = traced([Current([1.0, 2.0, 3.0]), StepCurrent(steps)], name, steps=25, size=3)
    assert np.array_equal(own, np.append(steps, [0] * 5)[:, None] + np.array([1, 2, 3]))
    both = np.arange(12.0).reshape(4, 3)
    again = traced(StepCurrent(both, repeat=True), name, steps=9, size=3)
    assert np.array_equal(again, both[np.arange(9) % 4])


@pytest.mark.parametrize("name", NAMES)
def test_two_time_constants_onto_one_population(name: str) -> None:
    """Each current decays with its own; the exact solution of both and of the potential they flow into."""
    network, tau = Network(), 20.0
    with network:
        source = Population(SpikeInput(), 2, "source")
        p = Population(LeakyIntegrateFire(tau_mem=tau, v_thresh=1e3, integration="exact"), 1, "p")
        Connection(source, p, Dense(weight=1.0, delay=1), Exponential(5.0), name="excites")
        Connection(source, p, Dense(weight=-0.5, delay=1), Exponential(10.0), name="inhibits")
    with SimulationCompiler(0.1, backend=BACKENDS[name]).compile(network) as simulation:
        simulation.run(0.2, {"source": ([0.0], [0])})
        simulation.run(7.0)
        t = 7.0
        assert simulation.get(p, "i_syn")[0] == pytest.approx(np.exp(-t / 5), rel=1e-4)
        assert simulation.get(p, "i_syn_2")[0] == pytest.approx(-0.5 * np.exp(-t / 10), rel=1e-4)
        v = sum(w / (1 / tau - 1 / s) * (np.exp(-t / s) - np.exp(-t / tau)) for w, s in ((1.0, 5.0), (-0.5, 10.0)))
        assert simulation.get(p, "v")[0] == pytest.approx(v, rel=1e-3)


def test_random_words_of_neurons_are_philoxs() -> None:
    words = of_neurons(5, Purpose.POISSON, 3, 200, 1, 9)
    for neuron in (0, 15, 16, 63, 64, 130, 199):
        k, j, m = neuron // 64, neuron % 64 // 16, neuron % 16
        assert words[neuron] == philox(5, Purpose.POISSON, 3, 16 * k + m, 1, 9)[j]


@pytest.mark.parametrize("name", NAMES)
def test_a_drive_that_never_sends_does_not_decide_the_grid(name: str) -> None:
    """Its weight overflowed 32 bits, with NumPy's warning, where the grid was fine enough for the others."""
    network = Network()
    with network:
        silent, other = PoissonDrive(0.0, 1e20), PoissonDrive(500.0, 1e-3)
        Population(LeakyIntegrateFire(v_thresh=1.0), 5, "a", drives=[silent, other])
    with SimulationCompiler(1.0, backend=BACKENDS[name]).compile(network, {"a": "v"}) as simulation:
        simulation.run(20.0)
        assert 0 < simulation.trace("a", "v")[1].max() < 0.1


def test_what_the_error_of_a_real_valued_input_says_works() -> None:
    """Untrained, a network with Input() is refused; spikes given to run, or its values as a current, are not."""

    def described(neuron: Any, drives: Any = ()) -> Network:
        network = Network()
        with network:
            a = Population(neuron, 3, "a")
            b = Population(LeakyIntegrate(tau_mem=10.0), 2, "b", drives=drives)
            Connection(a, b, Dense(weight=0.5, delay=1))
        return network

    with pytest.raises(InvalidValueError, match=r"SpikeInput\(\).*run\(duration, \{'a': .*StepCurrent"):
        SimulationCompiler(1.0).compile(described(Input()))
    x = np.zeros((20, 3))
    x[[2, 5, 5], [0, 1, 2]] = 1.0
    times, neurons = np.nonzero(x)
    with SimulationCompiler(1.0).compile(described(SpikeInput())) as simulation:
        simulation.run(20.0, {"a": (times, neurons)})
        given = simulation.get("b", "v")
    current = np.zeros(20)
    current[1:] = 0.5 * x[:-1].sum(axis=1)
    with SimulationCompiler(1.0).compile(described(SpikeInput(), StepCurrent(current))) as simulation:
        simulation.run(20.0)
        assert np.array_equal(simulation.get("b", "v"), given)
    assert (given > 0.1).all()
