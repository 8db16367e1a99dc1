"""Rewiring of many synapses, which threads share and which lie in several parts, and the memory that it takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from rewired import TIME_STEPS, assert_same_state, rewire, set_gradient

from genn_delays import (
    CPU,
    SET,
    Adam,
    Connection,
    DeepR,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    RigL,
    SurrogateCompiler,
    UniformInt,
)

RULES = [
    DeepR(l1=0.01), DeepR(growth="gradient"), DeepR(growth="gradient", growth_delay="best", candidates=8_000),
    SET(fraction=0.3, interval=1), SET(fraction=0.9, interval=1), RigL(fraction=0.5, interval=1),
    RigL(interval=1, candidates=8_500),
]  # fmt: skip


def network(sparsity: float, kernel_count: int, inputs: int = 150, hidden: int = 400) -> Network:
    """60,000 pairs of inputs and hidden neurons."""
    made = Network(seed=3)
    with made:
        a = Population(Input(), inputs, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), hidden, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 4, name="out")
        for source, target in ((a, h), (h, o)):
            how = FixedNumber(
                sparsity=sparsity, weight=KaimingUniform(), delay=UniformInt(0, 9), kernel_count=kernel_count
            )
            Connection(source, target, how)
    return made


def compiled(rule, backend, *where, batch=4, **sizes):
    compiler = SurrogateCompiler(TIME_STEPS, batch, backend=backend, rng_seed=5)
    adam, made = {"all_connections": {"weight": Adam(0.01)}}, network(*where, **sizes)
    return compiler.compile(made, optimisers=adam, rewiring={made.connections[0]: rule})


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("where", [(0.6, 1), (0.15, 1), (0.7, 2)], ids=repr)
def test_many_synapses_are_rewired_as_in_the_definition(rule, where):
    """The same bits for any number of threads, with scores that are equal and rows of which all or none is dropped."""
    engines = [compiled(rule, backend, *where) for backend in ("reference", CPU(threads=1), CPU(threads=3))]
    random = np.random.default_rng(4)
    x = {"in": random.random((4, TIME_STEPS, 150)).astype(np.float32)}, {"out": np.arange(4)}
    assert engines[0].plan.connections[0].size > 2 * 9_000
    for one in engines:
        one.gradients(*x)  # activity, by which growth goes
    for step in range(1, 4):
        for c in engines[0].plan.connections:
            state = engines[0].engine.state(c.index)
            w = state.synapses.weight
            size = np.round(np.abs(w), 2) if step > 1 else np.abs(w)  # many are equal
            size[random.random(w.size) < 0.03] = 0
            post = state.synapses.post
            size[(post == 7) | (post == c.num_post - 1)] = 0
            size[(post == 8) | (post == 0)] += 1
            state.synapses = state.synapses._replace(weight=np.copysign(size, w).astype(np.float32))
            gradient = random.normal(0, 1e-3, w.size).astype(np.float32)
            for one in engines:
                one.engine.set_state(c.index, state)
                set_gradient(one.engine, c.index, gradient)
        counts = [rewire(one.engine, step) for one in engines]
        assert counts[0] == counts[1] == counts[2] and sum(counts[0].values()) > 500
        for c in engines[0].plan.connections:
            assert_same_state(engines[0].engine, engines[1].engine, c.index)
            assert_same_state(engines[1].engine, engines[2].engine, c.index)
            by_source = [one.engine._connection_arrays[c.index] for one in engines[1:]]
            order = np.argsort(engines[0].engine.state(c.index).synapses.pre, kind="stable")
            for arrays in by_source:
                np.testing.assert_array_equal(arrays["by_pre_slot"], order)


def test_a_rewired_synapse_takes_32_bytes():
    """More only for those that are dropped: 32 bytes each for a moment. What is drawn first is not kept besides.

    (Few lanes take 4 or 8 more for an index by blocks of targets.)
    """
    tracemalloc.start()
    with compiled(SET(fraction=0.1, interval=1), CPU(threads=1), 0.5, 1, batch=16, inputs=1000, hidden=1000) as one:
        synapses = sum(c.size for c in one.plan.connections)
        activity = 2 * 2000 * (TIME_STEPS + 2) * 16 * 4  # at most two values a neuron-step, and the starts of steps
        assert tracemalloc.get_traced_memory()[0] < 32.1 * synapses + activity
        x = {"in": np.random.default_rng(0).random((32, TIME_STEPS, 1000), dtype=np.float32)}
        tracemalloc.reset_peak()
        one.train(x, {"out": np.arange(32) % 4}, 3, callbacks=())
        most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(one.rewirings.values()) == 6 * int(0.1 * one.plan.connections[0].size)
    assert most < (32.1 + 32 * 0.1) * synapses + activity + 4 * x["in"].nbytes
