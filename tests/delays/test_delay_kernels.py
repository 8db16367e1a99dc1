"""Delay kernels: every one of the registry is a smooth spread of a synapse over lags; the backends do what it says."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    Adam,
    Connection,
    Dense,
    GaussianKernel,
    Input,
    LeakyIntegrate,
    Network,
    Population,
    Sparse,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.delays import DELAY_KERNELS, as_delay_kernel, difference_taps
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Pass

MAX_DELAY = 24
KERNELS = sorted(DELAY_KERNELS)


def positions(count: int = 200) -> np.ndarray:
    """Delays within 0 .. MAX_DELAY, away from whole and half numbers, where a kernel may have a kink."""
    random = np.random.default_rng(0)
    return random.integers(0, MAX_DELAY, count) + random.choice([0.0, 0.5], count) + random.uniform(0.1, 0.4, count)


def spread(taps, size: int = MAX_DELAY + 1):
    """Share and slope at every lag, ``[synapse, lag]``."""
    found = np.zeros((2, taps.first.size, size))
    for k, (first, number) in enumerate(zip(taps.first, taps.number, strict=True)):
        found[:, k, first : first + number] = taps.share[k, :number], taps.slope[k, :number]
        assert not taps.share[k, number:].any() and not taps.slope[k, number:].any()
    return found


# --- the contract of the registry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [12.0, 3.0, 0.5])
@pytest.mark.parametrize("name", KERNELS)
def test_slope_is_the_derivative_of_share(name, sigma):
    """In double precision, by central differences; shares sum to 1, so slopes sum to 0."""
    kernel = DELAY_KERNELS[name](sigma=sigma)
    width, step, d = kernel.width(MAX_DELAY, Progress(0, 8, 0, 1)), 1e-6, positions()
    share, slope = spread(kernel.taps(d, width, 0, MAX_DELAY))
    up, down = (spread(kernel.taps(d + s * step, width, 0, MAX_DELAY))[0] for s in (1, -1))
    np.testing.assert_allclose((up - down) / (2 * step), slope, atol=1e-7)
    np.testing.assert_allclose(share.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(slope.sum(axis=1), 0.0, atol=1e-12)
    assert share.min() >= 0 and np.abs(slope).max() > 1e-3


@pytest.mark.parametrize("name", KERNELS)
def test_shares_are_symmetric_and_fall_with_distance(name):
    """Half way between two lags both get as much, and the nearest lag gets the most."""
    kernel = DELAY_KERNELS[name](sigma=1.3)
    width = kernel.width(MAX_DELAY, Progress(0, 8, 0, 1))
    share, _ = spread(kernel.taps(np.array([12.5, 12.2]), width, 0, MAX_DELAY))
    np.testing.assert_allclose(share[0], share[0, ::-1][np.arange(-1, MAX_DELAY) % (MAX_DELAY + 1)], atol=1e-15)
    assert share[1].argmax() == 12
    assert np.all(np.diff(share[1, 12:]) <= 0) and np.all(np.diff(share[1, :13]) >= 0)


@pytest.mark.parametrize("low", [0, 1])
@pytest.mark.parametrize("sigma", [12.0, 0.5, 1e-3])
@pytest.mark.parametrize("name", KERNELS)
def test_no_lag_outside_the_delays(name, sigma, low):
    """At the ends what would lie outside is shared among the lags inside; the nearest lag is always there."""
    kernel = DELAY_KERNELS[name](sigma=sigma)
    width = kernel.width(MAX_DELAY, Progress(0, 8, 0, 1))
    d = np.array([low, low + 0.3, 11.5, MAX_DELAY - 0.3, MAX_DELAY], dtype=np.float32)
    taps = kernel.taps(d, width, low, MAX_DELAY)
    assert (taps.first >= low).all() and (taps.first + taps.number - 1 <= MAX_DELAY).all() and (taps.number >= 1).all()
    nearest = np.rint(d).astype(int)
    assert ((taps.first <= nearest) & (nearest < taps.first + taps.number)).all()
    np.testing.assert_allclose(taps.share.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_width_shrinks_by_the_same_factor_every_epoch_and_then_stays(name):
    kernel = DELAY_KERNELS[name](sigma=8.0, final_sigma=0.5, shrink=0.5)
    sigma = [kernel.width(MAX_DELAY, Progress(epoch, 8, 0, 10)) - kernel.offset for epoch in range(8)]
    assert sigma[0] == pytest.approx(8.0)
    np.testing.assert_allclose(sigma[1:5], 8.0 * (0.5 / 8.0) ** (np.arange(1, 5) / 4))
    assert sigma[4:] == pytest.approx([0.5] * 4)
    assert kernel.width(MAX_DELAY, Progress(3, 8, 9, 10)) == kernel.width(MAX_DELAY, Progress(3, 8, 0, 10))
    at_once = DELAY_KERNELS[name](sigma=8.0, final_sigma=0.5, shrink=0.0)
    assert at_once.width(MAX_DELAY, Progress(0, 8, 0, 1)) == pytest.approx(0.5 + kernel.offset)
    by_default = DELAY_KERNELS[name]()
    assert by_default.width(MAX_DELAY, Progress(0, 8, 0, 1)) == pytest.approx(MAX_DELAY / 2 + kernel.offset)


@pytest.mark.parametrize("sigma", [12.0, 2.0, 0.5])
def test_gaussian_is_its_formula(sigma):
    """``exp(-(n - d)^2 / (2 (sigma + 0.27)^2))`` over its sum (Hammouamri et al. 2023), lags within 5 widths."""
    d, n = positions(), np.arange(MAX_DELAY + 1)
    e = np.exp(-0.5 * ((n - d[:, None]) / (sigma + 0.27)) ** 2)
    e[np.abs(n - d[:, None]) > 5 * (sigma + 0.27)] = 0
    kernel = GaussianKernel(sigma=sigma)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-6)):
        share, _ = spread(kernel.taps(d.astype(dtype), sigma + 0.27, 0, MAX_DELAY))
        np.testing.assert_allclose(share, e / e.sum(axis=1, keepdims=True), atol=tolerance)


def test_whole_delays_have_the_slope_of_their_neighbours():
    """One tap; its slope is half the difference between both neighbours, one-sided at the ends."""
    taps = difference_taps(np.array([0.0, 3.4, 6.0]), 0, 6)
    share, slope = spread(taps, 7)
    np.testing.assert_array_equal(share, np.eye(7)[[0, 3, 6]])
    expected = np.zeros((3, 7))
    expected[0, :2], expected[1, 2:5], expected[2, 5:] = (-1, 1), (-0.5, 0, 0.5), (-1, 1)
    np.testing.assert_array_equal(slope, expected)


# --- what the backends do with them ----------------------------------------------------------------------------------


def impulse_network(pairs, weight, delay, kernel, size, max_delay=MAX_DELAY):
    """Inputs straight into memoryless readouts: a readout's variable is its input current."""
    network = Network()
    with network:
        a = Population(Input(), size, name="in")
        o = Population(LeakyIntegrate(tau_mem=1.0, readout="sum_var"), 2, name="out")
        Connection(a, o, Sparse(*pairs, weight, delay, multapses=True), max_delay_steps=max_delay, delay_kernel=kernel)
    return network


