"""Every generated kernel against the definition: spikes and potentials exactly, gradients to 1e-5."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case, largest_difference, unround

from genn_delays import CPU
from genn_delays.backends.cpu.engine import tile_lanes
from genn_delays.learning.readouts import READOUTS
from genn_delays.neurons import DynamicNeuron
from genn_delays.plan.plan import Plan

CASES = [Case.numbered(seed) for seed in range(36)]
PUBLISHED = [Case.published(seed) for seed in range(28)]
CURRENT_BASED = [Case.current_based(seed) for seed in range(48)]


def name(case: Case) -> str:
    """What a case is called in the list of tests."""
    kinds = {"published": PUBLISHED, "current_based": CURRENT_BASED}
    kind = next((kind for kind, cases in kinds.items() if case in cases), "numbered")
    return f"{kind}{case.seed}"


def activity(compiled):
    """Spikes and potentials of the last batch."""
    dynamic = [p for p in compiled.network.populations if isinstance(p.neuron, DynamicNeuron)]
    spikes = [compiled.engine.spikes(p.index) for p in dynamic if p.spiking]
    names = [compiled.plan.populations[p.index].model.states[0] for p in dynamic]
    return spikes, [compiled.engine.variable(p.index, name) for p, name in zip(dynamic, names, strict=True)]


def run(case: Case, backend, busy: float | None = None):
    """Loss, gradients, and spikes and potentials of the last (smaller) batch."""
    compiled = case.compile(backend)
    for p in compiled.plan.populations:
        compiled.engine.keep_variables(p.index)
    if busy is not None:
        compiled.engine.busy = busy
    unround(compiled, case.seed)
    with compiled:
        loss, found = compiled.gradients(*case.data())
        gradients = list(found.values())
        if case.learn_delays:
            gradients += compiled.gradients(*case.data(), "delay")[1].values()
        if case.batch_norm:
            for name in ("batch_norm_scale", "batch_norm_shift"):
                gradients += compiled.gradients(*case.data(), name)[1].values()
        return loss, gradients, *activity(compiled)


def evaluate(case: Case, backend):
    """Outputs of all examples, and spikes and potentials of the last batch, without training's ingredients."""
    compiled = case.compile(backend)
    for p in compiled.plan.populations:
        compiled.engine.keep_variables(p.index)
    unround(compiled, case.seed)
    with compiled:
        outputs = list(compiled.predict(case.data()[0])[0].values())
        return outputs, *activity(compiled)


