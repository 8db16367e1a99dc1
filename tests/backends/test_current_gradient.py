"""The gradient of input currents, which engines tell where a plan says so."""

from dataclasses import replace

import numpy as np
import pytest

import genn_delays as gd
from genn_delays.backends import as_backend
from genn_delays.codegen.emit import emit
from genn_delays.errors import InvalidValueError
from genn_delays.plan.exchanged import DenseData, EventData, Pass
from genn_delays.plan.protocol import TellsGradients

T, IN = 12, 6


def planned(method, batch, *, tells=True):
    network = gd.Network(seed=1)
    exact = method is gd.EventPropCompiler
    with network:
        a = gd.Population(gd.SpikeInput() if exact else gd.Input(), IN)
        h = gd.Population(gd.LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.4), 40)
        o = gd.Population(gd.LeakyIntegrate(tau_mem=10.0, readout="avg_var"), 2)
        for pre, post in ((a, h), (h, o)):
            sparse = gd.FixedNumber(0.6, delay=gd.UniformInt(0, 4), weight=gd.KaimingUniform(3.0))
            gd.Connection(pre, post, sparse, gd.Exponential(5.0) if exact else "delta")
    plan = method(T, batch).plan(network)
    told = tuple(replace(p, tells_gradient=tells and p.kind == "neuron") for p in plan.populations)
    return replace(plan, populations=told)


def passed(plan, backend, lanes, *, kept=()):
    """An engine after one pass forward and backward."""
    engine = as_backend(backend).build(plan)
    for population in kept:
        engine.keep_gradient(population)
    x = np.random.default_rng(0).random((lanes, T, IN)).astype(np.float32)
    data = DenseData(x)
    if plan.populations[0].kind == "spike_input":
        example, step, neuron = np.nonzero(x < 0.3)
        start = np.concatenate([[0], np.cumsum(np.bincount(example, minlength=lanes))])
        data = EventData(start.astype(np.int64), neuron.astype(np.int32), step.astype(np.int32))
    engine.load({0: data}, np.arange(lanes))
    engine.forward(Pass(training=True))
    engine.loss({2: (np.arange(lanes) % 2).astype(np.int32)})
    engine.backward()
    return engine


FORMS = [(gd.SurrogateCompiler, 600), (gd.EventPropCompiler, 600), (gd.EventPropCompiler, 5)]


@pytest.mark.parametrize(("method", "lanes"), FORMS)
def test_it_is_that_of_the_definition(method, lanes):
    """Of few lanes and of several tiles, and with neurons that reach no output; others stay what they are."""
    plan = planned(method, lanes)
    engine, plain = passed(plan, "cpu", lanes, kept=(1, 2)), passed(planned(method, lanes, tells=False), "cpu", lanes)
    defined = passed(plan, "reference", lanes)
    assert isinstance(engine, TellsGradients) and isinstance(defined, TellsGradients)
    for population in (1, 2):
        found, expected = engine.current_gradient(population), defined.current_gradient(population)
        assert found.shape == expected.shape == (plan.populations[population].size, T, lanes)
        assert np.abs(expected).max() > 0
        assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()
    assert not engine.current_gradient(1).any(axis=(1, 2)).all()  # some are not heard
    for c in plan.connections:
        assert np.array_equal(engine.gradient(c.index), plain.gradient(c.index))
    for one in (engine, plain, defined):
        one.close()


def test_what_was_not_asked_for_is_not_kept():
    engine = passed(planned(gd.SurrogateCompiler, 5), "cpu", 5)
    with pytest.raises(InvalidValueError, match="input current of population 'population1' is not kept: keep_gradient"):
        engine.current_gradient(1)
    engine.close()


def test_other_plans_have_no_code_for_it():
    plain, telling = (emit(planned(gd.SurrogateCompiler, 5, tells=tells)) for tells in (False, True))
    assert "p->g ? " in telling and "p->g ? " not in plain
