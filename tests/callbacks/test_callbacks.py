"""Callbacks on a tiny network that really trains, and checkpoints that go on with the same bits."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import refused

from genn_delays import (
    CPU,
    Adam,
    Callback,
    Checkpoint,
    Connection,
    DeepR,
    Dense,
    EarlyStopping,
    FixedNumber,
    LeakyIntegrate,
    LeakyIntegrateFire,
    MetricsWriter,
    Network,
    Normal,
    Population,
    SpikeInput,
    SpikeRecorder,
    SurrogateCompiler,
    UniformInt,
    VarRecorder,
)
from genn_delays.callbacks import CALLBACKS, as_callbacks, progress_bar
from genn_delays.callbacks.metrics_writer import read_metrics
from genn_delays.errors import GennDelaysError, RunFolderError
from genn_delays.metrics import Metrics, OutputMetric
from genn_delays.random import permutation
from genn_delays.training.checkpoints import Checkpoint as Contents
from genn_delays.training.checkpoints import save_checkpoint

T, EXAMPLES, BATCH, DT = 12, 10, 4, 0.5
THRESHOLD = 0.6


def described(seed: int = 0, hidden: int = 8, name: str = "h") -> Network:
    network = Network(seed)
    with network:
        x, h = (
            Population(SpikeInput(), 6, "x"),
            Population(LeakyIntegrateFire(tau_mem=5.0, v_thresh=THRESHOLD), hidden, name),
        )
        o = Population(LeakyIntegrate(tau_mem=5.0, readout="sum_softmax"), 3, "o")
        Connection(x, h, FixedNumber(sparsity=0.5, weight=Normal(0.5, 0.8), delay=UniformInt(0, 4)))
        Connection(h, o, FixedNumber(sparsity=0.25, weight=Normal(0, 0.8), delay=UniformInt(0, 4)))
    return network


RULES = {"all_connections": DeepR(l1=0.02, temperature=1e-3, growth_delay="redraw")}


def compiled_network(backend="reference", network: Network | None = None, *, alpha: float = 0.02, rewiring=None):
    compiler = SurrogateCompiler(T, BATCH, backend=backend, dt=DT, rng_seed=7)
    optimisers = {"all_connections": Adam(alpha)}
    return compiler.compile(network or described(), optimisers=optimisers, rewiring=rewiring)


random = np.random.default_rng(0)
X, Y = {"x": (random.random((EXAMPLES, T, 6)) < 0.4).astype(np.float32)}, {"o": random.integers(0, 3, EXAMPLES)}


def train(compiled, epochs: int, *callbacks, **arguments):
    return compiled.train(X, Y, epochs, callbacks=list(callbacks), **arguments)


def state(compiled) -> list[bytes]:
    """Everything a network carries, as bytes."""
    states = [compiled.engine.state(c.index) for c in compiled.plan.connections]
    arrays = [a for s in states for a in s.arrays().values()]
    counters = json.dumps([compiled.epoch, compiled.step, compiled.rewirings]).encode()
    return [counters, *(a.tobytes() for a in arrays)]


STILL = described()


def metrics(accuracy: float, total: int = 100) -> Metrics:
    return Metrics({STILL.populations[2]: OutputMetric(round(accuracy * total), total, 1.0)})


class Recorder(Callback):
    """Writes down which hook was called, with what."""

    def __init__(self, log: list | None = None, tag: str = "") -> None:
        self.log, self.tag = ([] if log is None else log), tag

    def _note(self, *what) -> None:
        self.log.append((self.tag, *what) if self.tag else what)

    def set_params(self, compiled_network, num_epochs, num_batches) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
        self._note("params", num_epochs, num_batches)

    def on_train_begin(self) -> None:
        self._note("train begin", self.compiled_network.epoch)

    def on_train_end(self, metrics) -> None:
        self._note("train end", metrics.outputs[self.compiled_network.population("o")].total)

    def on_epoch_begin(self, epoch) -> None:
        self._note("epoch begin", epoch)

    def on_epoch_end(self, epoch, metrics) -> None:
        self._note("epoch end", epoch, metrics.validation is not None)

    def on_batch_begin(self, batch) -> None:
        self._note("batch begin", batch)

    def on_batch_end(self, batch, metrics) -> None:
        self._note("batch end", batch, metrics.outputs[self.compiled_network.population("o")].total)

    def on_test_begin(self) -> None:
        self._note("test begin")

    def on_test_end(self, metrics) -> None:
        self._note("test end", metrics.outputs[self.compiled_network.population("o")].total)


BATCHES = [x for n, seen in enumerate((4, 8, 10)) for x in (("batch begin", n), ("batch end", n, seen))]


# --- hooks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validated", [False, True])
def test_order_of_hooks_while_training(validated):
    """The last batch is smaller; validation data are evaluated without hooks of their own."""
    recorder, compiled = Recorder(), compiled_network()
    train(compiled, 2, recorder, **({"validation_x": X, "validation_y": Y} if validated else {}))
    epochs = [[("epoch begin", e), *BATCHES, ("epoch end", e, validated)] for e in range(2)]
    assert recorder.log == [("params", 2, 3), ("train begin", 0), *epochs[0], *epochs[1], ("train end", 10)]
    again = Recorder()
    train(compiled, 3, again)
    third = [("epoch begin", 2), *BATCHES, ("epoch end", 2, False)]
    assert again.log == [("params", 3, 3), ("train begin", 2), *third, ("train end", 10)]


def test_order_of_hooks_while_evaluating():
    recorder = Recorder()
    compiled_network().evaluate(X, Y, callbacks=[recorder])
    assert recorder.log == [("params", 0, 3), ("test begin",), *BATCHES, ("test end", 10)]


def test_callbacks_are_called_in_their_order_and_those_that_keep_the_others_last(tmp_path):
    log: list = []

    class Last(Recorder):
        runs_last = True

    train(compiled_network(), 1, Last(log, "c"), Recorder(log, "a"), Recorder(log, "b"))
    assert [entry[0] for entry in log] == ["a", "b", "c"] * (len(log) // 3)
    assert Checkpoint.runs_last


def test_what_a_callback_sees(backend):
    """Metrics of a batch are those of the epoch so far, and the network is open to it."""
    seen = []

    class Look(Callback):
        def on_batch_end(self, batch, metrics):
            seen.append((metrics.accuracy, metrics.loss, self.compiled_network.step))

    with compiled_network(backend) as compiled:
        found, _ = compiled.evaluate(X, Y, callbacks=[Look()])
        predicted, _ = compiled.predict(X)
        z = predicted[compiled.population("o")].astype(np.float64)
    right = z.argmax(axis=1) == Y["o"]
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(EXAMPLES), Y["o"]]
    for (accuracy, loss, step), count in zip(seen, (4, 8, 10), strict=True):
        assert accuracy == pytest.approx(right[:count].mean())
        assert loss == pytest.approx(losses[:count].mean(), rel=1e-5)
        assert step == 0
    assert (found.accuracy, found.loss) == seen[-1][:2]


def test_what_callbacks_return_is_returned():
    class Count(Callback):
        def get_data(self):
            return "epochs", self.num_epochs

    assert train(compiled_network(), 1, Count(), Callback())[1] == {"epochs": 1}


def test_names():
    assert type(as_callbacks(["early_stopping"])[0]) is EarlyStopping
    kept = Callback()
    assert as_callbacks((kept,)) == [kept]
    assert set(CALLBACKS) >= {"batch_progress_bar", "checkpoint", "early_stopping", "metrics_writer"}


def test_of_several_ranks_only_the_first_calls_what_writes():
    """A callback that writes or shows something says so; TensorBoard wrote a log of every rank."""
    writing = {name for name, kind in CALLBACKS.items() if kind.writes}
    assert writing == {"batch_progress_bar", "checkpoint", "metrics_writer", "tensorboard"}


@pytest.mark.parametrize(
    ("callbacks", "parts"),
    [
        (["erly_stopping"], ("callback", "'erly_stopping'", "batch_progress_bar", "Did you mean 'early_stopping'?")),
        ([3], ("callback", "3", "early_stopping")),
        ([EarlyStopping], ("callback", "EarlyStopping", "early_stopping")),
        (["checkpoint"], ("callback 'checkpoint'", "Checkpoint(...)")),
        (["var_recorder"], ("callback 'var_recorder'", "VarRecorder(...)")),
        ("batch_progress_bar", ("callbacks", "list", "'batch_progress_bar'")),
        (None, ("callbacks", "list", "None")),
        ([SpikeRecorder("hh")], ("population", "'hh'", "Did you mean 'h'?")),
        ([SpikeRecorder("o")], ("SpikeRecorder", "spikes", "'o'")),
        ([SpikeRecorder(described().populations[1])], ("'h'", "another network")),
        ([VarRecorder("h", "w")], ("VarRecorder", "'h'", "'w'", "it has v")),
        ([VarRecorder("x")], ("VarRecorder", "'x'", "'v'", "it has none")),
    ],
    ids=lambda x: None if isinstance(x, tuple) else str(x)[:20],
)
def test_bad_callbacks(callbacks, parts):
    compiled = compiled_network()
    with refused(*parts):
        compiled.train(X, Y, 1, callbacks=callbacks)
    with refused(*parts):
        compiled.evaluate(X, Y, callbacks=callbacks)
    assert compiled.step == 0


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: EarlyStopping(0), ("EarlyStopping patience", "at least 1", "got 0")),
        (lambda: EarlyStopping(2.5), ("EarlyStopping patience", "whole number", "2.5")),
        (lambda: EarlyStopping(min_delta=-0.1), ("EarlyStopping min_delta", "[0, inf)", "-0.1")),
    ],
)
def test_bad_arguments(make, parts):
    with refused(*parts):
        make()


# --- progress bar ----------------------------------------------------------------------------------------------------


def test_progress_bar(capsys):
    compiled = compiled_network()
    bar = as_callbacks(["batch_progress_bar"])
    found, _ = train(compiled, 2, *bar, validation_x=X, validation_y=Y)
    shown = capsys.readouterr().err
    for part in ("epoch 1/2", "epoch 2/2", "3/3", f"accuracy {100 * found.accuracy:.2f} %", "validation"):
        assert part in shown
    compiled.evaluate(X, Y, callbacks=bar)
    shown = capsys.readouterr().err
    assert "evaluate" in shown
    assert "3/3" in shown
    compiled.predict(X, callbacks=bar)
    assert "nan" not in capsys.readouterr().err


# --- early stopping --------------------------------------------------------------------------------------------------


def test_early_stopping_stops():
    """A learning rate that changes nothing: the first epoch sets the figure, `patience` more may fail to beat it."""
    compiled, recorder = compiled_network(alpha=1e-12), Recorder()
    found, _ = train(compiled, 50, EarlyStopping(patience=3), recorder, shuffle=False)
    assert compiled.epoch == 4
    assert compiled.step == 12
    assert compiled.stop_training
    assert recorder.log[-1] == ("train end", 10)
    assert found.outputs[compiled.population("o")].total == 10


def test_early_stopping_goes_on_while_it_improves():
    compiled = compiled_network()
    train(compiled, 6, EarlyStopping(patience=6))
    assert compiled.epoch == 6
    assert not compiled.stop_training


def test_early_stopping_stays_stopped_after_a_restart(tmp_path):
    first = compiled_network(alpha=1e-12)
    train(first, 50, EarlyStopping(patience=2), Checkpoint(tmp_path), shuffle=False)
    second = compiled_network(alpha=1e-12)
    second.load(tmp_path / "last.safetensors")
    train(second, 50, EarlyStopping(patience=2), Checkpoint(tmp_path), shuffle=False)
    assert first.epoch == second.epoch == 3
    assert second.step == first.step


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10), min_size=1, max_size=20),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1, 0.25]),
    st.integers(0, 19),
    st.booleans(),
)
def test_early_stopping_is_its_definition(tenths, patience, min_delta, cut, validated):
    """Stops when the last `patience` epochs did not beat the best before them, interrupted and restored or not."""
    compiled = compiled_network(network=STILL)

    def run(values, stopping):
        compiled.stop_training = False
        stopping.set_params(compiled, 99, 1)
        for epoch, value in enumerate(values):
            found = metrics(1 - value if validated else value)
            if validated:
                found.validation = metrics(value)
            stopping.on_epoch_end(epoch, found)
            if compiled.stop_training:
                return epoch
        return None

    values = [v / 10 for v in tenths]
    best, waited, expected = None, 0, None
    for epoch, value in enumerate(values):
        if best is None or value > best + min_delta:
            best, waited = value, 0
        else:
            waited += 1
        if waited == patience:
            expected = epoch
            break
    assert run(values, EarlyStopping(patience, min_delta)) == expected
    if expected is None or cut < expected:
        one, two = EarlyStopping(patience, min_delta), EarlyStopping(patience, min_delta)
        assert run(values[:cut], one) is None
        two.set_state(json.loads(json.dumps(one.state())))
        rest = run(values[cut:], two)
        assert (None if rest is None else rest + min(cut, len(values))) == expected


# --- recorders -------------------------------------------------------------------------------------------------------


def test_recorders_agree(backend):
    """A spike where and when v reaches the threshold; one array an example, in the order of the examples."""
    with compiled_network(backend) as compiled:
        h = compiled.population("h")
        callbacks = [SpikeRecorder("h"), VarRecorder(h), VarRecorder("o", "v", key="out"), SpikeRecorder("x", key="in")]
        _, recorded = compiled.evaluate(X, Y, callbacks=callbacks)
        predicted, same = compiled.predict(X, callbacks=[VarRecorder("h")])
    assert set(recorded) == {"h_spikes", "h_v", "out", "in"}
    times, neurons = recorded["h_spikes"]
    assert len(times) == len(neurons) == len(recorded["h_v"]) == EXAMPLES
    total = 0
    for k in range(EXAMPLES):
        v = recorded["h_v"][k]
        assert v.shape == (T, 8)
        assert v.dtype == np.float32
        steps, expected = np.nonzero(v >= np.float32(THRESHOLD))
        assert np.array_equal(times[k], steps * DT)
        assert np.array_equal(neurons[k], expected)
        assert recorded["out"][k].shape == (T, 3)
        shifted = np.exp(recorded["out"][k].astype(float))
        z = (shifted / shifted.sum(axis=1, keepdims=True)).sum(axis=0)
        np.testing.assert_allclose(z, predicted[compiled.population("o")][k], rtol=1e-5)
        sent, who = recorded["in"][0][k], recorded["in"][1][k]
        assert np.array_equal(np.stack([sent / DT, who], axis=1), np.argwhere(X["x"][k] == 1))
        assert np.array_equal(same["h_v"][k], v)
        total += steps.size
    assert 50 < total < EXAMPLES * T * 8 / 2


def test_recorders_follow_the_order_of_presentation():
    """While training, examples come in the epoch's order: a function of the compiler's seed and the epoch."""
    recorder = SpikeRecorder("x")
    _, recorded = train(compiled_network(alpha=1e-12), 2, recorder)
    times, neurons = recorded["x_spikes"]
    order = np.concatenate([permutation(EXAMPLES, 7, 0), permutation(EXAMPLES, 7, 1)])
    assert not np.array_equal(order[:EXAMPLES], np.arange(EXAMPLES))
    for example, t, n in zip(order, times, neurons, strict=True):
        assert np.array_equal(np.stack([t / DT, n], axis=1), np.argwhere(X["x"][example] == 1))


def test_every_call_returns_its_own_recording():
    compiled, spikes, potential = compiled_network(), SpikeRecorder("h"), VarRecorder("h")
    first = compiled.evaluate(X, Y, callbacks=[spikes, potential])[1]
    second = compiled.evaluate(X, Y, callbacks=[spikes, potential])[1]
    for recorded in (first, second):
        assert len(recorded["h_v"]) == len(recorded["h_spikes"][0]) == len(recorded["h_spikes"][1]) == EXAMPLES


# --- metrics as JSON lines -------------------------------------------------------------------------------------------


def test_metrics_writer(tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    compiled = compiled_network(rewiring=RULES)

    def extra(epoch, metrics):
        return {"twice": 2 * epoch, "never": float("nan")}

    found, _ = train(compiled, 3, MetricsWriter(path, extra), validation_x=X, validation_y=Y)
    text = path.read_text()
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["twice"] for line in lines] == [0, 2, 4]
    assert all(line["never"] is None for line in lines)
    last = lines[-1]
    assert last["train_accuracy"] == found.accuracy
    assert last["train_loss"] == found.loss
    assert last["validation_accuracy"] == found.validation.accuracy
    assert last["validation_loss"] == found.validation.loss
    assert last["rewirings"] == sum(found.rewirings.values())
    assert last["newborn_rewirings"] == sum(found.newborn_rewirings.values())
    for part, of in (("", found.rewirings), ("newborn_", found.newborn_rewirings)):
        assert {n: last[f"{part}rewirings_{n}"] for n in ("x_h", "h_o")} == of
    assert all(line[f"newborn_rewirings_{n}"] <= line[f"rewirings_{n}"] for line in lines for n in ("x_h", "h_o"))
    assert {n: sum(line[f"rewirings_{n}"] for line in lines) for n in ("x_h", "h_o")} == compiled.rewirings
    assert sum(compiled.rewirings.values()) > 0
    assert all(line["step_ms"] > 0 for line in lines)
    assert read_metrics(path) == lines


@pytest.mark.parametrize(
    "torn", [b'{"epoch": 2, "train_l', b"\xff\xfe{", b"[1, 2]\n", b'{"loss": 1}\n', b'{"epoch": "2"}\n'], ids=repr
)
def test_a_torn_last_line_goes(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    whole = b'{"epoch": 1, "a": 1}\n{"epoch": 2, "a": 2}\n'
    path.write_bytes(whole + torn)
    assert read_metrics(path) == [{"epoch": 1, "a": 1}, {"epoch": 2, "a": 2}]
    compiled = compiled_network()
    compiled.epoch = 2
    train(compiled, 3, MetricsWriter(path))
    assert path.read_bytes().startswith(whole)
    assert [line["epoch"] for line in read_metrics(path)] == [1, 2, 3]


def test_files_that_count_from_0_go_on_counting_from_1(tmp_path):
    """As version 0.1.0 wrote them, with rewirings in a table."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 0, "rewirings": {"x_h": 2, "h_o": 1}}\n{"epoch": 1, "rewirings": {}}\n')
    flat = [{"epoch": 1, "rewirings": 3, "rewirings_x_h": 2, "rewirings_h_o": 1}, {"epoch": 2, "rewirings": 0}]
    assert read_metrics(path) == flat
    compiled = compiled_network()
    compiled.epoch = 2
    train(compiled, 3, MetricsWriter(path))
    assert read_metrics(path)[:2] == flat and [line["epoch"] for line in read_metrics(path)] == [1, 2, 3]


