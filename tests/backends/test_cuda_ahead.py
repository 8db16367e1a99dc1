"""On a device the host runs ahead: it waits when someone looks, and nothing that is found then is another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from networks import Case, largest_difference
from refused import refused
from rewired import data, small_network

from genn_delays import SET, Adam, Callback, DeepR, GaussianKernel, RigL, SurrogateCompiler
from genn_delays.backends.cuda import data as cuda_data
from genn_delays.backends.cuda import engine as cuda_engine
from genn_delays.backends.cuda import history
from genn_delays.backends.cuda import work as cuda_work
from genn_delays.backends.cuda.device import Buffer
from genn_delays.backends.cuda.history import History
from genn_delays.backends.cuda.shim import ShimDevice
from genn_delays.errors import TrainingError

SOURCE = """
extern "C" __global__ void copy(const int* x, int* y) { y[threadIdx.x] = x[threadIdx.x]; }
"""


def compiled_for(backend, rule=None, **arguments):
    """A network with all that is learned: weights, delays, batch norm; clipped, regularised, rewired."""
    network = small_network(kernel=GaussianKernel(sigma=2.0), dropout=0.2, batch_norm=True)
    limits = {"clip_norm": 0.5, "reg_strength_upper": 0.01, "reg_nu_upper": 2.0, "max_spikes": 100} | arguments
    compiler = SurrogateCompiler(16, 4, backend=backend, rng_seed=5, **limits)
    optimisers = {
        "all_connections": {"weight": Adam(0.05), "delay": Adam(0.1)},
        "all_populations": {"batch_norm": Adam(0.05)},
    }
    return compiler.compile(network, optimisers=optimisers, rewiring={"all_connections": rule} if rule else {})


class Watch(Callback):
    """What was copied from the device before each batch."""

    def __init__(self, monkeypatch):
        self.read, self.before, download = [], [], Buffer.download

        def watched(buffer, *arguments):
            self.read.append(buffer.name)
            return download(buffer, *arguments)

        monkeypatch.setattr(Buffer, "download", watched)

    def on_batch_begin(self, batch):
        self.before.append(len(self.read))


# --- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [None, DeepR(), DeepR(growth="gradient"), SET(interval=1), RigL(interval=1)], ids=repr)
def test_nothing_is_read_within_an_epoch(rule, monkeypatch):
    with compiled_for(CUDAOnHost(), rule) as compiled:
        watch = Watch(monkeypatch)
        compiled.train(*data(compiled.network, 40), 2, callbacks=[watch])
    first, second = watch.before[:10], watch.before[10:]
    assert len(second) == 10 and len(set(first)) == len(set(second)) == 1
    assert watch.read[: second[0]] == ["history of batches"]


@pytest.mark.parametrize("rule", [DeepR(), SET(interval=1)], ids=repr)
def test_figures_are_those_of_a_host_that_waits(rule):
    """Losses, penalties, right answers and rewirings, read after every batch, after every third, or at the end."""

    class Reader(Callback):
        def __init__(self, every):
            self.every, self.found = every, []

        def on_batch_end(self, batch, metrics):
            if batch % self.every == 0:
                figures = metrics.loss, metrics.accuracy, dict(metrics.rewirings)
                self.found.append((batch, *figures, dict(self.compiled_network.rewirings)))

    found = {}
    for backend, every in ((CUDAOnHost(), 1), (CUDAOnHost(), 3), ("reference", 1)):
        with compiled_for(backend, rule, clip_norm=None) as compiled:
            reader = Reader(every)
            metrics, _ = compiled.train(*data(compiled.network, 15), 2, callbacks=[reader])
            found[str(backend), every] = reader.found, metrics.loss, metrics.rewirings, compiled.rewirings
    often, seldom, expected = found.values()
    assert often[1:] == seldom[1:]
    assert [figures for figures in often[0] if figures[0] % 3 == 0] == seldom[0]
    for one, two in zip(often[0], expected[0], strict=True):
        assert one[1] == pytest.approx(two[1], rel=1e-4) and one[2:] == two[2:]
    assert often[2] == expected[2] and often[3] == expected[3] and min(expected[3].values()) > 0


def test_a_history_is_fetched_when_it_is_full(monkeypatch):
    whole = []
    for rows in (1024, 3):
        monkeypatch.setattr(history, "ROWS", rows)
        with compiled_for(CUDAOnHost(), DeepR()) as compiled:
            metrics, _ = compiled.train(*data(compiled.network, 40), 1, callbacks=[])
            whole.append((metrics.loss, metrics.accuracy, metrics.rewirings))
    assert whole[0] == whole[1]


def test_rows_that_nobody_wants_are_not_fetched(monkeypatch):
    with ShimDevice() as device:
        watch, rows = Watch(monkeypatch), History(device, 2)
        kept = rows.later("x", {7: lambda row: float(row[1])})
        rows.later("y", {0: lambda row: float(row[0])})
        rows.buffer.upload(np.arange(4.0), start=0)
        assert watch.read == [] and list(kept) == [7] and kept[7] == 1.0 and len(watch.read) == 1
        for _ in range(3):
            rows.later("x", {})
        rows.fetch()
        assert len(watch.read) == 1 and kept[7] == 1.0


def test_a_loss_that_is_no_number_is_told_with_its_step():
    """Before the epoch counts, so that no checkpoint has it."""

    class Damage(Callback):
        def on_batch_begin(self, batch):
            if self.compiled_network.step == 13:
                state = self.compiled_network.engine.state(1)
                state.synapses.weight[:] = np.inf
                self.compiled_network.engine.set_state(1, state)

    with compiled_for(CUDAOnHost(), clip_norm=None) as compiled:
        compiled.train(*data(compiled.network, 40), 1, callbacks=[])
        with refused("13 training steps", "1 whole epochs", error=TrainingError):
            compiled.train(*data(compiled.network, 40), 3, callbacks=[Damage()])
        assert compiled.epoch == 1


def test_the_host_is_not_far_ahead(monkeypatch):
    """Only so many batches are launched before the first of them is done."""
    waiting, load = [], cuda_engine.CUDAEngine.load

    def watched(engine, *arguments):
        load(engine, *arguments)
        device = engine.device
        done = sum(mark.number <= device._done for mark in marks)
        waiting.append(len(marks) - done)
        marks.append(device.mark())

    marks = []
    monkeypatch.setattr(cuda_engine.CUDAEngine, "load", watched)
    with compiled_for(CUDAOnHost()) as compiled:
        compiled.train(*data(compiled.network, 60), 1, callbacks=[])
    assert max(waiting) == cuda_engine.AHEAD == waiting[-1]


# --- what is learned on the device -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [None, DeepR()], ids=repr)
def test_populations_learn_what_the_reference_learns(rule):
    """Batch norm's values, moments and averages, where gradients are clipped and spikes cost."""
    found = []
    for backend in (CUDAOnHost(), "reference"):
        with compiled_for(backend, rule) as compiled:
            compiled.train(*data(compiled.network, 12), 2, callbacks=[])
        states = compiled.populations  # they are there after the end
        found.append([array for state in states for array in state.tensors().values()] + [states[1].age])
    for one, two in zip(*found, strict=True):
        assert largest_difference(one, two) < 1e-3
    assert found[0][-1] == 6


