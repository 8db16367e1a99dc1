"""Losses of real targets and of time steps: the formulas, the kernels, what fits which readout, what is reported."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from networks import Case, largest_difference
from refused import refused

from genn_delays import (
    CPU,
    Checkpoint,
    Connection,
    Dense,
    EarlyStopping,
    Input,
    LeakyIntegrate,
    MetricsWriter,
    Network,
    Population,
    SurrogateCompiler,
)
from genn_delays.learning.losses import LOSSES, SparseCategoricalCrossentropy
from genn_delays.runs.build import validate
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model

STEPWISE = SparseCategoricalCrossentropy(per_timestep=True)
SMOOTHED = SparseCategoricalCrossentropy(0.2, per_timestep=True)


def log_softmax(v):
    """Over the last axis."""
    shifted = v - v.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def step_crossentropy(share):
    def formula(z, v, y):
        labels = np.broadcast_to(y.reshape(len(y), -1), v.shape[:2])
        wanted = (1 - share) * np.eye(v.shape[2])[labels] + share / v.shape[2]
        return -(wanted * log_softmax(v)).sum(axis=2).mean(axis=1)

    return formula


def of_steps(z, v, y):
    return ((v - y) ** 2).mean(axis=(1, 2))


def of_output(z, v, y):
    return ((z - y) ** 2).mean(axis=1)


KINDS = {
    "steps": ("mean_square_error", "var", of_steps, "etn"),
    "mean": ("mean_square_error", "avg_var", of_output, "en"),
    "largest": ("mean_square_error", "max_var", of_output, "en"),
    "softmax": ("per_neuron_mean_square_error", "sum_softmax", of_output, "en"),
    "end": ("mean_square_error", "end_var", of_output, "en"),
    "last": ("per_neuron_mean_square_error", "var", of_output, "en"),
    "spikes": ("mean_square_error", "spike_count", of_output, "en"),
    "label": (STEPWISE, "avg_var", step_crossentropy(0.0), "e"),
    "sum": (SMOOTHED, "sum_var", step_crossentropy(0.2), "e"),
    "labels": (SMOOTHED, "var", step_crossentropy(0.2), "et"),
}
"""Loss, readout, the loss of every example of z ``[example, neuron]``, v ``[example, time, neuron]`` and what it
compares with, and the axes of that."""


def problem(kind, **changes):
    """A random network, its arguments and data; the last batch is smaller."""
    loss, readout, formula, axes = KINDS[kind]
    case = replace(Case.numbered(2), **{"readout": readout, "batch_size": 17, "spike_input": False, **changes})
    x, y = case.data()
    random, size = np.random.default_rng(5), case.network().populations[-1].size
    shape = [{"e": len(y["out"]), "t": case.time_steps, "n": size}[axis] for axis in axes]
    truth = random.normal(0, 1, shape) if "n" in axes else random.integers(0, size, shape)
    return case, {"losses": loss}, formula, x, {"out": truth}


def variable(compiled, x, batch_size):
    """The output variable of all examples in evaluation, ``[example, time, neuron]``."""
    parts = []
    for first in range(0, len(x["in"]), batch_size):
        compiled.predict({"in": x["in"][first : first + batch_size]})
        parts.append(compiled.engine.variable(len(compiled.plan.populations) - 1, "v").transpose(2, 1, 0))
    return np.concatenate(parts).astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_the_formula(kind, backend):
    case, arguments, formula, x, y = problem(kind)
    with case.compile(backend, arguments) as compiled:
        z = compiled.predict(x)[0][compiled.network.outputs[0]].astype(np.float64)
        v, metrics = variable(compiled, x, case.batch_size), compiled.evaluate(x, y)[0]
    expected = formula(z, v, y["out"])
    assert np.ptp(expected) > 0
    assert metrics.loss == pytest.approx(expected.mean(), rel=1e-5)
    if y["out"].dtype == float:
        assert metrics["out"].result == metrics.loss
        assert np.isnan(metrics.accuracy)
    else:  # the readout's answer, or one every step
        right = (v.argmax(axis=2) == y["out"]) if y["out"].ndim == 2 else (z.argmax(axis=1) == y["out"])
        assert 0 < right.mean() < 1
        assert metrics.accuracy == metrics["out"].result == pytest.approx(right.mean(), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_the_derivative_of_the_loss(kind):
    case, arguments, _, x, y = problem(kind, batch_size=2, time_steps=12)
    compiled = case.compile(SMOOTH, arguments)
    check_gradient(compiled, {"in": x["in"][:2]}, {"out": y["out"][:2]}, "weight")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tiled", [False, True], ids=["whole", "tiled"])
def test_cpu_equals_reference(kind, tiled, monkeypatch):
    """41 lanes and then 20, in one tile each or in tiles of 16; threads share the lanes."""
    if tiled:
        monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
    case, arguments, _, x, y = problem(kind, batch_size=41)
    found = []
    for backend in (CPU(threads=3), CPU(threads=1), "reference"):
        with case.compile(backend, arguments) as compiled:
            metrics, _ = compiled.evaluate(x, y)
            loss, gradients = compiled.gradients(x, y)
            found.append((loss, metrics["out"].correct, *gradients.values()))
    for one, two in zip(found[0], found[1], strict=True):
        np.testing.assert_array_equal(one, two)
    assert found[0][0] == pytest.approx(found[2][0], rel=1e-5)
    assert found[0][1] == found[2][1]
    for one, two in zip(found[0][2:], found[2][2:], strict=True):
        assert largest_difference(one, two) < 1e-5


def test_one_step_is_enough(backend):
    """An example of a single step: labels of the example and of its step are the same thing."""
    case, arguments, _, x, y = problem("label", time_steps=1)
    with case.compile(backend, arguments) as compiled:
        one, two = (compiled.evaluate(x, {"out": labels})[0] for labels in (y["out"], y["out"][:, None]))
    assert (one.loss, one.accuracy) == (two.loss, two.accuracy)


def test_every_output_has_its_own_loss(backend):
    """A dict by output population: both losses as if each were alone, and no accuracy of the one with targets."""
    network = Network(seed=4)
    with network:
        a = Population(Input(), 3, "a")
        for name, readout in (("r", "var"), ("s", "avg_var")):
            Connection(a, Population(LeakyIntegrate(readout=readout), 3, name), Dense(weight=0.3))
    random = np.random.default_rng(0)
    x = {"a": random.normal(size=(20, 8, 3))}
    y = {"r": random.normal(size=(20, 8, 3)), "s": random.integers(0, 3, 20)}
    losses = {network.outputs[0]: "mean_square_error", "s": SparseCategoricalCrossentropy(0.1)}
    with SurrogateCompiler(8, 16, losses, backend=backend).compile(network) as compiled:
        metrics, _ = compiled.evaluate(x, y)
        z = compiled.predict(x)[0]
    log_p = log_softmax(z[network.outputs[1]].astype(np.float64))
    wanted = 0.9 * np.eye(3)[y["s"]] + 0.1 / 3
    assert metrics["s"].loss == pytest.approx(-(wanted * log_p).sum(axis=1).mean(), rel=1e-5)
    assert metrics["s"].result == metrics.accuracy == (log_p.argmax(axis=1) == y["s"]).mean()
    assert metrics["r"].result == metrics["r"].loss
    assert metrics.score == -metrics.loss == -(metrics["r"].loss + metrics["s"].loss)


# --- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "readout", "parts"),
    [
        (STEPWISE, "max_var", ("per_timestep=True", "'max_var'", "'out'", "'sum_var', 'avg_var', 'var'")),
        (STEPWISE, "sum_softmax", ("per_timestep=True", "'sum_softmax'", "'out'")),
        (STEPWISE, "spike_count", ("per_timestep=True", "'spike_count'", "'out'")),
        (LOSSES["relative_mean_square_error"](1.0), "sum_var", ("delta=1.0", "'sum_var'", "'out'", "first_spike_time")),
        ("mean_square_error", "first_spike_time", ("'first_spike_time'", "'out'", "EventProp", "'spike_count'")),
        ({"uot": "mean_square_error"}, "sum_var", ("'uot'", "Did you mean 'out'?")),
        ({"in": "mean_square_error"}, "sum_var", ("losses", "'in'", "'out'")),
        ({}, "sum_var", ("losses missing", "'out'")),
    ],
)
def test_a_loss_that_does_not_fit(loss, readout, parts):
    """One error when the network is compiled, before anything is built."""
    with refused(*parts):
        Case(seed=3, readout=readout).compile("cpu", {"losses": loss})


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: SparseCategoricalCrossentropy(per_timestep=1), ("per_timestep", "true or false", "1")),
        (lambda: SparseCategoricalCrossentropy(softmax_temperature=0.0), ("softmax_temperature", "(0, inf)", "0.0")),
        (lambda: SparseCategoricalCrossentropy(ttfs_alpha=-1.0), ("ttfs_alpha", "[0, inf)", "-1.0")),
        (lambda: LOSSES["relative_mean_square_error"](float("nan")), ("delta", "[0, inf)", "nan")),
    ],
)
def test_bad_arguments(make, parts):
    with refused(*parts):
        make()


def spoiled(values, place, value):
    values = np.array(values, dtype=np.float64)
    values[place] = value
    return values


@pytest.mark.parametrize(
    ("kind", "change", "parts"),
    [
        ("steps", lambda y: y[:, 0], ("targets of 'out'", "(25, 17, 6) [example, time, neuron]", "(25, 6)")),
        ("steps", lambda y: y[:24], ("targets of 'out'", "(25, 17, 6)", "(24, 17, 6)")),
        ("steps", lambda y: y[:, 1:], ("targets of 'out'", "(25, 17, 6)", "(25, 16, 6)")),
        ("steps", lambda y: spoiled(y, (3, 4, 5), np.nan), ("finite", "nan", "example 3, time 4, neuron 5")),
        ("mean", lambda y: spoiled(y, (3, 4), 1e39), ("'out'", "finite", "1e+39", "example 3, neuron 4")),
        ("mean", lambda y: y[:, :, None], ("targets of 'out'", "(25, 6) [example, neuron]", "(25, 6, 1)")),
        ("mean", lambda y: np.zeros(25, int), ("targets of 'out'", "(25, 6) [example, neuron]", "(25,)")),
        ("mean", lambda y: y + 1j, ("targets of 'out'", "real numbers [example, neuron]", "complex128")),
        ("mean", lambda y: y.astype(str), ("targets of 'out'", "real numbers", "<U")),
        ("mean", lambda y: [[1.0], [1.0, 2.0]], ("targets of 'out'", "different lengths")),
        ("labels", lambda y: y[:, 1:], ("labels of 'out'", "16 steps", "must be 17")),
        ("labels", lambda y: y[:3], ("labels of 'out'", "3 for 25 examples")),
        ("labels", lambda y: y * 1.0, ("labels of 'out'", "[example] or [example, time]", "float64")),
        ("labels", lambda y: y[..., None], ("labels of 'out'", "[example] or [example, time]", "(25, 17, 1)")),
        ("labels", lambda y: np.full_like(y, 6), ("labels of 'out'", "[0, 6)", "got 6", "example 0, step 0")),
    ],
)
def test_bad_truth(kind, change, parts):
    case, arguments, _, x, y = problem(kind)
    with case.compile("reference", arguments) as compiled, refused(*parts):
        compiled.train(x, {"out": change(y["out"])}, 1, callbacks=[])


def test_bools_and_whole_numbers_are_targets(backend):
    case, arguments, _, x, y = problem("mean")
    ones = y["out"] > 0
    with case.compile(backend, arguments) as compiled:
        found = [compiled.evaluate(x, {"out": ones.astype(dtype)})[0].loss for dtype in (bool, int, float)]
    assert found[0] == found[1] == found[2]


# --- what is reported ------------------------------------------------------------------------------------------------


def test_training_with_real_targets(tmp_path, capsys, backend):
    """The loss falls and is what everything goes by: bar, file, best checkpoint, early stopping."""
    case, arguments, _, x, y = problem("mean", batch_size=8)
    seen = []

    class Watch(EarlyStopping):
        def on_epoch_end(self, epoch, metrics):
            seen.append(metrics.validation)
            super().on_epoch_end(epoch, metrics)

    with case.compile(backend, arguments) as compiled:
        checkpoint = Checkpoint(tmp_path)
        writer = MetricsWriter(tmp_path / "metrics.jsonl")
        callbacks = [Watch(patience=2, min_delta=1e6), checkpoint, writer, "batch_progress_bar"]
        compiled.train(x, y, 9, validation_split=0.25, callbacks=callbacks)
        assert compiled.epoch == 3  # the first is always better than nothing
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [metrics.loss for metrics in seen]
    assert [line["validation_loss"] for line in lines] == losses
    assert losses[-1] < losses[0]
    assert [(line["train_accuracy"], line["validation_accuracy"]) for line in lines] == [(None, None)] * 3
    assert (checkpoint.best_epoch, checkpoint.best) == (int(np.argmin(losses)), -min(losses))
    bar = capsys.readouterr().err
    assert f"validation loss {losses[-1]:.4f}" in bar
    assert "accuracy" not in bar
    assert "%," not in bar


def test_labels_of_steps_are_split_too(backend):
    """Without one class an example the split is not stratified, and a share is held out all the same."""
    case, arguments, _, x, y = problem("labels", batch_size=8)
    with case.compile(backend, arguments) as compiled:
        metrics, _ = compiled.train(x, y, 1, validation_split=0.25, callbacks=[])
    assert metrics.validation["out"].total == round(0.25 * len(y["out"]))
    assert metrics["out"].total == len(y["out"]) - metrics.validation["out"].total


@pytest.mark.parametrize("loss", ["mean_square_error", "per_neuron_mean_square_error"])
def test_real_targets_in_a_model_file(loss):
    tables = load_model("digits").tables()
    tables["compiler"]["losses"] = loss
    with refused("[compiler] losses", repr(loss), "'digits'", "class labels"):
        validate(Config.from_tables(tables))


def test_losses_of_a_model_file():
    tables = load_model("digits").tables()
    tables["compiler"]["losses"] = {"kind": "sparse_categorical_crossentropy", "per_timestep": True}
    with refused("per_timestep=True", "'sum_softmax'", "'digit'"):
        validate(Config.from_tables(tables))
    tables["populations"][-1]["readout"] = "avg_var"
    validate(Config.from_tables(tables))
