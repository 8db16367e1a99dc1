"""Rows of a simulation built from rules: as a multiset the synapses that NumPy draws, to the bit, for any threads."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from refused import refused

import genn_delays as gd
from genn_delays import memory
from genn_delays.backends.cpu import rows as module
from genn_delays.backends.cpu.rows import Layout, build_rows, foresee_rows
from genn_delays.errors import OutOfMemoryError

DELAY = gd.NormalInt(5.0, 4.0, 1, 30, redraw=True)
WIDE = gd.UniformInt(0, 3000)
PLACES = np.random.default_rng(0).random((40, 2))
RULES = [
    gd.Dense(weight=gd.Uniform(-1.0, 2.0), delay=DELAY),
    gd.Dense(kernel_count=3, delay=DELAY, distinct_delays=True),
    gd.OneToOne(weight=0.25, delay=2),
    gd.FixedProbability(0.3, weight=gd.KaimingUniform(2.0), delay=DELAY),
    gd.FixedProbability(0.8, allow_self_connections=False, kernel_count=2, delay=DELAY),
    gd.FixedProbability(1e-9, delay=DELAY),
    gd.FixedNumber(0.9, weight=gd.Normal(0.5, 1.0), delay=DELAY),
    gd.FixedInDegree(5, weight=gd.NormalClipped(87.8, 8.78, low=0.0), delay=DELAY),
    gd.FixedInDegree(39, weight=gd.NormalClipped(-1.0, 2.0, -1.5, 0.5), delay=DELAY, allow_self_connections=False),
    gd.FixedInDegree(60, multapses=True, weight=gd.NormalClipped(0.0, 1.0, low=2.5), delay=1),
    gd.FixedInDegree(4, kernel_count=3, delay=DELAY),
    gd.FixedOutDegree(7, weight=gd.NormalClipped(3.0, 0.0), delay=WIDE, allow_self_connections=False),
    gd.FixedOutDegree(33, weight=gd.NormalClipped(1.0, 1.0), delay=DELAY),
    gd.FixedOutDegree(70, multapses=True, allow_self_connections=False, delay=gd.UniformInt(3, 4)),
    gd.FixedTotalNumber(900, multapses=True, weight=gd.NormalClipped(87.8, 8.78, low=0.0), delay=DELAY),
    gd.FixedTotalNumber(3001, multapses=True, allow_self_connections=False, delay=0),
    gd.FixedTotalNumber(333, delay=DELAY, kernel_count=2),
    gd.DistanceDependent(PLACES, PLACES, sigma=0.3, kernel_count=2, delay=DELAY),
    gd.DistanceDependent(PLACES, PLACES, sigma=0.3, period=1.0, speed=0.02, delay=DELAY),
    gd.Sparse([1, 2, 1, 1, 3], [7, 8, 7, 7, 39], [0.5, -1.0, 0.25, 0.125, 3.0], [4, 4, 4, 3, 30], multapses=True),
]
SIZES = (40, 40, 23)


def network(rules, seed=3):
    """Each rule within a population, and, where it may, to one of another size and back."""
    found = gd.Network(seed)
    with found:
        a, b, c = (gd.Population(gd.LeakyIntegrateFire(), n) for n in SIZES)
        for rule in rules:
            gd.Connection(a, a, rule)
            try:
                gd.Connection(a, c, rule)
                gd.Connection(c, b, rule)
            except gd.GennDelaysError:
                assert (
                    isinstance(rule, (gd.OneToOne, gd.Sparse, gd.DistanceDependent))
                    or rule.__dict__.get("n", 0) > 22
                    or (not rule.allow_self_connections)
                )
    return found


def layout(net, parts, first_column=0):
    """Neurons one population after the other; columns too, beginning anywhere."""
    first = np.cumsum([0, *(p.size for p in net.populations)])
    ends = [np.array([p.size * k // parts for p in net.populations]) for k in range(parts + 1)]
    slots = max((c.connectivity.delay_initializer.high for c in net.connections), default=0) + 1
    column = [int(first[c.target.index]) + first_column for c in net.connections]
    neurons = int(first[-1])
    return Layout(
        first[:-1].tolist(), neurons, column, neurons + first_column, slots, np.array(ends[:-1]), np.array(ends[1:])
    )


def read(rows, where):
    """All synapses as (source, place in the ring, weight), after a look at the order of each row."""
    found = []
    for k, (start, synapse) in enumerate(zip(rows.start, rows.synapse, strict=True)):
        row = np.repeat(np.arange(where.neurons), np.diff(start))
        key = list(zip(row, synapse["offset"], synapse["weight"].view(np.float32), strict=True))
        assert key == sorted(key)
        column = synapse["offset"] % where.columns
        owned = [np.arange(lo, hi) for lo, hi in zip(where.low[k], where.high[k], strict=True)]
        own = np.concatenate([f + o for f, o in zip(where.first, owned, strict=True)])
        assert np.isin(column - (where.columns - where.neurons), own).all()
        found += key
    return sorted(found)


def drawn(net, where, given=None):
    found = []
    for c in net.connections:
        s = (given or {}).get(c.index, c.synapses)
        place = s.delay.astype(np.int64) * where.columns + where.column[c.index] + s.post
        found += zip(s.pre + where.first[c.source.index], place, s.weight, strict=True)
    return sorted(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: repr(r) if isinstance(r, gd.Dense) else type(r).__name__)
def test_rows_are_the_synapses_that_numpy_draws(rule):
    net = network([rule])
    where = layout(net, 2, 5)
    rows = build_rows(net, where, 2)
    assert read(rows, where) == drawn(net, where)
    largest = [np.abs(c.synapses.weight).max(initial=0.0) for c in net.connections]
    assert rows.largest.tolist() == largest


@pytest.mark.parametrize(("parts", "threads"), [(1, 1), (1, 3), (2, 1), (4, 4), (7, 2)])
def test_many_connections_for_any_number_of_parts_and_threads(parts, threads):
    """Connections onto the same columns are merged in a row too; seeds of more than 32 bits."""
    net = network(RULES, seed=(5 << 40) + 9)
    where = layout(net, parts)
    assert read(build_rows(net, where, threads), where) == drawn(net, where)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    net = network([RULES[i] for i in rng.choice(len(RULES), 4, replace=False)], seed)
    where = layout(net, int(rng.integers(1, 5)), int(rng.integers(0, 9)))
    assert read(build_rows(net, where, int(rng.integers(1, 5))), where) == drawn(net, where)


def test_few_pairs_of_many_are_listed(monkeypatch):
    """Where a bit for every pair would be more than the rows are."""
    rules = [rule for rule in RULES if isinstance(rule, (gd.FixedProbability, gd.FixedNumber, gd.FixedTotalNumber))]
    net = network(rules)
    where = layout(net, 3)
    with monkeypatch.context() as patch:
        patch.setattr(module, "FEW_BITS", 0)
        patch.setattr(module, "FEW_PAIRS", 0)
        kinds = [module._kind(c, None).name for c in net.connections]
        assert kinds.count("PAIRS") == 13 and "BITS" not in kinds
        assert read(build_rows(net, where, 2), where) == drawn(net, where)
    kinds = [module._kind(c, None).name for c in net.connections]
    assert kinds.count("BITS") == 13 and "PAIRS" not in kinds


@pytest.mark.parametrize(
    "weight",
    [gd.Normal(), gd.Normal(87.8, 8.78), gd.Normal(-1e-3, 1e3), gd.Normal(1.0, 0.0), gd.Normal(0.0, 1e-30),
     gd.NormalClipped(), gd.NormalClipped(1.0, 3.0, 2.0), gd.NormalClipped(1.0, 3.0, high=-8.0)],
    ids=repr,
)  # fmt: skip
def test_normal_weights_are_numpys_to_the_bit(weight):
    """300,000 words, with both ends and the middle."""
    net = network([gd.FixedOutDegree(1, weight=weight)])
    job = module.Job(net, layout(net, 1), 1, {})
    words = np.random.default_rng(1).integers(0, 1 << 32, 300_000, np.uint32)
    words[:4096], words[4096:8192] = np.arange(4096), np.uint32(0xFFFFFFFF) - np.arange(4096, dtype=np.uint32)
    words[8192:12288] = np.arange(4096) + (1 << 31) - 2048
    found = np.empty(words.size + 64, np.uint32)
    given = np.concatenate([words, np.zeros(64, np.uint32)])
    library, _ = module._library()
    library.weights_of(ctypes.byref(job.net), given.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(words.size),
                       found.ctypes.data_as(ctypes.c_void_p))  # fmt: skip
    expected = weight.quantile((words + 0.5) / 2**32, 1).astype(np.float32)
    assert np.array_equal(found[: words.size].view(np.float32), expected)


def test_given_synapses_take_the_place_of_drawn_ones():
    net = network([gd.FixedInDegree(3, delay=DELAY), gd.Dense(delay=DELAY)])
    s = net.connections[0].synapses
    trained = {0: gd.Synapses(s.pre[::2], s.post[::2], s.delay[::2], s.weight[::2] + np.float32(0.5))}
    where = layout(net, 3)
    assert read(build_rows(net, where, 2, trained), where) == drawn(net, where, trained)


def test_sums_and_the_grid():
    net = network([gd.FixedTotalNumber(700, multapses=True, weight=gd.Uniform(-3, 2), delay=DELAY), RULES[-1]])
    where = layout(net, 3)
    rows = build_rows(net, where, 2)
    scale = 2.0 ** np.where(np.arange(where.columns) < 40, 20, 12)
    before = [s.copy() for s in rows.synapse]
    sums, number = rows.sums(scale)
    expected, count = np.zeros(where.columns), np.zeros(where.columns, int)
    for c in net.connections:
        column = where.column[c.index] + c.synapses.post
        np.add.at(expected, column, np.ceil(np.abs(c.synapses.weight.astype(np.float64)) * scale[column]))
        np.add.at(count, column, 1)
    assert np.array_equal(sums, expected) and np.array_equal(number, count)
    rows.round(scale)
    for old, new in zip(before, rows.synapse, strict=True):
        assert np.array_equal(old["offset"], new["offset"])
        weight = old["weight"].view(np.float32).astype(np.float64) * scale[old["offset"] % where.columns]
        assert np.array_equal(new["weight"].view(np.int32), np.rint(weight).astype(np.int32))


def test_a_checksum_tells_networks_apart():
    """The same for any number of parts; another seed, order of neurons or one bit of a weight changes it."""
    net = network(RULES[:6])
    found = {build_rows(net, layout(net, parts), 2).checksum() for parts in (1, 2, 5)}
    assert len(found) == 1
    other = network(RULES[:6], seed=4)
    assert build_rows(other, layout(other, 2), 2).checksum() not in found
    rows = build_rows(net, layout(net, 2), 2)
    rows.synapse[1]["weight"][7] ^= 1
    assert rows.checksum() not in found


def test_memory_is_foreseen_by_part(monkeypatch):
    net = network([gd.FixedTotalNumber(2_000_000, multapses=True), gd.FixedProbability(0.5)])
    needs = foresee_rows(net.connections, 103, 2)
    assert needs["connection 'population0_population0'", "the rows of synapses"] == 16_000_000
    monkeypatch.setattr(memory, "host_memory", lambda: (30_000_000, "on a machine which has"))
    monkeypatch.setattr(module, "Job", None)  # nothing is built
    part = "the rows of synapses of connection 'population0_population0' 16 MB"
    with refused(part, "30 MB free", error=OutOfMemoryError):
        build_rows(net, layout(net, 2), 2)


def test_a_network_without_connections():
    net = gd.Network()
    with net:
        for n in SIZES:
            gd.Population(gd.LeakyIntegrateFire(), n)
    rows = build_rows(net, layout(net, 2), 2)
    assert [s.size for s in rows.synapse] == [0, 0] and rows.start[0].tolist() == [0] * 104
