"""The network of ``benchmark simulation`` as Brian2's program; generated in a process of its own, as Brian2 keeps its
settings and its device for a whole process."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .simulation_network import point_of, settling_steps, simulated_network


def build_brian2(point: dict[str, Any], threads: int, folder: str) -> dict[str, Any]:
    """Generate the program of a network, in single precision, and compile it."""
    import brian2 as b  # type: ignore[import-not-found]

    start = time.perf_counter()
    asked = point_of(point)
    b.prefs.core.default_float_dtype = np.float32
    b.prefs.devices.cpp_standalone.openmp_threads = 0 if threads == 1 else threads
    b.set_device("cpp_standalone", build_on_run=False)
    b.defaultclock.dt = asked.dt * b.ms
    simulated = simulated_network(asked)
    s = simulated.synapses()
    neurons = b.NeuronGroup(
        asked.size, "dv/dt = -v / tau_mem + current : 1\ncurrent : hertz (constant)", method="euler",
        threshold="v >= 1", reset="v = 0", namespace={"tau_mem": simulated.tau_mem * b.ms},
    )  # fmt: skip
    neurons.v = simulated.v
    neurons.current = simulated.current.astype(np.float64) * 1000.0 * b.Hz  # was a millisecond's
    synapses = b.Synapses(neurons, neurons, "w : 1", on_pre="v_post += w")
    synapses.connect(i=s.pre, j=s.post)
    synapses.w = s.weight * np.float32(asked.dt)
    synapses.delay = s.delay * (asked.dt * b.ms)
    monitor = b.SpikeMonitor(neurons)
    network = b.Network(neurons, synapses, monitor)
    network.run(settling_steps(asked) * asked.dt * b.ms)
    network.run(asked.steps * asked.dt * b.ms)
    b.device.build(directory=folder, compile=True, run=False, with_output=False)
    return {"build_seconds": time.perf_counter() - start}
