"""Simulations on `cpu` with 1, 2 and 4 threads against `reference`: every bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import BACKENDS, compiled, contents, differences, random_network

STEPS = 60
SILENT = {26, 47}
"""Networks whose input is too weak for a spike of a neuron: their variables are equal."""


def fed(seed: int, steps: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {"fed": (draw.uniform(0, steps, 40), draw.integers(0, 10, 40))}


@pytest.mark.parametrize("seed", range(50))
def test_every_bit(seed: int, tmp_path: Path) -> None:
    """Through runs of different lengths, and through save and load to another backend in the middle."""
    found, spikes = {}, 0
    for name, backend in BACKENDS.items():
        with compiled(random_network(seed), backend) as simulation:
            simulation.run(31.0, fed(seed, 31))
            simulation.step_time()
            simulation.save(tmp_path / f"{name}.safetensors")
            simulation.run(STEPS - 32.0, fed(seed + 1, 20))
            found[name] = contents(simulation)
            spikes += sum(simulation.spikes(p)[0].size for p in simulation.network.populations if not p.neuron.is_input)
        assert differences(found["reference"], found[name]) == [], name
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    name = ("reference", "cpu 2")[seed % 2]
    with compiled(random_network(seed), BACKENDS[name]) as simulation:
        simulation.load(tmp_path / "cpu 4.safetensors")
        simulation.run(STEPS - 32.0, fed(seed + 1, 20))
        now, whole = contents(simulation), found["reference"]
        for p in simulation.network.populations:
            later = whole[f"spike times of {p.name}"] >= 32
            assert np.array_equal(now[f"spike neurons of {p.name}"], whole[f"spike neurons of {p.name}"][later])
            assert np.array_equal(now[f"spike times of {p.name}"], whole[f"spike times of {p.name}"][later])
        same = [n for n in now if not n.startswith(("spike", "trace"))]
        assert differences({n: now[n] for n in same}, {n: whole[n] for n in same}) == []
    assert spikes > 0 or seed in SILENT
