"""What benchmarks measure is what they say: data, memory, operations, an engine that runs ahead."""

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost

from genn_delays.benchmarks.children import in_a_process, resident
from genn_delays.benchmarks.kernels import PARTS, REWIRING, least_bytes, time_passes
from genn_delays.benchmarks.machine import machine
from genn_delays.benchmarks.memory import foreseen, slope, small
from genn_delays.benchmarks.networks import DESIGN, HIGHEST, SPIKES, WIDE, Case, built_in, random_data, spike_share
from genn_delays.benchmarks.records import Measurement, short, table
from genn_delays.benchmarks.roofs import Roofs, at_once, roofs
from genn_delays.benchmarks.subjects import AHEAD, training, training_of
from genn_delays.errors import GennDelaysError
from genn_delays.runs.build import build_compiler, build_network, compile_arguments, plan_of
from genn_delays.runs.config import config_of
from genn_delays.runs.overrides import Overrides


def tiny(name=DESIGN, **overrides):
    return Overrides(**{"hidden": [12], "batch_size": 4, "threads": 1} | overrides).apply(built_in(name))


@pytest.mark.parametrize("name", [DESIGN, SPIKES, WIDE])
def test_built_in_networks_are_named_as_they_are(name):
    assert "-".join(str(p.size) for p in built_in(name).populations) == name.split("_")[0]
    assert config_of("again", built_in(name).tables()) == built_in(name)


def test_random_data_fit_and_are_the_same_for_a_seed():
    for name in (DESIGN, SPIKES):
        network, plan = build_network(built_in(name)), plan_of(built_in(name))
        (x, y), (again, _) = (random_data(network, plan, 6, seed=3) for _ in range(2))
        values = x[network.inputs[0]]
        assert values.shape == (6, 80, 40)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, again[network.inputs[0]])
        assert y[network.outputs[0]].shape == (6,)
    assert set(np.unique(values)) == {0.0, 1.0}  # spikes
    assert values.mean() == pytest.approx(spike_share(40), abs=0.01)
    x, _ = random_data(build_network(built_in(DESIGN)), plan_of(built_in(DESIGN)), 6)
    values = next(iter(x.values()))
    assert 0 <= values.min() < values.max() < HIGHEST


def test_every_sample_is_of_the_same_epoch():
    """First: sigma as it begins; last: as it ends. Steps go on, so rewiring does."""
    widths = []
    for epoch in ("first", "last"):
        config = Overrides(hidden=[6], batch_size=4, threads=1).apply(_paper())
        seen = []

        def ready(compiled, seen=seen):
            compiled.engine._one_pass = _recorded(compiled.engine._one_pass, seen)

        with training(Case(config, epoch, ready)) as sample:
            assert len(sample()) == 2
            sample()
        assert [how.step for how in seen] == [0, 1, 2, 3]
        widths.append({how.widths[0] for how in seen})
    assert widths == [{12.27}, {0.5}]


def _paper():
    from genn_delays.runs.models import load_model

    return load_model("fsdd_paper")


def _recorded(one_pass, seen):
    def record(how, labels):
        seen.append(how)
        return one_pass(how, labels)

    return record


def test_facts_tell_of_the_network_when_all_is_over():
    facts = {}
    with training(Case(tiny(), look=lambda compiled, x: {"seen": compiled.step}), facts) as sample:
        sample()
        assert facts == {}
    assert facts["populations"] == [40, 12, 10]
    assert facts["seen"] == 2
    assert 0 < facts["spikes_per_neuron_step"]["hidden"] < 1


def test_an_engine_that_runs_ahead_is_timed_until_it_is_done():
    config = tiny(batch_size=2)
    network, compiler = build_network(config), build_compiler(config)
    compiler.backend = CUDAOnHost()
    with compiler.compile(network, **compile_arguments(config, network)) as compiled:
        assert compiled.engine.runs_ahead
        sample = training_of(compiled, Case(config))
        assert len(list(sample())) == 1  # the mean of many steps, as only their end is known
        assert compiled.step == AHEAD


