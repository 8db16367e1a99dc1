"""The GeNN backend against the definition: spikes and potentials exactly, EventProp's gradients to rounding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from genn_cases import grid_data, on_grid
from networks import Case, largest_difference, unround
from refused import refused

from genn_delays import (
    SGD,
    Adam,
    AdamW,
    Connection,
    CosineAnnealing,
    DeepR,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    GeNN,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SparseCategoricalCrossentropy,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
    UserNeuron,
)
from genn_delays.backends.genn import build
from genn_delays.errors import BackendUnavailableError, CompileError, TrainingError
from genn_delays.learning.readouts import READOUTS
from genn_delays.neurons import DynamicNeuron

found = GeNN().availability()
pytestmark = [pytest.mark.genn, pytest.mark.skipif(not found.available, reason=found.detail)]

LONG = [replace(Case.numbered(seed), longest=40, time_steps=50) for seed in range(10)]
CASES = [Case.numbered(seed) for seed in range(16)] + [Case.current_based(seed) for seed in range(24)] + LONG
NORMED = [c for c in (Case.published(seed) for seed in range(12)) if c.batch_norm]


def name(case: Case) -> str:
    """What a case is called in the list of tests."""
    return f"{case.seed}-{case.neuron}{'-exponential' * case.exponential}{'-long' * (case.longest > 15)}"


def activity(case, backend):
    """Outputs of all examples, and spikes and potentials of the last batch."""
    with on_grid(case.compile(backend)) as compiled:
        unround(compiled, case.seed)
        outputs = list(compiled.predict(grid_data(case)[0])[0].values())
        dynamic = [p for p in compiled.network.populations if isinstance(p.neuron, DynamicNeuron)]
        spikes = [compiled.engine.spikes(p.index) for p in compiled.network.populations]
        states = [(p.index, compiled.plan.populations[p.index].model.states) for p in dynamic]
        return outputs, spikes, [compiled.engine.variable(i, s) for i, names in states for s in names]


@pytest.mark.parametrize("case", CASES + NORMED, ids=name)
def test_spikes_and_potentials_are_the_same(case):
    """50 random networks of 1 to 3 layers, with skips, cycles, both inputs, delays of 0 to 40; and batch norm."""
    outputs, spikes, potentials = activity(case, "genn")
    outputs_r, spikes_r, potentials_r = activity(case, "reference")
    for one, two in zip(spikes, spikes_r, strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(potentials, potentials_r, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4)
    for one, two in zip(outputs, outputs_r, strict=True):
        assert largest_difference(one, two) < 1e-6


def test_cases_spike():
    """The comparison above would mean little were the networks silent."""
    rates = [np.mean([s.mean() for s in activity(case, "cpu")[1]]) for case in CASES]
    assert min(rates) > 0.005
    assert {c.depth for c in CASES} == {1, 2, 3}
    largest = [max(np.abs(g).max() for g in gradients(case, "cpu")[1]) for case in LEARNED]
    assert np.mean(np.array(largest) > 0) > 0.9
    assert max(c.max_delay_steps for case in LONG for c in case.network().connections) >= 35


def gradients(case, backend, arguments=None):
    """Loss and gradients of all examples by weights and delays."""
    with case.compile(backend, arguments) as compiled:
        unround(compiled, case.seed)
        loss, weights = compiled.gradients(*case.data())
        return loss, [*weights.values(), *compiled.gradients(*case.data(), "delay")[1].values()]


LEARNED = [case for case in CASES if case.event_prop]


@pytest.mark.parametrize("case", LEARNED, ids=name)
def test_gradients_are_the_same(case):
    loss, found = gradients(case, "genn")
    loss_r, expected = gradients(case, "reference")
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for one, two in zip(found, expected, strict=True):
        assert largest_difference(one, two) < 1e-5


@pytest.mark.parametrize("readout", sorted(r for r in READOUTS if r != "spike_count"))
def test_gradients_of_every_readout(readout):
    """What a readout and a loss make of an output is evaluated by their definitions, so all of them are there."""
    case = replace(Case.current_based(5), readout=readout, neuron="plain", batch_size=5)
    loss, found = gradients(case, "genn")
    loss_r, expected = gradients(case, "reference")
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for one, two in zip(found, expected, strict=True):
        assert largest_difference(one, two) < 1e-5


def test_gradients_with_regularised_spike_counts():
    case = replace(Case.current_based(4), neuron="plain", batch_size=7)
    arguments = {"reg_strength_upper": 0.01, "reg_strength_lower": 0.02, "reg_nu_upper": 2.0, "reg_nu_lower": 1.0}
    _, found = gradients(case, "genn", arguments)
    _, expected = gradients(case, "reference", arguments)
    _, without = gradients(case, "reference")
    for one, two in zip(found, expected, strict=True):
        assert largest_difference(one, two) < 1e-5
    assert max(largest_difference(a, b) for a, b in zip(expected, without, strict=True)) > 1e-3


@pytest.mark.parametrize(
    "optimiser",
    [Adam(0.01), AdamW(0.01, decay=0.1), SGD(0.05, momentum=0.9), Adam(0.02, l1=1e-3, weight_decay=1e-2),
     Adam(0.05, schedule=CosineAnnealing()), Adam(0.02, l1=0.3, decoupled_l1=True)],
    ids=lambda o: (
        type(o).__name__ + "-schedule" * (o.schedule is not None) + "-decoupled" * o.decoupled_l1 + "-l1" * (o.l1 > 0)
    ),
)  # fmt: skip
def test_optimisers_take_the_same_steps(optimiser):
    case = replace(Case.current_based(5), neuron="plain", batch_size=4)
    x, y = case.data()
    trained = []
    for backend in ("genn", "reference"):
        optimisers = {"all_connections": {"weight": optimiser, "delay": Adam(0.05)}}
        with case.compile(backend, {"clip_norm": 0.5}, optimisers=optimisers) as compiled:
            compiled.train(x, y, 3, callbacks=[])
            trained.append([compiled.engine.state(c.index) for c in compiled.plan.connections])
    for one, two, c in zip(*trained, compiled.plan.connections, strict=True):
        assert largest_difference(one.synapses.weight - c.first.draw().weight,
                                  two.synapses.weight - c.first.draw().weight) < 1e-3  # fmt: skip
        np.testing.assert_allclose(one.position, two.position, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(one.age, two.age)


def chain(backend, neuron=None, **arguments):
    """12 spiking inputs, 15 hidden, 4 outputs, exponential synapses; compiled for EventProp."""
    network = Network(seed=1)
    with network:
        a = Population(SpikeInput(), 12, name="in")
        h = Population(neuron or LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), 15, name="hidden", bias=0.01)
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="avg_var"), 4, name="out")
        for source, target in ((a, h), (h, o)):
            Connection(source, target, FixedNumber(sparsity=0.5, weight=0.3, delay=UniformInt(0, 9)), Exponential(4.0))
    return EventPropCompiler(20, 4, backend=backend, **arguments.pop("compiler", {})).compile(network, **arguments)


def spikes_and_labels(count=8):
    random = np.random.default_rng(2)
    return {"in": (random.random((count, 20, 12)) < 0.2).astype(np.float32)}, {"out": random.integers(0, 4, count)}


def test_one_example_leaves_nothing_for_the_next():
    """A, B, A gives A twice (ml_genn 104, 115), though spikes of B are under way when it ends."""
    case = replace(Case.current_based(5), batch_size=1)
    assert case.recurrent
    x, y = case.data()
    a, b = ({"in": x["in"][:1]}, {"out": y["out"][:1]}), ({"in": 5 * x["in"][:1] + 1}, {"out": y["out"][:1]})
    with case.compile("genn") as compiled:
        first, between, again = (compiled.gradients(*data) for data in (a, b, a))
    assert between[0] != first[0] == again[0]
    for g, h in zip(first[1].values(), again[1].values(), strict=True):
        np.testing.assert_array_equal(g, h)


def test_two_networks_at_once():
    """A library that GeNN loads is one model's: two of the same code must not share it."""
    data = spikes_and_labels()
    with chain("genn") as alone:
        expected = [alone.gradients(*data)[0] for _ in range(2)]
    with chain("genn") as one, chain("genn") as two:
        assert one.engine.source != two.engine.source
        state = two.engine.state(0)
        state.synapses.weight[:] = 0
        two.engine.set_state(0, state)
        assert [one.gradients(*data)[0], two.gradients(*data)[0], one.gradients(*data)[0]][::2] == expected


