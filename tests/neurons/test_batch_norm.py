"""Batch norm: its formula, PyTorch's running averages by hand, what is learned, and where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    Adam,
    BatchNorm,
    Connection,
    Dense,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)

T, BATCH, SIZE = 12, 5, 7
WEIGHTS = {"all_connections": {"weight": Adam(0.02)}}


def described(norm=True, recurrent=False):
    network = Network(seed=4)
    with network:
        a = Population(Input(), 6, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=1.0, v_thresh=0.8), SIZE, name="hidden", batch_norm=norm)
        o = Population(LeakyIntegrate(tau_mem=8.0, readout="sum_softmax"), 3, name="out")
        Connection(a, h, Dense(weight=Normal(0.2, 0.6), delay=UniformInt(0, 3)))
        Connection(h, o, Dense(weight=Normal(0.0, 0.4), delay=UniformInt(0, 3)))
        if recurrent:
            Connection(h, h, Dense(weight=0.1, delay=2))
    return network


def data(count=BATCH):
    random = np.random.default_rng(7)
    return {"in": random.random((count, T, 6)).astype(np.float32)}, {"out": random.integers(0, 3, count)}


def current(synapses, x):
    """The input current of the hidden neurons, ``[neuron, time, example]``, in double precision."""
    found = np.zeros((SIZE, T, len(x)))
    for j, i, d, w in zip(*synapses, strict=True):
        found[i, d:] += float(w) * x[:, : T - d, j].T
    return found


def compile_network(backend="cpu", norm=True, **arguments):
    return SurrogateCompiler(T, BATCH, backend=backend).compile(described(norm), **arguments)


def hidden(compiled):
    """With a time constant of one step the potential is the normalised input current."""
    return compiled.engine.variable(1, "v")


def test_training_normalises_by_the_batch(backend):
    """Mean and variance over examples and time, each neuron with its own scale and shift."""
    norm = BatchNorm(epsilon=0.01, scale=Uniform(0.5, 2.0), shift=Normal(0.0, 0.3))
    compiled = compile_network(backend, norm)
    compiled.gradients(*data())
    plain = current(compiled.synapses("in_hidden"), data()[0]["in"])
    mean, var = plain.mean(axis=(1, 2), keepdims=True), plain.var(axis=(1, 2), keepdims=True)
    scale, shift = (compiled.populations[1].values[f"batch_norm_{k}"][:, None, None] for k in ("scale", "shift"))
    assert np.ptp(scale) > 0.3 and np.ptp(shift) > 0.1
    np.testing.assert_allclose(hidden(compiled), scale * (plain - mean) / np.sqrt(var + 0.01) + shift, atol=2e-6)


def test_running_averages_are_pytorchs(backend):
    """``running = (1 - momentum) running + momentum batch`` with the unbiased variance, from 0 and 1; the last batch of
    an epoch is smaller, and its variance is made unbiased by its own size."""
    momentum, x = 0.3, data(8)[0]["in"]
    still = {"all_connections": {"weight": Adam(1e-12)}}
    compiled = compile_network(backend, BatchNorm(momentum=momentum), optimisers=still)
    compiled.train(*data(8), 3, shuffle=False, callbacks=())
    mean, var = np.zeros(SIZE), np.ones(SIZE)
    for _ in range(3):
        for batch in (x[:5], x[5:]):
            plain = current(compiled.synapses("in_hidden"), batch)
            mean = (1 - momentum) * mean + momentum * plain.mean(axis=(1, 2))
            var = (1 - momentum) * var + momentum * plain.var(axis=(1, 2), ddof=1)
    values = compiled.populations[1].values
    np.testing.assert_allclose(values["batch_norm_mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values["batch_norm_var"], var, rtol=1e-5)


@pytest.mark.torch
def test_running_averages_against_pytorch():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    theirs = torch.nn.BatchNorm1d(SIZE, momentum=0.2)
    still = {"all_connections": {"weight": Adam(1e-12)}}
    compiled = compile_network(norm=BatchNorm(momentum=0.2), optimisers=still)
    compiled.train(*data(), 4, shuffle=False, callbacks=())
    plain = current(compiled.synapses("in_hidden"), data()[0]["in"])
    for _ in range(4):
        theirs(torch.from_numpy(plain.transpose(2, 0, 1).astype(np.float32)))
    values = compiled.populations[1].values
    np.testing.assert_allclose(values["batch_norm_mean"], theirs.running_mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(values["batch_norm_var"], theirs.running_var.numpy(), rtol=1e-5)


def test_evaluation_uses_the_running_averages(backend):
    """What an example gives does not depend on the others of its batch, as it does while training."""
    compiled = compile_network(backend)
    compiled.train(*data(), 3, callbacks=())
    (x, y), values = data(), compiled.populations[1].values
    compiled.predict(x)
    together = hidden(compiled)
    mean, var = (values[f"batch_norm_{k}"].astype(float)[:, None, None] for k in ("mean", "var"))
    scale, shift = (values[f"batch_norm_{k}"][:, None, None] for k in ("scale", "shift"))
    plain = current(compiled.synapses("in_hidden"), x["in"])
    np.testing.assert_allclose(together, scale * (plain - mean) / np.sqrt(var + 1e-5) + shift, atol=1e-5)
    compiled.predict({"in": x["in"][:1]})
    np.testing.assert_array_equal(hidden(compiled)[:, :, 0], together[:, :, 0])
    compiled.gradients(x, y)
    trained = hidden(compiled)
    assert np.abs(trained - together).max() > 0.1
    compiled.gradients({"in": x["in"][:2]}, {"out": y["out"][:2]})
    assert np.abs(hidden(compiled)[:, :, 0] - trained[:, :, 0]).max() > 0.01


def test_evaluation_changes_nothing(backend):
    compiled = compile_network(backend)
    compiled.train(*data(), 2, callbacks=())
    before = {name: values.copy() for name, values in compiled.populations[1].values.items()}
    compiled.evaluate(*data())
    compiled.predict(data()[0])
    compiled.gradients(*data())
    for name, values in compiled.populations[1].values.items():
        np.testing.assert_array_equal(values, before[name])


def test_scale_and_shift_are_learned_where_asked(backend):
    """One step of Adam goes by its learning rate against the gradient's sign; with other optimisers they stay."""
    _, scale = (compiled := compile_network(backend)).gradients(*data(), "batch_norm_scale")
    _, shift = compiled.gradients(*data(), "batch_norm_shift")
    learned = WEIGHTS | {"hidden": {"batch_norm": Adam(0.01)}}
    for optimisers, rate in ((WEIGHTS, 0.0), (learned, 0.01), ({"all_populations": {"batch_norm": Adam(0.03)}}, 0.03)):
        compiled = compile_network(backend, optimisers=optimisers)
        compiled.train(*data(), 1, callbacks=())
        for name, start, gradients in (("scale", 1.0, scale), ("shift", 0.0, shift)):
            (gradient,) = gradients.values()
            assert np.abs(gradient).min() > 1e-5
            values = compiled.populations[1].values[f"batch_norm_{name}"]
            np.testing.assert_allclose(values, start - rate * np.sign(gradient), atol=1e-4)