def test_epochs_that_are_trained_again_are_replaced(tmp_path):
    """A run that was killed after epoch 3 was written, and goes on from the checkpoint of epoch 1."""
    path = tmp_path / "metrics.jsonl"
    train(compiled_network(), 4, MetricsWriter(path))
    before = read_metrics(path)
    compiled = compiled_network()
    train(compiled, 2)
    train(compiled, 4, MetricsWriter(path))
    after = read_metrics(path)
    assert [line["epoch"] for line in after] == [1, 2, 3, 4]
    assert after[:2] == before[:2]
    assert all(a["train_loss"] == b["train_loss"] for a, b in zip(after, before, strict=True))
    assert [line["step_ms"] for line in after[2:]] != [line["step_ms"] for line in before[2:]]


def test_read_metrics_of_nothing(tmp_path):
    assert read_metrics(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("make", [lambda p: MetricsWriter(p / "m.jsonl"), Checkpoint], ids=["metrics", "checkpoint"])
def test_a_folder_that_cannot_be_written_is_known_before_training(tmp_path, make):
    place = tmp_path / "taken"
    place.write_text("a file")
    compiled = compiled_network()
    with refused("cannot write", str(place), error=GennDelaysError):
        train(compiled, 1, make(place))
    assert compiled.step == 0
    assert place.read_text() == "a file"


def test_figures():
    found = metrics(0.25, 8)
    (population,) = found.outputs
    assert (found[population].result, found.accuracy, found.loss) == (0.25, 0.25, 0.125)
    found.outputs[population].add(3.0, 2, 2)
    assert (found.accuracy, found.loss) == (0.4, 0.4)
    found.step_seconds += [0.004, 0.001, 0.002]
    assert found.step_ms == 2.0
    assert np.isnan(OutputMetric().result)
    assert np.isnan(OutputMetric().loss)
    assert found.summary() == "loss 0.4000, accuracy 40.00 %"
    assert Metrics({population: OutputMetric()}).summary() == ""


def test_figures_are_settled_when_they_are_read():
    found, order = metrics(0.25, 8), []
    (population,) = found.outputs
    found.expect(lambda outputs, _: (order.append(1), outputs[population].add(3.0, 2, 2)))
    found.expect(lambda _, rewirings: (order.append(2), rewirings.update(h=5)))
    assert order == []
    assert (found.loss, order) == (0.4, [1, 2])
    assert found.rewirings == {"h": 5} and repr(found) == "Metrics(loss 0.4000, accuracy 40.00 %, rewired 5)"

    found.expect(lambda *_: found.count_rewired("h", 7, 30))
    assert found.newborn_rewirings == {"h": 30} and found.rewirings == {"h": 42}
    assert found.summary() == "loss 0.4000, accuracy 40.00 %, rewired 42 (30 newborn)"

    def fail(outputs, rewirings):
        raise ZeroDivisionError

    found.expect(fail)
    with pytest.raises(ZeroDivisionError):
        found.settle()
    assert order == [1, 2]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_bar_looks_at_figures_now_and_then(monkeypatch):
    """A backend that runs ahead is waited for whenever they are read."""
    looks, summary = [], Metrics.summary
    monkeypatch.setattr(sys, "stderr", _Terminal())
    monkeypatch.setattr(Metrics, "summary", lambda self: (looks.append(1), summary(self))[1])
    found = {}
    for interval in (0.0, 1e9):
        monkeypatch.setattr(progress_bar, "INTERVAL", interval)
        looks.clear()
        train(compiled_network(), 2, "batch_progress_bar")
        found[interval] = len(looks)
    batches = found[0.0] - 2  # and once at the end of each epoch
    assert batches == 6 and found[1e9] == 2
    assert "accuracy" in sys.stderr.getvalue()  # type: ignore[attr-defined]


# --- checkpoints while training --------------------------------------------------------------------------------------


def test_checkpoint_keeps_the_last_and_the_best(tmp_path):
    """Best is the first epoch with the highest figure; last is the last."""
    figures = iter([0.2, 0.7, 0.7, 0.1])
    saved = []

    class Copy(Callback):
        runs_last = True

        def on_epoch_end(self, epoch, metrics):
            saved.append(state(self.compiled_network))

    compiled = compiled_network()
    keeper = Checkpoint(tmp_path, monitor=lambda metrics: next(figures))
    train(compiled, 4, keeper, Copy())
    assert (keeper.best, keeper.best_epoch) == (0.7, 1)
    for name, epoch in (("best", 1), ("last", 3)):
        other = compiled_network()
        other.load(tmp_path / f"{name}.safetensors")
        assert other.epoch == epoch + 1
        assert state(other) == saved[epoch]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors"]


@pytest.mark.parametrize("validated", [False, True])
def test_checkpoint_monitors_validation_where_there_is_any(tmp_path, validated):
    seen = []

    class Look(Callback):
        def on_epoch_end(self, epoch, metrics):
            seen.append((metrics.validation or metrics).accuracy)

    keeper = Checkpoint(tmp_path)
    train(compiled_network(), 5, Look(), keeper, **({"validation_split": 0.3} if validated else {}))
    assert (keeper.best, keeper.best_epoch) == (max(seen), seen.index(max(seen)))


def test_a_worse_epoch_after_a_restart_does_not_replace_the_best(tmp_path):
    figures = iter([0.2, 0.9, 0.3, 0.4])
    train(compiled_network(), 2, Checkpoint(tmp_path, monitor=lambda m: next(figures)))
    best = (tmp_path / "best.safetensors").read_bytes()
    second = compiled_network()
    second.load(tmp_path / "last.safetensors")
    keeper = Checkpoint(tmp_path, monitor=lambda m: next(figures))
    train(second, 4, keeper)
    assert (keeper.best, keeper.best_epoch) == (0.9, 1)
    assert (tmp_path / "best.safetensors").read_bytes() == best


# --- checkpoints and bits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rewiring", [None, RULES], ids=["fixed", "rewired"])
def test_going_on_gives_the_same_bits(tmp_path, backend, rewiring):
    """4 epochs in one go, and 2, saved, loaded by a new network, to 4: synapses, moments, counters and files alike."""
    with compiled_network(backend, rewiring=rewiring) as whole:
        train(whole, 4)
        whole.save(tmp_path / "whole.safetensors")
    with compiled_network(backend, rewiring=rewiring) as first:
        train(first, 2)
        first.save(tmp_path / "half.safetensors")
        half = state(first)
    with compiled_network(backend, rewiring=rewiring) as second:
        assert state(second) != half
        second.load(tmp_path / "half.safetensors")
        assert state(second) == half
        found, _ = train(second, 4)
        second.save(tmp_path / "resumed.safetensors")
    assert half != state(whole)
    assert state(second) == state(whole)
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "resumed.safetensors").read_bytes()
    if rewiring:
        assert whole.rewirings["x_h"] > first.rewirings["x_h"] > 0
        assert sum(found.rewirings.values()) < sum(whole.rewirings.values())