@pytest.mark.parametrize("case", CASES + PUBLISHED + CURRENT_BASED, ids=name)
def test_cpu_equals_reference(case):
    loss, gradients, spikes, potentials = run(case, CPU(threads=2))
    loss_r, gradients_r, spikes_r, potentials_r = run(case, "reference")
    for found, expected in zip(spikes, spikes_r, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(potentials, potentials_r, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for found, expected in zip(gradients, gradients_r, strict=True):
        assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize("case", PUBLISHED, ids=name)
def test_evaluation_equals_reference(case):
    """Running averages, no dropout, rounded delays; and that is not what a training pass gives."""
    outputs, spikes, potentials = evaluate(case, CPU(threads=2))
    outputs_r, spikes_r, potentials_r = evaluate(case, "reference")
    for found, expected in zip([*spikes, *potentials], [*spikes_r, *potentials_r], strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(outputs, outputs_r, strict=True):
        assert largest_difference(found, expected) < 1e-6
    if case.batch_norm or case.dropout or case.kernel:
        assert any((a != b).any() for a, b in zip(potentials, run(case, "cpu")[3], strict=True))


@pytest.mark.parametrize("case", CURRENT_BASED[1::5], ids=name)
def test_gradients_do_not_depend_on_what_is_recorded(case):
    """EventProp keeps variables of hidden neurons at their spikes only, unless somebody records them."""
    with case.compile("cpu") as compiled:
        recorded = run(case, "cpu")[1]
        unround(compiled, case.seed)
        found = [*compiled.gradients(*case.data())[1].values(), *compiled.gradients(*case.data(), "delay")[1].values()]
        for a, b in zip(found, recorded, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cases", [CASES, PUBLISHED, CURRENT_BASED], ids=["numbered", "published", "current_based"])
def test_cases_spike(cases):
    """The comparison above would mean little were the networks silent."""
    rates = [np.mean([s.mean() for s in run(case, "cpu")[2]]) for case in cases]
    assert min(rates) > 0.005
    assert np.mean(rates) > 0.05


@pytest.mark.parametrize("case", CASES[::3] + PUBLISHED[::3] + CURRENT_BASED[1::5], ids=name)
def test_dense_and_event_form_give_the_same_bits(case):
    """Rows are added densely above `busy`: never, always, or as counted, no bit may depend on it."""
    by_count, events, dense = (run(case, "cpu", busy) for busy in (None, 2.0, -1.0))
    for other in (events, dense):
        assert by_count[0] == other[0]
        for a, b in zip(by_count[1], other[1], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", [CASES[n] for n in (1, 5, 9)] + CURRENT_BASED[1::4], ids=name)
def test_blocks_of_any_length_give_the_same_bits(case, monkeypatch):
    """A cycle runs in blocks of its smallest delay; blocks of one step must do the same."""
    assert case.recurrent
    whole = run(case, "cpu")
    compiled = case.compile("cpu")
    assert (
        compiled.plan.block_steps(compiled.plan.groups[0], [c.synapses.delay for c in compiled.network.connections]) > 1
    )
    longest = Plan.block_steps
    monkeypatch.setattr(
        Plan, "block_steps", lambda self, group, s: 1 if self.populations[group[0]].cyclic else longest(self, group, s)
    )
    single = run(case, "cpu")
    assert whole[0] == single[0]
    for a, b in zip([*whole[1], *whole[2]], [*single[1], *single[2]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "case", [CASES[n] for n in (2, 3, 7, 11, 14, 18)] + PUBLISHED[::4] + CURRENT_BASED[::5], ids=name
)
def test_a_batch_in_several_tiles(case, monkeypatch):
    """A large batch is computed tile by tile: the same spikes and potentials, gradients but for rounding."""
    case = replace(case, batch_size=41)
    whole = run(case, CPU(threads=2))
    monkeypatch.setattr("genn_delays.backends.cpu.engine.ROW_FLOATS", 1)
    assert tile_lanes(case.time_steps, 41) == 16
    tiled = run(case, CPU(threads=2))
    reference = run(case, "reference")
    for other in (whole, reference):
        assert tiled[0] == pytest.approx(other[0], rel=1e-6)
        for found, expected in zip([*tiled[2], *tiled[3]], [*other[2], *other[3]], strict=True):
            np.testing.assert_array_equal(found, expected)
        for found, expected in zip(tiled[1], other[1], strict=True):
            assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize("readout", sorted(name for name, r in READOUTS.items() if r.derivative == "value"))
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_every_readout(readout, seed):
    """The contract of the registry: a readout is there when its kernel agrees with its definition, tile by tile."""
    case = replace(Case.numbered(seed), readout=readout, batch_size=41, time_steps=200)
    loss, gradients, *_ = run(case, CPU(threads=2))
    loss_r, gradients_r, *_ = run(case, "reference")
    assert loss == pytest.approx(loss_r, rel=1e-5)
    for found, expected in zip(gradients, gradients_r, strict=True):
        assert largest_difference(found, expected) < 1e-5


def test_tiles_are_even():
    """100 steps of 64 lanes: rows of 48 lanes fit in the cache, and 32 and 32 are computed sooner than 48 and 16."""
    assert tile_lanes(100, 64) == 32 and tile_lanes(100, 96) == 48 and tile_lanes(80, 256) == 64
    for steps in (1, 30, 80, 100, 400, 10_000):
        for batch in range(1, 300):
            lanes = tile_lanes(steps, batch)
            assert lanes == batch or lanes % 16 == 0
            assert lanes <= max(16, 6144 // steps // 16 * 16)
            assert lanes * -(-batch // lanes) - batch < 16 * -(-batch // lanes)  # no tile lacks as much as a vector
