"""A plan as a GeNN model: built, loaded and run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...connectivity import Synapses
from ...derive.names import derived_name
from ...plan.plan import Plan, PopulationPlan
from . import build, packages, ragged
from .clock import Clock
from .describe import Description, Numbers

Array = npt.NDArray[Any]

_DTYPES = {"float": np.float32, "int": np.int32, "uint32_t": np.uint32}


class GeNNModel:
    """A plan's GeNN model, built and loaded.

    Attributes:
        genn: PyGeNN's model.
        lanes: examples that GeNN runs at once.
        folder: where its generated code is.
        clock: when populations run.
        parts: its groups.
    """

    def __init__(
        self, plan: Plan, backend: str, lanes: int, numbers: dict[int, Numbers], synapses: list[Synapses],
        rooms: list[int],
    ) -> None:  # fmt: skip
        pygenn = packages.load("pygenn")
        self.plan, self.lanes, self.clock = plan, lanes, Clock(plan)
        self.genn = pygenn.GeNNModel("float", "model", backend=backend)
        self.genn.dt = 1.0  # time is counted in steps, which single precision does exactly
        self.genn.batch_size = lanes
        self.genn.fuse_postsynaptic_models = False
        described = Description(pygenn, self.genn, plan, self.clock, rooms)
        for p in plan.populations:
            described.add_population(p, numbers[p.index])
        for c in plan.connections:
            described.add_connection(c, synapses[c.index])
        self.parts, self._codes, self._capacity = described.parts, described.codes, described.capacity
        words = [backend, str(lanes), pygenn.__version__, *build.CPU_FLAGS, *self.parts.words]
        self.folder = build.folder_for("\0".join(words))
        try:
            build.build(self.genn, self.folder)
            self.genn.load(num_recording_timesteps=self.clock.steps)
        except BaseException:
            build.release(self.folder)
            raise
        for p in plan.populations:
            self._allocate(p)
        self._recordings = {
            p.index: ragged.recording(self.parts.neurons[p.index]) for p in plan.populations if p.spiking
        }
        self._set: dict[tuple[Any, str], float] = {}

    def _allocate(self, p: PopulationPlan) -> None:
        """Allocate the memory that a population reads and writes of every lane, with tapes of variables where they are
        recorded."""
        for name, (kind, extent) in self._codes[p.index].arrays.items():
            if not name.startswith(derived_name("tape", "")):
                ragged.allocate(self.parts.neurons[p.index], name, np.zeros(self._extent(p, extent), _DTYPES[kind]))
        if p.readout is not None and p.model is not None:
            self.record(p)

    def record(self, p: PopulationPlan) -> None:
        """Keep a population's variables from now on."""
        assert p.model is not None
        group = self.parts.neurons[p.index]
        for s in p.model.states:
            if group.extra_global_params[derived_name("tape", s)]._view is None:
                ragged.allocate(group, derived_name("tape", s), np.zeros(self._extent(p, "time"), np.float32))
        group.set_dynamic_param_value("record", 1)  # for the rest of the model's life

    def _extent(self, p: PopulationPlan, extent: str) -> int:
        per_lane = {
            "time": self.plan.time_steps * p.size,
            "spike": self._capacity * p.size,
            "one": p.size,
            "bit": self.plan.time_steps * ((p.size + 31) // 32),
        }
        # GeNN's last round may have lanes that no example is in
        rounds = -(-self.plan.batch_size // self.lanes)
        return rounds * self.lanes * per_lane[extent]

    # --- running -----------------------------------------------------------------------------------------------------

    def set_param(self, name: str, value: int) -> None:
        """Set a parameter that changes from one example to the next, wherever there is one of the name."""
        for index, group in self.parts.neurons.items():
            if name in self._codes[index].dynamic:
                self.set_number(group, name, value)
        if name == "backward" and self.plan.event_prop is not None:
            for group in self.parts.synapses.values():
                self.set_number(group, name, value)

    def set_number(self, group: Any, name: str, value: float) -> None:
        """Set a parameter of a group that may change, if it does."""
        if self._set.get((group, name)) != value:
            group.set_dynamic_param_value(name, value)
            self._set[group, name] = value

    def recorded(self, population: int) -> Array:
        """Spikes of the round that just ran, 32 neurons a word, ``[time, lane, word]``."""
        words = self._recordings[population].reshape(self.clock.steps, self.lanes, -1)
        depth = self.clock.depth[population]
        return words[depth : depth + self.plan.time_steps].copy()

    def run(self) -> None:
        """All steps of a round of examples, forwards or backwards."""
        self.genn.timestep = 0
        for _ in range(self.clock.steps):
            self.genn.step_time()

    def array(self, population: int, name: str, *shape: int) -> Array:
        """The host's view of an extra global parameter of a population."""
        return np.asarray(self.parts.neurons[population].extra_global_params[name].view).reshape(shape)

    def push(self, population: int, name: str) -> None:
        """Bring an extra global parameter to the device."""
        self.parts.neurons[population].extra_global_params[name].push_to_device()

    def pull(self, population: int, name: str, *shape: int) -> Array:
        """Fetch an extra global parameter from the device."""
        self.parts.neurons[population].extra_global_params[name].pull_from_device()
        return self.array(population, name, *shape)

    def close(self) -> None:
        """Give back its memory and its folder."""
        if self.genn is not None:
            self.genn.unload()
            self.genn = None
            build.release(self.folder)