def test_files_hold_nothing_of_threads_time_or_place(tmp_path):
    files = []
    for threads, folder in ((1, "a"), (2, "b/c")):
        with compiled_network(CPU(threads=threads), rewiring=RULES) as compiled:
            train(compiled, 2, EarlyStopping())
            compiled.save(tmp_path / folder / "x.safetensors")
            files.append((tmp_path / folder / "x.safetensors").read_bytes())
    assert files[0] == files[1]
    assert str(tmp_path).encode() not in files[0]


def test_a_network_with_a_fixed_connection_goes_on(tmp_path, backend):
    """A connection that is not learned has no moments to keep; it once could not be loaded on cpu."""
    path = tmp_path / "fixed.safetensors"
    compiler = SurrogateCompiler(T, BATCH, backend=backend, rng_seed=7)
    chosen = {"h_o": Adam(0.02)}
    with (
        compiler.compile(described(), optimisers=chosen) as whole,
        compiler.compile(described(), optimisers=chosen) as second,
    ):
        train(whole, 1)
        whole.save(path)
        train(whole, 2)
        second.load(path)
        train(second, 2)
        assert state(second) == state(whole)
    with compiler.compile(described()) as learned:  # now both are: a newcomer starts without history
        learned.load(path)
        assert not learned.engine.state(0).age.any()
        train(learned, 2)
        assert learned.engine.state(0).age.max() == 3


