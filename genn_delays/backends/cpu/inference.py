"""A plan without gradients on this machine's processor: a piece of time after the other (:mod:`...codegen.inference`).

Of every neuron the engine holds its variables and its spikes in the current piece and in the longest delay before it.
So memory follows neurons times delays, however long an example lasts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...codegen.inference import PIECE, emit_inference
from ...codegen.losses import output_numbers
from ...connectivity import row_start
from ...errors import InvalidValueError, TrainingError
from ...learning.losses import Truth
from ...learning.optimisers import Optimisers
from ...neurons.batch_norm import factor_and_offset
from ...plan.exchanged import ConnectionState, DenseData, EventData, InputData, Pass, Rewired
from ...plan.foresight import foresee
from ...plan.outcome import outcome
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.populations import PopulationState
from ...plan.schema import SYNAPSE_FIELDS, synapse_fields
from ...plan.trainable import check_trainable
from .compiler import load_library
from .contents import Contents
from .engine import tile_lanes
from .structs import Arrays, Foreseen, address, network_type, set_members
from .threads import HasThreads, declare

A = TypeVar("A", bound=Arrays)


def rows_of(plan: Plan) -> tuple[int, int]:
    """Steps of history that a row begins with, and steps of a piece."""
    longest = max((c.max_delay for c in plan.connections), default=0)
    history = max(1, min(longest, plan.time_steps))  # after step 0 variables are carried over, not set
    return history, min(max(PIECE, history), plan.time_steps)


def bytes_of_inference(plan: Plan, threads: int = 1) -> dict[tuple[str, str], int]:
    """Bytes by owner and array of all that an engine for a plan allocates, spikes apart; nothing is."""
    net = network_type(plan)()
    made = _allocate(plan, net, threads, Foreseen)
    return {(arrays.owner, name): n for arrays in made for name, n in arrays.sizes.items()}


def _allocate(plan: Plan, net: Any, threads: int, kind: type[A]) -> list[A]:
    """The arrays of populations, of connections and of the network, with `net` pointing to them."""
    net.history, piece = rows_of(plan)
    net.T = net.history + piece
    net.tile = tile_lanes(net.T, plan.batch_size)
    net.total, net.dt = plan.time_steps, plan.outputs[0].dt
    made = [_population(plan, p, net, kind) for p in plan.populations]
    made += [_connection(c, net.c[c.index], kind) for c in plan.connections]
    arrays, row = kind("the network"), net.T * net.tile
    variables = max((len(p.model.states) for p in plan.populations if p.model), default=1)
    net.row_capacity, net.spiked_stride = row, net.T * -(-net.tile // 64)
    net.active_stride, net.scratch_stride, net.rows_stride = row + max(net.T + 1, 4), row, variables * row
    net.scratch = arrays.new("scratch", (threads, net.scratch_stride), np.float32)
    net.rows = arrays.new("rows", (threads, net.rows_stride), np.float32)
    net.spiked = arrays.new("spiked", (threads, net.spiked_stride), np.uint64)
    net.active = arrays.new("active", (threads, net.active_stride), np.int32)
    net.examples = arrays.new("examples", net.tile, np.int64)
    net.num_tiles, net.tile_first = 1, arrays.new("tile_first", 2, np.int64, zero=True)
    net.block = arrays.new("block", len(plan.groups), np.int64)
    return [*made, arrays]


def _population(plan: Plan, p: PopulationPlan, net: Any, kind: type[A]) -> A:
    arrays, view, n = kind(f"population {p.name!r}"), net.whole[p.index], p.size
    row = n * net.T * net.tile
    view.size, view.busy = n, -1  # a row that grows piece by piece is never spread
    if p.kind == "real_input":
        view.x = arrays.new("x", row, np.float32)
        arrays.new("window", row, np.float32)
    if p.spiking:
        view.event_start = arrays.new("event_start", (n, net.T + 1), np.int32, zero=True)
        view.event_row = arrays.new("event_row", n, np.uintp, zero=True)
        view.event_room = arrays.new("event_room", n, np.int32, zero=True)
        view.value_row = arrays.new("value_row", n, np.uintp, zero=True)
    if p.model is not None:
        view.carry = arrays.new("carry", (n, len(p.model.states) * net.tile), np.float32)
    if p.batch_norm:
        view.epsilon = p.batch_norm.epsilon
        for name in ("scale", "shift", "factor", "offset"):
            setattr(view, name, arrays.new(name, n, np.float32, zero=True))
    if p.bias is not None:
        view.bias = arrays.new("bias", n, np.float32)
        arrays["bias"][:] = p.bias
    for index, (name, values) in enumerate(p.parameters.items()):
        view.par[index] = arrays.new(f"par.{name}", n, np.float32)
        arrays[f"par.{name}"][:] = values
    if p.readout:
        set_members(view, output_numbers(plan)[p.index])
        view.z = arrays.new("z", n * net.tile, np.float32)
        view.carried = arrays.new("carried", max(len(p.reading.scan().carried), 1) * n * net.tile, np.float64)
        if p.reading.reads == "softmax":
            view.g = arrays.new("g", row, np.float32)
        if p.reading.reads != "spikes":
            _keep(p, view, net, arrays)
    return arrays


def _keep(p: PopulationPlan, view: Any, net: Any, arrays: Arrays) -> None:
    """Room for a population's variables at every step of a piece."""
    assert p.model is not None
    for index in range(len(p.model.states)):
        if f"var{index}" not in arrays:
            view.var[index] = arrays.new(f"var{index}", p.size * net.T * net.tile, np.float32)