def test_nothing_is_built_twice():
    with chain("genn") as first:
        source = first.engine.source
        library = next(Path(source).glob("*_CODE/librunner.so"))
        before = library.stat().st_mtime_ns
    with chain("genn") as second:
        assert second.engine.source == source
    assert library.stat().st_mtime_ns == before


def test_a_build_that_fails_shows_what_was_said(monkeypatch):
    monkeypatch.setattr(build, "CPU_FLAGS", ("--no-such-flag",))
    with pytest.raises(CompileError) as caught:
        chain("genn")
    assert "no-such-flag" in caught.value.log
    assert "build by GeNN" in str(caught.value)
    assert Path(caught.value.source).exists()
    monkeypatch.undo()
    with chain("genn") as compiled:
        compiled.predict(spikes_and_labels()[0])


def test_checkpoints_go_from_backend_to_backend(tmp_path):
    x, y = spikes_and_labels()
    rule = {"all_connections": DeepR(l1=0.1)}
    optimisers = {"all_connections": {"weight": Adam(0.05)}}
    for here, there in (("genn", "cpu"), ("cpu", "genn")):
        with chain(here, optimisers=optimisers, rewiring=rule) as one:
            one.train(x, y, 10, callbacks=[])
            assert sum(one.rewirings.values()) > 10
            one.save(tmp_path / "checkpoint.safetensors")
            expected = one.predict(x)[0]
            with chain(there, optimisers=optimisers, rewiring=rule) as two:
                two.load(tmp_path / "checkpoint.safetensors")
                for c in one.network.connections:
                    for a, b in zip(one.synapses(c), two.synapses(c.name), strict=True):
                        np.testing.assert_array_equal(a, b)
                for a, b in zip(expected.values(), two.predict(x)[0].values(), strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_learned_values_are_evaluated():
    """Time constants and batch norm learned elsewhere are GeNN's too, whether its code knows them as numbers or not."""
    case = replace(Case.numbered(4), neuron="plain")
    network_seed = case.seed
    results = []
    for backend in ("genn", "reference"):
        with on_grid(case.compile(backend)) as compiled:
            values = {"tau_mem": np.full(compiled.network.populations[1].size, 7.0, np.float32)}
            before = compiled.predict(grid_data(case)[0])[0]
            compiled.engine.set_values(1, values)
            after = compiled.predict(grid_data(case)[0])[0]
            results.append([*before.values(), *after.values()])
    assert network_seed == 4
    for one, two in zip(*results, strict=True):
        assert largest_difference(one, two) < 1e-6
    assert np.abs(results[0][0] - results[0][1]).max() > 0


def test_a_closed_network_can_be_read():
    with chain("genn") as compiled:
        before = compiled.synapses("in_hidden")
    for a, b in zip(before, compiled.synapses("in_hidden"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_spikes_than_allowed():
    x, y = spikes_and_labels()
    with chain("genn", compiler={"max_spikes": 1}) as compiled, refused("'hidden'", "allows 1", error=TrainingError):
        compiled.gradients({"in": np.ones_like(x["in"])}, y)


def test_surrogate_gradients_are_not_genns():
    case = Case.numbered(3)
    x, y = case.data()
    with case.compile("genn") as compiled:
        metrics, _ = compiled.evaluate(x, y)
        assert np.isfinite(metrics.loss)
        for act in (lambda: compiled.train(x, y, 1, callbacks=[]), lambda: compiled.gradients(x, y)):
            with refused("backend 'genn'", "EventPropCompiler", "SurrogateCompiler", "'cpu' trains"):
                act()


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        (DeepR(growth_delay="best"), ("'in_hidden'", "'best'", "'pair' and 'redraw'")),
        (DeepR(temperature=1e-5), ("'in_hidden'", "temperature must be 0, got 1e-05")),
    ],
)
def test_rules_that_genn_has_not(rule, parts):
    with refused("backend 'genn'", *parts):
        chain("genn", rewiring={"all_connections": rule})


def test_several_synapses_a_pair_are_not_rewired():
    case = replace(Case.current_based(11), kernel_count=2, neuron="plain")
    with refused("kernel_count 1, got 2"):
        case.compile("genn", rewiring={"all_connections": DeepR()})


@pytest.mark.parametrize("taken", ["id", "depth", "spike_step", "tape_v"])
def test_names_that_genn_has_itself(taken):
    """Variables may have them: the same losses as with a plain name."""
    x, y = spikes_and_labels()
    losses = []
    for name in (taken, "v"):
        neuron = UserNeuron(
            vars={name: (f"-{name} / tau + Isyn", "0")}, threshold=f"{name} - 1", param_vals={"tau": 5.0}
        )
        with chain("genn", neuron) as compiled:
            losses.append(compiled.gradients(x, y)[0])
    assert losses[0] == losses[1]


def test_label_smoothing_is_the_losses():
    x, y = spikes_and_labels()
    smooth = {"compiler": {"losses": SparseCategoricalCrossentropy(label_smoothing=0.2)}}
    with chain("genn", **smooth) as one, chain("cpu", **smooth) as two:
        a, b = one.gradients(x, y), two.gradients(x, y)
    assert a[0] == pytest.approx(b[0], rel=1e-5)
    for g, h in zip(a[1].values(), b[1].values(), strict=True):
        assert largest_difference(g, h) < 1e-4


def test_a_backend_of_genns_that_is_not_there():
    network = Case.numbered(0).network()
    if "cuda" in found.detail:
        pytest.skip("this PyGeNN was built for CUDA")
    with refused("not for cuda", error=BackendUnavailableError):
        SurrogateCompiler(15, 1, backend=GeNN(backend="cuda")).compile(network)
    with refused("'tpu'", "cuda"):
        GeNN(backend="tpu")