def test_loading_on_another_backend(tmp_path):
    with compiled_network("cpu", rewiring=RULES) as first:
        train(first, 2)
        first.save(tmp_path / "x.safetensors")
    second = compiled_network("reference", rewiring=RULES)
    second.load(tmp_path / "x.safetensors")
    assert state(second) == state(first)


# --- bad checkpoints -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "x.safetensors"
    compiled = compiled_network(rewiring=RULES)
    train(compiled, 1)
    compiled.save(path)
    return path.read_bytes()


def refuse_to_load(path: Path, *parts: str) -> None:
    compiled = compiled_network(rewiring=RULES)
    before = state(compiled)
    with refused(str(path), *parts, error=RunFolderError):
        compiled.load(path)
    assert state(compiled) == before


def test_missing_checkpoints(tmp_path):
    refuse_to_load(tmp_path / "none.safetensors", "no checkpoint")
    refuse_to_load(tmp_path, "no checkpoint")


def test_damaged_checkpoints(tmp_path, good):
    """Cut short anywhere, or a bit flipped anywhere: header, names, weights, counters."""
    path = tmp_path / "x.safetensors"
    places = np.linspace(0, len(good) - 1, 25).astype(int)
    for place in places:
        path.write_bytes(good[:place])
        refuse_to_load(path, "damaged")
        flipped = bytearray(good)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        refuse_to_load(path)
    path.write_bytes(good)
    compiled_network(rewiring=RULES).load(path)


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "damaged"), (b"not a checkpoint at all, but a text", "damaged"), (b"\x00" * 5000, "damaged")],
    ids=["empty", "text", "zeros"],
)
def test_files_that_are_no_checkpoints(tmp_path, content, part):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    refuse_to_load(path, part)


