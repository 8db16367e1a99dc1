"""Optimisers: kernels against their definition, bit by bit; the definition against plain formulas and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Case
from own_classes import ThirdMoment, registered
from refused import refused
from rewired import assert_same_state, set_gradient

from genn_delays import SGD, Adam, AdamW, CosineAnnealing
from genn_delays.learning.optimisers import OPTIMISERS, Optimisers, as_optimiser, older
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Pass

EVERY = [example for kind in (*OPTIMISERS.values(), ThirdMoment) for example in kind.examples()]


@pytest.fixture(autouse=True)
def own():
    with registered({"third_moment": ThirdMoment}):
        yield


@pytest.mark.parametrize(
    ("optimiser", "variables"),
    [(optimiser, ("weight",)) for optimiser in EVERY]
    + [(optimiser, ("weight", "delay")) for optimiser in EVERY[::2]]
    + [(Adam(0.01), ("delay",))],
    ids=repr,
)
def test_kernel_equals_definition(optimiser, variables, kernels):
    """Fed the same gradients for many steps kernels and `reference` keep the same bits: of weights, delays and both."""
    case, random = Case(seed=3), np.random.default_rng(0)
    everywhere = {"all_connections": dict.fromkeys(variables, optimiser)}
    one, two = (case.compile(backend, optimisers=everywhere) for backend in (kernels, "reference"))
    for engine in (one.engine, two.engine):
        engine.load(*_first_batch(case, one))
        engine.forward(Pass(training=True))
        engine.loss({2: case.data()[1]["out"][: case.batch_size].astype(np.int32)})
        engine.backward()
    for step in range(30):
        for c in one.plan.connections:
            for variable in variables:
                gradient = random.normal(0, 0.1, c.size).astype(np.float32)
                for engine in (one.engine, two.engine):
                    set_gradient(engine, c.index, gradient, variable)
        for engine in (one.engine, two.engine):
            engine.update(step, {c.index: Optimisers(c.optimiser, c.delay_optimiser) for c in one.plan.connections})
    for c in one.plan.connections:
        state = one.engine.state(c.index)
        assert len(state.moments) == ("weight" in variables) * optimiser.num_moments and (state.age == 30).all()
        assert len(state.delay_moments) == ("delay" in variables) * optimiser.num_moments
        moved = state.synapses.weight if "weight" in variables else state.position
        start = c.initial_synapses().weight if "weight" in variables else c.initial_synapses().delay
        assert (moved != start).mean() > 0.5
        assert_same_state(one.engine, two.engine, c.index)


def _first_batch(case, compiled):
    from genn_delays.training.data import prepare_inputs

    inputs, _ = prepare_inputs(compiled.network, case.data()[0], case.time_steps, 1.0)
    return inputs, np.arange(case.batch_size)


def run(optimiser, gradients, weight):
    moments = [np.zeros(weight.size, np.float32) for _ in range(optimiser.num_moments)]
    age = np.zeros(weight.size, np.uint16)
    for g in gradients:
        age = older(age)
        weight = optimiser.step(weight, g, moments, age)
    return weight


def test_plain_formulas():
    """Each optimiser once more, in float64 and a line or two."""
    random = np.random.default_rng(1)
    weight, gradients = random.normal(size=50), random.normal(size=(20, 50))
    narrow = [g.astype(np.float32) for g in gradients]

    w, m = weight.copy(), 0.0
    for g in gradients:
        m = 0.9 * m + g
        w -= 0.05 * m
    np.testing.assert_allclose(run(SGD(0.05, momentum=0.9), narrow, weight.astype(np.float32)), w, rtol=1e-4, atol=1e-5)

    for decay, optimiser in ((0.0, Adam(0.01)), (0.1, AdamW(0.01, decay=0.1))):
        w, m, v = weight.copy(), 0.0, 0.0
        for t, g in enumerate(gradients, 1):
            w -= 0.01 * decay * w
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            w -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(run(optimiser, narrow, weight.astype(np.float32)), w, rtol=1e-4, atol=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["adam", "adam_w", "sgd"])
def test_against_pytorch(name):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    random = np.random.default_rng(2)
    weight, gradients = random.normal(size=50).astype(np.float32), random.normal(size=(20, 50)).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    mine, theirs = {
        "adam": (Adam(0.01), torch.optim.Adam([parameter], 0.01)),
        "adam_w": (AdamW(0.01, decay=0.1), torch.optim.AdamW([parameter], 0.01, weight_decay=0.1)),
        "sgd": (SGD(0.01, momentum=0.9), torch.optim.SGD([parameter], 0.01, momentum=0.9)),
    }[name]
    for g in gradients:
        parameter.grad = torch.from_numpy(g)
        theirs.step()
    np.testing.assert_allclose(run(mine, list(gradients), weight), parameter.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_ages_saturate(backend):
    """The engine counts them, up to the largest number that 16 bits hold; an optimiser only reads them."""
    age = np.array([65_534, 65_535], np.uint16)
    Adam().step(np.zeros(2, np.float32), np.ones(2, np.float32), [np.zeros(2, np.float32) for _ in range(2)], age)
    assert age.tolist() == [65_534, 65_535]
    compiled = Case(seed=3).compile(backend)
    c = compiled.plan.connections[0]
    state = compiled.engine.state(c.index)
    state.age[:] = np.arange(65_533, 65_533 + c.size).clip(max=65_535)
    compiled.engine.set_state(c.index, state)
    for step in range(2):
        compiled.engine.load(*_first_batch(Case(seed=3), compiled))
        compiled.engine.forward(Pass(training=True))
        compiled.engine.loss({2: Case(seed=3).data()[1]["out"][: Case(seed=3).batch_size].astype(np.int32)})
        compiled.engine.backward()
        compiled.engine.update(step, {c.index: Optimisers(c.optimiser, None) for c in compiled.plan.connections})
    assert (compiled.engine.state(c.index).age == 65_535).all()
    assert (compiled.engine.state(1).age == 2).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(0.0), ("SGD alpha", "(0, inf)", "0.0")),
        (lambda: SGD(momentum=1.0), ("SGD momentum", "[0, 1)", "1.0")),
        (lambda: SGD(l1=-0.1), ("SGD l1", "[0, inf)", "-0.1")),
        (lambda: AdamW(decay=-0.1), ("AdamW decay", "[0, inf)", "-0.1")),
        (lambda: AdamW(beta1=1.5), ("AdamW beta1", "[0, 1)", "1.5")),
        (lambda: Adam(schedule="linear"), ("schedule", "'linear'", "cosine_annealing")),
        (lambda: as_optimiser("connection 'c'", "rmsprop"), ("'rmsprop'", *OPTIMISERS)),
    ],
)
def test_bad_values(make, words):
    with refused(*words):
        make()


def test_a_schedule_is_resolved_before_the_kernels_see_it():
    scheduled = Adam(0.4, schedule=CosineAnnealing(0.2))
    assert scheduled.at(Progress(0, 2, 0, 5)) == Adam(0.4)
    assert scheduled.at(Progress(1, 2, 3, 5)).alpha == pytest.approx(0.3)
    assert "schedule" not in scheduled.numbers()


def test_another_kind_of_optimiser_begins_afresh(tmp_path, backend):
    """A network trained with Adam goes on with gradient descent: its weights are kept, Adam's moments are not."""
    case = Case(seed=3)
    first = case.compile(backend)
    first.train(*case.data(), 2, callbacks=())
    first.save(tmp_path / "x.safetensors")
    second = case.compile(backend, optimisers={"all_connections": {"weight": SGD(0.1, momentum=0.5)}})
    second.load(tmp_path / "x.safetensors")
    for c in first.plan.connections:
        state = second.engine.state(c.index)
        np.testing.assert_array_equal(state.synapses.weight, first.synapses(c.name).weight)
        assert len(state.moments) == 1 and not state.moments[0].any() and not state.age.any()
    second.train(*case.data(), 3, callbacks=())
