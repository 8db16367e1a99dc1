"""What is added to gradients, weight decay and L1, and how all of them are scaled down: clip_norm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case
from refused import refused
from rewired import TIME_STEPS, assert_same_state, data, set_gradient, small_network

from genn_delays import SGD, Adam, AdamW, DeepR, SurrogateCompiler
from genn_delays.learning.optimisers import OPTIMISERS, Optimisers

PENALISED = [
    Adam(0.01, l1=0.02), Adam(0.01, weight_decay=0.1), SGD(0.1, 0.9, l1=0.01, weight_decay=0.2),
    AdamW(0.01, decay=0.1, l1=0.02, weight_decay=0.1), Adam(0.01, l1=0.3, decoupled_l1=True, weight_decay=0.1),
    AdamW(0.01, decay=0.1, l1=0.3, decoupled_l1=True), SGD(0.1, 0.9, l1=0.02, decoupled_l1=True),
]  # fmt: skip
WHOLE = replace(Case.published(3), seed=3, dropout=0.25, batch_norm=True, kernel="gaussian", recurrent=False)


def begun(case, backend, optimisers):
    """Compiled, with a backward pass behind it."""
    compiled = case.compile(backend, optimisers={"all_connections": optimisers})
    x, y = case.data()
    compiled.gradients({"in": x["in"][: case.batch_size]}, {"out": y["out"][: case.batch_size]})
    return compiled


def fed(compiled, gradients):
    """The engine after a step for each of these gradients of its first connection, as they are or scaled."""
    c = compiled.plan.connections[0]
    for step, gradient in enumerate(gradients):
        for variable in ("weight", "delay")[: 1 + (c.delay_optimiser is not None)]:
            set_gradient(compiled.engine, 0, gradient, variable)
        compiled.engine.update(step, {0: Optimisers(c.optimiser, c.delay_optimiser)})
    return compiled.engine


def random_gradients(size, count=30):
    return list(np.random.default_rng(0).normal(0, 0.1, (count, size)).astype(np.float32))


@pytest.mark.parametrize("optimiser", PENALISED, ids=repr)
def test_kernel_equals_definition(optimiser, kernels):
    """Over many steps to the last bit, of weights and of delays with the same optimiser."""
    case = replace(Case(seed=3), learn_delays=True)
    one, two = (begun(case, backend, {"weight": optimiser, "delay": optimiser}) for backend in (kernels, "reference"))
    gradients = random_gradients(one.plan.connections[0].size)
    assert_same_state(fed(one, gradients), fed(two, gradients), 0)


@pytest.mark.parametrize(
    "optimiser",
    [SGD(0.1, l1=0.02), SGD(0.1, weight_decay=0.3), SGD(0.1, l1=0.02, weight_decay=0.3)],
    ids=lambda o: f"{o.l1} {o.weight_decay}",
)
def test_a_step_is_the_formula(optimiser, backend):
    """``w - alpha (g + l1 sign(w) + weight_decay w)``; delays know nothing of it."""
    compiled = begun(replace(Case(seed=3), learn_delays=True), backend, {"weight": optimiser, "delay": optimiser})
    before = compiled.engine.state(0)
    (g,) = random_gradients(before.age.size, 1)
    after = fed(compiled, [g]).state(0)
    w = before.synapses.weight.astype(np.float64)
    expected = w - 0.1 * (g + optimiser.l1 * np.sign(w) + optimiser.weight_decay * w)
    np.testing.assert_allclose(after.synapses.weight, expected, rtol=1e-5, atol=1e-7)
    moved = np.clip(before.position - 0.1 * g, 0, compiled.plan.connections[0].max_delay)
    np.testing.assert_allclose(after.position, moved, rtol=1e-6, atol=1e-6)


# --- L1 apart from the optimiser -------------------------------------------------------------------------------------


def sparse(backend, optimiser, rule):
    """A small network to be rewired, with a backward pass behind it; the optimiser is that of weights and of delays."""
    network, compiler = small_network(), SurrogateCompiler(TIME_STEPS, 4, backend=backend)
    optimisers = {"all_connections": {"weight": optimiser, "delay": optimiser}}
    compiled = compiler.compile(network, optimisers=optimisers, rewiring={"all_connections": rule})
    compiled.gradients(*data(network, 4))
    return compiled


@pytest.mark.parametrize("kind", OPTIMISERS.values())
@pytest.mark.parametrize("place", ["optimiser", "rule", "both"])
def test_decoupled_l1_is_a_drift_that_the_moments_know_nothing_of(kind, place, backend):
    """``w - alpha l1 sign(w)`` after the step; moments and delays are those without L1, to the last bit."""
    mine, rules = (0.25 if place != "rule" else 0.0), (0.25 if place != "optimiser" else 0.0)
    drifting = sparse(backend, kind(0.01, l1=mine, decoupled_l1=True), DeepR(l1=rules, decoupled_l1=True))
    plain = sparse(backend, kind(0.01), DeepR(l1=0.0))
    before = plain.engine.state(0)
    gradients, l1 = random_gradients(before.age.size, 1), mine + rules
    without, found = (fed(compiled, gradients).state(0) for compiled in (plain, drifting))
    for name, values in without.arrays().items():
        if name != "weight":
            np.testing.assert_array_equal(found.arrays()[name], values, err_msg=name)
    sign = np.sign(before.synapses.weight)
    expected = without.synapses.weight - 0.01 * l1 * sign
    expected = np.where(expected * sign > 0, expected, 0)
    np.testing.assert_allclose(found.synapses.weight, expected, rtol=1e-6, atol=1e-8)
    assert (found.synapses.weight != without.synapses.weight).mean() > 0.5


@pytest.mark.parametrize("l1", [1e-6, 1e-3])
def test_where_the_gradient_has_vanished_a_drift_is_as_small_as_its_l1(l1, backend):
    """Adam makes full-sized steps of an L1 within the gradient, however small it is."""
    alpha, steps, moved = 0.001, 10, []
    for decoupled in (False, True):
        compiled = begun(Case(seed=3), backend, {"weight": Adam(alpha, l1=l1, decoupled_l1=decoupled)})
        before = np.abs(compiled.engine.state(0).synapses.weight.astype(np.float64))
        after = fed(compiled, [np.zeros(before.size, np.float32)] * steps).state(0).synapses.weight
        far = before > 2 * alpha * steps
        moved.append((before - np.abs(after))[far])
    np.testing.assert_allclose(moved[0], steps * alpha, rtol=0.02)
    np.testing.assert_allclose(moved[1], steps * alpha * l1, rtol=0.1, atol=1e-6)


def test_l1_within_the_gradient_and_apart_from_it_act_together(backend):
    """The optimiser's in one way, the rewiring rule's in the other."""
    for first, second in ((False, True), (True, False)):
        optimiser, rule = SGD(0.1, l1=0.02, decoupled_l1=first), DeepR(l1=0.03, decoupled_l1=second)
        compiled = sparse(backend, optimiser, rule)
        before = compiled.engine.state(0).synapses.weight.astype(np.float64)
        after = fed(compiled, [np.zeros(before.size, np.float32)]).state(0).synapses.weight
        expected = np.sign(before) * np.maximum(np.abs(before) - 0.1 * 0.05, 0)
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-7)


def test_decoupled_l1_is_a_switch():
    for make in (lambda: Adam(decoupled_l1=1), lambda: DeepR(decoupled_l1="yes"), lambda: SGD(decoupled_l1=None)):
        with refused("decoupled_l1", "true or false"):
            make()


@pytest.mark.torch
@pytest.mark.parametrize("name", OPTIMISERS)
def test_weight_decay_against_pytorch(name, backend):
    """PyTorch's ``weight_decay`` of Adam and SGD is added to the gradient, as here; AdamW has its own, `decay`."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    mine, make = {
        "adam": (Adam(0.01, weight_decay=0.1), lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
        "adam_w": (AdamW(0.01, decay=0.1), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
        "sgd": (SGD(0.01, 0.9, weight_decay=0.1), lambda p: torch.optim.SGD(p, 0.01, 0.9, weight_decay=0.1)),
    }[name]
    compiled = begun(Case(seed=3), backend, {"weight": mine})
    parameter = torch.nn.Parameter(torch.from_numpy(compiled.engine.state(0).synapses.weight.copy()))
    theirs, gradients = make([parameter]), random_gradients(parameter.numel())
    for g in gradients:
        parameter.grad = torch.from_numpy(g.copy())
        theirs.step()
    found = fed(compiled, gradients).state(0).synapses.weight
    np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-5, atol=1e-6)