@pytest.mark.parametrize(
    ("metadata", "part"),
    [
        (None, "not a checkpoint of genn_delays"),
        ({"format": "pt"}, "not a checkpoint of genn_delays"),
        ({"genn_delays": "{"}, "damaged"),
        ({"genn_delays": "[]"}, "format None"),
        ({"genn_delays": "3"}, "damaged"),
        ({"genn_delays": '{"format": 99}'}, "format 99, of another version"),
        ({"genn_delays": '{"format": 1}'}, "format 1, of another version"),
        ({"genn_delays": '{"format": 3}'}, "checksum"),
    ],
)
def test_foreign_files(tmp_path, metadata, part):
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, path, metadata)
    refuse_to_load(path, part)


@pytest.mark.parametrize(
    "other",
    [
        (lambda: described(seed=1), "network seed is 1 there and 0 here"),
        (lambda: described(hidden=7), "population 'h' has 7 neurons there and 8 here"),
        (lambda: described(name="hidden"), "it has a population 'hidden' of 8 neurons; this network has none of that"),
    ],
    ids=["seed", "size", "name"],
)
def test_checkpoints_of_another_network(tmp_path, other):
    path = tmp_path / "x.safetensors"
    network, difference = other
    compiled_network(network=network()).save(path)
    refuse_to_load(path, "another network", difference)


