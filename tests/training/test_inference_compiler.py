"""Inference: outputs, spikes and variables of a network compiled for training, to the bit, in memory that time does not
fill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case, unround

from genn_delays import (
    CPU,
    Connection,
    DeepR,
    FixedNumber,
    InferenceCompiler,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SpikeRecorder,
    SurrogateCompiler,
    UniformInt,
    VarRecorder,
    memory,
)
from genn_delays.backends.cpu import engine, inference
from genn_delays.errors import InvalidValueError, OutOfMemoryError, RunFolderError

PIECE, ROW_FLOATS = inference.PIECE, engine.ROW_FLOATS
CASES = {
    "recurrent": Case.numbered(1),
    "deep": Case.numbered(2),
    "batch_of_one": Case.numbered(4),
    "normed": Case.published(3),
    "kernels": replace(Case.published(1), spike_input=True),
    "event_prop": Case.current_based(1),
    "max_var": Case.current_based(2),
    "first_spike": replace(Case.numbered(0), readout="first_spike_time", event_prop=True, exponential=True),
    "weighted": replace(Case.numbered(3), readout="avg_var_exp_weight"),
}


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    """Short examples have several pieces and tiles too."""
    monkeypatch.setattr(inference, "PIECE", 4)
    monkeypatch.setattr(engine, "ROW_FLOATS", 1)


def as_they_are(monkeypatch):
    monkeypatch.setattr(inference, "PIECE", PIECE)
    monkeypatch.setattr(engine, "ROW_FLOATS", ROW_FLOATS)


def compiled_for(case, backend="cpu"):
    compiler = InferenceCompiler(case.time_steps, batch_size=case.batch_size, backend=backend)
    return compiler.compile(case.network())


def listen(compiled):
    """Keep everything that can be read after a pass."""
    for p in compiled.plan.populations:
        compiled.engine.keep_variables(p.index)
        if hasattr(compiled.engine, "keep_spikes"):
            compiled.engine.keep_spikes(p.index)


def activity(compiled):
    """Spikes and variables of the last batch."""
    found = {}
    for p in compiled.plan.populations:
        if p.model is not None:
            found[p.name] = compiled.engine.spikes(p.index)
            found |= {(p.name, s): compiled.engine.variable(p.index, s) for s in p.model.states}
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_bits_of_a_network_compiled_for_training(name, tmp_path):
    case = CASES[name]
    x, y = case.data()
    with case.compile("cpu") as trained, compiled_for(case, CPU(threads=2)) as compiled:
        listen(trained)
        listen(compiled)
        unround(trained, case.seed)
        trained.save(tmp_path / "trained.safetensors")
        compiled.load(tmp_path / "trained.safetensors")
        expected, found = trained.predict(x)[0], compiled.predict(x)[0]
        assert all(np.array_equal(*pair) for pair in zip(expected.values(), found.values(), strict=True))
        expected, found = activity(trained), activity(compiled)
        assert expected.keys() == found.keys()
        assert all(np.array_equal(expected[key], found[key]) for key in expected)
        metrics = [c.evaluate(x, y)[0] for c in (trained, compiled)]
        (expected,), (found,) = ([*m.outputs.values()] for m in metrics)
        assert (expected.result, expected.loss) == (found.result, pytest.approx(found.loss, rel=1e-6))


def test_reference_gives_the_same():
    case = CASES["recurrent"]
    x, _ = case.data()
    with compiled_for(case) as compiled, compiled_for(case, "reference") as reference:
        pairs = zip(compiled.predict(x)[0].values(), reference.predict(x)[0].values(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)


def test_what_was_rewired_and_learned_is_loaded(tmp_path):
    case = replace(Case.published(6), spike_input=True, time_steps=30)
    x, y = case.data()
    with case.compile("cpu", rewiring={"all_connections": DeepR(l1=0.01)}) as trained, compiled_for(case) as compiled:
        before = [trained.synapses(c) for c in trained.network.connections]
        trained.train(x, y, num_epochs=4, callbacks=[])
        trained.save(tmp_path / "trained.safetensors")
        compiled.load(tmp_path / "trained.safetensors")
        moved = [np.array_equal(trained.synapses(c).pre, b.pre) for c, b in zip(trained.network.connections, before,
                                                                               strict=True)]  # fmt: skip
        assert not all(moved)
        for own, theirs in zip(compiled.network.connections, trained.network.connections, strict=True):
            pairs = zip(compiled.synapses(own), trained.synapses(theirs), strict=True)
            assert all(np.array_equal(*pair) for pair in pairs)
        (expected,), (found,) = (c.predict(x)[0].values() for c in (trained, compiled))
        assert np.array_equal(expected, found)


def small(steps, inference=True, batch_size=4):
    """A network of spikes, compiled for as many steps."""
    network = Network(seed=3)
    with network:
        a = Population(SpikeInput(), 20, "in")
        h = Population(LeakyIntegrateFire(tau_mem=20.0, v_thresh=0.2), 30, "hidden")
        o = Population(LeakyIntegrate(tau_mem=20.0, readout="sum_var"), 3, "out")
        Connection(a, h, FixedNumber(sparsity=0.5, weight=0.3, delay=UniformInt(0, 9)))
        Connection(h, o, FixedNumber(sparsity=0.5, weight=0.3, delay=UniformInt(0, 9)))
    if inference:
        return InferenceCompiler(steps, batch_size=batch_size, backend=CPU(threads=1)).compile(network)
    return SurrogateCompiler(steps, batch_size, backend=CPU(threads=1)).compile(network)


def spikes(steps, examples, seed=0):
    """About one spike of an input in ten steps."""
    random = np.random.default_rng(seed)
    dense = random.random((examples, steps, 20)) < 0.1
    return [np.nonzero(example) for example in dense]


def test_memory_does_not_grow_with_time(monkeypatch):
    as_they_are(monkeypatch)
    with small(100) as short, small(10_000) as long, small(10_000, inference=False) as trained:
        held = [compiled.engine.bytes_held()[1] for compiled in (short, long, trained)]
        assert held[0] == held[1] < held[2] / 50
        inner = [sum(a.nbytes for owner in c.engine._population_arrays for a in owner.values()) for c in (short, long)]
        assert inner[0] == inner[1]


def test_memory_is_foreseen_by_part(monkeypatch):
    """Before anything is compiled or allocated; what training would need of the same network does not count."""
    as_they_are(monkeypatch)
    monkeypatch.setattr(memory, "host_memory", lambda: (17_000_000, "a machine which has"))
    small(10_000).__exit__(None, None, None)
    with pytest.raises(OutOfMemoryError, match=r"MB in this process, a machine which has 17 MB free; the largest: "):
        small(10_000, inference=False, batch_size=64)
    network = Network()
    with network:
        a = Population(SpikeInput(), 80_000, "in")
        b = Population(LeakyIntegrate(tau_mem=20.0, readout="sum_var"), 3, "out")
        Connection(a, b, FixedNumber(sparsity=0.9))
    with pytest.raises(OutOfMemoryError, match=r"the largest: event_start of population 'in' 21 MB"):
        InferenceCompiler(1000, batch_size=64).compile(network)


def test_recorders_get_all_steps_of_what_they_ask_for():
    steps, x = 50, spikes(50, 6)
    found = []
    for inference_ in (True, False):
        with small(steps, inference_) as compiled:
            recorders = [SpikeRecorder("in"), SpikeRecorder("hidden"), VarRecorder("hidden", "v")]
            found.append(compiled.predict({"in": x}, callbacks=recorders)[1])
    for key in ("in_spikes", "hidden_spikes"):
        for own, theirs in zip(found[0][key], found[1][key], strict=True):
            assert len(own) == len(theirs) == 6
            assert all(np.array_equal(*pair) for pair in zip(own, theirs, strict=True))
    assert sum(times.size for times in found[0]["hidden_spikes"][0]) > 100
    assert np.array_equal(found[0]["hidden_v"], found[1]["hidden_v"])


def test_examples_leave_nothing_behind():
    a, b = spikes(50, 3), spikes(50, 3, seed=1)
    with small(50) as compiled:
        first, second, third = (next(iter(compiled.predict({"in": x})[0].values())) for x in (a, b, a))
    assert np.array_equal(first, third)
    assert not np.array_equal(first, second)


def test_examples_may_last_longer_than_those_of_training(tmp_path):
    x = spikes(90, 3)
    with small(40, inference=False) as trained, small(90) as compiled, small(90, inference=False) as long:
        trained.save(tmp_path / "trained.safetensors")
        compiled.load(tmp_path / "trained.safetensors")
        (found,), (expected,) = (c.predict({"in": x})[0].values() for c in (compiled, long))
        assert np.array_equal(found, expected)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    with CASES["deep"].compile("cpu") as trained, small(40) as compiled:
        trained.save(tmp_path / "trained.safetensors")
        with pytest.raises(RunFolderError, match="is of another network: the network seed is 2 there and 3 here"):
            compiled.load(tmp_path / "trained.safetensors")


def test_nothing_is_trained():
    x, y = {"in": spikes(40, 4)}, {"out": np.zeros(4, int)}
    case = CASES["recurrent"]
    with small(40) as compiled, compiled_for(case, "reference") as reference:
        for call in (
            lambda: compiled.train(x, y, num_epochs=1), lambda: compiled.gradients(x, y),
            lambda: reference.gradients(*case.data()), compiled.engine.backward,
        ):  # fmt: skip
            with pytest.raises(InvalidValueError, match=r"compiled by InferenceCompiler.* has no gradients"):
                call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"evaluate_timesteps": 0}, "evaluate_timesteps must be at least 1, got 0"),
        ({"evaluate_timesteps": 2**30, "batch_size": 2}, r"evaluate_timesteps x batch_size must be below 2\*\*31"),
        ({"evaluate_timesteps": 10, "backend": "cuda"}, "unknown backend of inference 'cuda'; known: cpu, reference"),
        ({"evaluate_timesteps": 10, "dt": 0.0}, r"dt must lie in \(0, inf\), got 0.0"),
    ],
)
def test_arguments_that_cannot_work(arguments, message):
    with pytest.raises(InvalidValueError, match=message):
        InferenceCompiler(**arguments)


def test_compile_takes_no_optimisers():
    with pytest.raises(InvalidValueError, match="learns nothing, so compile takes no argument 'optimisers'"):
        InferenceCompiler(10).compile(CASES["deep"].network(), optimisers={"all_connections": {"weight": "adam"}})
