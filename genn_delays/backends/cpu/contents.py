"""Reading an engine's arrays after a pass, and writing into them from the host."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from ...connectivity import row_start
from ...errors import InvalidValueError
from ...plan.exchanged import ConnectionState
from ...plan.plan import Plan
from ...plan.schema import absent
from .buffers import allocate_tape
from .leaves import Share
from .structs import Arrays, address


class Contents:
    """The part of an engine that reads and writes; see :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        plan: what runs.
    """

    plan: Plan
    _net: Any
    _library: Any
    _population_arrays: list[Arrays]
    _connection_arrays: list[Arrays]
    _values: dict[int, dict[str, npt.NDArray[np.float32]]]
    _share: Share

    def _untiled(self, array: npt.NDArray[Any], size: int, steps: int = 1) -> npt.NDArray[Any]:
        """An array stored tile by tile as ``[neuron, time, lane]``."""
        parts = [np.empty((size, steps, 0), array.dtype)] if self._net.live == 0 else []
        for first, lanes in self._share.tiles:
            start = size * steps * first
            parts.append(array[start : start + size * steps * lanes].reshape(size, steps, lanes))
        return np.concatenate(parts, axis=2)

    def output(self, population: int) -> npt.NDArray[np.float32]:
        z = self._untiled(self._population_arrays[population]["z"], self.plan.populations[population].size)
        return np.ascontiguousarray(z[:, 0].T)

    def gradient(self, connection: int, variable: str = "weight") -> npt.NDArray[np.float32]:
        return self._connection_arrays[connection]["grad" if variable == "weight" else "delay_grad"].copy()

    def keep_gradient(self, population: int) -> None:
        """See :class:`~genn_delays.plan.protocol.TellsGradients`."""
        view, p = self._net.whole[population], self.plan.populations[population]
        if not view.keeps_g:
            size = p.size * self.plan.time_steps * self.plan.batch_size
            view.g = self._population_arrays[population].new("g", size, np.float32)
            view.keeps_g = 1

    def current_gradient(self, population: int) -> npt.NDArray[np.float32]:
        """See :class:`~genn_delays.plan.protocol.TellsGradients`."""
        p, arrays = self.plan.populations[population], self._population_arrays[population]
        if "g" not in arrays or not self._net.whole[population].keeps_g:
            raise InvalidValueError(
                f"the gradient of the input current of population {p.name!r} is not kept: keep_gradient() asks for it"
            )
        found = self._untiled(arrays["g"], p.size, self.plan.time_steps)
        if "heard" in arrays:  # rows of neurons that reach no loss are not computed
            found[arrays["heard"] == 0] = 0
        return found

    def population_gradients(self, population: int) -> dict[str, npt.NDArray[np.float32]]:
        arrays, found = self._population_arrays[population], {}
        if self.plan.populations[population].batch_norm:
            sum_g, sum_gi = arrays["g_sums"].T
            found["batch_norm_scale"] = (arrays["inverse"] * sum_gi).astype(np.float32)
            found["batch_norm_shift"] = sum_g.astype(np.float32)
        p = self.plan.populations[population]
        if p.slopes:
            slopes = dict(zip(p.slopes, arrays["slope"], strict=True))
            learned = p.parameter_gradients(slopes, self._values[population])
            found |= {name: g.astype(np.float32) for name, g in learned.items()}
        return found

    def batch_statistics(self, population: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        arrays = self._population_arrays[population]
        count = self.plan.time_steps * self._share.total
        square = arrays["sums"][:, 1] / count
        return arrays["mean"].copy(), np.maximum(square - arrays["mean"] * arrays["mean"], 0.0)

    def spike_totals(self, population: int) -> npt.NDArray[np.float64]:
        return self._population_arrays[population]["total"].astype(np.float64)

    def set_drive(self, population: int, drive: npt.NDArray[np.float64]) -> None:
        self._population_arrays[population]["drive"][:] = drive

    def set_values(self, population: int, values: dict[str, npt.NDArray[np.float32]]) -> None:
        self._values[population] = {name: array.copy() for name, array in values.items()}
        p = self.plan.populations[population]
        if p.sets_coefficients(values):
            for name, numbers in p.coefficients(values).items():
                self._population_arrays[population][f"par.{name}"][:] = numbers
        if self.plan.populations[population].batch_norm:
            for name in ("scale", "shift"):
                self._population_arrays[population][name][:] = values[f"batch_norm_{name}"]

    def keep_variables(self, population: int) -> None:
        p, arrays = self.plan.populations[population], self._population_arrays[population]
        view = self._net.whole[population]
        view.recorded = 1
        if p.model is not None and not ("var0" in arrays and view.keeps_var):
            allocate_tape(self.plan, p, view, arrays, self.plan.batch_size)

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        p, view = self.plan.populations[population], self._net.whole[population]
        arrays = self._population_arrays[population]
        every = view.recorded or "heard" not in arrays or arrays["heard"].all()
        if p.model is None or not view.keeps_var or not every:
            raise InvalidValueError(f"variables of population {p.name!r} are not kept: keep_variables() asks for them")
        return self._untiled(arrays[f"var{p.model.states.index(name)}"], p.size, self.plan.time_steps)

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        shape = self.plan.populations[population].size, self.plan.time_steps, self._net.live
        dense = np.zeros(shape, dtype=np.bool_)
        if self.plan.populations[population].spiking:
            place = ctypes.c_void_p(address(dense))
            self._library.copy_spikes(ctypes.byref(self._net), ctypes.c_int64(population), place)
        return dense

    def spike_count(self, population: int) -> int:
        count = int(self._net.num_tiles)
        if self._net.whole[population].lists_only:
            return int(self._population_arrays[population]["event_room"][:count].sum(dtype=np.int64))
        return int(self._population_arrays[population]["event_start"][:count, :, -1].sum(dtype=np.int64))

    def state(self, connection: int) -> ConnectionState:
        arrays = self._connection_arrays[connection]
        return ConnectionState.from_arrays(absent() | arrays).copy()

    def set_state(self, connection: int, state: ConnectionState) -> None:
        arrays = self._connection_arrays[connection]
        for name, values in state.arrays().items():
            if name in arrays:
                arrays[name][:] = values
        arrays["row_start"][:] = row_start(arrays["post"], self.plan.connections[connection].num_post)
        self._library.index_connection(ctypes.byref(self._net), ctypes.c_int64(connection))