def test_checkpoints_of_other_time_constants(tmp_path):
    """They would give other spikes without a word."""
    path = tmp_path / "x.safetensors"
    network = described()
    for population in network.populations:
        if hasattr(population.neuron, "tau_mem"):
            population.neuron.tau_mem = 3.0
    compiled_network(network=network).save(path)
    refuse_to_load(path, "another network", "parameters")


def _pre(s):
    s.synapses.pre[-1] = 6


def _negative(s):
    s.synapses.pre[0] = -1


def _post(s):
    s.synapses.post[-1] = 8


def _order(s):
    s.synapses.post[:] = s.synapses.post[::-1].copy()


def _twice(s):
    for array in s.synapses:
        array[1] = array[0]


def _late(s):
    s.synapses.delay[0] = 5


def _short(s):
    s.values["moment0"] = s.moments[0][:-1]


def _half(s):
    s.values["moment1"] = s.moments[1][:-1]


def _wide(s):
    s.age = s.age.astype(np.int64)


@pytest.mark.parametrize("spoil", [_pre, _negative, _post, _order, _twice, _late, _short, _half, _wide])
def test_kernels_never_see_an_index_out_of_range(tmp_path, spoil):
    """A file whose checksum is right and whose synapses are not."""
    path = tmp_path / "x.safetensors"
    compiled = compiled_network(rewiring=RULES)
    states = {c.name: compiled.engine.state(c.index) for c in compiled.plan.connections}
    progress = {"epoch": 0, "step": 0, "rewirings": {}, "callbacks": {}, "schedules": [0, 1, 0, 1]}
    save_checkpoint(path, compiled.plan, Contents(states, {}, progress))
    compiled.load(path)
    spoil(states["x_h"])
    save_checkpoint(path, compiled.plan, Contents(states, {}, progress))
    refuse_to_load(path, "damaged", "'x_h'")


