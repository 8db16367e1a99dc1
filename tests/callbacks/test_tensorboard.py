"""A TensorBoard log is what TensorBoard itself reads."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genn_delays as gd
from genn_delays.callbacks.tensorboard import tag_of
from genn_delays.errors import BackendUnavailableError, GennDelaysError

random = np.random.default_rng(0)
X, Y = {"x": (random.random((10, 12, 6)) < 0.4).astype(np.float32)}, {"o": random.integers(0, 3, 10)}


def compiled_network() -> Any:
    network = gd.Network()
    with network:
        x, h = gd.Population(gd.SpikeInput(), 6, "x"), gd.Population(gd.LeakyIntegrateFire(), 8, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="sum_softmax"), 3, "o")
        gd.Connection(x, h, gd.FixedNumber(sparsity=0.5, weight=gd.Normal(0.5, 0.8)))
        gd.Connection(h, o, gd.Dense(weight=gd.Normal(0.0, 0.8)))
    rewiring = {"x_h": gd.DeepR(l1=0.02)}
    return gd.SurrogateCompiler(12, 4, backend="reference").compile(network, rewiring=rewiring)


@pytest.mark.tensorboard
def test_tensorboard_reads_the_history(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        loader = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator",
            reason="needs TensorBoard: pip install 'genn-delays[tensorboard]'",
        )
        compiled, folder = compiled_network(), tmp_path / "deep" / "log"
        for epochs in (2, 3):  # the second file goes on
            metrics, _ = compiled.train(X, Y, epochs, callbacks=[gd.TensorBoard(folder)], validation_split=0.3)
        log = loader.EventAccumulator(str(folder)).Reload()
    history = metrics.history
    assert history["epoch"] == [1, 2, 3]
    for name, values in history.items():
        if name != "epoch":
            found = log.Scalars(tag_of(name))
            assert [event.step for event in found] == [1, 2, 3]
            assert [event.value for event in found] == pytest.approx(values)
    assert {"loss/train", "loss/validation", "accuracy/train", "rewirings/x_h"} <= set(log.Tags()["scalars"])
    assert [e.value for e in log.Scalars("learning_rate/x_h.weight")] == pytest.approx([1e-3] * 3)


@pytest.mark.tensorboard
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorboard", reason="needs TensorBoard: pip install 'genn-delays[tensorboard]'")
        (tmp_path / "file").touch()
        with pytest.raises(GennDelaysError, match=r"cannot write .*file"):
            compiled_network().train(X, Y, 1, callbacks=[gd.TensorBoard(tmp_path / "file")])


def test_without_tensorboard_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(BackendUnavailableError, match=r"TensorBoard needs tensorboard: pip install 'genn-delays\["):
        gd.TensorBoard("log")


def test_history_is_flat() -> None:
    """One number an epoch under every name, NaN where an epoch has none, as a table of pandas takes it."""
    compiled = compiled_network()
    compiled.train(X, Y, 2, callbacks=[])
    metrics, _ = compiled.train(X, Y, 4, callbacks=[], validation_split=0.3)
    history = metrics.history
    assert history["epoch"] == [1, 2, 3, 4] and {len(values) for values in history.values()} == {4}
    assert history["train_loss"][-1] == metrics.loss and history["rewirings_x_h"][-1] == metrics.rewirings["x_h"]
    assert [math.isnan(v) for v in history["validation_loss"]] == [True, True, False, False]
    assert all(type(v) in (int, float) for values in history.values() for v in values)
    assert compiled.evaluate(X, Y)[0].history == {}


def test_history_ends_where_a_checkpoint_was(tmp_path: Path) -> None:
    compiled = compiled_network()
    compiled.train(X, Y, 2, callbacks=[gd.Checkpoint(tmp_path, epoch_interval=1)])
    compiled.load(tmp_path / "epoch-1.safetensors")
    metrics, _ = compiled.train(X, Y, 2, callbacks=[])
    assert metrics.history["epoch"] == [1, 2]
    assert metrics.history["train_loss"][1] == metrics.loss


def test_history_of_several_outputs() -> None:
    network = gd.Network()
    with network:
        x = gd.Population(gd.SpikeInput(), 6, "x")
        for name in ("a", "b"):
            o = gd.Population(gd.LeakyIntegrate(readout="sum_softmax"), 3, name)
            gd.Connection(x, o, gd.Dense(weight=0.1))
    compiled = gd.SurrogateCompiler(12, 4, backend="reference").compile(network)
    metrics, _ = compiled.train(X, {"a": Y["o"], "b": Y["o"]}, 1, callbacks=[])
    assert metrics.history["train_loss_b"] == [metrics["b"].loss]
    assert metrics.history["train_accuracy_a"] == [metrics["a"].accuracy]
