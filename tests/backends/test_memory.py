"""Time and memory follow the synapses, never the product of the layer sizes."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genn_delays import (
    CPU,
    Connection,
    Dense,
    EventPropCompiler,
    Exponential,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
)

CODE = """
import resource, sys
from pathlib import Path
import numpy as np
import genn_delays as gd

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

before = resident_mb()
network = gd.Network()
with network:
    a = gd.Population(gd.Input(), 20_000)
    b = gd.Population(gd.LeakyIntegrateFire(v_thresh=0.05), 20_000)
    c = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 10)
    gd.Connection(a, b, gd.FixedNumber(sparsity=0.9999, weight=gd.KaimingUniform(), delay=gd.UniformInt(0, 5)))
    gd.Connection(b, c, gd.FixedNumber(sparsity=0.99, weight=gd.KaimingUniform(), delay=gd.UniformInt(0, 2)))
compiler = gd.SurrogateCompiler(10, 8)
everywhere = {"all_connections": {"weight": gd.Adam(0.01)}}
with compiler.compile(network, optimisers=everywhere, rewiring={"all_connections": RULE}) as compiled:
    x = np.random.default_rng(0).random((8, 10, 20_000), dtype=np.float32)
    compiled.train({a: x}, {c: np.arange(8)}, 10, callbacks=())
    rewired = sum(compiled.rewirings.values())
    size = compiled.synapses(network.connections[0]).pre.size
assert compiled.step == 10
status = Path("/proc/self/status").read_text()  # ru_maxrss begins with what the process that started this one had
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(peak - before, rewired, size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("rule", "limit"),
    [("DeepR()", 300), ("RigL(interval=1)", 500), ("DeepR(growth='gradient', growth_delay='best')", 500)],
)
def test_a_20000_x_20000_connection_stays_small(rule, limit):
    """Growth of memory (MB) over 10 steps; where growth goes by the gradient, a sample of the empty pairs is scored."""
    code = CODE.replace("RULE", f"gd.{rule}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    growth, rewired, size = (float(word) for word in done.stdout.split())
    assert size == int((1 - 0.9999) * 20_000 * 20_000)
    assert rewired > 100
    assert growth < limit


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", [EventPropCompiler, SurrogateCompiler])
def test_every_batch_uses_the_memory_for_spikes_again(kind):
    """Growth of memory over 60 batches, each of which has more than 3 MB of spikes."""
    network = Network()
    with network:
        a = Population(Input(), 2)
        b = Population(LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.1), 512)
        c = Population(LeakyIntegrate(readout="avg_var"), 3)
        Connection(a, b, Dense(weight=1.0), synapse=Exponential(5.0))
        Connection(b, c, Dense(weight=0.01), synapse=Exponential(5.0))
    with kind(64, 32, backend=CPU(threads=1)).compile(network) as compiled:
        x, y = np.ones((32, 64, 2), dtype=np.float32), np.zeros(32, dtype=np.int64)
        compiled.evaluate({a: x}, {c: y})
        assert compiled.engine.spike_count(b.index) * 4 > 3e6
        before = _resident_mb()
        for _ in range(60):
            compiled.evaluate({a: x}, {c: y})
        assert _resident_mb() - before < 20


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