def place(compiled, position):
    """Give the one connection real-valued delays."""
    state = compiled.engine.state(0)
    state.position = np.asarray(position, dtype=np.float32)
    state.synapses = state.synapses._replace(delay=np.rint(state.position).astype(np.uint16))
    compiled.engine.set_state(0, state)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("sigma", [12.0, 2.0, 0.5])
@pytest.mark.parametrize("name", KERNELS)
def test_an_impulse_comes_out_as_the_kernel(name, sigma, count, backend):
    """One or two synapses a pair: what arrives after an impulse is the sum of their weighted shares, lag by lag."""
    random = np.random.default_rng(1)
    pre, post = np.zeros(2 * count, int), np.repeat([0, 1], count)
    weight, d = random.normal(size=2 * count), np.sort(random.uniform(0, MAX_DELAY, (2, count))).ravel()
    kernel = DELAY_KERNELS[name](sigma=sigma)
    network = impulse_network((pre, post), weight, np.rint(d).astype(int), kernel, 1)
    x = np.zeros((1, MAX_DELAY + 5, 1), np.float32)
    x[0, 0] = 1.0
    with SurrogateCompiler(MAX_DELAY + 5, 1, backend=backend).compile(network) as compiled:
        place(compiled, d)
        compiled.gradients({"in": x}, {"out": [0]})
        training = compiled.engine.variable(1, "v")[:, :, 0]
        compiled.predict({"in": x})
        evaluation = compiled.engine.variable(1, "v")[:, :, 0]
        whole = compiled.synapses(network.connections[0]).delay
    width = kernel.width(MAX_DELAY, Progress(0, 1, 0, 1))
    share, _ = spread(kernel.taps(d.astype(np.float32), width, 0, MAX_DELAY), MAX_DELAY + 5)
    expected = (weight[:, None] * share).reshape(2, count, -1).sum(axis=1)
    np.testing.assert_allclose(training, expected, atol=1e-6)
    single = np.zeros_like(expected)
    np.add.at(single, (post, whole), weight)
    np.testing.assert_allclose(evaluation, single, atol=1e-6)


def described(delay, kernel, weight):
    network = Network(seed=2)
    with network:
        a = Population(Input(), 5, name="in")
        o = Population(LeakyIntegrate(tau_mem=8.0, readout="sum_softmax"), 4, name="out")
        pre, post = np.tile(np.arange(5), 4), np.repeat(np.arange(4), 5)
        Connection(a, o, Sparse(pre, post, weight, delay), max_delay_steps=9, delay_kernel=kernel)
    return network