def test_a_checkpoint_goes_on_with_the_same_bits(tmp_path):
    def trained(compiled, epochs):
        compiled.train(*data(compiled.network, 12), epochs, callbacks=[])
        arrays = [compiled.engine.state(c.index).arrays() for c in compiled.plan.connections]
        return [a for d in arrays for a in d.values()] + [a for s in compiled.populations for a in s.tensors().values()]

    with compiled_for(CUDAOnHost(), DeepR()) as compiled:
        whole = trained(compiled, 3)
    with compiled_for(CUDAOnHost(), DeepR()) as compiled:
        trained(compiled, 1)
        compiled.save(tmp_path / "one.safetensors")
    with compiled_for(CUDAOnHost(), DeepR()) as compiled:
        compiled.load(tmp_path / "one.safetensors")
        parts = trained(compiled, 3)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, two)


# --- data ------------------------------------------------------------------------------------------------------------


def names(compiled):
    return [buffer.name for buffer in compiled.engine.device._buffers.values() if "data of" in buffer.name]


def test_data_sets_stay_while_someone_has_them(monkeypatch):
    """Those of training and validation are copied once; those of an evaluation go when it is over."""
    uploaded, upload = [], Buffer.upload

    def watched(buffer, array, *arguments, **keywords):
        if "data of" in buffer.name:
            uploaded.append(array.size)
        upload(buffer, array, *arguments, **keywords)

    monkeypatch.setattr(Buffer, "upload", watched)
    with compiled_for(CUDAOnHost()) as compiled:
        (x, y), (vx, vy) = data(compiled.network, 40), data(compiled.network, 8)
        compiled.train(x, y, 3, callbacks=[], validation_x=vx, validation_y=vy)
        assert uploaded == [x["in"].size, vx["in"].size]
        compiled.evaluate(vx, vy)
        assert uploaded[2:] == [vx["in"].size] and len(names(compiled)) == 1


