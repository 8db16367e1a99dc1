"""The network of ``benchmark simulation`` in Brian2's ``cpp_standalone``: a program that is built once and run for
every sample."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GennDelaysError
from .children import in_a_process
from .simulation_network import simulated_network
from .simulation_options import Point, point_of
from .simulation_subjects import Counted, settling_steps
from .timing import Sample


@contextmanager
def brian2(point: Point, threads: int, counted: Counted) -> Iterator[Sample]:
    """Brian2; a sample is the time that its program measures itself: that of the second run, after one that settles
    what is on its way. Making the synapses is not in it."""
    with tempfile.TemporaryDirectory(prefix="genn-delays-") as name:
        folder = Path(name) / "brian2"
        built = in_a_process("brian2", point=point.tables(), threads=threads, folder=str(folder))
        counted.build_seconds = built["build_seconds"]

        def sample() -> list[float]:
            done = subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
                raise GennDelaysError(f"Brian2's program ended with: {said[-1]}")
            times = np.fromfile(_file(folder, "_dynamic_array_spikemonitor_t_*"), np.float64)
            neurons = np.fromfile(_file(folder, "_dynamic_array_spikemonitor_i_*"), np.int32)
            late = np.rint(times * 1000.0 / point.dt) >= settling_steps(point)
            counted.add(np.bincount(neurons[late], minlength=point.size))
            return [float(_file(folder, "last_run_info.txt").read_text().split()[0])]

        yield sample


def _file(folder: Path, pattern: str) -> Path:
    """A file of the program's results."""
    found = next((folder / "results").glob(pattern), None)
    if found is None:
        raise GennDelaysError(f"Brian2's program left no file {pattern} in its results: is its version a new one?")
    return found


def build_brian2(point: dict[str, Any], threads: int, folder: str) -> dict[str, Any]:
    """In a process of its own: generate the program of a network, in single precision, and compile it."""
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
