"""A simulation: a network that runs, and access to its state and recordings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_choice, check_path, check_real, check_switch, shown
from ..initializers import as_array, real_array
from ..network import Network, Population
from ..neurons.spike_source import given_spikes
from ..plan.driving import Which, drive_names, drive_numbers, with_drives
from ..plan.lower_simulation import settable_parameters, spikes_in_steps, with_parameters
from ..plan.simulation import (
    LAST_STEP,
    Given,
    Recording,
    SimulatedPopulation,
    SimulationEngine,
    SimulationPlan,
    TakesParameters,
)
from ..training.data import find_population
from ..training.turns import Turns, in_turn
from .checkpoints import as_compiled, load_simulation, save_simulation
from .hdf5 import InFile
from .recording import InMemory

PIECE_SECONDS = 0.1
"""About so long a piece of a run computes, before progress is shown and an interruption is heard."""
TRACE_BYTES = 1 << 26
"""Samples of traces that a piece of a run has at most."""


class Simulation:
    """The result of :meth:`SimulationCompiler.compile`. Use it in a ``with`` block; its threads end with the block.

    Time goes on from call to call: ``run(300.0)`` and then ``run(700.0)`` is ``run(1000.0)``, to the bit.

    Attributes:
        plan: that it runs.
        engine: of the backend.
        source: path of the generated source, which is meant to be read; None on ``"reference"``.
    """

    def __init__(
        self, network: Network, plan: SimulationPlan, recording: Recording, engine: SimulationEngine, path: Path | None
    ) -> None:
        self.network, self.plan, self.recording, self.engine = network, plan, recording, engine
        self.source = engine.source
        self.dt = plan.dt
        self._began = {(p.index, s): engine.variable(p.index, s) for p in plan.populations for s in p.states}
        self._sink = InMemory(recording) if path is None else InFile(path, plan, recording)
        self._recorded_from = 0
        self._set: dict[int, dict[str, npt.NDArray[np.float64]]] = {}
        self._driven: dict[int, dict[str, npt.NDArray[np.float64]]] = {}
        """Numbers of drives that were set, by population and name."""
        self._sampled: dict[int, tuple[dict[str, Which], dict[str, npt.NDArray[np.float64]]]] = {}
        """By population the names of its drives' numbers, and these as they were compiled."""
        self._compiled = plan
        self._turns = Turns(engine)  # type: ignore[arg-type]
        self._closed = False

    def __repr__(self) -> str:
        return f"<Simulation of {self.network!r} at {self.time:g} ms: {self.plan.synapses:,} synapses>"

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its threads, as the end of a ``with`` block does. What was recorded in memory can still be read; all that
        runs, reads or changes the network is an error. Closing it again does nothing."""
        self._closed = True
        with self._turns.taken("close", patient=True):
            self._sink.close()
            if not self._turns.inherited:
                self.engine.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidValueError(
                "this simulation was closed, at the end of its 'with' block or by close(); compile the network again"
            )

    def __reduce__(self) -> str:
        raise InvalidValueError(
            "a simulation cannot be pickled or copied: compile the network again where it is needed, and bring its "
            "state by simulation.save and simulation.load"
        )

    # --- time --------------------------------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Time steps done."""
        return self.engine.now

    @property
    def time(self) -> float:
        """Time simulated so far in ms."""
        return self.engine.now * self.dt

    @in_turn
    def run(self, duration: float, inputs: Mapping[Any, Any] | None = None, *, progress: bool = True) -> None:
        """Let time go on.

        Args:
            duration: in ms, a multiple of dt.
            inputs: by population of ``SpikeInput()`` (or its name) the spikes that it sends meanwhile: times in ms from
                the beginning of this call, and neurons. It is silent where not given.
            progress: show a bar on standard error, where that is a terminal.

        Raises:
            InvalidValueError: `duration` or `inputs` do not fit.
            GennDelaysError: a variable is no longer finite; the population, the neuron and the step are named.
        """
        self._check_open()
        steps = self._steps(duration)
        check_switch("progress", progress)
        self._run(steps, self._given(inputs, steps), progress)

    @in_turn
    def step_time(self, inputs: Mapping[Any, Any] | None = None) -> None:
        """One time step; see :meth:`run`."""
        self._check_open()
        self._run(1, self._given(inputs, 1), False)

    def _steps(self, duration: float) -> int:
        duration = check_real("duration", duration, 0.0)
        steps = round(duration / self.dt)
        if abs(steps * self.dt - duration) > 1e-9 * max(duration, self.dt):
            near = self.dt * int(duration / self.dt)
            raise InvalidValueError(
                f"duration must be a multiple of dt = {self.dt:g} ms, got {duration:g}; near are {near:g} and "
                f"{near + self.dt:g}"
            )
        if self.engine.now + steps > LAST_STEP:
            raise InvalidValueError(
                f"duration {duration:g} ms: a simulation has at most {LAST_STEP:,} steps, {self.engine.now:,} are done"
            )
        return steps

    def _run(self, steps: int, given: Given, progress: bool) -> None:
        from tqdm import tqdm

        end = self.engine.now + steps
        with tqdm(total=steps, unit="step", disable=None if progress else True, leave=False) as bar:
            piece, most = min(steps, 64), self._longest_piece()
            while self.engine.now < end:
                now, began = self.engine.now, time.perf_counter()
                piece = max(1, min(piece, most, end - now))
                self.engine.run(piece, given, self._sink)
                bar.update(self.engine.now - now)
                self._turns.pause()
                taken = max(time.perf_counter() - began, 1e-6)
                piece = int(piece * min(8.0, max(0.125, PIECE_SECONDS / taken)))

    def _longest_piece(self) -> int:
        """Steps whose samples of traces fit into the memory that a piece may have."""
        a_step = sum(4 * t.neurons.size / t.every for t in self.recording.traces)
        return max(1, int(TRACE_BYTES / a_step)) if a_step else 1 << 31

    def _given(self, inputs: Mapping[Any, Any] | None, steps: int) -> Given:
        """Spikes of a run, by index of the population: steps from the beginning of time, and neurons."""
        found = {}
        if inputs is not None and not isinstance(inputs, Mapping):
            raise InvalidValueError(f"inputs must be a dict by population, got {shown(inputs)}")
        for key, spikes in (inputs or {}).items():
            p = self.plan.populations[self.population(key).index]
            what = f"inputs of population {p.name!r}"
            if p.kind != "spikes" or p.given is not None:
                raise InvalidValueError(f"{what}: only populations of SpikeInput() are given spikes by run")
            if not isinstance(spikes, (tuple, list)) or len(spikes) != 2:
                raise InvalidValueError(f"{what} must be (times in ms, neurons), got {shown(spikes)}")
            own, neurons = spikes_in_steps(what, *given_spikes(what, *spikes), p.size, self.dt)
            if own.size and own[-1] >= steps:
                raise InvalidValueError(
                    f"{what}: times must be below the duration of {steps * self.dt:g} ms, got one in step {own[-1]}"
                )
            found[p.index] = (own + self.engine.now, neurons)
        return found

    def _restore(self, now: int, values: Mapping[tuple[int, str], Any], pending: npt.NDArray[np.int32]) -> None:
        for (population, name), array in values.items():
            self.engine.set_variable(population, name, array)
        self.engine.set_pending(pending, now)

    @in_turn
    def reset(self, *, keep_time: bool = False) -> None:
        """Back to step 0: variables as they were at first, nothing on its way, recordings empty.

        Args:
            keep_time: between two examples: time goes on, and with it recordings, random numbers and step currents.
        """
        self._check_open()
        if check_switch("keep_time", keep_time):
            now = self.engine.now
            self._restore(now, self._began, np.zeros((self.plan.longest, self.plan.columns), np.int32))
            return
        if isinstance(self._sink, InFile):
            raise InvalidValueError("reset: recordings are written to a file; compile the network again with another")
        self._restore(0, self._began, np.zeros((self.plan.longest, self.plan.columns), np.int32))
        self._sink.clear(0)
        self._recorded_from = 0

    # --- state -------------------------------------------------------------------------------------------------------

    def population(self, key: Population | str) -> Population:
        """A population, given itself or by name."""
        return find_population(self.network, key)

    def _named(self, key: Population | str, name: str) -> SimulatedPopulation:
        """The population that has a variable or parameter of this name, or a drive with such a number."""
        p = self.plan.populations[self.population(key).index]
        known = (*p.states, *(n for n in self._parameters(p.index) if n not in p.states), *self._drives(p.index))
        check_choice(f"variable of population {p.name!r}, or parameter,", name, known)
        return p

    def _drives(self, index: int) -> dict[str, npt.NDArray[np.float64]]:
        """The numbers of a population's drives as they are now."""
        return self._drives_of(index)[1] | self._driven.get(index, {})

    def _drives_of(self, index: int) -> tuple[dict[str, Which], dict[str, npt.NDArray[np.float64]]]:
        if index not in self._sampled:
            names = drive_names(p := self.network.populations[index])
            self._sampled[index] = names, drive_numbers(p, names)
        return self._sampled[index]

    def _parameters(self, index: int) -> dict[str, npt.NDArray[np.float64]]:
        """The parameters of a population as they are now."""
        if index not in self._set:
            self._set[index] = settable_parameters(self.network.populations[index])
        return self._set[index]

    @in_turn
    def get(self, population: Population | str, variable: str) -> npt.NDArray[np.float32]:
        """A variable of all neurons ``[neuron]`` as it is now, after the jumps of spikes: ``get(e, "v")``; or one of
        their parameters: ``get(e, "tau_mem")``. The current of an exponential synapse is ``"i_syn"``, of a second one
        onto the population ``"i_syn_2"``; its time constant is ``"tau_syn"``, or ``"tau_syn_2"``.

        Numbers of drives have the names of their arguments: ``"rate"`` and ``"weight"`` of a Poisson drive,
        ``"amplitude"``, ``"mean"`` and ``"sd"`` of currents; of a second drive with such a number ``"rate_2"``. Where
        the neuron has a parameter of that name it is ``"drive_rate"``. Poisson input has its ``"rate"``.
        """
        self._check_open()
        p = self._named(population, variable)
        if variable in p.states:
            return self.engine.variable(p.index, variable)
        parameters = self._parameters(p.index)
        return (parameters if variable in parameters else self._drives(p.index))[variable].astype(np.float32)

    @in_turn
    def set(self, population: Population | str, variable: str, values: Any) -> None:
        """Give a variable, a parameter or a drive's number other values, a number or an array ``[neuron]``; time goes
        on with them. See :meth:`get` for the names.

        Parameters and drives stay as they are set over :meth:`reset`. A checkpoint has the drives as they are; it is of
        a network with these parameters: set them before it is loaded into another simulation. On ``"cpu"`` code may be
        compiled anew, where a parameter was one number for all neurons and is no longer.

        Weights are on a grid that is fixed when the network is compiled, wide enough for its drives as they are then
        (:mod:`genn_delays.plan.grid`). Where synapses act beside a Poisson drive, much higher rates may not fit it.

        Raises:
            InvalidValueError: there is none of this name, or values do not fit it, the time step or the grid.
        """
        self._check_open()
        p = self._named(population, variable)
        what = f"{variable} of population {p.name!r}"
        if as_array(what, values).ndim == 0:
            values = np.full(p.size, check_real(what, values))
        found = real_array(what, values, (p.size,))
        if variable in p.states:
            self.engine.set_variable(p.index, variable, found.astype(np.float32))
            return
        if variable not in self._parameters(p.index):
            self._drive(p.index, {**self._driven.get(p.index, {}), variable: found})
            return
        if not isinstance(self.engine, TakesParameters):
            raise InvalidValueError(f"{what} cannot be set: this backend keeps parameters as they were compiled")
        changed = {**self._parameters(p.index), variable: found.astype(np.float64)}
        plan = with_parameters(self.plan, self.network.populations[p.index], changed)
        self.engine.take_parameters(plan, p.index)
        self.plan, self.source, self._set[p.index] = plan, self.engine.source, changed

    def _drive(self, index: int, numbers: dict[str, npt.NDArray[np.float64]]) -> None:
        """Let a population's drives have these numbers, and others as they were compiled."""
        plan = self._driven_plan(self.plan, index, numbers)
        self.engine.take_drives(plan, index)
        self.plan, self._driven[index] = plan, numbers

    def _driven_plan(
        self, plan: SimulationPlan, index: int, numbers: Mapping[str, npt.NDArray[np.float64]]
    ) -> SimulationPlan:
        names, sampled = self._drives_of(index)
        every = {names[name]: values for name, values in (sampled | dict(numbers)).items()}
        return with_drives(plan, self.network.populations[index], every)

    @in_turn
    def save(self, path: str | Path) -> None:
        """Write a checkpoint: variables, what is on its way, drives as they were set, and the step. Recordings are not
        in it.

        Raises:
            GennDelaysError: the file cannot be written.
        """
        self._check_open()
        file = check_path("path of a checkpoint", path)
        save_simulation(file, as_compiled(self.plan, self._compiled), self.engine, self._driven)

    @in_turn
    def load(self, path: str | Path) -> None:
        """Take over a checkpoint of the same network; time goes on from there to the same bits, on any backend.
        Recordings begin anew.

        Raises:
            RunFolderError: it is missing, damaged or of another network. The simulation is left as it was.
        """
        self._check_open()
        if isinstance(self._sink, InFile) and self.engine.now:
            raise InvalidValueError("load: recordings are written to a file; load before the first step")
        file, plan = check_path("path of a checkpoint", path), as_compiled(self.plan, self._compiled)
        state = load_simulation(file, plan, {p.index: tuple(self._drives(p.index)) for p in plan.populations})
        changed = self._driven.keys() | state.driven.keys()
        for index in changed:  # all of them fit before the first is taken
            self._driven_plan(plan, index, state.driven.get(index, {}))
        for index in changed:
            self._drive(index, state.driven.get(index, {}))
        self._restore(state.step, state.variables, state.pending)
        self._recorded_from = self.engine.now
        self._sink.clear(self.engine.now)

    # --- recordings --------------------------------------------------------------------------------------------------

    @in_turn
    def spikes(self, population: Population | str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
        """The recorded spikes of a population: times in ms, the beginning of their step, and neurons; sorted by both.

        Raises:
            InvalidValueError: they are not recorded.
        """
        p = self.plan.populations[self.population(population).index]
        if p.index not in self.recording.spikes:
            raise InvalidValueError(
                f"spikes of population {p.name!r} are not recorded: compile(network, record={{population: 'spikes'}})"
            )
        steps, neurons = self._sink.all_spikes(p.index)
        return np.asarray(steps * self.dt, np.float64), neurons.copy()

    @in_turn
    def trace(
        self, population: Population | str, variable: str
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """A recorded variable: times in ms ``[sample]``, and values ``[sample, neuron]`` of the neurons asked for, in
        ascending order.

        Raises:
            InvalidValueError: it is not recorded.
        """
        p = self.plan.populations[self.population(population).index]
        for number, trace in enumerate(self.recording.traces):
            if trace.population == p.index and isinstance(variable, str) and trace.variable == variable:
                values = self._sink.whole_trace(number)
                first = -(-self._recorded_from // trace.every)
                samples = first + np.arange(len(values), dtype=np.float64)
                return np.asarray(samples * trace.every * self.dt, np.float64), values.copy()
        raise InvalidValueError(
            f"{shown(variable)} of population {p.name!r} is not recorded: compile(network, record={{population: "
            "variable}})"
        )
