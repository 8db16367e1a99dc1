"""Reading an engine's buffers after a pass, and writing into them from the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...plan.plan import Plan
from .device import Buffer
from .history import History
from .work import Work

Array = npt.NDArray[Any]


class Contents:
    """The part of an engine that reads and writes; see :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        plan, work: what runs, and its buffers and kernels.
        population, connection, history, L: those of `work`.
        values: the values of populations that the host learns.
    """

    plan: Plan
    work: Work
    L: int
    population: list[dict[str, Buffer]]
    connection: list[dict[str, Buffer]]
    history: History
    values: dict[int, dict[str, npt.NDArray[np.float32]]]

    @property
    def lanes(self) -> int:
        """Lanes that have an example."""
        return self.work.lanes

    def output(self, population: int) -> npt.NDArray[np.float32]:
        self.history.fetch()  # an error of the pass is raised before its results are read
        return np.ascontiguousarray(self.population[population]["z"].download()[:, : self.work.lanes].T)

    def gradient(self, connection: int, variable: str = "weight") -> npt.NDArray[np.float32]:
        name = "grad" if variable == "weight" else "delay_grad"
        return self.connection[connection][name].download()[: self.plan.connections[connection].size]

    def population_gradients(self, population: int) -> dict[str, npt.NDArray[np.float32]]:
        p, b = self.plan.populations[population], self.population[population]
        found: dict[str, npt.NDArray[np.float32]] = {}
        if p.batch_norm:
            found |= {name: b[f"{name}.grad"].download() for name in ("batch_norm_scale", "batch_norm_shift")}
        if p.slopes:
            slopes = dict(zip(p.slopes, b["slope_sums"].download(), strict=True))
            learned = p.parameter_gradients(slopes, self.values[population])
            found |= {name: g.astype(np.float32) for name, g in learned.items()}
        return found

    def batch_statistics(self, population: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self.population[population]["mean"].download(), self.population[population]["var"].download()

    def spike_totals(self, population: int) -> npt.NDArray[np.float64]:
        size = self.plan.populations[population].size
        return self.population[population]["totals"].download(0, size).astype(np.float64)

    def set_drive(self, population: int, drive: npt.NDArray[np.float64]) -> None:
        self.population[population]["drive"].upload(drive.astype(np.float32))

    def set_values(self, population: int, values: dict[str, npt.NDArray[np.float32]]) -> None:
        self.values[population] = {name: array.copy() for name, array in values.items()}
        p, b = self.plan.populations[population], self.population[population]
        if p.sets_coefficients(values):
            names = list(p.parameters)
            for name, numbers in p.coefficients(values).items():
                b["par"].upload(numbers.astype(np.float32), start=names.index(name) * p.size)
        if p.batch_norm:
            for name in ("scale", "shift", "mean", "var"):
                b[f"batch_norm_{name}"].upload(values[f"batch_norm_{name}"])

    def keep_variables(self, population: int) -> None:
        """Nothing to do: they are always kept."""

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        p = self.plan.populations[population]
        assert p.model is not None
        row = p.size * self.plan.time_steps * self.L
        tape = self.population[population]["tape"].download(p.model.states.index(name) * row, row)
        tape = (tape.view(np.float16) if tape.dtype == np.uint16 else tape).astype(np.float32, copy=False)
        return self._by_lane(tape.reshape(p.size, -1, self.plan.time_steps, 32))

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        p = self.plan.populations[population]
        if not p.spiking:
            return np.zeros((p.size, self.plan.time_steps, self.work.lanes), dtype=np.bool_)
        words = self.population[population]["bits"].download().reshape(p.size, self.L // 32, -1, 1, 32)
        bits = (words >> np.arange(32, dtype=np.uint32)[:, None] & 1).astype(np.bool_)
        return self._by_lane(bits.reshape(p.size, self.L // 32, -1, 32)[:, :, : self.plan.time_steps])

    def _by_lane(self, array: Array) -> Array:
        """From [neuron, strip, time, lane of the strip] to [neuron, time, lane]."""
        whole = array.transpose(0, 2, 1, 3).reshape(len(array), self.plan.time_steps, self.L)
        return np.ascontiguousarray(whole[:, :, : self.work.lanes])

    def spike_count(self, population: int) -> int:
        return int(np.count_nonzero(self.spikes(population)))
