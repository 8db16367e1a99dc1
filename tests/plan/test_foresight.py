"""Memory is foreseen, before anything is sampled, and refused by part; what is foreseen is what is allocated."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from networks import Case

from genn_delays import (
    CPU,
    Callback,
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    FixedProbability,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends.cpu.buffers import foreseen
from genn_delays.backends.cpu.structs import network_type
from genn_delays.backends.event_exact import EventExact
from genn_delays.errors import GennDelaysError, OutOfMemoryError
from genn_delays.memory import SAMPLING, _of_groups, check_host, host_memory, told

BACKENDS = [CPU(), "reference", EventExact(), CUDAOnHost()]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def limited():
    """At most 4 GB more than now, however large the machine is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def two_layers(inputs: int, hidden: int, connectivity) -> Network:
    """A network of one large connection and a small one."""
    network = Network()
    with network:
        a = Population(Input(), inputs, name="in")
        b = Population(LeakyIntegrateFire(), hidden, name="hidden")
        c = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, b, connectivity)
        Connection(b, c, Sparse([0], [0]))
    return network


@linux
@pytest.mark.parametrize("connectivity", [Dense(), FixedNumber(sparsity=0.5), FixedProbability(p=0.9)], ids=repr)
@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
def test_too_many_synapses_are_refused_before_they_are_sampled(backend, connectivity, limited):
    """10^10 pairs, and 2 * 10^9 synapses, which can be numbered; the memory of this process does not grow meanwhile."""
    for size, words in ((100_000, ("synapses, allowed are at most",)), (46_000, ("the network needs", "MB free"))):
        network = two_layers(size, size, connectivity)
        tracemalloc.start()
        with pytest.raises(OutOfMemoryError) as caught:
            SurrogateCompiler(10, 1, backend=backend).compile(network)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert all(word in str(caught.value) for word in words) and "'in_hidden'" in str(caught.value)
        assert isinstance(caught.value, GennDelaysError) and peak < 50e6


@linux
@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
def test_huge_activity_is_refused(backend, limited):
    """10^8 steps and lanes of 1,000 neurons; where spikes are solved for one by one there are no rows."""
    network = two_layers(1000, 1000, FixedNumber(sparsity=0.99))
    if isinstance(backend, EventExact):
        pytest.skip("it has no rows of activity")
    with pytest.raises(
        OutOfMemoryError, match=r"needs [\d,]+ MB .* [\d,]+ MB free; the largest: .*population 'hidden'"
    ):
        SurrogateCompiler(10_000, 10_000, backend=backend).compile(network)


@pytest.mark.parametrize("kernel_count", [1, 2])
def test_synapses_are_counted_before_they_are_sampled(kernel_count):
    """As many as there are then, for every connectivity."""
    for seed, (pre, post) in enumerate(product((1, 7, 40), (3, 50))):
        for connectivity in (
            Dense(kernel_count=kernel_count), FixedProbability(p=0.3, kernel_count=kernel_count),
            FixedNumber(sparsity=0.6, kernel_count=kernel_count), Sparse([0, 0], [1, 2]),
        ):  # fmt: skip
            count = connectivity.num_synapses(pre, post, seed, 3)
            assert count == connectivity.sample(pre, post, seed, 3).pre.size


@pytest.mark.parametrize("kind", [Case.numbered, Case.published, Case.current_based])
def test_what_is_foreseen_is_what_is_allocated(kind):
    """Bytes of every array of the cpu backend, over networks of every shape."""
    for seed in (1, 2, 5):
        with kind(seed).compile(CPU(threads=2)) as compiled:
            engine, plan = compiled.engine, compiled.plan
            net = network_type(plan)()
            for name in ("T", "tile", "leaf", "levels"):
                setattr(net, name, getattr(engine._net, name))
            found = foreseen(plan, net, 2)
            arrays = {"the network": engine._arrays}
            arrays |= {f"population {p.name!r}": engine._population_arrays[p.index] for p in plan.populations}
            arrays |= {f"connection {c.name!r}": engine._connection_arrays[c.index] for c in plan.connections}
            for (owner, name), size in found.items():
                assert arrays[owner][name].nbytes == size, (owner, name)
            known = {(owner, name) for owner, parts in arrays.items() for name in parts}
            assert {name for _, name in known - set(found)} <= {"x", "g", "h", "lambda", "grad", "delay_threshold"}


def test_sampling_takes_what_it_is_said_to_take(monkeypatch):
    """Bytes a synapse at most, within a tenth; every thread has a chunk besides."""
    monkeypatch.setattr("genn_delays.chunks.MOST_THREADS", 1)
    for connectivity in (Dense(delay=UniformInt(0, 9)), FixedNumber(sparsity=0.7, delay=UniformInt(0, 9))):
        connectivity.sample(10, 10, 0, 0)
        tracemalloc.start()
        count = connectivity.sample(2000, 2000, 0, 0).pre.size
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.85 * SAMPLING < peak / count < 1.1 * SAMPLING