def test_memory_grows_by_what_is_foreseen():
    """A network of 8 MB in a process of its own: what is not foreseen is a small part."""
    config = tiny(WIDE, hidden=[512, 512], sparsity=0.8)
    plan = plan_of(config)
    found = in_a_process("memory", config=config.tables(), small=small(config).tables(), who="genn_delays", threads=1)
    expected = sum(foreseen(plan, 1))
    assert 0.6 * expected < found["growth"] < 1.5 * expected
    assert found["peak_growth"] >= 0.9 * found["growth"]


def test_foreseen_bytes_of_a_synapse_are_the_budget():
    kept, scratch, activity = foreseen(plan_of(built_in(WIDE)), 1)
    synapses = sum(c.size for c in plan_of(built_in(WIDE)).connections)
    assert 32 <= kept / synapses < 34  # 32, and where rows begin
    assert scratch < 1000  # DEEP R drops few; how many is not known
    assert activity > 0


def test_slope_is_what_a_synapse_adds():
    def of(synapses, size):
        return Measurement("memory", "genn_delays", {"synapses": synapses}, bytes=size)

    assert slope([of(10, 1320), of(20, 1640), of(40, 2280)]) == pytest.approx(32.0)
    assert slope([of(10, 1320)]) is None
    assert slope([of(10, 1320), of(10, 1330)]) is None


def test_a_process_that_fails_is_one_error():
    with pytest.raises(
        GennDelaysError, match=r"a process that was to measure nonesuch ended with: KeyError: 'nonesuch'"
    ):
        in_a_process("nonesuch")


def test_resident_memory_grows_with_what_is_written():
    before = resident()
    block = np.ones(4_000_000, np.float64)
    assert resident() - before > 0.9 * block.nbytes


def test_passes_have_their_operations_and_times():
    passes, facts = {}, {}
    time_passes(tiny(sparsity=0.5), passes, facts, steps=4)
    assert set(passes) == {*PARTS, REWIRING}
    assert all(len(part.seconds) == 3 for part in passes.values())  # the first step is warm-up
    assert passes["forward"].flops > 0
    assert passes["backward and gradients"].flops > passes["update"].flops > 0
    assert facts["synapses"] == 300


def test_least_bytes_are_those_of_the_arrays_that_a_pass_needs():
    plan = plan_of(tiny(sparsity=0.5))
    synapses, T, B = 300, 80, 4
    rows = sum(8 * (c.num_post + 1) for c in plan.connections)
    tape = 4 * T * B * sum(p.size for p in plan.populations if p.model is not None and p.keeps_tape)
    assert least_bytes(plan, "forward") == synapses * (4 + 2 + 4) + rows + 4 * T * B * 40 + tape
    assert least_bytes(plan, "update") == synapses * (2 * (4 + 2 + 8) + 4)
    assert least_bytes(plan, "loss") == 4 * 10 * B


def test_limits_of_the_machine():
    found = roofs(1, 1, megabytes=4, rounds=2000)
    assert found.threads == 1
    assert min(found.flops, found.bandwidth, found.cache_bandwidth) > 0
    roof = Roofs(1, flops=100.0, bandwidth=10.0, cache_bandwidth=50.0)
    assert [roof.attainable(i) for i in (1.0, 10.0, 20.0)] == [10.0, 100.0, 100.0]


def test_works_run_at_once():
    """Each waits for the other: one after the other they would never end."""
    import threading

    meet = threading.Barrier(2, timeout=30)
    assert at_once([meet.wait, meet.wait]) > 0


def test_machine_says_what_it_is():
    found = machine()
    assert found["cores"] >= 1
    assert "-ffp-contract=off" in found["compiler_flags"]
    assert "device" not in found


def test_tables_and_numbers():
    assert table(["a", "b"], [["long", "1"], ["x", "22"]]) == "a      b\nlong   1\nx     22"
    assert [short(x) for x in (0.012345, 12.345, 1234.5)] == ["0.0123", "12.3", "1,234"]