@pytest.mark.parametrize("name", KERNELS)
def test_evaluation_is_a_plain_network_with_rounded_delays(name, backend):
    """Bit by bit, and it differs from the training pass."""
    random = np.random.default_rng(0)
    weight, d, x = random.normal(size=20), random.uniform(0, 9, 20), random.random((6, 20, 5)).astype(np.float32)
    plain = described(np.rint(d).astype(int), None, weight)
    with SurrogateCompiler(20, 4, backend=backend).compile(plain) as compiled:
        expected = compiled.predict({"in": x})[0][plain.outputs[0]]
    network = described(0, DELAY_KERNELS[name](sigma=2.0), weight)
    with SurrogateCompiler(20, 4, backend=backend).compile(network) as compiled:
        place(compiled, d)
        found = compiled.predict({"in": x})[0][network.outputs[0]]
        np.testing.assert_array_equal(found, expected)
        compiled.engine.forward(Pass(training=True, widths={0: 2.27}))
        assert np.abs(compiled.engine.output(1) - expected[4:]).max() > 1e-3
    np.testing.assert_array_equal(compiled.delays("in_out"), d.astype(np.float32))


@pytest.mark.parametrize("kernel", [None, *KERNELS])
def test_learned_delays_stay_in_range_and_evaluation_follows(kernel, backend):
    """Steps that are far too long end at 0 or at max_delay_steps; the rounded delays follow the real-valued ones."""
    network = described(UniformInt(0, 9), kernel, 0.5)
    random = np.random.default_rng(3)
    data = {"in": random.random((4, 20, 5)).astype(np.float32)}, {"out": [0, 1, 2, 3]}
    with SurrogateCompiler(20, 4, backend=backend).compile(network, optimisers={"in_out": {"delay": Adam(3.0)}}) as c:
        c.train(*data, 8, callbacks=())
        found, synapses = c.delays("in_out"), c.synapses("in_out")
    assert found.min() == 0 and found.max() == 9
    assert (found != network.connections[0].synapses.delay).mean() > 0.5
    np.testing.assert_array_equal(synapses.delay, np.rint(found))
    np.testing.assert_array_equal(synapses.weight, 0.5)


def test_delays_learn():
    """A target that hears its input too early: the delay moves to where the loss is smallest."""
    network = Network()
    with network:
        a = Population(Input(), 1, name="in")
        o = Population(LeakyIntegrate(tau_mem=2.0, readout="max_var"), 2, name="out")
        Connection(a, o, Sparse([0], [0], [1.0], [3]), max_delay_steps=18, delay_kernel=GaussianKernel(sigma=4.0))
        Connection(a, o, Sparse([0], [0], [1.0], [12]), name="fixed")
    x = np.zeros((1, 20, 1), np.float32)
    x[0, 1] = 1.0
    optimisers = {"in_out": {"delay": Adam(0.3)}}
    with SurrogateCompiler(20, 1).compile(network, optimisers=optimisers) as compiled:
        compiled.train({"in": x}, {"out": [0]}, 120, callbacks=())
        assert abs(compiled.delays("in_out")[0] - 12) < 1  # both spikes arrive together: the largest potential
        np.testing.assert_array_equal(compiled.delays("fixed"), [12])


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sigma": 0.0}, ("sigma", "(0, inf)", "0.0")),
        ({"sigma": -1.0}, ("sigma", "(0, inf)", "-1.0")),
        ({"sigma": "wide"}, ("sigma", "number", "'wide'")),
        ({"final_sigma": 0.0}, ("final_sigma", "(0, inf)", "0.0")),
        ({"shrink": 1.5}, ("shrink", "[0, 1]", "1.5")),
    ],
)
def test_bad_kernels(name, arguments, words):
    kind = DELAY_KERNELS[name]
    with refused(f"{kind.__name__} {words[0]}", *words[1:]):
        kind(**arguments)


def test_unknown_kernels_are_named():
    assert as_delay_kernel("none") is as_delay_kernel(None) is None
    for value in ("gausian", GaussianKernel, 3):
        with refused("unknown delay kernel", "gaussian, none, triangle"):
            as_delay_kernel(value)


def test_a_kernel_wider_than_the_sequence():
    network = described(0, "gaussian", 1.0)
    with refused("delay kernel of connection 'in_out'", "10 lags", "at most 9"):
        SurrogateCompiler(9, 1).plan(network)
    SurrogateCompiler(10, 1).plan(network)


def test_delays_that_have_nowhere_to_go():
    network = Network()
    with network:
        a = Population(Input(), 2, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, o, Dense(weight=1.0, delay=0))
    with refused("connection 'in_out'", "max_delay_steps is 0", "1 or more"):
        SurrogateCompiler(5, 1).plan(network, optimisers={"in_out": {"delay": Adam()}})
