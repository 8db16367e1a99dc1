"""Ranks that share batches give the bits of one process, whatever a network learns and however odd a batch is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from refused import refused
from rewired import TIME_STEPS, data, small_network
from thread_ranks import on_ranks

from genn_delays import (
    CPU,
    Adam,
    Callback,
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
    SpikeRecorder,
    SurrogateCompiler,
    UniformInt,
)  # fmt: skip
from genn_delays.backends.cpu import early_sums
from genn_delays.backends.cpu.leaves import Sharing, leaf_lanes, leaf_sizes, span
from genn_delays.errors import CommunicationError, InvalidValueError

COUNT = 150
"""Examples: with batches of 64 the last one has 22, fewer than there are partial sums."""


def published() -> tuple[Network, Any, dict[str, Any]]:
    """Batch norm, dropout, delay kernels, growth by the gradient at the best delay, two synapses a pair."""
    network = small_network(kernel=GaussianKernel(sigma=2.0), kernel_count=2, batch_norm=True, dropout=0.2)
    every = {"weight": Adam(0.02), "delay": Adam(0.1)}
    optimisers = {"all_connections": every, "all_populations": {"batch_norm": Adam(0.02), "tau_mem": Adam(0.1)}}
    rule = DeepR(growth="gradient", growth_delay="best", l1=0.05)
    return network, SurrogateCompiler, {"optimisers": optimisers, "rewiring": {"all_connections": rule}}


def recurrent() -> tuple[Network, Any, dict[str, Any]]:
    """A cycle in blocks, learned time constants, spikes in, RigL."""
    network = Network(seed=4)
    with network:
        a = Population(SpikeInput(), 12, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5), 20, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="avg_var"), 4, name="out")
        for source, target, low in ((a, h, 0), (h, h, 3), (h, o, 0)):
            Connection(source, target, FixedNumber(sparsity=0.6, weight=0.4, delay=UniformInt(low, 9)))
    optimisers = {"all_connections": {"weight": Adam(0.02)}, h: {"tau_mem": Adam(0.1)}}
    return network, SurrogateCompiler, {"optimisers": optimisers, "rewiring": {"all_connections": RigL(interval=2)}}


def exact() -> tuple[Network, Any, dict[str, Any]]:
    """EventProp with learned delays."""
    network = Network(seed=4)
    with network:
        a = Population(SpikeInput(), 12, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5, integration="exact"), 40, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="avg_var", integration="exact"), 4, name="out")
        for source, target in ((a, h), (h, o)):
            connectivity = FixedNumber(sparsity=0.6, weight=0.3, delay=UniformInt(0, 9))
            Connection(source, target, connectivity, Exponential(5.0))
    every = {"weight": Adam(0.02), "delay": Adam(0.1)}
    return network, EventPropCompiler, {"optimisers": {"all_connections": every}}


class Losses(Callback):
    """Keeps the losses of every epoch."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_epoch_end(self, epoch: int, metrics: Any) -> None:
        self.found += [metrics.loss, metrics.accuracy, metrics.validation.loss]


def trained(make: Any, batch: int, communicator: Any, **options: Any) -> tuple[Any, ...]:
    """All that is learned and can be asked for after two epochs, as bytes."""
    network, compiler, arguments = make()
    if compiler is SurrogateCompiler:
        options = {"reg_strength_upper": 0.01, "reg_nu_upper": 2.0, "clip_norm": 0.3} | options
    compiled = compiler(
        TIME_STEPS, batch, backend=CPU(threads=1), rng_seed=5, communicator=communicator, **options
    ).compile(network, **arguments)
    x, y = data(network, COUNT)
    if network.populations[0].spiking:
        x = {"in": (x["in"] < 0.15).astype(np.float32)}
    losses = Losses()
    with compiled:
        compiled.train(x, y, 2, callbacks=[losses], validation_split=0.2)
        state = [a.tobytes() for c in network.connections for a in compiled.engine.state(c.index).arrays().values()]
        state += [a.tobytes() for p in compiled.populations for a in p.tensors().values()]
        loss, gradients = compiled.gradients(x, y)
        outputs, _ = compiled.predict(x)
        state += [a.tobytes() for a in (*gradients.values(), *outputs.values())]
    return [*losses.found, loss, compiled.rewirings], state


