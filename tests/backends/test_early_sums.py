"""Gradients that are sent while others are computed: which, when, with which bits, and what if a rank fails."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from rewired import data
from thread_ranks import ThreadRank, on_ranks

from genn_delays import (
    CPU,
    Connection,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends.cpu import early_sums
from genn_delays.backends.cpu.early_sums import messages_of
from genn_delays.communicators import GRADIENTS
from genn_delays.errors import BackendUnavailableError, CommunicationError, InvalidValueError

STEPS = 400
"""So long that a tile has 16 examples, and a rank of two has several."""


@pytest.fixture(autouse=True)
def every_size(monkeypatch):
    monkeypatch.setattr(early_sums, "EARLY_BYTES", 1)


def deep(*sizes: int, normed: str = "") -> Network:
    """Hidden layers one after the other, of which one may have batch norm."""
    network = Network(seed=3)
    with network:
        before = Population(Input(), 12, name="in")
        for number, size in enumerate(sizes):
            neuron, name = LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), f"hidden{number}"
            here = Population(neuron, size, name=name, batch_norm=name == normed)
            Connection(before, here, FixedNumber(0.5, weight=KaimingUniform(), delay=UniformInt(0, 9)))
            before = here
        out = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 4, name="out")
        Connection(before, out, FixedNumber(0.5, weight=KaimingUniform(), delay=UniformInt(0, 9)))
    return network


def compiled(network: Network, communicator: Any = None, batch: int = 64, steps: int = 16) -> Any:
    compiler = SurrogateCompiler(steps, batch, backend=CPU(threads=1), communicator=communicator)
    return compiler.compile(network)


def sent_by(rank: ThreadRank) -> list[tuple[str, bool]]:
    """A list that grows by what this rank exchanges, each with whether a thread of its own does it."""
    found: list[tuple[str, bool]] = []
    exchange = rank.exchange

    def noted(what: str, *messages: Any) -> None:
        found.append((what, threading.current_thread().name.startswith("genn_delays.gradients")))
        exchange(what, *messages)

    rank.exchange = noted  # type: ignore[method-assign]
    return found


def test_which_gradients_go_early(monkeypatch):
    """Those of the outputs first; few bytes wait for the next; what is complete last never goes early."""
    engine = compiled(deep(20, 30, 40)).engine  # 120, 300, 600 and 80 synapses

    def places(least: int) -> list[tuple[int, bool, list[int]]]:
        monkeypatch.setattr(early_sums, "EARLY_BYTES", least)
        messages = messages_of(engine.plan, engine._connection_arrays, engine._population_arrays)
        return [(m.group, m.early, [a["grad"].size for a in m.connections]) for m in messages]

    assert places(320) == [(0, True, [80]), (1, True, [600]), (2, True, [300]), (3, False, [120])]
    assert places(321) == [(1, True, [80, 600]), (2, True, [300]), (3, False, [120])]
    assert places(2721) == [(2, True, [80, 600, 300]), (3, False, [120])]
    assert places(1 << 20) == [(3, False, [80, 600, 300, 120])]


@pytest.mark.parametrize("normed", ["", "hidden1"])
def test_bits_of_several_tiles_a_rank(normed):
    """Nothing is sent before a rank's last tile; of a last batch with fewer examples than ranks too."""
    network = deep(16, 20, normed=normed)
    x, y = data(network, 130)
    x = {"in": np.repeat(x["in"], STEPS // x["in"].shape[1], axis=1)}

    def work(rank: Any = None) -> list[bytes]:
        if rank is not None:
            rank.overlaps = True
            found = sent_by(rank)
        with compiled(network, rank, 128, STEPS) as own:
            assert own.engine._net.tile == 16
            own.train(x, y, 1, callbacks=[])
            states = [own.engine.state(c.index).arrays() for c in network.connections]
            if rank is not None:
                early = [early for what, early in found if what == GRADIENTS]
                small = rank.rank > 0  # the last batch has a single partial sum: others have nothing to compute
                assert early == [True, True, False, *([False] * 3 if small else [True, True, False])]
            return [array.tobytes() for state in states for array in state.values()]

    alone = work()
    for found in on_ranks(2, work):
        if isinstance(found, Exception):
            raise found
        assert found == alone


def test_sent_while_others_are_computed():
    """In the middle of the backward pass, batch norm waits until the gradients of later layers are there."""
    network = deep(16, 20, normed="hidden0")

    def work(rank: Any) -> int:
        rank.overlaps = True
        there, waited, exchange = threading.Semaphore(0), [], rank.exchange

        def noted(what: str, *messages: Any) -> None:
            if what == "batch norm" and (forward.pop() if forward else False):
                pass
            elif what == "batch norm":
                waited.append(there.acquire(timeout=20) and there.acquire(timeout=20))
            exchange(what, *messages)
            if what == GRADIENTS and threading.current_thread().name.startswith("genn_delays.gradients"):
                there.release()

        forward = [True]
        with compiled(network, rank) as own:
            rank.exchange = noted
            own.gradients(*data(network, 64))
        return waited

    assert on_ranks(2, work) == [[True], [True]]


def test_switched_off_or_alone_there_is_no_thread():
    def work(rank: Any, overlaps: bool = False) -> Any:
        rank.overlaps = overlaps
        with compiled(deep(16, 20), rank) as own:
            return own.engine._early

    assert on_ranks(2, work) == [None, None]
    assert on_ranks(1, lambda rank: work(rank, True)) == [None]


def test_a_thread_that_is_refused(monkeypatch):
    def refused(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    def work(rank: Any) -> None:
        rank.overlaps = True
        compiled(deep(16, 20), rank)

    monkeypatch.setattr(early_sums.ThreadPoolExecutor, "submit", refused)
    errors = on_ranks(2, work)
    assert [type(error) for error in errors] == [BackendUnavailableError, CommunicationError]
    assert "refused to start a thread" in str(errors[0]) and "overlap=False" in str(errors[0])


@pytest.mark.parametrize("by", ["the thread that sends", "the thread that computes"])
def test_an_error_of_one_rank_ends_all(by):
    """Whichever of its threads raises it, and whatever another waits for; the error is the one that was raised."""
    network = deep(16, 20, normed="hidden0")

    def work(rank: Any) -> None:
        rank.overlaps = True
        exchange, forward = rank.exchange, [True]

        def failing(what: str, *messages: Any) -> None:
            sends = threading.current_thread().name.startswith("genn_delays.gradients")
            backward = what == "batch norm" and not (forward and forward.pop())
            if rank.rank == 1 and (sends if by == "the thread that sends" else backward):
                raise InvalidValueError(f"enough, by {threading.current_thread().name}")
            exchange(what, *messages)

        with compiled(network, rank) as own:
            rank.exchange = failing
            own.gradients(*data(network, 64))

    first, second = on_ranks(2, work)
    assert isinstance(first, CommunicationError) and first.told
    assert isinstance(second, InvalidValueError) and ("genn_delays.gradients" in str(second)) == (by.endswith("sends"))
