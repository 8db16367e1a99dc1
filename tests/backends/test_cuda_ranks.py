"""Ranks with a GPU each, the host in its place, give the bits of one process; and which GPU a rank takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from rewired import TIME_STEPS, data, small_network
from thread_ranks import on_ranks

from genn_delays import (
    CPU,
    CUDA,
    Adam,
    Connection,
    DeepR,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    GaussianKernel,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    RigL,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends.cuda import buffers, real
from genn_delays.backends.cuda.gpus import gpu_of_rank
from genn_delays.backends.cuda.lanes import Sharing
from genn_delays.errors import BackendUnavailableError, CommunicationError, InvalidValueError

EVERY = {"weight": Adam(0.02), "delay": Adam(0.1)}


def published() -> tuple[Network, Any, dict[str, Any]]:
    """Batch norm, dropout, delay kernels, growth by the gradient, two synapses a pair, penalties, clipping."""
    network = small_network(kernel=GaussianKernel(sigma=2.0), kernel_count=2, batch_norm=True, dropout=0.2)
    compiler = SurrogateCompiler(TIME_STEPS, 64, reg_strength_upper=0.01, reg_nu_upper=2.0, clip_norm=0.3)
    optimisers = {"all_connections": EVERY, "all_populations": {"batch_norm": Adam(0.02)}}
    rule = DeepR(growth="gradient", l1=0.05)
    return network, compiler, {"optimisers": optimisers, "rewiring": {"all_connections": rule}}


def best() -> tuple[Network, Any, dict[str, Any]]:
    """Growth at the delay that helps most, by launches for many synapses."""
    network = small_network(kernel=GaussianKernel(sigma=2.0))
    rule = DeepR(growth="gradient", growth_delay="best", l1=0.05)
    optimisers = {"all_connections": EVERY}
    return network, SurrogateCompiler(TIME_STEPS, 64), {"optimisers": optimisers, "rewiring": {"all_connections": rule}}


def recurrent() -> tuple[Network, Any, dict[str, Any]]:
    """A cycle in blocks, time constants that the host learns, spikes in, RigL."""
    network = Network(seed=4)
    with network:
        a = Population(SpikeInput(), 12, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), 20, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="avg_var"), 4, name="out")
        for source, target, low in ((a, h, 0), (h, h, 3), (h, o, 0)):
            Connection(source, target, FixedNumber(sparsity=0.6, weight=0.4, delay=UniformInt(low, 9)))
    optimisers = {"all_connections": {"weight": Adam(0.02)}, h: {"tau_mem": Adam(0.1)}}
    rewiring = {"all_connections": RigL(interval=1)}
    return network, SurrogateCompiler(TIME_STEPS, 64), {"optimisers": optimisers, "rewiring": rewiring}


def exact() -> tuple[Network, Any, dict[str, Any]]:
    """EventProp with learned delays."""
    network = Network(seed=4)
    with network:
        a = Population(SpikeInput(), 12, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5, integration="exact"), 20, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="avg_var", integration="exact"), 4, name="out")
        for source, target in ((a, h), (h, o)):
            connectivity = FixedNumber(sparsity=0.6, weight=0.3, delay=UniformInt(0, 9))
            Connection(source, target, connectivity, Exponential(5.0))
    return network, EventPropCompiler(TIME_STEPS, 64), {"optimisers": {"all_connections": EVERY}}


def trained(make: Any, batch: int, count: int, communicator: Any, backend: Any = None) -> tuple[Any, ...]:
    """All that is learned and can be asked for after two epochs, as bytes."""
    network, compiler, arguments = make()
    compiler.batch_size, compiler.communicator, compiler.backend = batch, communicator, backend or CUDAOnHost()
    x, y = data(network, count)
    if network.populations[0].spiking:
        x = {"in": (x["in"] < 0.15).astype(np.float32)}
    with compiler.compile(network, **arguments) as compiled:
        metrics, _ = compiled.train(x, y, 2, callbacks=[], validation_split=0.2)
        state = [a.tobytes() for c in network.connections for a in compiled.engine.state(c.index).arrays().values()]
        state += [a.tobytes() for p in compiled.populations for a in p.tensors().values()]
        loss, gradients = compiled.gradients(x, y)
        outputs, _ = compiled.predict(x)
        state += [a.tobytes() for a in (*gradients.values(), *outputs.values())]
        history = {name: figures for name, figures in metrics.history.items() if name != "step_ms"}
        return [history, loss, compiled.rewirings], state


@pytest.mark.parametrize(
    ("make", "batch", "count", "sizes"),
    [
        (published, 64, 84, (2, 4)),  # half a strip a rank; the last batch leaves ranks without an example
        (published, 300, 312, (4,)),  # parts of one and of two strips
        (best, 64, 84, (2,)),
        (recurrent, 64, 84, (2,)),
        (exact, 64, 84, (2,)),
    ],
)
def test_ranks_give_the_bits_of_one_process(monkeypatch, make, batch, count, sizes):
    """Weights, delays, moments, time constants, batch norms, losses, gradients and outputs."""
    monkeypatch.setattr(
        buffers, "LAG_SUMS", 23
    )  # correlograms of two synapses at once, so that several turns are taken
    alone = trained(make, batch, count, None)
    assert all(replaced > 0 for replaced in alone[0][-1].values())
    for size in sizes:
        for found in on_ranks(size, lambda rank: trained(make, batch, count, rank)):
            if isinstance(found, Exception):
                raise found
            assert found[0] == alone[0]
            assert found[1] == alone[1]


def test_bytes_are_counted_by_part():
    """Of one step without a dropped synapse, in one round."""

    def work(rank: Any) -> tuple[dict[str, int], int]:
        network = small_network(batch_norm=True)
        compiler = SurrogateCompiler(TIME_STEPS, 64, backend=CUDAOnHost(), communicator=rank)
        with compiler.compile(network, optimisers={"all_connections": {"weight": Adam(0.01)}}) as compiled:
            compiled.gradients(*data(network, 64))
        return dict(rank.bytes_sent), sum(c.size for c in compiled.plan.connections)

    for sent, synapses in on_ranks(2, work):
        parts = {name: sent[name] for name in sent if name != "agreement"}
        assert parts == {"gradients": 4 * synapses, "batch norm": 2 * 16 * 15, "losses": 16}


@pytest.mark.parametrize("batch", [1, 16, 20, 33, 64, 96, 100, 256, 300, 1000, 1100, 2100])
def test_every_lane_is_in_one_part_of_one_rank(batch):
    whole = Sharing(batch)
    assert whole.parts == whole.whole_parts <= 32 and whole.borders[-1] == whole.strips
    assert (np.diff(whole.borders) > 0).all() and np.ptp(np.diff(whole.borders)) <= 1
    for size in (1, 2, 4, 8, 16, 32, 64):
        if size > whole.most_ranks:
            continue
        ranks = [Sharing(batch, rank, size) for rank in range(size)]
        for lanes in {1, 15, 16, 17, 32, 33, batch // 2, batch} & set(range(1, batch + 1)):
            spans = [rank.of(lanes) for rank in ranks]
            assert sum(ranks[0].sizes(lanes)) == lanes and [e - f for f, e in spans] == ranks[-1].sizes(lanes)
            assert np.concatenate([np.arange(f, e) for f, e in spans]).tolist() == list(range(lanes))
        for rank in ranks:
            assert 0 < rank.most_lanes <= 32 * rank.borders[-1]
            assert rank.phases(8) == whole.phases(8) and rank.whole_parts * rank.phases(32) <= 32
        if size <= whole.parts:  # parts of all ranks are those of one process
            assert sum(rank.parts for rank in ranks) == whole.parts
            assert [n for rank in ranks for n in np.diff(rank.borders)] == np.diff(whole.borders).tolist()


def test_one_rank_exchanges_nothing():
    """Its launches are recorded as those of one process."""

    def calls(rank: Any) -> int:
        compiler = SurrogateCompiler(TIME_STEPS, 64, backend=CUDAOnHost(), communicator=rank)
        with compiler.compile(network := small_network(batch_norm=True)) as compiled:
            compiled.train(*data(network, 128), 2, callbacks=[])
            return compiled.engine.device.calls

    assert on_ranks(1, calls) == [calls(None)]
    assert on_ranks(2, calls)[0] > calls(None)


# --- refused ---------------------------------------------------------------------------------------------------------


def messages(size: int, work: Any) -> list[str]:
    """Of all ranks, which all fail; those that only heard of it as nothing."""
    found = on_ranks(size, work)
    kinds = CommunicationError | InvalidValueError | BackendUnavailableError
    assert all(isinstance(error, kinds) for error in found), found
    return ["" if getattr(error, "told", False) else str(error) for error in found]


@pytest.mark.parametrize(
    ("make", "size", "batch", "words"),
    [
        (published, 8, 64, ["8 ranks", "4 partial sums", "64 examples", "mpiexec -n 4"]),
        (published, 4, 96, ["4 ranks", "2 partial sums", "96 examples", "mpiexec -n 2"]),
    ],
)
def test_what_ranks_cannot_share_is_one_error(make, size, batch, words):
    told = [m for m in messages(size, lambda rank: trained(make, batch, 64, rank)) if m]
    assert told and all(word in message for message in told for word in words)


def test_ranks_on_different_backends():
    def work(rank: Any) -> Any:
        return trained(recurrent, 64, 64, rank, CPU(threads=1) if rank.rank else None)

    for message in messages(2, work):
        assert "the backend of rank 1 (thread 1) is 'cpu'" in message and "'cuda_on_host'" in message


# --- a GPU a rank ----------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """A GPU."""

    uuid: str


def gpus_of(seen: list[str], first: int = 0) -> list[Any]:
    """What every rank takes, which sees the GPUs of a text each."""

    def work(rank: Any) -> str:
        rank.place = lambda: "node"
        own = seen[rank.rank]
        return own[gpu_of_rank([Seen(uuid) for uuid in own], first, rank)]

    return on_ranks(len(seen), work)


@pytest.mark.parametrize(
    ("seen", "first", "taken"),
    [
        (["abcd"] * 4, 0, "abcd"),
        (["abcd"] * 2, 1, "bc"),  # CUDA(device=1)
        (["b", "a"], 0, "ba"),  # a launcher that shows each rank its own
        (["ab", "ab", "cd", "cd"], 0, "abcd"),  # two machines
        (["ba", "ba"], 0, "ba"),  # CUDA_VISIBLE_DEVICES=1,0
        (["a"], 0, "a"),
    ],
)
def test_every_rank_has_a_gpu_of_its_own(seen, first, taken):
    assert gpus_of(seen, first) == list(taken)


@pytest.mark.parametrize(
    ("seen", "first", "words"),
    [
        (["ab"] * 4, 0, ["4 ranks", "see 2 GPUs", "mpiexec -n 2"]),
        (["a"] * 2, 0, ["2 ranks", "see 1 GPU,", "mpiexec -n 1"]),
        (["abc"] * 4, 1, ["4 ranks", "see 2 GPUs", "mpiexec -n 2"]),
    ],
)
def test_gpus_fewer_than_ranks(seen, first, words):
    """Every rank has the same message with both numbers; the command line lets one of them speak."""
    for error in gpus_of(seen, first):
        assert isinstance(error, BackendUnavailableError) and all(
            word in str(error) for word in ["machine 'node'", *words]
        )


def test_a_device_that_is_not_there():
    assert all("device must be from 0 to 1, got 2" in str(error) for error in gpus_of(["ab", "ab"], 2))


def test_ranks_with_other_tapes(monkeypatch):
    monkeypatch.setattr(real, "gpus", lambda: [real.GPU(k, "", "sm_90", 1, "13.0", f"{k}") for k in range(2)])

    def work(rank: Any) -> Any:
        return CUDA(tape=("float32", "float16")[rank.rank]).for_rank(None, rank)  # type: ignore[arg-type]

    assert all("the tape of backend 'cuda' of rank 1" in message for message in messages(2, work))
    assert [b.device for b in on_ranks(2, lambda rank: CUDA().for_rank(None, rank))] == [0, 1]  # type: ignore[arg-type]
