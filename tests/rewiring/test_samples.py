"""Which free places are looked at: how large a sample is, and which half of the places random numbers name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rewired import rewire

from genn_delays import (
    SGD,
    Connection,
    DeepR,
    Input,
    LeakyIntegrate,
    Network,
    Population,
    RigL,
    Sparse,
    SurrogateCompiler,
)
from genn_delays.learning.schedules import Progress
from genn_delays.random import Purpose, philox, sample_distinct, scale64

HALF = {0: [0, 3, 4, 5, 8], 1: [0, 2, 4, 5, 8], 2: [2, 5, 6, 7, 9], 3: [2, 3, 6, 7, 9]}
"""By step the first 5 different numbers below 10 that are drawn; the 5 that are left out are others."""


@pytest.mark.parametrize(
    ("free", "dropped", "looked_at"),
    [
        (999_999, 3, 999_999),
        (1_000_000, 3, 1_000_000),
        (1_000_001, 3, 24),
        (1_000_001, 125_000, 1_000_000),
        (1_000_001, 125_001, 1_000_001),
        (10**12, 1, 8),
    ],
)
def test_up_to_a_million_places_are_all_looked_at_then_eight_for_each_dropped_synapse(
    free: int, dropped: int, looked_at: int
) -> None:
    assert RigL().num_candidates(free, dropped) == looked_at


def single_layer(num_pre: int, num_post: int, pre: Any, post: Any) -> Network:
    network = Network(seed=0)
    with network:
        a = Population(Input(), num_pre, name="in")
        o = Population(LeakyIntegrate(readout="sum_var"), num_post, name="out")
        Connection(a, o, Sparse(pre, post, np.linspace(1, 2, len(pre)), 0))
    return network


def test_the_best_of_the_sample_are_grown(backend: Any) -> None:
    """1,001,000 pairs. With one time step dL/dw is ``x_j g_i``, so what must grow follows from the sample alone."""
    num_pre, num_post, dropped = 1001, 1000, 2
    network = single_layer(num_pre, num_post, np.arange(10), np.arange(10))
    random = np.random.default_rng(0)
    x = random.random((1, 1, num_pre)).astype(np.float32)
    compiler = SurrogateCompiler(1, 1, backend=backend)
    optimisers = {"all_connections": {"weight": SGD(0.1)}}
    rule = RigL(fraction=dropped / 10, interval=1)
    with compiler.compile(network, optimisers=optimisers, rewiring={"in_out": rule}) as compiled:
        state = compiled.engine.state(0)
        _, gradients = compiled.gradients({"in": x}, {"out": np.array([3])})
        at = state.synapses  # synapse k leads from k to k; all targets but the labelled one feel the loss alike
        slope = np.full(num_post, gradients[network.connections[0]][0] / x[0, 0, at.pre[0]])
        slope[:10] = gradients[network.connections[0]] / x[0, 0, at.pre]
        living = np.sort((at.post.astype(int) * num_pre + at.pre)[2:])
        free = np.setdiff1d(np.arange(num_pre * num_post), living)
        fewer = more = 0
        for step in (1, 2):
            best = {}
            for each in (7, 8, 9):
                sample = free[sample_distinct(each * dropped, free.size, 0, Purpose.CANDIDATES, 0, step)]
                helps = np.abs(x[0, 0, sample % num_pre] * slope[sample // num_pre])
                best[each] = np.sort(sample[np.argsort(-helps, kind="stable")[:dropped]]).tolist()
            fewer += best[7] != best[8]
            more += best[9] != best[8]
            compiled.engine.set_state(0, state)
            assert rewire(compiled.engine, step, Progress(0, 10**6, 0, 1)) == {0: dropped}
            after = compiled.engine.state(0).synapses
            born = np.abs(after.weight) < 1e-6
            assert np.sort(after.post[born].astype(int) * num_pre + after.pre[born]).tolist() == best[8]
        assert fewer > 0 and more > 0, "a sample of another size must have another best"


@pytest.mark.parametrize(("count", "total"), [(1, 2), (2, 4), (500, 1000)])
def test_half_of_the_numbers_are_those_that_are_drawn(count: int, total: int) -> None:
    drawn, k = list[int](), 0
    while len(drawn) < count:
        value = int(scale64(philox(0, Purpose.GROWTH, 0, [k]), total)[0])
        drawn += [] if value in drawn else [value]
        k += 1
    assert sample_distinct(count, total, 0, Purpose.GROWTH, 0).tolist() == sorted(drawn)


@pytest.mark.parametrize("step", HALF)
def test_exactly_half_of_the_places_are_filled(step: int, backend: Any) -> None:
    """20 pairs, of whose 15 synapses 5 go: of the 10 free places 5 are filled."""
    pair = np.arange(15)
    with SurrogateCompiler(4, 1, backend=backend).compile(
        single_layer(10, 2, pair % 10, pair // 10), rewiring={"in_out": DeepR()}
    ) as compiled:
        state = compiled.engine.state(0)
        state.synapses.weight[::3] = 0
        compiled.engine.set_state(0, state)
        assert rewire(compiled.engine, step) == {0: 5}
        after = compiled.engine.state(0).synapses
    free = np.setdiff1d(np.arange(20), pair[pair % 3 != 0])
    grown = np.sort((after.post.astype(int) * 10 + after.pre)[after.weight < 1e-6])
    assert np.abs(after.weight[after.weight < 1e-6]).max() < 1e-6
    assert grown.tolist() == free[HALF[step]].tolist()


def test_the_numbers_of_a_half_are_these() -> None:
    for step, numbers in HALF.items():
        assert sample_distinct(5, 10, 0, Purpose.GROWTH, 0, step).tolist() == numbers