@pytest.mark.parametrize(
    ("make", "batch"), [(published, 64), (published, 100), (recurrent, 64), (exact, 64), (published, 512)]
)
def test_ranks_give_the_bits_of_one_process(make, batch, monkeypatch):
    """Weights, delays, moments, time constants, batch norms, losses, gradients and outputs. Of four ranks gradients are
    added up while others are computed."""
    monkeypatch.setattr(early_sums, "EARLY_BYTES", 0)
    alone = trained(make, batch, None)
    assert all(count > 0 for count in alone[0][-1].values())
    sharing = Sharing(batch, tile := min(batch, 384), leaf_lanes(tile, batch, TIME_STEPS))
    for size in (2, 4):
        if len(leaf_sizes(batch, sharing.tile, sharing.leaf)) < size:
            continue

        def work(rank: Any, early: bool = size == 4) -> Any:
            rank.overlaps = early
            found = trained(make, batch, rank)
            assert ("waiting for gradients" in rank.seconds) == early
            return found

        for found in on_ranks(size, work):
            if isinstance(found, Exception):
                raise found
            assert found[0] == alone[0]
            assert found[1] == alone[1]


# --- the tree --------------------------------------------------------------------------------------------------------


def tree(values: list[np.float32]) -> np.float32:
    if len(values) == 1:
        return values[0]
    middle = (len(values) + 1) // 2
    return tree(values[:middle]) + tree(values[middle:])


@pytest.mark.parametrize("batch", [64, 100, 128, 180, 256])
def test_a_gradient_is_the_tree_of_its_partial_sums(batch):
    """Each of them is the gradient of its examples alone, by a network whose batch is just that."""
    network, _, arguments = recurrent()
    x, y = data(network, batch)
    x = {"in": (x["in"] < 0.15).astype(np.float32)}
    compiler = SurrogateCompiler(TIME_STEPS, batch, backend=CPU(threads=2), losses="mean_square_error")
    y = {"out": np.eye(4, dtype=np.float32)[y["out"]]}
    with compiler.compile(network, **arguments) as compiled:
        engine = compiled.engine
        sizes = leaf_sizes(batch, engine._sharing.tile, engine._sharing.leaf)
        whole = compiled.gradients(x, y)[1]
        parts, first = [], 0
        for size in sizes:
            own = slice(first, first + size)
            part = compiled.gradients({"in": x["in"][own]}, {"out": y["out"][own]})[1]
            parts.append({c: (g * size / batch) for c, g in part.items()})  # of the mean over fewer
            first += size
        for c, gradient in whole.items():
            np.testing.assert_allclose(sum(part[c] for part in parts), gradient, rtol=2e-4, atol=1e-7)


def test_ranks_have_subtrees():
    """Of any number of leaves, in order, without a gap, and combined as one process does."""
    random = np.random.default_rng(3)
    for count in range(1, 40):
        values = list(random.normal(size=count).astype(np.float32))
        for size in (1, 2, 4, 8):
            spans = [span(count, rank, size) for rank in range(size)]
            assert spans[0][0] == 0 and spans[-1][1] == count
            assert all(a[1] == b[0] for a, b in pairwise(spans))
            sums = [tree(values[a:b]) if a < b else None for a, b in spans]
            while len(sums) > 1:
                pairs = zip(sums[::2], sums[1::2], strict=True)
                sums = [a if b is None else a + b for a, b in pairs]
            assert sums[0] == tree(values)


