"""A plan on this machine's processor: buffers, the structure that points to them, and calls into generated code."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.emit import emit
from ...compilers.plan import ConnectionPlan, Plan, PopulationPlan
from ...connectivity import Synapses, row_start
from ...errors import BackendUnavailableError, CompileError
from ...learning.optimisers import Optimiser
from ..protocol import ConnectionState, DenseData, InputData
from .compiler import load_library
from .structs import Arrays, address, network_type

BUSY = 1 / 8
"""Above this share of (step, lane) with a spike, a row is added in its dense form. It changes speed, never a bit."""


ROW_FLOATS = 6144
"""A row of a tile, ``T * lanes`` floats, should fit in half of a first-level cache."""


def tile_lanes(time_steps: int, batch_size: int) -> int:
    """Lanes of a tile: a multiple of 16 that depends on shapes only, as the order of summation does."""
    return min(batch_size, max(16, ROW_FLOATS // time_steps // 16 * 16))


class CPUEngine:
    """See :class:`~genn_delays.backends.protocol.Engine`.

    Attributes:
        source: path of the generated source.
        compiled: whether it had to be compiled, or came from the cache.
        busy: see :data:`BUSY`; may be changed between batches.
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan = plan
        self.busy = BUSY
        self._library, library_path, self.compiled = load_library(emit(plan))
        self.source = library_path.with_suffix(".cpp")
        self._net = network_type(plan)()
        self._declare()
        self._net.T, self._net.tile = plan.time_steps, tile_lanes(plan.time_steps, plan.batch_size)
        self._population_arrays = [self._allocate_population(p) for p in plan.populations]
        self._connection_arrays = [self._allocate_connection(c) for c in plan.connections]
        self._arrays = self._allocate_network(threads)
        for c in plan.connections:
            self.set_state(c.index, ConnectionState.new(c.initial_synapses(), c.num_moments))
        pool = self._library.pool_create(threads)
        if not pool:
            raise BackendUnavailableError(f"the system refused to start {threads} threads; ask for fewer")
        self._net.pool = pool
        self.close = weakref.finalize(self, self._library.pool_destroy, pool)

    def _declare(self) -> None:
        library = self._library
        for name in ("forward", "loss", "backward", "update", "index_connection"):
            getattr(library, name).restype = None
        library.size_of_network.restype = ctypes.c_int64
        for c in self.plan.connections:
            if c.rewiring:
                getattr(library, f"rewire_{c.rewiring.template}").restype = ctypes.c_int64
        library.pool_create.restype = ctypes.c_void_p
        library.pool_destroy.argtypes = [ctypes.c_void_p]
        library.pool_destroy.restype = None
        if library.size_of_network() != ctypes.sizeof(self._net):
            message = f"struct Network has {library.size_of_network()} bytes, {ctypes.sizeof(self._net)} were expected"
            raise CompileError("load", message, str(self.source))

    # --- buffers -----------------------------------------------------------------------------------------------------

    def _allocate_population(self, p: PopulationPlan) -> Arrays:
        plan, arrays, view = self.plan, Arrays(), self._net.whole[p.index]
        T, B, n = plan.time_steps, plan.batch_size, p.size
        view.size = n
        view.busy = -1 if p.cyclic else 0  # a row that grows block by block is never spread
        if p.kind == "real_input" or p.spiking:
            view.x = arrays.new("x", n * T * B, np.float32)
        if p.spiking:
            tiles = list(self._tiles(B))
            view.event_start = arrays.new("event_start", (len(tiles), n, T + 1), np.int32, zero=True)
            view.event_base = arrays.new("event_base", (len(tiles), n), np.int64, zero=True)
        if p.kind == "neuron":
            if p.spiking:
                view.events = arrays.new("events", n * T * B, np.int32)
                for number, (first, lanes) in enumerate(tiles):
                    arrays["event_base"][number] = n * T * first + np.arange(n, dtype=np.int64) * (T * lanes)
            for index in range(len(p.model.states if p.model else ())):
                view.var[index] = arrays.new(f"var{index}", n * T * B, np.float32)
            if p.keeps_gradient:
                view.g = arrays.new("g", n * T * (B if p.readout else self._net.tile), np.float32)
            if p.cyclic and p.model:
                view.lambda_ = arrays.new("lambda", (len(p.model.states), n, self._net.tile), np.float32)
        for index, (name, values) in enumerate(p.parameters.items()):
            view.par[index] = arrays.new(name, n, np.float32)
            arrays[name][:] = values
        if p.readout:
            view.z = arrays.new("z", n * B, np.float32)
            view.labels = arrays.new("labels", B, np.int32, zero=True)
            view.losses = arrays.new("losses", B, np.float64)
            view.correct = arrays.new("correct", B, np.int32)
        return arrays

    def _allocate_connection(self, c: ConnectionPlan) -> Arrays:
        arrays, view = Arrays(), self._net.c[c.index]
        size = c.connection.synapses.pre.size
        view.num_pre, view.num_post, view.size = c.num_pre, c.num_post, size
        view.owner = c.index
        types = {"pre": np.int32, "post": np.int32, "delay": np.uint16, "weight": np.float32}
        for name, dtype in types.items():
            setattr(view, name, arrays.new(name, size, dtype))
        view.row_start = arrays.new("row_start", c.num_post + 1, np.int64)
        view.by_pre_start = arrays.new("by_pre_start", c.num_pre + 1, np.int64)
        view.by_pre_slot = arrays.new("by_pre_slot", size, np.int32)
        view.grad = arrays.new("grad", size, np.float32, zero=True)
        if c.optimiser:
            for m in range(c.num_moments):
                view.moment[m] = arrays.new(f"moment{m}", size, np.float32, zero=True)
            view.age = arrays.new("age", size, np.uint16, zero=True)
        if c.rewiring and c.optimiser:
            for name, dtype in {**types, "age": np.uint16}.items():
                setattr(view, f"new_{name}", arrays.new(f"new_{name}", size, dtype))
            for m in range(c.num_moments):
                view.new_moment[m] = arrays.new(f"new_moment{m}", size, np.float32)
            view.dead = arrays.new("dead", size, np.uint8)
            view.rank = arrays.new("rank", size, np.int64)
            view.hash = arrays.new("hash", 1 << max(4, (2 * size).bit_length()), np.uint64)
            self._set_rule(c, view, arrays)
        return arrays

    @staticmethod
    def _set_rule(c: ConnectionPlan, view: Any, arrays: Arrays) -> None:
        assert c.rewiring is not None and c.optimiser is not None
        delays = c.connection.connectivity.delay_initializer
        arrays["delay_threshold"] = delays.thresholds
        view.delay_threshold, view.num_delay_thresholds = address(delays.thresholds), delays.thresholds.size
        view.delay_low = delays.low
        view.sign_threshold, view.signed_weights = c.sign_threshold, int(c.rewiring.signed)
        if c.pre_sign is not None:
            view.pre_sign = address(c.pre_sign)
        view.redraw = int(c.rewiring.growth_delay == "redraw")
        view.l1 = c.rewiring.l1

    def _allocate_network(self, threads: int) -> Arrays:
        plan, arrays, net = self.plan, Arrays(), self._net
        T, B = plan.time_steps, plan.batch_size
        row = T * net.tile
        variables = max((len(p.model.states) for p in plan.populations if p.model), default=1)
        net.row_capacity, net.scratch_stride = row, row + max(variables, 2) * net.tile
        net.network_seed, net.training_seed = plan.network_seed, plan.training_seed
        net.scratch = arrays.new("scratch", (threads, net.scratch_stride), np.float32)
        net.flags = arrays.new("flags", (threads, row), np.uint8)
        net.active = arrays.new("active", (threads, row + T + 1), np.int32)
        net.examples = arrays.new("examples", B, np.int64)
        net.block = arrays.new("block", len(plan.groups), np.int64)
        return arrays

    # --- running -----------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        net, lanes = self._net, len(examples)
        net.live, net.busy_share = lanes, self.busy
        self._arrays["examples"][:lanes] = examples
        for index, data in inputs.items():
            net.input = index
            if isinstance(data, DenseData):
                net.input_data = address(data.values)
                self._library.load_dense(ctypes.byref(net))
            else:
                self._reserve_events(index, int((data.start[examples + 1] - data.start[examples]).sum()))
                parts = (ctypes.c_void_p(address(a)) for a in (data.start, data.neuron, data.step))
                self._library.load_events(ctypes.byref(net), *parts)

    def _reserve_events(self, population: int, count: int) -> None:
        arrays = self._population_arrays[population]
        if "events" not in arrays or arrays["events"].size < count:
            self._net.whole[population].events = arrays.new("events", max(count, 1), np.int32)

    def forward(self) -> None:
        delays = [self._connection_arrays[c.index]["delay"] for c in self.plan.connections]
        for number, group in enumerate(self.plan.groups):
            self._arrays["block"][number] = self.plan.block_steps(group, delays)
        self._library.forward(ctypes.byref(self._net))

    def loss(self, labels: dict[int, npt.NDArray[np.int32]]) -> dict[int, tuple[float, int]]:
        lanes = self._net.live
        for index, values in labels.items():
            self._population_arrays[index]["labels"][:lanes] = values
        self._library.loss(ctypes.byref(self._net))
        results = {}
        for index in labels:
            arrays = self._population_arrays[index]
            results[index] = (float(arrays["losses"][:lanes].sum()), int(arrays["correct"][:lanes].sum()))
        return results

    def backward(self) -> None:
        self._library.backward(ctypes.byref(self._net))

    def update(self, step: int, optimisers: dict[int, Optimiser]) -> None:
        self._net.step = step
        for index, optimiser in optimisers.items():
            view, rule = self._net.c[index], self.plan.connections[index].rewiring
            for name, value in optimiser.numbers().items():
                setattr(view, name, value)
            view.noise = math.sqrt(2.0 * optimiser.alpha * rule.temperature) if rule else 0.0
        self._library.update(ctypes.byref(self._net))

    def rewire(self, step: int) -> dict[int, int]:
        self._net.step = step
        rewired = {}
        for c in self.plan.connections:
            if c.rewiring is not None and c.rewiring.due(step):
                view = self._net.c[c.index]
                view.num_dropped = c.rewiring.num_dropped(view.size, step)
                rewire = getattr(self._library, f"rewire_{c.rewiring.template}")
                rewired[c.index] = int(rewire(ctypes.byref(self._net), ctypes.c_int64(c.index)))
        return rewired

    # --- reading and writing -----------------------------------------------------------------------------------------

    def _tiles(self, lanes: int) -> Iterator[tuple[int, int]]:
        """First lane and number of lanes of every tile."""
        for first in range(0, lanes, self._net.tile):
            yield first, min(self._net.tile, lanes - first)

    def _untiled(self, array: npt.NDArray[Any], size: int, steps: int = 1) -> npt.NDArray[Any]:
        """What is stored tile by tile as ``[neuron, time, lane]``."""
        parts = []
        for first, lanes in self._tiles(self._net.live):
            start = size * steps * first
            parts.append(array[start : start + size * steps * lanes].reshape(size, steps, lanes))
        return np.concatenate(parts, axis=2)

    def output(self, population: int) -> npt.NDArray[np.float32]:
        z = self._untiled(self._population_arrays[population]["z"], self.plan.populations[population].size)
        return np.ascontiguousarray(z[:, 0].T)

    def gradient(self, connection: int) -> npt.NDArray[np.float32]:
        return self._connection_arrays[connection]["grad"].copy()

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        p = self.plan.populations[population]
        assert p.model is not None
        tape = self._population_arrays[population][f"var{p.model.states.index(name)}"]
        return self._untiled(tape, p.size, self.plan.time_steps)

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        arrays, size, T = (
            self._population_arrays[population],
            self.plan.populations[population].size,
            self.plan.time_steps,
        )
        parts = []
        for number, (_, lanes) in enumerate(self._tiles(self._net.live)):
            part = np.zeros((size, T * lanes), dtype=bool)
            counts = arrays["event_start"][number, :, -1]
            for i, (base, count) in enumerate(zip(arrays["event_base"][number], counts, strict=True)):
                part[i, arrays["events"][base : base + count]] = True
            parts.append(part.reshape(size, T, lanes))
        return np.concatenate(parts, axis=2)

    def spike_count(self, population: int) -> int:
        tiles = len(list(self._tiles(self._net.live)))
        return int(self._population_arrays[population]["event_start"][:tiles, :, -1].sum(dtype=np.int64))

    def state(self, connection: int) -> ConnectionState:
        arrays = self._connection_arrays[connection]
        synapses = Synapses(*(arrays[field].copy() for field in Synapses._fields))
        if "age" not in arrays:
            return ConnectionState(synapses, [], np.empty(0, dtype=np.uint16))
        moments = [arrays[f"moment{m}"].copy() for m in range(self.plan.connections[connection].num_moments)]
        return ConnectionState(synapses, moments, arrays["age"].copy())

    def set_state(self, connection: int, state: ConnectionState) -> None:
        arrays = self._connection_arrays[connection]
        for name, values in state.synapses._asdict().items():
            arrays[name][:] = values
        arrays["row_start"][:] = row_start(arrays["post"], self.plan.connections[connection].num_post)
        if "age" in arrays:
            arrays["age"][:] = state.age
            for m, values in enumerate(state.moments):
                arrays[f"moment{m}"][:] = values
        self._library.index_connection(ctypes.byref(self._net), ctypes.c_int64(connection))
