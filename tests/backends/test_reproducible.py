"""The same seed gives the same bits: with any number of threads, and on every backend but for rounding."""

from __future__ import annotations

import numpy as np
import pytest
from rewired import small_network, train

from genn_delays import CPU, Adam, DeepR, GaussianKernel, RigL


@pytest.mark.parametrize(
    "rule",
    [
        RigL(fraction=0.3, interval=3, growth_delay="best"),
        DeepR(growth="gradient", growth_delay="best", candidates=30, temperature=1e-6),
    ],
    ids=repr,
)
def test_threads_and_growth_by_the_gradient(rule, tmp_path):
    """The same checkpoint after 20 steps with batch norm, dropout, kernels, learned delays and two synapses a pair."""
    network = small_network(kernel=GaussianKernel(sigma=2.0), kernel_count=2, batch_norm=True, dropout=0.2)
    files = []
    for threads in (1, 2, 4):
        compiled = train(network, rule, CPU(threads=threads), 20, alpha=0.02, batch=19, delay=Adam(0.1))
        compiled.save(tmp_path / "x.safetensors")
        files.append((tmp_path / "x.safetensors").read_bytes())
        assert sum(compiled.rewirings.values()) > 15
    assert files[0] == files[1] == files[2]


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


@pytest.mark.parametrize(
    ("rule", "ingredients", "delay", "tolerance"),
    [
        (DeepR(), {}, None, 1e-4),
        (RigL(interval=2), {"kernel": GaussianKernel(sigma=2.0), "batch_norm": True, "dropout": 0.2}, Adam(0.1), 1e-3),
    ],
    ids=["plain", "published"],
)
def test_same_seed_same_training_on_every_backend(rule, ingredients, delay, tolerance, kernels):
    """Same seed, other result per backend (brian2 1664): rewirings agree exactly, weights to rounding.

    Adam's first steps are as long for the smallest gradient as for the largest, so they make more of its rounding.
    """
    network = small_network(**ingredients)
    one, two = (train(network, rule, backend, 10, delay=delay) for backend in (kernels, "reference"))
    assert one.rewirings == two.rewirings and min(one.rewirings.values()) > 0
    for connection in network.connections:
        a, b = one.synapses(connection), two.synapses(connection)
        for field in ("pre", "post", "delay"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
        np.testing.assert_allclose(a.weight, b.weight, atol=tolerance)
