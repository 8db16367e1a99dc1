"""Readout ``first_spike_time`` and its losses: the formulas, their derivatives, the kernels through the engines.

No compiler here trains with it yet, so networks are lowered by hand. The backward pass of the engines then multiplies
the readout's derivative with a surrogate's, which means nothing; but it is the same product on every backend.
"""

from __future__ import annotations

import numpy as np
import pytest
from networks import largest_difference

from genn_delays import (
    CPU,
    Adam,
    Connection,
    Dense,
    Input,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    UniformInt,
)
from genn_delays.backends import as_backend
from genn_delays.learning.losses import LOSSES, RelativeMeanSquareError, SparseCategoricalCrossentropy, as_loss
from genn_delays.learning.readouts import READOUTS
from genn_delays.learning.surrogates import ArcTan
from genn_delays.plan.exchanged import Pass
from genn_delays.plan.lower import lower
from genn_delays.plan.outcome import direct
from genn_delays.training.data import prepare_inputs
from genn_delays.training.outputs import output_losses

DT, STEPS = 0.5, 20
DURATION = DT * STEPS
NAME = "first_spike_time"
READOUT = READOUTS[NAME]()


def log_softmax(s):
    """Over the last axis."""
    return s - np.log(np.exp(s).sum(axis=-1, keepdims=True))


def crossentropy(t, y, share=0.1, tau=2.0, alpha=3.0):
    lanes = np.arange(len(y))
    wanted = (1 - share) * np.eye(t.shape[1])[y] + share / t.shape[1]
    return -(wanted * log_softmax(-t / tau)).sum(axis=1) + alpha / (1.01 * DURATION - t[lanes, y])


def relative(t, y, delta=1.5):
    others = [[(t[b, k] - t[b, y[b]] - delta) ** 2 for k in range(t.shape[1]) if k != y[b]] for b in range(len(y))]
    return np.mean(others, axis=1)


def square(t, y):
    return ((t - y) ** 2).mean(axis=1)


KINDS = {
    "crossentropy": (SparseCategoricalCrossentropy(0.1, softmax_temperature=2.0, ttfs_alpha=3.0), crossentropy),
    "relative": (RelativeMeanSquareError(1.5), relative),
    "square": (as_loss("per_neuron_mean_square_error"), square),
}
"""Loss, and the loss of every example of first spike times ``[example, neuron]`` and labels or targets."""


def truth_of(kind, lanes, size):
    random = np.random.default_rng(7)
    if kind == "square":
        return random.uniform(0, DURATION, (lanes, size)).astype(np.float32)
    return random.integers(0, size, lanes).astype(np.int32)


def first_spikes(spikes):
    """Times in ms of ``[neuron, time, lane]``, one spike after the other: ``[lane, neuron]``."""
    found = np.full(spikes.shape[::2], DURATION).T
    for i, t, b in reversed(np.argwhere(spikes).tolist()):
        found[b, i] = t * DT
    return found


# --- the definition --------------------------------------------------------------------------------------------------


def some_spikes():
    """Neurons with no spike, one, and several."""
    spikes = np.random.default_rng(3).random((5, STEPS, 9)) < 0.08
    assert {0, 1, 2} <= set(spikes.sum(axis=1).ravel().tolist())
    return spikes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_time_of_the_first_spike(dtype):
    spikes = some_spikes()
    found = READOUT.forward(spikes.astype(dtype), DT)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.T, first_spikes(spikes))