# --- the norm of all gradients ---------------------------------------------------------------------------------------


def everything(optimiser):
    """Optimisers of weights, delays and batch norms."""
    both = {"weight": optimiser, "delay": optimiser}
    return {"all_connections": both, "all_populations": {"batch_norm": optimiser}}


def step_of(case, backend, clip_norm, optimisers):
    """A network before and after one step on one batch: its learned values by owner and name, and the gradients."""
    x, y = case.data()
    x, y = {"in": x["in"][: case.batch_size]}, {"out": y["out"][: case.batch_size]}
    compiled = case.compile(backend, {"clip_norm": clip_norm}, optimisers=optimisers)
    gradients = {
        (owner.name, variable): g
        for variable in ("weight", "delay", "batch_norm_scale", "batch_norm_shift")
        for owner, g in compiled.gradients(x, y, variable)[1].items()
    }

    def values():
        found = {(c.name, "weight"): compiled.synapses(c).weight.copy() for c in compiled.network.connections}
        found |= {(c.name, "delay"): compiled.delays(c) for c in compiled.network.connections}
        for p, state in zip(compiled.plan.populations, compiled.populations, strict=True):
            found |= {(p.name, k): v.copy() for k, v in state.values.items() if k in p.learned}
        return found

    before = values()
    compiled.train(x, y, 1, shuffle=False, callbacks=())
    return before, values(), gradients, {c.name: c.max_delay for c in compiled.plan.connections}


