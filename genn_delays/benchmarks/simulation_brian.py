"""The network of ``benchmark simulation`` in Brian2's ``cpp_standalone``: a program that is built once and run for
every sample."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import GennDelaysError
from .children import in_a_process
from .simulation_network import Point, settling_steps
from .simulation_subjects import Counted
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
