"""Recorders of spikes and state variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, shown
from ..network import Population
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


def check_population(what: str, value: Any) -> Population | str:
    """A population or the name of one, or an error."""
    if not isinstance(value, (Population, str)):
        raise InvalidValueError(f"{what} population must be a population or its name, got {shown(value)}")
    return value


def check_key(what: str, value: Any) -> str | None:
    """A text or None, or an error."""
    if value is not None and not isinstance(value, str):
        raise InvalidValueError(f"{what} key must be a text, got {shown(value)}")
    return value


class SpikeRecorder(Callback):
    """Records the spikes of a population for every example, in the order in which examples were presented.

    The data are ``(times, neurons)``: two lists with one array an example, times in ms.

    Args:
        population: the population, or its name.
        key: under which name the data are returned; ``<population>_spikes`` where not given.
    """

    reads_activity = True

    def __init__(self, population: Population | str, key: str | None = None) -> None:
        self._population = check_population("SpikeRecorder", population)
        self.key = check_key("SpikeRecorder", key)
        self._times: list[npt.NDArray[np.floating[Any]]] = []
        self._neurons: list[npt.NDArray[np.int64]] = []

    def set_params(self, compiled_network: Any, num_epochs: int, num_batches: int) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
        self.population: Population = compiled_network.population(self._population)
        if not self.population.spiking:
            raise InvalidValueError(f"SpikeRecorder needs a population that spikes, got {self.population.name!r}")
        self._times, self._neurons = [], []  # every call of train or evaluate returns its own

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        spikes = self.compiled_network.engine.spikes(self.population.index)
        for lane in range(spikes.shape[2]):
            steps, neurons = np.nonzero(spikes[:, :, lane].T)
            self._times.append(steps * self.compiled_network.dt)
            self._neurons.append(neurons)

    def get_data(self) -> tuple[str, Any]:
        return self.key or f"{self.population.name}_spikes", (self._times, self._neurons)


class VarRecorder(Callback):
    """Records a state variable of a population for every example: a list of arrays ``[time, neuron]``.

    The recorded value is that before the jumps of a spike.

    Args:
        population: the population, or its name.
        var: name of the variable.
        key: under which name the data are returned; ``<population>_<var>`` where not given.
    """

    reads_activity = True

    def __init__(self, population: Population | str, var: str = "v", key: str | None = None) -> None:
        self._population = check_population("VarRecorder", population)
        if not isinstance(var, str):
            raise InvalidValueError(f"VarRecorder var must be the name of a variable, got {shown(var)}")
        self.var, self.key = var, check_key("VarRecorder", key)
        self._values: list[npt.NDArray[np.float32]] = []

    def set_params(self, compiled_network: Any, num_epochs: int, num_batches: int) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
        self.population: Population = compiled_network.population(self._population)
        model = compiled_network.plan.populations[self.population.index].model
        states = () if model is None else model.states
        if self.var not in states:
            raise InvalidValueError(
                f"VarRecorder: population {self.population.name!r} has no variable {self.var!r}; "
                f"it has {', '.join(states) or 'none'}"
            )
        compiled_network.engine.keep_variables(self.population.index)
        self._values = []  # every call of train or evaluate returns its own

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        values = self.compiled_network.engine.variable(self.population.index, self.var)
        self._values += list(np.ascontiguousarray(values.transpose(2, 1, 0)))

    def get_data(self) -> tuple[str, Any]:
        return self.key or f"{self.population.name}_{self.var}", self._values
