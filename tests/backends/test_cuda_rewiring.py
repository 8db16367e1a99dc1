"""Rewiring on the device: nothing is read while it runs, one recorded graph serves any number of synapses that go."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from rewired import assert_same_state, rewire, small_network, totals, train

from genn_delays import (
    SET,
    Connection,
    DeepR,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    Network,
    Population,
    RigL,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends.cuda import buffers, rewiring, sorting
from genn_delays.backends.cuda.compiler import compile_cubin, find_compiler
from genn_delays.backends.cuda.device import Buffer, KernelError
from genn_delays.backends.cuda.shim import ORDERS, ShimDevice
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.errors import BackendUnavailableError
from genn_delays.rewiring import rule as rules

GRADIENT = {"growth": "gradient"}
DROP_ZERO = [
    DeepR(),
    DeepR(growth_delay="best"),
    DeepR(**GRADIENT, growth_delay="redraw"),
    DeepR(**GRADIENT, candidates=30),
]


@pytest.fixture(params=["one block", "few sums", "many sums"])
def sums(request, monkeypatch):
    """Every way of rewiring: one block of few synapses, and launches that sum few numbers or many."""
    monkeypatch.setattr(rewiring, "MOST_IN_BLOCK", 1 << 14 if request.param == "one block" else 0)
    monkeypatch.setattr(sorting, "FEW_TILES", 0 if request.param == "many sums" else 8)


def pair_of(rule, order="forward", sparsity=0.8):
    """The same network on the device and as its definition, after two steps; the state of the first for both."""
    network = small_network(sparsity)
    one, two = (train(network, rule, backend, 2) for backend in (CUDAOnHost(order, seed=3), "reference"))
    for c in one.plan.connections:
        two.engine.set_state(c.index, one.engine.state(c.index))
    return one, two


def kill(engines, connection, count, random):
    """Weights of 0 for so many synapses of the same state, and none for the others."""
    state = engines[0].state(connection)
    weight = np.where(state.synapses.weight == 0, np.float32(0.5), state.synapses.weight)
    gone = random.permutation(weight.size)[:count]
    weight[gone] = np.copysign(np.float32(0), weight[gone])
    state.synapses = state.synapses._replace(weight=weight)
    for engine in engines:
        engine.set_state(connection, state)


def contents(engine):
    """What connections have on the device, but for what is made anew in every rewiring."""
    return [
        {name: b.download() for name, b in connection.items() if name != "asked" and not name.startswith("new_")}
        for connection in engine.connection
    ]


def assert_same_contents(one, two):
    for a, b in zip(one, two, strict=True):
        for name, values in a.items():
            np.testing.assert_array_equal(values, b[name], err_msg=name)


# --- counts on the device --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rule", DROP_ZERO, ids=repr)
def test_any_number_of_synapses_goes_by_one_graph(rule, order, sums):
    """None, one, some and all, from step to step; the index by source is that of the synapses that result."""
    one, two = pair_of(rule, order)
    engines, random, c = (one.engine, two.engine), np.random.default_rng(0), one.plan.connections[0]
    recorded = len(one.engine.work.graphs)
    for step, count in enumerate((0, 1, 7, 0, c.size, 3, c.size - 1, 20)):
        kill(engines, c.index, count, random)
        for engine in engines:
            assert rewire(engine, step)[c.index] == count
        assert_same_state(*engines, c.index)
        assert len(one.engine.work.graphs) == recorded + 1
    index = contents(one.engine)
    one.engine.set_state(c.index, one.engine.state(c.index))
    assert_same_contents(index, contents(one.engine))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rule", [SET(interval=1), RigL(interval=1), RigL(interval=1, candidates=30)], ids=repr)
def test_a_falling_number_by_magnitude(rule, order, sums):
    one, two = pair_of(rule, order)
    recorded = len(one.engine.work.graphs)
    for step, share in enumerate((1.0, 0.6, 0.3, 0.1, 0.03, 0.0, 0.2)):
        drops = {c.index: int(share * c.size) for c in one.plan.connections}
        for engine in (one.engine, two.engine):
            assert totals(engine.rewire(step, drops)) == drops
        for c in one.plan.connections:
            assert_same_state(one.engine, two.engine, c.index)
    assert len(one.engine.work.graphs) <= recorded + 3  # one, the other, or both connections lose any


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rule", [DeepR(), DeepR(**GRADIENT, candidates=3)], ids=repr)
def test_nearly_all_pairs_are_connected(rule, order, sums):
    """More than half of the free places are looked at: random numbers name the others."""
    one, two = pair_of(rule, order, sparsity=0.05)
    engines, random, c = (one.engine, two.engine), np.random.default_rng(1), one.plan.connections[0]
    free = c.num_pre * c.num_post - c.size
    assert free == 10
    for step, count in enumerate((1, 5, free - 1, free, free + 1, 60, c.size, 0, 30)):
        kill(engines, c.index, count, random)
        for engine in engines:
            assert rewire(engine, step)[c.index] == count
        assert_same_state(*engines, c.index)


@pytest.mark.parametrize("order", ORDERS)
def test_more_synapses_than_a_block_has_threads(order):
    """Of the grids for the most there may be, only the beginning has something to do, or all of it."""
    network = Network(seed=1)
    with network:
        a, o = Population(Input(), 300), Population(LeakyIntegrate(readout="sum_var"), 100)
        Connection(a, o, FixedNumber(sparsity=0.9, weight=KaimingUniform(), delay=UniformInt(0, 9)))
    compilers = [SurrogateCompiler(4, 1, backend=backend) for backend in (CUDAOnHost(order, seed=1), "reference")]
    engines = [each.compile(network, rewiring={"all_connections": DeepR()}).engine for each in compilers]
    for step, count in enumerate((30, 2900, 0, 700)):
        kill(engines, 0, count, np.random.default_rng(step))
        for engine in engines:
            assert rewire(engine, step) == {0: count}
        assert_same_state(*engines, 0)


def test_all_free_places_or_a_sample(monkeypatch):
    """How many are scored depends on how many are dropped, where there are about as many as are all scored."""
    for module in (buffers, rewiring, rules):
        monkeypatch.setattr(module, "EXACT_CANDIDATES", 150)
    one, two = pair_of(DeepR(**GRADIENT))
    engines, random, c = (one.engine, two.engine), np.random.default_rng(1), one.plan.connections[0]
    free = c.num_pre * c.num_post - c.size
    assert free == 145
    for step, count in enumerate((1, 5, 6, 30, 3, c.size)):
        kill(engines, c.index, count, random)
        for engine in engines:
            assert totals(engine.rewire(step, {c.index: 0})) == {c.index: count}
        assert_same_state(*engines, c.index)
        looked_at = free + count if count <= 5 else min(8 * count, free + count)
        assert one.engine.scratch["looked_at"].download() == looked_at


@pytest.mark.parametrize("rule", [*DROP_ZERO, SET(interval=1), RigL(interval=1)], ids=repr)
def test_where_nothing_goes_nothing_changes(rule):
    """Not a bit of the synapses, their optimisers, rows and index."""
    one, _ = pair_of(rule)
    for c in one.plan.connections:
        kill([one.engine], c.index, 0, np.random.default_rng(0))
    before = contents(one.engine)
    assert totals(one.engine.rewire(3, {0: 0, 1: 0})) == {0: 0, 1: 0}
    assert_same_contents(before, contents(one.engine))


# --- the host does not wait ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [*DROP_ZERO, SET(interval=1), RigL(interval=1)], ids=repr)
def test_nothing_is_read_until_all_is_launched(rule, monkeypatch):
    """And then only by who looks how many synapses were replaced, once for all that was launched."""
    one, _ = pair_of(rule)
    read, download = [], Buffer.download

    def watched(self, *arguments):
        read.append(self.name)
        return download(self, *arguments)

    monkeypatch.setattr(Buffer, "download", watched)
    one.engine.rewire(3, {0: 3, 1: 3})  # nobody looks
    assert read == []
    first, second = one.engine.rewire(4, {0: 2, 1: 2}), one.engine.rewire(5, {0: 1, 1: 0})
    assert one.engine.rewire(5, {}) == {} and set(first) == set(second) == {0, 1} and read == []
    counts = [count.total for counted in (first, second) for count in counted.values()]
    assert read == ["history of batches"]
    by_magnitude = isinstance(rule, SET | RigL)
    assert counts == [2, 2, 1, 0] if by_magnitude else max(counts) == 0


def test_too_few_different_random_numbers_are_told(monkeypatch):
    """It happens once in a universe; then the connection stays as it was, and the host is told when it looks."""
    monkeypatch.setattr(rewiring, "DRAWS_EACH", 1)
    monkeypatch.setattr(rewiring, "DRAWS_MORE", 0)
    one, two = pair_of(DeepR(), sparsity=0.5)
    kill((one.engine, two.engine), 0, 60, np.random.default_rng(0))
    kill([one.engine], 1, 0, np.random.default_rng(0))
    before = contents(one.engine)
    with pytest.raises(KernelError, match=r"'in_hidden'.*too few different random numbers"):
        dict(one.engine.rewire(0, {0: 0, 1: 0}))
    assert_same_contents(before, contents(one.engine))


# --- sums and sorts of as many as the device counted -----------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_sums_and_sorts(order, sums):
    """Of n of 5000 numbers; what lies behind them is left alone, and so is everything where there are none."""
    plan, most, random = train(small_network(), DeepR(), "reference", 0).plan, 5000, np.random.default_rng(0)
    with ShimDevice(order, seed=1) as device:
        module = device.load(emit_cuda(plan))
        shapes = {
            "key": np.uint64, "key2": np.uint64, "number": np.int32, "number2": np.int32, "counts": np.int32,
            "offsets": np.int64, "tile_sums": np.int64,
        }  # fmt: skip
        scratch = {name: device.allocate(name, most + 1, dtype) for name, dtype in shapes.items()}
        count, x = device.allocate("count", 1, np.int64), device.allocate("x", most, np.int32)
        out = device.allocate("out", most + 1, np.int64)
        for n in (0, 1, 31, 1024, 1025, 4097, most, None):
            values, keys = random.integers(0, 9, most).astype(np.int32), random.integers(0, 999, most + 1)
            found = None if n is None else count
            end = most if n is None else n
            count.upload(np.array([end], np.int64))
            x.upload(values)
            out.upload(np.full(most + 1, -7, np.int64))
            sorting.prefix_sums(module, scratch, x, out, most, found)
            expected = np.full(most + 1, -7, np.int64)
            if end:
                expected[: end + 1] = np.append(0, np.cumsum(values[:end]))
            np.testing.assert_array_equal(out.download(), expected)
            scratch["key"].upload(keys.astype(np.uint64))
            scratch["number"].upload(np.arange(most + 1, dtype=np.int32))
            sorted_keys, numbers = sorting.sort(module, scratch, most, 10, found)
            order_of = np.argsort(keys[:end], kind="stable")
            np.testing.assert_array_equal(sorted_keys.download()[:end], keys[:end][order_of])
            np.testing.assert_array_equal(numbers.download()[:end], order_of)


# --- for GPUs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("rule", [*DROP_ZERO, SET(), RigL(growth_delay="best")], ids=repr)
def test_sources_compile_without_a_warning(rule, arch):
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    plan = train(small_network(), rule, "reference", 0).plan
    assert compile_cubin(emit_cuda(plan), arch, warnings_are_errors=True)[:4] == b"\x7fELF"