@pytest.mark.parametrize(("batch", "tile"), [(64, 64), (100, 64), (180, 64), (256, 64), (40, 16), (300, 304), (96, 96)])
def test_every_lane_is_in_one_tile_of_one_rank(batch, tile):
    leaf = leaf_lanes(tile, batch, 100)
    assert tile % leaf == 0
    for size in (1, 2, 4):
        for lanes in range(1, batch + 1):
            whole, first = leaf_sizes(lanes, tile, leaf), 0
            assert sum(whole) == lanes
            for rank in range(size):
                sharing = Sharing(batch, tile, leaf, rank, size)
                share = sharing.of(lanes)
                assert (share.before, share.sizes[rank], share.total) == (first, share.lanes, lanes)
                found = [n for _, n in share.tiles]
                assert sum(found) == share.lanes and all(0 < n <= tile for n in found)
                cut = np.diff(share.leaf_starts).tolist()
                assert all(k == 1 or (n == k * leaf and n % 16 == 0) for n, k in zip(found, cut, strict=True))
                assert share.lanes <= sharing.most_lanes and sum(cut) == share.counts[rank] <= max(
                    sharing.most_leaves, 1
                )
                assert len(found) <= -(-sharing.most_lanes // tile)
                first += share.lanes


# --- refused ---------------------------------------------------------------------------------------------------------


def of_every_rank(size: int, work: Any) -> list[str]:
    """The messages of all ranks, which all fail; those that only heard of it as nothing."""
    found = on_ranks(size, work)
    assert all(isinstance(error, CommunicationError | InvalidValueError) for error in found), found
    return ["" if getattr(error, "told", False) else str(error) for error in found]


@pytest.mark.parametrize(
    ("size", "batch", "words"),
    [
        (8, 64, ["8 ranks", "4 partial sums", "64 examples", "mpiexec -n 4", "batch_size"]),
        (2, 8, ["2 ranks", "1 partial sum of", "8 examples", "mpiexec -n 1"]),
        (3, 64, ["power of two", "3", "mpiexec -n 2"]),
    ],
)
def test_too_many_ranks(size, batch, words):
    for message in of_every_rank(size, lambda rank: trained(recurrent, batch, rank)):
        assert message == "" or all(word in message for word in words)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"seed": 2}, "the network seed"), ({"sparsity": 0.7}, "the network"), ({"rng_seed": 9}, "rng_seed"),
        ({"batch": 32}, "batch_size"), ({"alpha": 0.5}, "the way of learning"), ({"count": 100}, "the training data"),
        ({"first": 7.0}, "the training data"), ({"epochs": 3}, "num_epochs"), ({"shuffle": False}, "shuffle"),
    ],
)  # fmt: skip
def test_a_rank_that_differs_is_named(changed, word):
    """All ranks have the same message, before anything is learned."""

    def work(rank: Any) -> None:
        own = changed if rank.rank == 1 else {}
        network = small_network(own.get("sparsity", 0.8), own.get("seed", 1))
        compiler = SurrogateCompiler(
            TIME_STEPS, own.get("batch", 64), backend=CPU(threads=1), rng_seed=own.get("rng_seed", 0), communicator=rank
        )
        optimisers = {"all_connections": {"weight": Adam(own.get("alpha", 0.01))}}
        with compiler.compile(network, optimisers=optimisers) as compiled:
            x, y = data(network, own.get("count", 128))
            x["in"][0, 0, 0] = own.get("first", 1.0)
            compiled.train(x, y, own.get("epochs", 1), shuffle=own.get("shuffle", True), callbacks=[])

    for message in of_every_rank(2, work):
        assert f"{word} of rank 1 (thread 1) is" in message and "rank 0 (thread 0)" in message


def test_backends_that_cannot_share_and_recorders_are_refused():
    for message in of_every_rank(2, lambda rank: SurrogateCompiler(
        TIME_STEPS, 64, backend="reference", communicator=rank).compile(small_network())):  # fmt: skip
        assert "'reference'" in message and "'cpu'" in message

    def recorded(rank: Any) -> None:
        network = small_network()
        with SurrogateCompiler(TIME_STEPS, 64, backend=CPU(threads=1), communicator=rank).compile(network) as compiled:
            compiled.evaluate(*data(network, 64), callbacks=[SpikeRecorder("hidden")])

    assert all("SpikeRecorder" in message for message in of_every_rank(2, recorded))
    with refused("communicator", "'mpi'"):
        SurrogateCompiler(TIME_STEPS, 64, communicator="mpi")


def test_an_error_of_one_rank_ends_all():
    """The others hear of it in the middle of a step."""

    class Fails(Callback):
        def __init__(self, rank: int) -> None:
            self.rank = rank

        def on_batch_end(self, batch: int, metrics: Any) -> None:
            if self.rank == 2 and batch == 1:
                raise InvalidValueError("rank 2 has had enough")

    def work(rank: Any) -> None:
        network = small_network()
        with SurrogateCompiler(TIME_STEPS, 64, backend=CPU(threads=1), communicator=rank).compile(network) as compiled:
            compiled.train(*data(network, 256), 3, callbacks=[Fails(rank.rank)])

    assert of_every_rank(4, work) == ["", "", "rank 2 has had enough", ""]


def test_only_the_first_rank_writes(tmp_path):
    """And a file that is loaded does not know how many ranks wrote it."""

    def work(rank: Any) -> bool:
        network = small_network()
        with SurrogateCompiler(TIME_STEPS, 64, backend=CPU(threads=1), communicator=rank).compile(network) as compiled:
            compiled.train(*data(network, 128), 1, callbacks=[])
            compiled.save(tmp_path / f"{rank.rank}.safetensors")
        return True

    assert on_ranks(2, work) == [True, True]
    assert [p.name for p in tmp_path.iterdir()] == ["0.safetensors"]