@linux
def test_limits_of_the_process_count():
    """``ulimit -v`` and ``-d``: a network that fits the machine is refused in a process that may not."""
    code = """
import resource, sys
import numpy as np
from test_foresight import *
kind = sys.argv[1]
limit = resource.RLIMIT_AS if kind == "v" else resource.RLIMIT_DATA
pages = int(open("/proc/self/statm").read().split()[0 if kind == "v" else 5])
resource.setrlimit(limit, (pages * resource.getpagesize() + 200_000_000,) * 2)
for backend in (CPU(threads=1), "reference"):
    for network in (two_layers(1500, 1500, Dense()), two_layers(100, 9000, FixedNumber(sparsity=0.9))):
        with pytest.raises(OutOfMemoryError, match=f"limit .ulimit -{kind}. leaves"):
            SurrogateCompiler(400, 200, backend=backend).compile(network)
    with SurrogateCompiler(10, 2, backend="reference").compile(two_layers(100, 100, Dense())) as compiled:
        compiled.predict({"in": np.ones((2, 10, 100))})
"""
    for kind in "vd":
        command = [sys.executable, "-c", code, kind]
        folder = str(Path(__file__).parent)
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{folder}/.."}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]


def test_control_groups_of_both_versions(tmp_path):
    """Limits of a group and of those it is in, less what is used, files that are cached given up."""
    group = tmp_path / "fs/a/b"
    group.mkdir(parents=True)
    (tmp_path / "v2").write_text("0::/a/b\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("5\n")
    (group.parent / "memory.max").write_text("1000\n")
    (group.parent / "memory.current").write_text("700\n")
    (group.parent / "memory.stat").write_text("anon 1\nactive_file 100\ninactive_file 20\n")
    assert list(_of_groups(tmp_path / "fs", tmp_path / "v2")) == [420]
    old = tmp_path / "fs/memory/c"
    old.mkdir(parents=True)
    (tmp_path / "v1").write_text("12:cpu:/c\n4:memory:/c\n")
    (old / "memory.limit_in_bytes").write_text("900\n")
    (old / "memory.usage_in_bytes").write_text("1000\n")
    (old.parent / "memory.limit_in_bytes").write_text(str(2**63 - 4096))
    (old.parent / "memory.usage_in_bytes").write_text("1000\n")
    assert list(_of_groups(tmp_path / "fs", tmp_path / "v1")) == [0]
    assert list(_of_groups(tmp_path, tmp_path / "missing")) == []


@linux
def test_what_there_is_is_known():
    """More than nothing, and less than all there is."""
    available, what = host_memory()
    assert available is not None and available > 0 and what
    pages = resource.getpagesize() * os.sysconf("SC_PHYS_PAGES")
    with pytest.raises(OutOfMemoryError, match=r"the largest: the part of somebody"):
        check_host({("somebody", "the part"): 100 * pages})


# --- what nobody foresaw ---------------------------------------------------------------------------------------------


@linux
def test_room_for_busy_rows_that_the_system_refuses(limited):
    """Seldom touched, they are not counted as needed; the system may refuse their addresses all the same.

    Spikes that are regularised are kept for the whole batch, not for a tile.
    """
    network = Network()
    with network:
        a = Population(SpikeInput(), 10, name="in")
        b = Population(LeakyIntegrateFire(), 2000, name="hidden")
        c = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, b, FixedNumber(sparsity=0.99), Exponential(5.0))
        Connection(b, c, FixedNumber(sparsity=0.99), Exponential(5.0))
    with pytest.raises(OutOfMemoryError, match=r"x of population 'hidden' needs 10,240 MB: .* free \(unable") as caught:
        EventPropCompiler(5000, 256, reg_strength_upper=1e-9, reg_nu_upper=10, backend=CPU(threads=1)).compile(network)
    assert isinstance(caught.value.__cause__, MemoryError)


class Greedy(Callback):
    def on_epoch_begin(self, epoch):
        np.empty(1 << 60, np.uint8)


def test_memory_that_runs_out_while_training(backend):
    """It was NumPy's own error, which names nothing of the network's."""
    network = two_layers(2, 2, Dense())
    with SurrogateCompiler(3, 2, backend=backend).compile(network) as compiled:
        x, y = np.zeros((2, 3, 2), np.float32), np.zeros(2, int)
        with pytest.raises(OutOfMemoryError, match=r"train: not enough memory .*\(unable to allocate 1.00 EiB"):
            compiled.train({"in": x}, {"out": y}, num_epochs=1, callbacks=[Greedy()])
        compiled.evaluate({"in": x}, {"out": y})


def test_a_silent_memory_error_says_what_is_left():
    with pytest.raises(OutOfMemoryError, match=r"^it: not enough memory[^()]*$"), told("it"):
        raise MemoryError
