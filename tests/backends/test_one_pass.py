"""A training pass of a tile in one call, and activity kept for one tile, against passes asked for one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import genn_delays as gd
from genn_delays.backends.cpu import engine as cpu_engine
from genn_delays.callbacks import SpikeRecorder, VarRecorder
from genn_delays.codegen.parts import WHOLE, kept
from genn_delays.errors import InvalidValueError
from genn_delays.plan.exchanged import DenseData

BATCH, STEPS, INPUTS, HIDDEN, OUTPUTS = 40, 20, 6, 12, 3


def described(normed=(), recurrent=False, readout="sum_softmax", spikes=False):
    """Two hidden layers, of which those named are normed."""
    network = gd.Network(seed=3)
    with network:
        a = gd.Population(gd.SpikeInput() if spikes else gd.Input(), INPUTS, name="in")
        layers = [
            gd.Population(gd.LeakyIntegrateFire(tau_mem=8.0), HIDDEN, name=name, batch_norm=name in normed, dropout=0.2)
            for name in ("first", "second")
        ]
        o = gd.Population(gd.LeakyIntegrate(tau_mem=8.0, readout=readout), OUTPUTS, name="out")
        chain = [a, *layers, o]
        for source, target in pairwise(chain):
            synapses = gd.FixedProbability(0.6, weight=gd.Uniform(-0.6, 0.9), delay=gd.UniformInt(0, 6))
            gd.Connection(source, target, synapses)
        if recurrent:
            gd.Connection(
                layers[1], layers[1], gd.FixedProbability(0.3, weight=gd.Uniform(-0.3, 0.3), delay=gd.UniformInt(2, 4))
            )
    return network


def data(seed=0):
    random = np.random.default_rng(seed)
    return random.random((BATCH, STEPS, INPUTS), dtype=np.float32), random.integers(0, OUTPUTS, BATCH)


NETWORKS = {
    "plain": {}, "recurrent": {"recurrent": True}, "every step": {"readout": "var"},
    "first normed": {"normed": ("first",)}, "second normed": {"normed": ("second",)},
    "both normed": {"normed": ("first", "second")},
}  # fmt: skip


def compiled_for(name, monkeypatch, growth="random"):
    """For the cpu, in tiles of 16 lanes: two and a half of them."""
    monkeypatch.setattr(cpu_engine, "ROW_FLOATS", 16 * STEPS)
    loss = gd.SparseCategoricalCrossentropy(per_timestep=True) if name == "every step" else None
    arguments = {} if loss is None else {"losses": loss}
    compiler = gd.SurrogateCompiler(STEPS, BATCH, backend=gd.CPU(threads=2), **arguments)
    rule = {"all_connections": gd.DeepR(growth=growth)}
    learned = {"all_connections": {"weight": gd.Adam(1e-2)}, "all_populations": {"batch_norm": gd.Adam(1e-2)}}
    return compiler.compile(described(**NETWORKS[name]), optimisers=learned, rewiring=rule)


def one_by_one(monkeypatch):
    monkeypatch.setattr(cpu_engine.CPUEngine, "one_pass", None)


@pytest.mark.parametrize("growth", ["random", "gradient"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_bits_are_those_of_passes_asked_for_one_by_one(name, growth, monkeypatch):
    """Losses, weights and synapses of three epochs."""
    found = []
    for apart in (False, True):
        if apart:
            one_by_one(monkeypatch)
        with compiled_for(name, monkeypatch, growth) as compiled:
            x, y = data()
            metrics = compiled.train({"in": x}, {"out": y}, 3, callbacks=())[0]
            arrays = [a for c in compiled.network.connections for a in compiled.synapses(c)]
            found.append([np.float64(metrics.loss), *arrays, compiled.engine.spikes(2)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_kept_for_one_tile(monkeypatch):
    """Without batch norm everything; with it what lies after the last normed population."""
    with compiled_for("plain", monkeypatch) as compiled:
        assert [any(kept(compiled.plan, p)) for p in compiled.plan.populations] == [False] * 4
    with compiled_for("plain", monkeypatch, "gradient") as compiled:
        kept_x = [kept(compiled.plan, p).x for p in compiled.plan.populations]
        assert kept_x == [True, True, True, False]
    with compiled_for("first normed", monkeypatch) as compiled:
        first, second = compiled.plan.populations[1:3]
        assert kept(compiled.plan, first)._asdict() == {"x": False, "var": False, "current": True, "g": True}
        assert not kept(compiled.plan, second).var
    with compiled_for("second normed", monkeypatch) as compiled:
        assert kept(compiled.plan, compiled.plan.populations[1]) == WHOLE


def test_memory_follows_the_tile(monkeypatch):
    """The variables of a population take the room of one tile."""
    with compiled_for("plain", monkeypatch) as compiled:
        held = cpu_engine.bytes_held(compiled.plan)
        assert held["population 'first'", "var0"] == HIDDEN * STEPS * 16 * 4


def test_spikes_and_variables_of_the_whole_batch_can_be_recorded(monkeypatch):
    """Recorders ask for them; reference gives the same."""
    found = []
    for backend in (gd.CPU(threads=1), "reference"):
        monkeypatch.setattr(cpu_engine, "ROW_FLOATS", 16 * STEPS)
        compiler = gd.SurrogateCompiler(STEPS, BATCH, backend=backend)
        with compiler.compile(described(recurrent=True)) as compiled:
            x, y = data()
            hidden = compiled.network.populations[2]
            recorders = [SpikeRecorder(hidden, key="spikes"), VarRecorder(hidden, "v", key="v")]
            _, recorded = compiled.train({"in": x}, {"out": y}, 1, callbacks=recorders)
            found.append([*(np.concatenate(values) for values in recorded["spikes"]), np.stack(recorded["v"])])
    assert found[0][0].size > 100
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_variables_that_are_not_kept_are_an_error(monkeypatch):
    """What would be read are those of the last tile."""
    with compiled_for("plain", monkeypatch) as compiled:
        compiled.predict({"in": data()[0]})
        with pytest.raises(InvalidValueError, match="keep_variables"):
            compiled.engine.variable(1, "v")
        compiled.engine.keep_variables(1)
        compiled.predict({"in": data()[0]})
        assert compiled.engine.variable(1, "v").shape == (HIDDEN, STEPS, BATCH)


def test_data_may_go_after_they_were_given(monkeypatch):
    """They are read when the pass runs: the engine holds them until then."""
    with compiled_for("plain", monkeypatch) as compiled:
        x = data()[0]
        expected = compiled.predict({"in": x})[0]
        compiled.engine.load({0: DenseData(x.copy())}, np.arange(BATCH))
        trash = [np.full_like(x, 7.0) for _ in range(8)]
        compiled.engine.forward(compiled._pass(training=False))
        assert len(trash) == 8
        np.testing.assert_array_equal(compiled.engine.output(3), next(iter(expected.values())))
