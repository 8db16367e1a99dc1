"""Time and memory follow the synapses, never the product of the layer sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
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
