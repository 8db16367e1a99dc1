"""Label smoothing: the definition against a plain formula and PyTorch, the kernels against the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from differences import SMOOTH, check_gradient
from networks import Case, largest_difference
from refused import refused

from genn_delays import CPU
from genn_delays.learning.losses import LOSSES, SparseCategoricalCrossentropy
from genn_delays.runs.build import build_compiler
from genn_delays.runs.config import Config

SHARES = [0.0, 0.1, 0.5, 0.95]


def formula(z, labels, share):
    """-sum_k y_k log softmax(z)_k with y = (1 - share) onehot + share / K, ``z[example, class]``, in float64."""
    z = z.astype(np.float64)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    y = (1 - share) * np.eye(z.shape[1])[labels] + share / z.shape[1]
    return -(y * log_p).sum(axis=1)


@pytest.mark.parametrize("share", SHARES)
def test_definition_is_the_formula(share):
    random = np.random.default_rng(0)
    z, labels = random.normal(0, 3, (7, 5)), random.integers(0, 7, 5).astype(np.int32)
    loss = SparseCategoricalCrossentropy(share)
    losses, dz = loss.evaluate(z, labels)
    np.testing.assert_allclose(losses, formula(z.T, labels, share), rtol=1e-12)
    for k, lane in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[k, lane] = 1e-5
        up, down = (loss.evaluate(z + s * step, labels)[0].mean() for s in (1, -1))
        assert dz[k, lane] == pytest.approx((up - down) / 2e-5, abs=1e-9)
    assert np.abs(dz.sum(axis=0)).max() < 1e-12


@pytest.mark.torch
@pytest.mark.parametrize("share", SHARES)
def test_against_pytorch(share):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    random = np.random.default_rng(1)
    z, labels = random.normal(0, 3, (7, 5)), random.integers(0, 7, 5)
    theirs = torch.from_numpy(z.T.copy()).requires_grad_()
    loss = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(labels), label_smoothing=share)
    loss.backward()
    losses, dz = SparseCategoricalCrossentropy(share).evaluate(z, labels.astype(np.int32))
    assert losses.mean() == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(dz, theirs.grad.numpy().T, atol=1e-12)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("readout", ["sum_var", "sum_softmax"])
def test_cpu_equals_reference(share, readout):
    """Loss and gradients, and that the loss is the formula of what the readout gives."""
    case = replace(Case.numbered(3), readout=readout, batch_size=17)
    found = []
    for backend in (CPU(threads=2), "reference"):
        with case.compile(backend, {"losses": SparseCategoricalCrossentropy(share)}) as compiled:
            x, y = case.data()
            z = compiled.predict(x)[0][compiled.network.outputs[0]]
            metrics, _ = compiled.evaluate(x, y)
            assert metrics.loss == pytest.approx(formula(z, y["out"], share).mean(), rel=1e-5)
            found.append(compiled.gradients(x, y))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for one, two in zip(found[0][1].values(), found[1][1].values(), strict=True):
        assert largest_difference(one, two) < 1e-5


def test_smoothing_has_the_gradient_of_its_loss():
    case = replace(Case.numbered(1), batch_size=2, time_steps=12)
    x, y = case.data()
    x, y = {"in": x["in"][:2]}, {"out": y["out"][:2]}
    smoothed, plain = (case.compile(SMOOTH, {"losses": SparseCategoricalCrossentropy(share)}) for share in (0.3, 0.0))
    check_gradient(smoothed, x, y, "weight")
    one, two = (list(c.gradients(x, y)[1].values())[-1] for c in (smoothed, plain))
    assert largest_difference(one, two) > 0.01


def test_what_is_right_does_not_depend_on_it():
    """Accuracy counts the largest output; smoothing changes the loss alone."""
    case = Case.numbered(3)
    metrics = [
        case.compile("cpu", {"losses": SparseCategoricalCrossentropy(s)}).evaluate(*case.data())[0] for s in (0.0, 0.5)
    ]
    assert metrics[0].accuracy == metrics[1].accuracy
    assert metrics[0].loss != metrics[1].loss


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan"), "much", True])
def test_bad_shares(share):
    with refused("label_smoothing", "[0, 1)", str(share)):
        SparseCategoricalCrossentropy(share)


def test_smoothing_in_a_model_file():
    tables = {
        "model": {"name": "m"},
        "populations": [
            {"name": "a", "neuron": "input", "size": 3},
            {"name": "o", "neuron": "leaky_integrate", "size": 2, "readout": "sum_var"},
        ],
        "connections": [{"source": "a", "target": "o", "connectivity": "dense"}],
        "compiler": {"example_timesteps": 3, "losses": {"kind": next(iter(LOSSES)), "label_smoothing": 0.2}},
        "training": {"dataset": "digits", "num_epochs": 1},
    }
    config = Config.from_tables(tables)
    assert build_compiler(config).losses == SparseCategoricalCrossentropy(0.2)
    assert Config.from_tables(config.tables()) == config
    tables["compiler"]["losses"]["label_smoothing"] = 1.0
    with refused("[compiler] losses", "label_smoothing", "[0, 1)", "1.0"):
        build_compiler(Config.from_tables(tables))