def test_a_scale_that_learns_lowers_the_loss(backend):
    only = {"hidden": {"batch_norm": Adam(0.05)}}
    compiled = compile_network(backend, optimisers=only)
    before = compiled.gradients(*data())[0]
    compiled.train(*data(), 40, callbacks=())
    assert compiled.gradients(*data())[0] < 0.9 * before
    for connection in compiled.network.connections:
        np.testing.assert_array_equal(compiled.synapses(connection).weight, connection.synapses.weight)


def test_a_current_that_never_changes(backend):
    """A variance of 0 is no division by 0: the shift is all that is left."""
    compiled = compile_network(backend, BatchNorm(shift=0.25))
    loss, gradients = compiled.gradients({"in": np.zeros((BATCH, T, 6), np.float32)}, data()[1])
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients.values())
    np.testing.assert_allclose(hidden(compiled), 0.25)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BatchNorm(epsilon=0.0), ("BatchNorm epsilon", "(0, inf)", "0.0")),
        (lambda: BatchNorm(momentum=0.0), ("BatchNorm momentum", "(0, 1]", "0.0")),
        (lambda: BatchNorm(momentum=1.1), ("BatchNorm momentum", "(0, 1]", "1.1")),
        (lambda: BatchNorm(scale=float("nan")), ("BatchNorm scale", "nan")),
        (lambda: described("yes"), ("batch_norm", "true, false or a BatchNorm", "'yes'")),
        (lambda: described(BatchNorm(scale=np.ones(3))).populations[1].parameters(), ("scale", "'hidden'", "(7,)")),
    ],
)
def test_bad_batch_norms(make, words):
    with refused(*words):
        make()


@pytest.mark.parametrize("kind", [Input, SpikeInput])
def test_inputs_have_no_batch_norm(kind):
    with Network(), refused("batch_norm", "'in'", "input"):
        Population(kind(), 3, name="in", batch_norm=True)


def test_no_batch_norm_on_a_cycle():
    with refused("batch_norm", "'hidden'", "on a cycle", "without recurrent or feedback connections"):
        SurrogateCompiler(T, BATCH).plan(described(recurrent=True))
    SurrogateCompiler(T, BATCH).plan(described(None, recurrent=True))


@pytest.mark.parametrize(
    ("optimisers", "words"),
    [
        ({"hidden": {"batchnorm": Adam()}}, ("population 'hidden'", "'batchnorm'", "batch_norm", "tau_mem")),
        ({"hidden": {"weight": Adam()}}, ("population 'hidden'", "'weight'", "batch_norm")),
        ({"out": {"batch_norm": Adam()}}, ("population 'out'", "'batch_norm'", "tau_mem")),
        ({"in": {"batch_norm": Adam()}}, ("population 'in'", "'batch_norm'")),
        ({"hidden": {}}, ("population 'hidden'", "dict such as {'batch_norm': Adam()}", "{}")),
        ({"hidden": {"batch_norm": "adm"}}, ("optimiser of batch_norm of population 'hidden'", "'adm'")),
        ({"hiden": {"batch_norm": Adam()}}, ("'hiden'",)),
        ({"in_hidden": {"tau": Adam()}}, ("connection 'in_hidden'", "'tau'", "delay, weight")),
    ],
)
def test_unknown_variables(optimisers, words):
    with refused(*words):
        SurrogateCompiler(T, BATCH).plan(described(), optimisers=optimisers)


def test_gradients_of_unknown_variables():
    compiled = compile_network("reference")
    with refused("variable with a gradient", "'batch_norm'", "batch_norm_scale, batch_norm_shift, weight"):
        compiled.gradients(*data(), "batch_norm")
    with refused("'batch_norm_mean'"):
        compiled.gradients(*data(), "batch_norm_mean")
    with refused("'delay'", "weight"):
        compiled.gradients(*data(), "delay")


def test_time_constants_that_are_named_are_learned(backend):
    """An error that lists ``tau_mem`` among what a population can learn must be right."""
    compiled = compile_network(backend, optimisers={"out": {"tau_mem": Adam(0.1)}})
    compiled.train(*data(), 1, callbacks=())
    assert (compiled.populations[2].values["tau_mem"] != 8.0).all()
