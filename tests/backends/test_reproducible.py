"""The same seed gives the same bits: with any number of threads, and on every backend but for rounding."""

from __future__ import annotations

import numpy as np
import pytest
from rewired import small_network, train

from genn_delays import CPU, DeepR


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads_gives_the_same_bits(threads, tmp_path):
    """Weights, delays, connectivity and checkpoint files after 50 rewired steps."""
    network = small_network()
    files = []
    for number in (1, threads):
        compiled = train(network, DeepR(temperature=1e-6), CPU(threads=number), 50, alpha=0.02, batch=19)
        compiled.save(tmp_path / f"{number}.safetensors")
        files.append((tmp_path / f"{number}.safetensors").read_bytes())
        assert sum(compiled.rewirings.values()) > 30
    assert files[0] == files[1]


def test_same_seed_same_training_on_every_backend():
    """Same seed, other result per backend (brian2 1664): rewirings agree exactly, weights to rounding."""
    network = small_network()
    one, two = (train(network, DeepR(), backend, 10) for backend in ("cpu", "reference"))
    assert one.rewirings == two.rewirings
    for connection in network.connections:
        a, b = one.synapses(connection), two.synapses(connection)
        for field in ("pre", "post", "delay"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
        np.testing.assert_allclose(a.weight, b.weight, atol=1e-4)
