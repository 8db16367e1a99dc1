"""How long spikes wait before they come to their rows again changes no bit."""

from __future__ import annotations

import pytest
from simulated import BACKENDS, compiled, contents, differences, random_network

from genn_delays.backends.cpu import wiring

STEPS = 60


@pytest.mark.parametrize("seed", range(0, 50, 7))
@pytest.mark.parametrize("visit", [1e-9, 3.0, 1e9])
def test_any_window(seed, visit, monkeypatch, tmp_path):
    """One block, some, and as long as the longest delay; also saved and loaded in the middle of a window."""
    monkeypatch.setattr(wiring, "VISIT", visit)
    path = tmp_path / "x.safetensors"
    with compiled(random_network(seed), "reference") as simulation:
        simulation.run(STEPS)
        whole = contents(simulation)
    with compiled(random_network(seed), BACKENDS["cpu 2"]) as simulation:
        simulation.run(17)
        simulation.save(path)
        simulation.run(STEPS - 17)
        assert differences(whole, contents(simulation)) == []
    monkeypatch.setattr(wiring, "VISIT", 2.0)
    with compiled(random_network(seed), BACKENDS["cpu 1"]) as simulation:
        simulation.load(path)
        simulation.run(STEPS - 17)
        states = [name for name in whole if not name.startswith(("spike", "trace"))]
        now = contents(simulation)
        assert differences({n: whole[n] for n in states}, {n: now[n] for n in states}) == []