def test_its_derivative_acts_on_that_spike_alone():
    spikes = some_spikes()
    dz = np.random.default_rng(4).normal(size=(5, 9))
    found = READOUT.backward(spikes.astype(float), dz)
    for i, t, b in np.ndindex(spikes.shape):
        is_first = spikes[i, t, b] and not spikes[i, :t, b].any()
        assert found[i, t, b] == (dz[i, b] if is_first else 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_the_formulas_and_so_are_their_derivatives(kind):
    """By central differences in the spike times, per ms."""
    loss, formula = KINDS[kind]
    loss = loss.on(NAME, DURATION)
    z = np.random.default_rng(2).uniform(0, DURATION, (5, 9))
    truth = truth_of(kind, 9, 5)
    losses, dz = loss.evaluate(z, truth)
    np.testing.assert_allclose(losses, formula(z.T, truth), rtol=1e-12)
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = 1e-5
        up, down = (formula((z + s * step).T, truth).mean() for s in (1, -1))
        assert dz[index] == pytest.approx((up - down) / 2e-5, abs=1e-7)


def test_mlgenns_drive_of_the_right_neuron():
    """mlGeNN 3 drives with N t_l - sum(t) + (N - 1) delta and t_k - t_l - delta: half of ours, times N - 1."""
    z = np.random.default_rng(2).uniform(0, DURATION, (5, 1))
    _, dz = RelativeMeanSquareError(1.5).evaluate(z, np.array([3], np.int32))
    drive = z - z[3] - 1.5
    drive[3] = 5 * z[3] - z.sum() + 4 * 1.5
    np.testing.assert_allclose(dz, 2 * drive / 4, rtol=1e-12)


# --- the engines -----------------------------------------------------------------------------------------------------


def engine_of(backend, kind, batch_size):
    """An engine of a small network with this readout, its network, and inputs of two batches."""
    network, optimiser = Network(seed=1), Adam()
    with network:
        first = Population(Input(), 6, "in")
        hidden = Population(LeakyIntegrateFire(v_thresh=0.5), 12)
        last = Population(LeakyIntegrateFire(v_thresh=0.5, readout=NAME), 5)
        for source, target, weight in ((first, hidden, Normal(0.1, 0.5)), (hidden, last, Normal(0.05, 0.4))):
            Connection(source, target, Dense(weight=weight, delay=UniformInt(0, 5)))
    x = np.random.default_rng(6).random((2 * batch_size, STEPS, 6))
    plan = lower(
        network, time_steps=STEPS, batch_size=batch_size, dt=DT, training_seed=0,
        losses=output_losses(network, KINDS[kind][0], DURATION), regularisation=None, clip_norm=None,
        surrogate=ArcTan(), detach_reset=True, event_prop=None, max_spikes=None,
            optimisers={c.index: optimiser for c in network.connections},
        delay_optimisers={}, learned={}, rewiring={},
    )  # fmt: skip
    inputs, _ = prepare_inputs(network, {"in": x}, STEPS, DT)
    return as_backend(backend).build(plan), network, inputs


def run(backend, kind, batch_size=41):
    """What the readout gave, spikes, the loss, right answers and gradients of a batch and a smaller one after it."""
    engine, network, inputs = engine_of(backend, kind, batch_size)
    out, found = network.outputs[0], []
    try:
        for examples in (np.arange(batch_size), np.arange(batch_size, batch_size + batch_size // 2)):
            engine.load(inputs, examples)
            engine.forward(Pass(training=True))
            z, spikes = engine.output(out.index), engine.spikes(out.index)
            loss, right = engine.loss({out.index: truth_of(kind, len(examples), out.size)})[out.index]
            engine.backward()
            found.append((z, spikes, loss, right, [engine.gradient(c.index) for c in network.connections]))
    finally:
        engine.close()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_engines_give_the_formulas(kind, backend):
    for z, spikes, loss, right, _ in run(backend, kind):
        expected = first_spikes(spikes)
        assert 0.1 < (expected < DURATION).mean() < 0.95
        np.testing.assert_array_equal(z, expected.astype(np.float32))
        truth = truth_of(kind, *z.shape)
        assert loss == pytest.approx(KINDS[kind][1](expected, truth).sum(), rel=1e-5)
        assert right == (0 if kind == "square" else (expected.argmin(axis=1) == truth).sum())
        assert kind == "square" or 0 < right < len(truth)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tiled", [False, True], ids=["whole", "tiled"])
def test_cpu_equals_reference(kind, tiled, monkeypatch):
    if tiled:
        monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
    for one, two in zip(run(CPU(threads=2), kind), run("reference", kind), strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        assert one[2] == pytest.approx(two[2], rel=1e-6)
        assert one[3] == two[3]
        for found, expected in zip(one[4], two[4], strict=True):
            assert np.abs(expected).max() > 0
            assert largest_difference(found, expected) < 1e-5


def test_the_reference_drives_the_first_spike():
    """What the backward pass starts from: dL/dt in the step of the first spike, zero everywhere else."""
    engine, network, inputs = engine_of("reference", "relative", 41)
    out = network.outputs[0]
    engine.load(inputs, np.arange(41))
    engine.forward(Pass(training=True))
    spikes, truth = engine.spikes(out.index), truth_of("relative", 41, out.size)
    engine.loss({out.index: truth})
    drive = direct(engine.plan.populations[out.index], spikes.astype(np.float32), engine.dz[out.index])
    times = first_spikes(spikes)
    _, dz = RelativeMeanSquareError(1.5).evaluate(times.T, truth)
    assert ((drive != 0).sum(axis=1) <= 1).all()
    np.testing.assert_allclose(drive.sum(axis=1), np.where(times.T < DURATION, dz, 0.0), rtol=1e-5, atol=1e-7)
    assert spikes[drive != 0].all()


# --- what trains with it ---------------------------------------------------------------------------------------------


def test_losses_that_fit():
    fitting = {name for name in set(LOSSES) - {"relative_mean_square_error"} if as_loss(name).on(NAME, 1.0)}
    assert fitting == {"sparse_categorical_crossentropy", "mean_square_error", "per_neuron_mean_square_error"}
    assert RelativeMeanSquareError(1.0).fitting() == [NAME]
    assert SparseCategoricalCrossentropy(per_timestep=True).on(NAME, 1.0) is None
