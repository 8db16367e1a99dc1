"""Recordings written to an HDF5 file as they are made, so that a long run is not held in memory.

A group for every population; in it of spikes ``spike_steps`` (uint32) and ``spike_neurons`` (int32), sorted by both,
and of every recorded variable ``<variable>`` ``[sample, neuron]`` with its ``neurons``, ``every`` and ``first_step`` as
attributes. The file's attributes are ``dt`` (ms) and ``genn_delays`` (the version).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BackendUnavailableError, GennDelaysError, InvalidValueError, install_extra
from ..plan.simulation import Recording, SimulationPlan
from ..version import __version__

CHUNK = 1 << 14
"""Numbers of a chunk of the file."""


class InFile:
    """Recordings in an HDF5 file; a :class:`~genn_delays.plan.simulation.Sink`."""

    def __init__(self, path: Path, plan: SimulationPlan, recording: Recording) -> None:
        try:
            import h5py  # type: ignore[import-untyped]
        except ImportError as error:
            raise BackendUnavailableError(f"record_to needs h5py ({error}): {install_extra('shd')}") from error
        self._names = {p.index: p.name.replace("/", "_") for p in plan.populations}
        for p in plan.populations:
            other = next(q for q in plan.populations if self._names[q.index] == self._names[p.index])
            if other is not p:
                raise InvalidValueError(
                    f"record_to: populations {other.name!r} and {p.name!r} have one group {self._names[p.index]!r} in "
                    "a file; rename one of them"
                )
        self._recording, self._path = recording, path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = h5py.File(path, "w", libver="latest")  # where attributes may be large
        except OSError as error:
            raise GennDelaysError(f"cannot write recordings to {path}: {error}") from error
        self._file.attrs.update({"dt": plan.dt, "genn_delays": __version__})
        for index in recording.spikes:
            self._new(index, "spike_steps", (), np.uint32)
            self._new(index, "spike_neurons", (), np.int32)
        for trace in recording.traces:
            data = self._new(trace.population, trace.variable, (trace.neurons.size,), np.float32)
            data.attrs.update({"neurons": trace.neurons, "every": trace.every, "first_step": 0})

    def _new(self, index: int, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        row = max(1, int(np.prod(shape)))
        group, chunk = self._file.require_group(self._names[index]), max(1, CHUNK // row)
        chunks = (chunk, *(max(n, 1) for n in shape))
        return group.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunks)

    def clear(self, step: int) -> None:
        """Recordings begin at this step."""
        for trace in self._recording.traces:
            first = -(-step // trace.every) * trace.every
            self._data(trace.population, trace.variable).attrs["first_step"] = first

    def _data(self, index: int, name: str) -> Any:
        if not self._file:
            raise InvalidValueError(f"the simulation is closed: its recordings are in {self._path}")
        return self._file[self._names[index]][name]

    def _append(self, index: int, name: str, values: npt.NDArray[Any]) -> None:
        data = self._data(index, name)
        size = len(data)
        data.resize(size + len(values), axis=0)
        data[size:] = values

    def spikes(self, population: int, steps: npt.NDArray[np.int64], neurons: npt.NDArray[np.int32]) -> None:
        """See :class:`~genn_delays.plan.simulation.Sink`."""
        self._append(population, "spike_steps", steps.astype(np.uint32))
        self._append(population, "spike_neurons", neurons)

    def trace(self, number: int, values: npt.NDArray[np.float32]) -> None:
        """See :class:`~genn_delays.plan.simulation.Sink`."""
        trace = self._recording.traces[number]
        self._append(trace.population, trace.variable, values)

    def all_spikes(self, population: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """All spikes of a population so far, as steps and neurons."""
        steps = self._data(population, "spike_steps")[:].astype(np.int64)
        return steps, self._data(population, "spike_neurons")[:]

    def whole_trace(self, number: int) -> npt.NDArray[np.float32]:
        """All samples of a trace so far, ``[sample, neuron]``."""
        trace = self._recording.traces[number]
        return np.asarray(self._data(trace.population, trace.variable)[:])

    def close(self) -> None:
        """Close the file."""
        self._file.close()
