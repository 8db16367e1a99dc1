"""Recorders of spikes and state variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_switch, shown
from ..network import Population
from ..plan.protocol import KeepsSpikes
from .callback import Callback
from .filters import ExampleFilter, Examples, NeuronFilter, chosen_neurons

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


class _Recorder(Callback):
    """Base of recorders: of a population, of chosen examples and neurons."""

    reads_activity = True

    def __init__(
        self, population: Population | str, key: str | None, example_filter: ExampleFilter, neuron_filter: NeuronFilter
    ) -> None:
        self._what = type(self).__name__
        self._population = check_population(self._what, population)
        self.key = check_key(self._what, key)
        self._examples, self._neuron_filter = Examples(self._what, example_filter), neuron_filter

    def set_params(self, compiled_network: Any, num_epochs: int, num_batches: int) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
        self.population: Population = compiled_network.population(self._population)
        self._batch_size = int(compiled_network.plan.batch_size)
        self._examples.check(num_batches * self._batch_size)
        self._chosen = chosen_neurons(self._what, self._neuron_filter, self.population.shape)

    def _lanes(self, batch: int) -> npt.NDArray[np.int64]:
        """The lanes that are recorded of a batch, which may have fewer."""
        return self._examples.lanes(batch * self._batch_size, self._batch_size)


class SpikeRecorder(_Recorder):
    """Records the spikes of a population for every example, in the order in which examples were presented.

    The data are ``(times, neurons)``: two lists with one array an example, times in ms; with `record_counts` one list
    with the number of spikes of every (chosen) neuron, an array ``[neuron]`` an example.

    Args:
        population: the population, or its name.
        key: under which name the data are returned; ``<population>_spikes`` where not given.
        example_filter: which examples, by their place in the order of presentation, in every epoch: a number, numbers,
            or truth values ``[example]``; all where not given.
        neuron_filter: which neurons: a number, numbers, a slice, or truth values of the population's shape; of a
            population of several dimensions a tuple with an index for each. All where not given.
        record_counts: numbers of spikes in place of spikes.
    """

    def __init__(
        self,
        population: Population | str,
        key: str | None = None,
        example_filter: ExampleFilter = None,
        neuron_filter: NeuronFilter = None,
        record_counts: bool = False,
    ) -> None:
        super().__init__(population, key, example_filter, neuron_filter)
        self.record_counts = check_switch("SpikeRecorder record_counts", record_counts)
        self._times: list[npt.NDArray[np.floating[Any]]] = []
        self._neurons: list[npt.NDArray[np.int64]] = []
        self._counts: list[npt.NDArray[np.int64]] = []

    def set_params(self, compiled_network: Any, num_epochs: int, num_batches: int) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
        if not self.population.spiking:
            raise InvalidValueError(f"SpikeRecorder needs a population that spikes, got {self.population.name!r}")
        self._times, self._neurons, self._counts = [], [], []  # every call of train or evaluate returns its own
        if isinstance(compiled_network.engine, KeepsSpikes):
            compiled_network.engine.keep_spikes(self.population.index)

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        lanes = self._lanes(batch)
        if not lanes.size:
            return
        spikes = self.compiled_network.engine.spikes(self.population.index)
        names = np.arange(len(spikes)) if self._chosen is None else self._chosen
        for lane in lanes[lanes < spikes.shape[2]]:
            own = spikes[:, :, lane] if self._chosen is None else spikes[self._chosen, :, lane]
            if self.record_counts:
                self._counts.append(own.sum(axis=1, dtype=np.int64))
                continue
            steps, neurons = np.nonzero(own.T)
            self._times.append(steps * self.compiled_network.dt)
            self._neurons.append(names[neurons])

    def get_data(self) -> tuple[str, Any]:
        data = self._counts if self.record_counts else (self._times, self._neurons)
        return self.key or f"{self.population.name}_spikes", data


class VarRecorder(_Recorder):
    """Records a state variable of a population for every example: a list of arrays ``[time, neuron]``.

    The recorded value is that before the jumps of a spike.

    Args:
        population: the population, or its name.
        var: name of the variable.
        key: under which name the data are returned; ``<population>_<var>`` where not given.
        example_filter, neuron_filter: see :class:`SpikeRecorder`; an array has the chosen neurons' columns alone.
    """

    def __init__(
        self,
        population: Population | str,
        var: str = "v",
        key: str | None = None,
        example_filter: ExampleFilter = None,
        neuron_filter: NeuronFilter = None,
    ) -> None:
        super().__init__(population, key, example_filter, neuron_filter)
        if not isinstance(var, str):
            raise InvalidValueError(f"VarRecorder var must be the name of a variable, got {shown(var)}")
        self.var = var
        self._values: list[npt.NDArray[np.float32]] = []

    def set_params(self, compiled_network: Any, num_epochs: int, num_batches: int) -> None:
        super().set_params(compiled_network, num_epochs, num_batches)
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
        lanes = self._lanes(batch)
        if not lanes.size:
            return
        values = self.compiled_network.engine.variable(self.population.index, self.var)
        if self._chosen is not None:
            values = values[self._chosen]
        lanes = lanes[lanes < values.shape[2]]
        self._values += list(np.ascontiguousarray(values[:, :, lanes].transpose(2, 1, 0)))

    def get_data(self) -> tuple[str, Any]:
        return self.key or f"{self.population.name}_{self.var}", self._values