@pytest.mark.parametrize("spikes", [False, True])
def test_a_batch_comes_while_the_one_before_is_computed(spikes, monkeypatch):
    """What is copied beside the launches never changes what a launch before reads, and every bit is the same."""
    case = replace(Case.numbered(2 if spikes else 3), batch_size=3)
    random, early = np.random.default_rng(0), []
    network = case.network()
    x = random.random((40, case.time_steps, network.populations[0].size)).astype(np.float32)
    x = {"in": (x < 0.3).astype(np.float32) if spikes else x}
    y = {"out": random.integers(0, network.populations[-1].size, 40)}
    upload = Buffer.upload

    def watched(buffer, array, *arguments, after=None, **keywords):
        upload(buffer, array, *arguments, after=after, **keywords)
        if after is not None:
            early.append(len(buffer.device._waiting))

    def trained(share):
        monkeypatch.setattr(cuda_data, "SHARE", share)
        with case.compile(CUDAOnHost(), optimisers={"all_connections": {"weight": Adam(0.05)}}) as compiled:
            losses = [compiled.train(x, y, 2, callbacks=[])[0].loss, compiled.evaluate(x, y)[0].loss]
            arrays = [compiled.engine.state(c.index).arrays() for c in compiled.plan.connections]
            return losses, [a for d in arrays for a in d.values()]

    whole = trained(0.5)
    monkeypatch.setattr(Buffer, "upload", watched)
    parts = trained(0.0)
    assert whole[0] == parts[0]
    for one, two in zip(whole[1], parts[1], strict=True):
        np.testing.assert_array_equal(one, two)
    assert sum(n > 0 for n in early) > len(early) / 2  # work was still waiting


# --- the device that does everything late ----------------------------------------------------------------------------


def test_a_late_device_waits_until_it_is_asked():
    with ShimDevice(late=True) as device:
        module, x, y = device.load(SOURCE), device.allocate("x", 4, np.int32), device.allocate("y", 4, np.int32)
        given = np.arange(4, dtype=np.int32)
        x.upload(given)
        given[:] = 9  # it was copied
        module.launch("copy", 1, 4, x=x, y=y)
        mark = device.mark()
        x.upload(given)
        module.launch("copy", 1, 4, x=x, y=y)
        assert not y.data.any()
        mark.wait()
        assert y.data.view(np.int32).tolist() == [0, 1, 2, 3]
        assert y.download().tolist() == [9] * 4


def test_a_copy_beside_launches_shows_a_mark_that_is_too_early():
    """The mark must come after the last launch that reads the buffer: else the copy may overtake it."""
    for too_early in (False, True):
        with ShimDevice(late=True) as device:
            module, x, y = device.load(SOURCE), device.allocate("x", 4, np.int32), device.allocate("y", 4, np.int32)
            mark = device.mark()
            module.launch("copy", 1, 4, x=x, y=y)
            if not too_early:
                mark = device.mark()
            x.upload(np.ones(4, np.int32), after=mark)
            assert y.download().tolist() == [int(too_early)] * 4 and x.download().tolist() == [1] * 4


# --- launches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [None, DeepR(), DeepR(growth="gradient"), SET(interval=1)], ids=repr)
def test_a_training_step_is_one_graph(rule):
    """Beside it inputs are loaded, by one launch; batches of two sizes are two graphs, evaluated ones two others; one
    looks for what is no number at the end of an epoch, another at the end of an evaluation.
    """
    with compiled_for(CUDAOnHost(), rule) as compiled:
        (x, y), device = data(compiled.network, 38), compiled.engine.device
        compiled.train(x, y, 2, callbacks=[])
        graphs, calls = len(compiled.engine.work.graphs), device.calls
        assert graphs == 2 + 1
        compiled.train(x, y, 3, callbacks=[])
        assert len(compiled.engine.work.graphs) == graphs and device.calls - calls == 2 * 10 + 1
        compiled.evaluate(x, y)
        assert len(compiled.engine.work.graphs) == graphs + 3


@pytest.mark.parametrize("rule", [None, DeepR()], ids=repr)
def test_graphs_used_least_recently_are_dropped(rule, monkeypatch):
    """And recorded again when they are asked for, without another bit; batches are trained and evaluated in turns."""

    def trained():
        with compiled_for(CUDAOnHost(), rule) as compiled:
            x, y = data(compiled.network, 38)
            for epochs in range(1, 4):
                compiled.train(x, y, epochs, callbacks=[])
                metrics = compiled.evaluate(x, y)[0]
            synapses = [compiled.synapses(c) for c in compiled.network.connections]
            return list(compiled.engine.work.graphs), metrics[compiled.plan.outputs[0].name].loss, synapses

    expected = trained()
    assert len(expected[0]) >= 4
    monkeypatch.setattr(cuda_work, "MOST_GRAPHS", 3)
    found = trained()
    assert found[0] == expected[0][-3:] and found[1] == expected[1]
    for one, two in zip(found[2], expected[2], strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_graph_that_is_used_is_kept(monkeypatch):
    monkeypatch.setattr(cuda_work, "MOST_GRAPHS", 2)
    with compiled_for(CUDAOnHost(), None) as compiled:
        engine = compiled.engine
        engine.work.graphs.clear()
        for key in "abacabb":
            engine.work.replay(key, engine._rewiring.rewired.clear)
            engine.device.settle()
        assert [key for ((key),) in engine.work.graphs] == ["a", "b"]