def _connection(c: ConnectionPlan, view: Any, kind: type[A]) -> A:
    arrays = kind(f"connection {c.name!r}")
    view.num_pre, view.num_post, view.size, view.gain = c.num_pre, c.num_post, c.size, 1.0
    for name, field in synapse_fields(c).items():
        arrays.new(name, c.size, field.dtype, zero=True)
    for field in SYNAPSE_FIELDS:
        if field.names(field.count(c)) and not field.several:
            setattr(view, field.name, arrays.address(field.name))
    view.row_start = arrays.new("row_start", c.num_post + 1, np.int64)
    return arrays


class CPUInference(HasThreads, Contents):
    """See :class:`~genn_delays.plan.protocol.Engine`: its forward pass, losses and what can be read; no gradients."""

    runs_ahead = False
    learner = None
    finder = None
    one_pass = None

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan, self._num_threads = plan, threads
        foresee(plan, bytes_of_inference(plan, threads), copies=0)
        net = self._net = network_type(plan)()
        self._library, self.source = self._load_library()
        made = _allocate(plan, net, threads, Arrays)
        self._population_arrays = made[: len(plan.populations)]
        self._connection_arrays = made[len(plan.populations) : -1]
        self._arrays = made[-1]
        self._arrays["examples"][:] = np.arange(net.tile)
        self._values: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
        for p in plan.populations:
            self.set_values(p.index, PopulationState.new(p).values)
        self.start_threads(threads)
        for c in plan.connections:
            self.set_state(c.index, ConnectionState.born(c.initial_synapses(), c))
        self._inputs: dict[int, InputData] = {}
        self._examples = np.empty(0, np.int64)
        self._z: dict[int, npt.NDArray[np.float32]] = {}
        self._wanted: set[int] = set()  # populations whose variables are kept
        self._listened: set[int] = set()  # those whose spikes are
        self._traces: dict[tuple[int, str], npt.NDArray[np.float32]] = {}
        self._spikes: dict[int, npt.NDArray[np.bool_]] = {}
        self._counts = [0] * len(plan.populations)
        for p in plan.outputs:  # a loss of every step reads the variable of every step
            if p.loss is not None and p.loss.stepwise:
                self.keep_variables(p.index)

    def _load_library(self) -> tuple[Any, Any]:
        library, path, self.compiled = load_library(emit_inference(self.plan))
        source = path.with_suffix(".cpp")
        procedures = ["forward_piece", "copy_spikes", *(["load_events"] if hasattr(library, "load_events") else [])]
        declare(library, self._net, str(source), procedures)
        return library, source

    def bytes_held(self) -> tuple[str, int]:
        """See :class:`~genn_delays.plan.protocol.TellsBytes`."""
        return "cpu", sum(bytes_of_inference(self.plan, self._num_threads).values())

    # --- running -----------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self._inputs, self._examples = dict(inputs), examples

    def forward(self, how: Pass) -> None:
        plan, net, lanes = self.plan, self._net, len(self._examples)
        net.lost, self._counts = 0, [0] * len(plan.populations)
        delays = [self._connection_arrays[c.index]["delay"] for c in plan.connections]
        self._arrays["block"][:] = [plan.block_steps(group, delays) for group in plan.groups]
        self._z = {p.index: np.empty((lanes, p.size), np.float32) for p in plan.outputs}
        self._make_recordings(lanes)
        for first in range(0, lanes, net.tile):
            self._forward_tile(first, self._examples[first : first + net.tile])

    def _make_recordings(self, lanes: int) -> None:
        shapes = {p.index: (p.size, self.plan.time_steps, lanes) for p in self.plan.populations}
        self._spikes = {index: np.zeros(shapes[index], np.bool_) for index in sorted(self._listened)}
        self._traces = {}
        for p in self.plan.populations:
            if p.model is not None and p.index in self._wanted:
                self._traces |= {(p.index, s): np.empty(shapes[p.index], np.float32) for s in p.model.states}

    def _forward_tile(self, first: int, examples: npt.NDArray[np.int64]) -> None:
        """All pieces of time of the lanes from `first` on."""
        plan, net, live = self.plan, self._net, len(examples)
        net.live = self._arrays["tile_first"][1] = live
        for p in plan.populations:
            if p.model is not None:
                carry = self._population_arrays[p.index]["carry"]
                for v, s in enumerate(p.model.states):
                    initial = self._population_arrays[p.index][f"par.initial__{s}"]
                    carry[:, v * live : (v + 1) * live] = initial[:, None]
        events = {
            i: _Windows(d, examples, plan.time_steps) for i, d in self._inputs.items() if isinstance(d, EventData)
        }
        for passed in range(0, plan.time_steps, net.T - net.history):
            steps = min(net.T - net.history, plan.time_steps - passed)
            net.passed, net.end = passed, net.history + steps
            for index, data in self._inputs.items():
                if isinstance(data, DenseData):
                    self._load_window(index, data, examples, passed, steps)
                else:
                    self._load_events(index, events[index].cut(passed - net.history, passed + steps))
            self._library.forward_piece(ctypes.byref(net))
            if net.lost:
                raise TrainingError(
                    f"no memory is left for the spikes of population {plan.populations[net.lost - 1].name!r}; use a "
                    "smaller batch_size, or weights with which it spikes less"
                )
            self._take(first, passed, steps)
        for index, z in self._z.items():
            whole = self._population_arrays[index]["z"][: z.shape[1] * live]
            z[first : first + live] = whole.reshape(z.shape[1], live).T

    def _load_window(
        self, index: int, data: DenseData, examples: npt.NDArray[np.int64], passed: int, steps: int
    ) -> None:
        """Real values of a piece and of the steps before it, as an example of its own; 0 before the first step."""
        net, size = self._net, self.plan.populations[index].size
        window = self._population_arrays[index]["window"][: len(examples) * net.T * size]
        window = window.reshape(len(examples), net.T, size)
        before = min(passed, net.history)
        window[:, : net.history - before] = 0
        for lane, example in enumerate(examples):
            window[lane, net.history - before : net.end] = data.values[example, passed - before : passed + steps]
        window[:, net.end :] = 0
        net.whole[index].data = address(window)

    def _load_events(self, index: int, data: EventData) -> None:
        net, arrays = self._net, self._population_arrays[index]
        if "events" not in arrays or arrays["events"].size < data.neuron.size:
            net.whole[index].events = arrays.new("events", max(2 * data.neuron.size, 1), np.int32)
        net.input = index
        places = [ctypes.c_void_p(address(a)) for a in (data.start, data.neuron, data.step)]
        self._library.load_events(ctypes.byref(net), *places)

    def _take(self, first: int, passed: int, steps: int) -> None:
        """Count the spikes of a piece, and record what is asked for."""
        net, live = self._net, self._net.live
        window = slice(net.history, net.history + steps)
        for p in self.plan.populations:
            arrays = self._population_arrays[p.index]
            if p.spiking:
                start = arrays["event_start"]
                self._counts[p.index] += int((start[:, window.stop] - start[:, window.start]).sum(dtype=np.int64))
            if p.index in self._spikes:
                dense = np.zeros((p.size, net.T, live), np.bool_)
                place = ctypes.c_void_p(address(dense))
                self._library.copy_spikes(ctypes.byref(net), ctypes.c_int64(p.index), place)
                self._spikes[p.index][:, passed : passed + steps, first : first + live] = dense[:, window]
            for v, s in enumerate(p.model.states if p.model and p.index in self._wanted else ()):
                whole = arrays[f"var{v}"][: p.size * net.T * live].reshape(p.size, net.T, live)
                self._traces[p.index, s][:, passed : passed + steps, first : first + live] = whole[:, window]

    def loss(self, labels: dict[int, Truth]) -> Mapping[int, tuple[float, int]]:
        found = {}
        for index, truth in labels.items():
            p = self.plan.populations[index]
            assert p.model is not None
            read = self._traces.get((index, p.model.states[p.model.output]), np.empty((p.size, 0, len(truth)), "f4"))
            found[index] = outcome(p, read, np.ascontiguousarray(self._z[index].T), truth)[:2]
        return found

    def not_finite(self) -> tuple[int, ...]:
        first, self._net.no_number = self._net.no_number, 0
        return (first - 1,) if first else ()

    # --- reading and writing -----------------------------------------------------------------------------------------

    def output(self, population: int) -> npt.NDArray[np.float32]:
        return self._z[population].copy()

    def keep_variables(self, population: int) -> None:
        p = self.plan.populations[population]
        if p.model is not None:
            self._wanted.add(population)
            _keep(p, self._net.whole[population], self._net, self._population_arrays[population])

    def keep_spikes(self, population: int) -> None:
        """See :class:`~genn_delays.plan.protocol.KeepsSpikes`."""
        if self.plan.populations[population].spiking:
            self._listened.add(population)

    def variable(self, population: int, name: str) -> npt.NDArray[np.float32]:
        if (population, name) not in self._traces:
            what = f"variables of population {self.plan.populations[population].name!r}"
            raise InvalidValueError(f"{what} are not kept: keep_variables() asks for them")
        return self._traces[population, name].copy()

    def spikes(self, population: int) -> npt.NDArray[np.bool_]:
        p = self.plan.populations[population]
        if population not in self._spikes and p.spiking:
            raise InvalidValueError(f"spikes of population {p.name!r} are not kept: keep_spikes() asks for them")
        shape = p.size, self.plan.time_steps, len(self._examples)
        return self._spikes[population].copy() if p.spiking else np.zeros(shape, np.bool_)

    def spike_count(self, population: int) -> int:
        return self._counts[population]

    def set_values(self, population: int, values: dict[str, npt.NDArray[np.float32]]) -> None:
        super().set_values(population, values)
        p, arrays = self.plan.populations[population], self._population_arrays[population]
        if p.batch_norm is not None:
            scale, shift, mean, var = (values[f"batch_norm_{name}"] for name in ("scale", "shift", "mean", "var"))
            numbers = factor_and_offset(scale, shift, mean, var, p.batch_norm.epsilon)
            arrays["factor"][:], arrays["offset"][:] = numbers

    def set_state(self, connection: int, state: ConnectionState) -> None:
        arrays = self._connection_arrays[connection]
        for name, values in state.arrays().items():
            if name in arrays:
                arrays[name][:] = values
        arrays["row_start"][:] = row_start(arrays["post"], self.plan.connections[connection].num_post)

    # --- what inference has not --------------------------------------------------------------------------------------

    def check_learning(self, *, training: bool) -> None:
        check_trainable(self.plan)

    def backward(self) -> None:
        check_trainable(self.plan)

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        check_trainable(self.plan)

    def rewire(self, step: int, drops: dict[int, int]) -> Mapping[int, Rewired]:
        check_trainable(self.plan)
        return {}


class _Windows:
    """Spikes of some examples, from which pieces of time are cut.

    They are sorted by lane and step once, so that a piece costs its own spikes.
    """

    def __init__(self, data: EventData, examples: npt.NDArray[np.int64], steps: int) -> None:
        part = data.part(examples)
        place = np.repeat(np.arange(len(examples)) * steps, np.diff(part.start)) + part.step
        order = np.argsort(place, kind="stable")
        self.neuron, self.step, self.place = part.neuron[order], part.step[order], place[order]
        self.steps, self.lane = steps, np.arange(len(examples)) * steps

    def cut(self, begin: int, end: int) -> EventData:
        """The spikes of steps `begin` (maybe before the first one) to `end`, counted from `begin`."""
        first = np.searchsorted(self.place, self.lane + max(begin, 0))
        count = np.searchsorted(self.place, self.lane + min(end, self.steps)) - first
        start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        own = np.repeat(first - start[:-1], count) + np.arange(start[-1])
        return EventData(start, self.neuron[own], self.step[own] - np.int32(begin), passing=True)