def test_a_checkpoint_that_lacks_something(tmp_path):
    path = tmp_path / "x.safetensors"
    compiled = compiled_network(rewiring=RULES)
    states = {c.name: compiled.engine.state(c.index) for c in compiled.plan.connections}
    progress = {"epoch": 0, "step": 0, "rewirings": {}, "callbacks": {}, "schedules": [0, 1, 0, 1]}
    save_checkpoint(path, compiled.plan, Contents({"x_h": states["x_h"]}, {}, progress))
    refuse_to_load(path, "lacks 'pre' of connection 'h_o'")
    save_checkpoint(path, compiled.plan, Contents(states, {}, {"epoch": 0}))
    refuse_to_load(path, "damaged", "progress is missing")


def test_nothing_is_lost_where_nothing_can_be_written(tmp_path):
    compiled = compiled_network()
    path = tmp_path / "file" / "x.safetensors"
    path.parent.write_text("a file")
    with refused("cannot write", str(path), error=GennDelaysError):
        compiled.save(path)
    assert path.parent.read_text() == "a file"


def test_dense_networks_save_too(tmp_path):
    network = Network()
    with network:
        x, o = Population(SpikeInput(), 6, "x"), Population(LeakyIntegrate(readout="sum_var"), 3, "o")
        Connection(x, o, Dense())
    one, two = compiled_network(network=network), compiled_network(network=network)
    train(one, 1)
    one.save(tmp_path / "x.safetensors")
    two.load(tmp_path / "x.safetensors")
    assert state(one) == state(two)