@pytest.mark.parametrize(("share", "decoupled"), [(0.5, False), (0.01, False), (0.01, True)])
def test_gradients_are_scaled_together(share, decoupled, backend):
    """Where the norm over weights, delays and batch norms is above clip_norm, all move by as much less; L1 does not."""
    optimisers = everything(SGD(0.1, l1=0.03, decoupled_l1=decoupled))
    *_, gradients, _ = step_of(WHOLE, backend, None, optimisers)
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients.values()))
    before, after, gradients, limits = step_of(WHOLE, backend, share * norm, optimisers)
    assert {name for _, name in gradients} == {"weight", "delay", "batch_norm_scale", "batch_norm_shift"}
    for (owner, name), g in gradients.items():
        old = before[owner, name].astype(np.float64)
        expected = old - 0.1 * (share * g + (0.03 * np.sign(old) if name == "weight" else 0.0))
        if name == "delay":
            expected = expected.clip(0, limits[owner])
        scale = 0.1 * share * np.abs(g).max() + 1e-6
        np.testing.assert_allclose(after[owner, name], expected, rtol=1e-6, atol=1e-4 * scale, err_msg=name)
        assert (after[owner, name] != before[owner, name]).any()


def test_a_norm_below_the_limit_changes_nothing(backend):
    optimisers = everything(Adam(0.01))
    (_, plain, *_), (_, clipped, *_) = (step_of(WHOLE, backend, clip, optimisers) for clip in (None, 1e6))
    for key, values in plain.items():
        np.testing.assert_array_equal(clipped[key], values)


def test_what_is_not_learned_has_no_part_in_the_norm(backend):
    """The limit holds for the gradients of the one connection that learns, however large the others' are."""
    optimisers = {"in_population1": {"weight": SGD(0.1)}}
    case = replace(Case(seed=3), learn_delays=True, kernel="triangle")
    before, after, gradients = step_of_weights(case, backend, optimisers, 1e9)
    norm = np.linalg.norm(gradients["in_population1"])
    assert norm < np.linalg.norm(gradients["population1_out"])
    before, after, _ = step_of_weights(case, backend, optimisers, 0.5 * norm)
    found = np.linalg.norm(after["in_population1"].astype(np.float64) - before["in_population1"])
    assert found == pytest.approx(0.1 * 0.5 * norm, rel=1e-4)
    np.testing.assert_array_equal(after["population1_out"], before["population1_out"])


def step_of_weights(case, backend, optimisers, clip_norm):
    """Weights by connection before and after a step, and their gradients."""
    x, y = case.data()
    x, y = {"in": x["in"][: case.batch_size]}, {"out": y["out"][: case.batch_size]}
    compiled = case.compile(backend, {"clip_norm": clip_norm}, optimisers=optimisers)
    gradients = {c.name: g for c, g in compiled.gradients(x, y)[1].items()}
    before, after = {}, {}
    for found in (before, after):
        found |= {c.name: compiled.synapses(c).weight.copy() for c in compiled.network.connections}
        compiled.train(x, y, 1, shuffle=False, callbacks=())
    return before, after, gradients


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), "1", True])
def test_bad_limits(value):
    with refused("clip_norm", "(0, inf)", str(value)):
        Case(seed=3).compile("reference", {"clip_norm": value})


@pytest.mark.parametrize("kind", OPTIMISERS.values())
@pytest.mark.parametrize("name", ["l1", "weight_decay"])
def test_bad_penalties(kind, name):
    for value in (-0.1, float("nan"), "strong"):
        with refused(f"{kind.__name__} {name}", "[0, inf)", str(value)):
            kind(**{name: value})
