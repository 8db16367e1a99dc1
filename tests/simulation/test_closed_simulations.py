"""A simulation that was closed: what was recorded can be read, all else is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from simulated import BACKENDS

from genn_delays import CPU, LeakyIntegrateFire, Network, PoissonDrive, Population, Simulation, SimulationCompiler
from genn_delays.errors import InvalidValueError

CALLS: dict[str, Callable[[Simulation, Path], Any]] = {
    "run": lambda s, _: s.run(1.0),
    "step_time": lambda s, _: s.step_time(),
    "reset": lambda s, _: s.reset(),
    "get": lambda s, _: s.get("p", "v"),
    "get of a parameter": lambda s, _: s.get("p", "tau_mem"),
    "set": lambda s, _: s.set("p", "v", 0.5),
    "set of a parameter": lambda s, _: s.set("p", "tau_mem", 5.0),
    "save": lambda s, path: s.save(path / "other.safetensors"),
    "load": lambda s, path: s.load(path / "saved.safetensors"),
}


def running(backend: Any) -> Simulation:
    network = Network(seed=2)
    with network:
        Population(LeakyIntegrateFire(tau_mem=10.0), 20, "p", drives=PoissonDrive(500.0, 0.4))
    return SimulationCompiler(1.0, backend=backend).compile(network, {"p": ["spikes", "v"]})


@pytest.mark.parametrize("backend", [BACKENDS["reference"], CPU(threads=2), CUDAOnHost()], ids=repr)
@pytest.mark.parametrize("by", ["close", "with"])
def test_all_that_touches_it_is_refused(backend: Any, by: str, tmp_path: Path) -> None:
    simulation = running(backend)
    simulation.run(30.0)
    simulation.save(tmp_path / "saved.safetensors")
    spikes, trace = simulation.spikes("p"), simulation.trace("p", "v")
    if by == "close":
        simulation.close()
    else:
        with simulation:
            pass
    for name, call in CALLS.items():
        with pytest.raises(InvalidValueError, match="this simulation was closed") as error:
            call(simulation, tmp_path)
        assert "\n" not in str(error.value), name
    assert not (tmp_path / "other.safetensors").exists()
    assert simulation.step == 30
    assert spikes[0].size > 0
    for again, first in zip((*simulation.spikes("p"), *simulation.trace("p", "v")), (*spikes, *trace), strict=True):
        assert np.array_equal(again, first)
    simulation.close()  # a second time does nothing