# --- callbacks of a loaded network -----------------------------------------------------------------------------------


def test_order_of_hooks_while_predicting():
    recorder = Recorder()
    compiled_network().predict(X, callbacks=[recorder])
    batches = [entry[:2] for entry in BATCHES]
    assert [entry[:2] for entry in recorder.log] == [("params", 0), ("test begin",), *batches, ("test end", 0)]


def test_a_callback_more_or_less_does_not_lose_the_state_of_the_others(tmp_path):
    """A run with a progress bar that goes on without one must still know its best epoch."""
    figures = iter([0.9, 0.1])
    train(compiled_network(), 1, Callback(), Checkpoint(tmp_path, monitor=lambda m: next(figures)))
    second = compiled_network()
    second.load(tmp_path / "last.safetensors")
    keeper = Checkpoint(tmp_path, monitor=lambda m: next(figures))
    train(second, 2, keeper)
    assert (keeper.best, keeper.best_epoch) == (0.9, 0)


def test_a_loaded_state_is_taken_over_once(tmp_path):
    figures = iter([0.1, 0.9, 0.5])
    train(compiled_network(), 1, Checkpoint(tmp_path, monitor=lambda m: next(figures)))
    second = compiled_network()
    second.load(tmp_path / "last.safetensors")
    keeper = Checkpoint(tmp_path, monitor=lambda m: next(figures))
    train(second, 2, keeper)
    train(second, 3, keeper)
    assert (keeper.best, keeper.best_epoch) == (0.9, 1)


def test_loading_and_saving_again_keeps_the_callbacks(tmp_path):
    train(compiled_network(), 1, Checkpoint(tmp_path))
    second = compiled_network()
    second.load(tmp_path / "last.safetensors")
    second.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "last.safetensors").read_bytes()


def test_epochs_count_from_the_first():
    """Asking for fewer than are done is a mistake; asking for as many does nothing, and says so."""
    compiled = compiled_network()
    last, _ = train(compiled, 3)
    with refused("num_epochs", "at least 3", "got 2"):
        train(compiled, 2)
    with pytest.warns(UserWarning, match="nothing was trained: num_epochs = 3 counts from the network's first epoch"):
        again, _ = train(compiled, 3)
    assert compiled.epoch == 3
    assert (again.loss, again.accuracy) == (last.loss, last.accuracy)  # they were not a number


def test_shuffle_is_a_truth_value():
    compiled = compiled_network()
    with refused("shuffle", "'x'", "true or false"):
        compiled.train(X, Y, 1, shuffle="x", callbacks=())
