"""A plan on this machine's processor: buffers, the structure that points to them, and calls into generated code."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...codegen.bodies import mangled
from ...codegen.emit import emit
from ...codegen.few import FEW_LANES
from ...codegen.parts import has_one_pass
from ...communicators import Communicator
from ...errors import TrainingError
from ...learning.losses import Truth
from ...learning.optimisers import L1, Optimisers
from ...neurons.batch_norm import factor_and_offset
from ...plan.exchanged import ConnectionState, DenseData, EventData, InputData, Pass, Rewired
from ...plan.foresight import foresee
from ...plan.limits import check_spikes
from ...plan.plan import Plan, PopulationPlan
from ...plan.populations import PopulationState
from ...plan.trainable import check_trainable
from .buffers import (
    REWIRING,
    allocate_connection,
    allocate_network,
    allocate_population,
    allocate_scratch,
    foreseen,
    widen,
)
from .compiler import load_library
from .contents import Contents
from .early_sums import EarlySums
from .finder import Finder
from .leaves import Sharing, leaf_lanes, leaf_sizes
from .shared_sums import SharedSums
from .structs import Arrays, address, network_type, set_members
from .threads import HasThreads, declare

BUSY = 1 / 8
"""Above this share of (step, lane) with a spike, a row is added in its dense form. It changes speed, never a bit."""


WIDE = 8, 4
"""Under a delay kernel with so many lags or more a row counts as busy at a share so many times smaller: it is added
once for every lag."""


ROW_FLOATS = 6144
"""A row of a tile, ``T * lanes`` floats, should fit in half of a first-level cache."""


MOST_LANES = 256
"""A tile of a network with cycles has at most so many lanes."""


_NOTHING = np.empty(0, np.int32)


class LoadedEvents(NamedTuple):
    """Events that batches are loaded from, the addresses of their arrays, and how many an example has at most."""

    data: weakref.ref[EventData]
    addresses: tuple[ctypes.c_void_p, ...]
    most: int

    @classmethod
    def of(cls, data: EventData) -> LoadedEvents:
        """Those of a data set or a batch."""
        places = tuple(ctypes.c_void_p(address(a)) for a in (data.start, data.neuron, data.step))
        return cls(weakref.ref(data), places, int(np.diff(data.start).max(initial=0)))


def _same(before: Optimisers | None, now: Optimisers) -> bool:
    """True if these are the very optimisers whose numbers are set already."""
    return before is not None and before.weight is now.weight and before.delay is now.delay


def tile_lanes(time_steps: int, batch_size: int) -> int:
    """Lanes of a tile: a multiple of 16 that depends on shapes only, as the order of summation does.

    Tiles are as even as that allows: few lanes take almost as long as many.

    Args:
        time_steps: of the blocks that rows are computed in: those of an example, or fewer on a cycle.
    """
    most = max(16, ROW_FLOATS // time_steps // 16 * 16)
    even = -(-batch_size // -(-batch_size // most))
    return min(batch_size, -(-even // 16) * 16)


def _tile(plan: Plan) -> int:
    """Lanes of the tiles of a plan. Short blocks want many: what a synapse costs in every block is then shared."""
    shortest = plan.shortest_block()
    lanes = tile_lanes(shortest, plan.batch_size)
    return lanes if shortest == plan.time_steps else min(lanes, MOST_LANES)


def bytes_held(plan: Plan, threads: int = 1, communicator: Communicator | None = None) -> dict[tuple[str, str], int]:
    """Bytes by owner and array of all that an engine for a plan allocates; nothing is."""
    trial = network_type(plan)()
    return foreseen(_set_shapes(plan, trial, _sharing(plan, communicator)), trial, threads)


def _sharing(plan: Plan, communicator: Communicator | None = None) -> Sharing:
    """The way in which batches of a plan are cut into tiles and partial sums, and shared among ranks."""
    tile = _tile(plan)
    leaf = leaf_lanes(tile, plan.batch_size, plan.time_steps)
    rank, size = (0, 1) if communicator is None else (communicator.rank, communicator.size)
    if communicator is not None:
        communicator.refuse_more_than(len(leaf_sizes(plan.batch_size, tile, leaf)), plan.batch_size)
    return Sharing(plan.batch_size, tile, leaf, rank, size)


def _set_shapes(plan: Plan, net: Any, sharing: Sharing) -> Plan:
    """Set the sizes of a structure on which its arrays depend; returns the plan with the lanes that there is room
    for."""
    net.T, net.tile, net.leaf, net.levels = plan.time_steps, sharing.tile, sharing.leaf, sharing.levels
    return plan if sharing.size == 1 else replace(plan, batch_size=sharing.most_lanes)


class CPUEngine(HasThreads, Contents):
    """See :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        source: path of the generated source.
        compiled: whether it had to be compiled, or came from the cache.
        busy: see :data:`BUSY`; may be changed between batches.
    """

    runs_ahead = False
    learner = None

    def __init__(self, plan: Plan, threads: int, communicator: Communicator | None = None) -> None:
        self.busy = BUSY
        structure = network_type(plan)
        net = self._net = structure()
        self._sharing = _sharing(plan, communicator)
        self._share = self._sharing.of(plan.batch_size)
        self._sums = None if communicator is None else SharedSums(communicator, net)
        needs = bytes_held(plan, threads, communicator)
        self._bytes_held = sum(needs.values())
        foresee(plan, needs, copies=0)
        whole, plan = plan, _set_shapes(plan, net, self._sharing)
        self.plan = plan
        self._library, library_path, self.compiled = load_library(emit(whole))
        self.source = library_path.with_suffix(".cpp")
        self._declare()
        self._population_arrays = [
            allocate_population(plan, p, net.whole[p.index], net, Arrays) for p in plan.populations
        ]
        self._connection_arrays = [
            allocate_connection(plan, c, net.c[c.index], net.levels, Arrays) for c in plan.connections
        ]
        self.finder = Finder(plan, net, self._connection_arrays)
        self._arrays = allocate_network(plan, net, threads, Arrays)
        self._early = EarlySums.of(plan, self._sums, self._connection_arrays, self._population_arrays, net)
        self._scratch = Arrays(REWIRING)
        self._prepare_host()
        self._values: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
        for p in plan.populations:
            self.set_values(p.index, PopulationState.new(p).values)
        self.start_threads(threads)
        for c in plan.connections:
            self.set_state(c.index, ConnectionState.born(c.initial_synapses(), c))

    def _prepare_host(self) -> None:
        """Find out once which host work every batch needs; for a batch of one it takes as long as the network's."""
        plan = self.plan
        dropouts = [(c, plan.populations[c.source].dropout) for c in plan.connections]
        self._in_training = [(c, dropout) for c, dropout in dropouts if c.kernel is not None or dropout]
        self._normed = [p for p in plan.populations if p.batch_norm]
        self._cycles = [(k, group) for k, group in enumerate(plan.groups) if plan.populations[group[0]].cyclic]
        self._arrays["block"][:] = plan.time_steps
        spread = {p.index: [c for c in plan.connections if c.source == p.index and c.kernel] for p in plan.populations}
        neurons = [p.index for p in plan.populations if p.kind == "neuron" and not p.cyclic]
        self._spread = {index: spread[index] for index in neurons if spread[index]}
        self._dense: dict[int, DenseData] = {}
        self._loaded: dict[int, LoadedEvents] = {}
        self._stepping: dict[int, Optimisers] = {}

    def bytes_held(self) -> tuple[str, int]:
        """See :class:`~genn_delays.plan.protocol.TellsBytes`."""
        return "cpu", self._bytes_held

    def _declare(self) -> None:
        library, procedures = self._library, ["forward", "loss", "backward", "one_pass", "update", "index_connection"]
        rewired = [c.index for c in self.plan.connections if c.rewiring]
        declare(library, self._net, str(self.source), [*procedures, "copy_spikes", *(f"rewire_{k}" for k in rewired)])
        for k in rewired:
            getattr(library, f"drop_{k}").restype = ctypes.c_int64

    # --- running -----------------------------------------------------------------------------------------------------

    def check_learning(self, *, training: bool) -> None:
        check_trainable(self.plan)

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.load_share(inputs, examples, len(examples))

    def share(self, lanes: int) -> tuple[int, int]:
        """See :class:`~genn_delays.plan.protocol.SharedEngine`."""
        share = self._sharing.of(lanes)
        return share.before, share.before + share.lanes

    def gathered(self, what: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See :class:`~genn_delays.plan.protocol.SharedEngine`."""
        return values if self._sums is None else self._sums.communicator.gather(what, values, self._share.sizes)

    def load_share(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64], total: int) -> None:
        """See :class:`~genn_delays.plan.protocol.SharedEngine`."""
        net, lanes = self._net, len(examples)
        net.busy_share = self.busy
        if total != net.all_lanes:
            self._cut(total)
        self._arrays["examples"][:lanes] = examples
        for index, data in inputs.items():
            net.input = index
            if isinstance(data, DenseData):
                self._dense[index] = data  # loaded when a pass begins, tile by tile
                net.whole[index].data = address(data.values)
            else:
                known = self._loaded.get(index)
                if known is None or known.data() is not data:
                    known = self._loaded[index] = LoadedEvents.of(data)
                if known.most * lanes > self._population_arrays[index].get("events", _NOTHING).size:
                    exact = int((data.start[examples + 1] - data.start[examples]).sum())
                    self._reserve_events(index, known.most * lanes if lanes <= FEW_LANES else exact)
                self._library.load_events(ctypes.byref(net), *known.addresses)

    def _cut(self, lanes: int) -> None:
        """Cut a batch into tiles and partial sums."""
        net, share = self._net, self._sharing.of(lanes)
        self._share = share
        net.live, net.all_lanes, net.lanes_before = share.lanes, share.total, share.before
        net.num_tiles, net.num_leaves = share.starts.size - 1, share.counts[self._sharing.rank]
        for name, numbers in (("tile_first", share.starts), ("tile_leaf", share.leaf_starts)):
            self._arrays[name][: numbers.size] = numbers
        if self._sums is not None:
            self._sums.counts = share.counts

    def _check_sums(self) -> None:
        """Raise the error of a sum over all ranks in the middle of a pass."""
        if self._sums is not None:
            self._sums.check()

    def _sum_gradients(self) -> None:
        """Add up the gradients of all ranks."""
        if self._sums is not None:
            self._sums.check()
            if self._early is not None:
                self._early.finish()
            else:
                self._sums.add_gradients(self._connection_arrays, self._population_arrays)

    def _reserve_events(self, population: int, count: int) -> None:
        arrays = self._population_arrays[population]
        if "events" not in arrays or arrays["events"].size < count:
            self._net.whole[population].events = arrays.new("events", max(count, 1), np.int32)

    def forward(self, how: Pass) -> None:
        if how.training:
            for p, arrays in zip(self.plan.populations, self._population_arrays, strict=True):
                widen(self.plan, p, self._net.whole[p.index], arrays)
        self._prepare(how)
        self._library.forward(ctypes.byref(self._net))
        self._check_sums()
        self._check_spikes()
        if self._sums is not None and how.training:
            self._sums.add_totals(self._population_arrays)

    @property
    def one_pass(self) -> Callable[[Pass, dict[int, Truth]], dict[int, tuple[float, int]]] | None:
        """See :class:`~genn_delays.plan.protocol.Engine`."""
        return self._one_pass if has_one_pass(self.plan) else None

    def _one_pass(self, how: Pass, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        self._prepare(how)
        self._set_truth(labels)
        self._library.one_pass(ctypes.byref(self._net))
        self._check_sums()
        self._check_spikes()
        self._sum_gradients()
        return self._losses(labels)

    def _prepare(self, how: Pass) -> None:
        """Set what a pass depends on."""
        self._net.training, self._net.step = int(how.training), how.step
        for c, dropout in self._in_training:
            view = self._net.c[c.index]
            view.gain = 1.0 / (1.0 - dropout) if how.training else 1.0
            if c.kernel is not None and how.training:
                view.width = how.widths[c.index]
        self._divide_busy(how)
        if not how.training:
            for p in self._normed:
                self._use_running_averages(p)
        for number, group in self._cycles:
            delays = [self._connection_arrays[c.index]["delay"] for c in self.plan.connections]
            self._arrays["block"][number] = self.plan.block_steps(group, delays)
        self._net.lost = 0

    def _divide_busy(self, how: Pass) -> None:
        """Fewer spikes make a row busy where it is spread over many lags."""
        many, divisor = WIDE
        for population, connections in self._spread.items():
            lags = max(2 * c.kernel.reach * self._net.c[c.index].width for c in connections if c.kernel is not None)
            wide = how.training and self.busy < 1 and lags >= many
            self._net.whole[population].busy = divisor if wide else 1

    def _check_spikes(self) -> None:
        """An error where spikes went beyond the memory there is, or the limit that was set."""
        if self._net.lost:
            p = self.plan.populations[self._net.lost - 1]
            raise TrainingError(
                f"no memory is left for the spikes of population {p.name!r} ({self.spike_count(p.index)} in a batch of "
                f"{self._net.live} examples so far); use a smaller batch_size, or weights with which it spikes less"
            )
        for p in self.plan.populations if self.plan.max_spikes is not None else ():
            if self.plan.max_spikes is not None and p.kind == "neuron" and p.spiking:
                check_spikes(p, self._population_arrays[p.index]["most"], self.plan.max_spikes)

    def not_finite(self) -> tuple[int, ...]:
        first, self._net.no_number = self._net.no_number, 0
        return (first - 1,) if first else ()

    def _use_running_averages(self, p: PopulationPlan) -> None:
        assert p.batch_norm is not None
        values, arrays = self._values[p.index], self._population_arrays[p.index]
        scale, shift, mean, var = (values[f"batch_norm_{name}"] for name in ("scale", "shift", "mean", "var"))
        numbers = factor_and_offset(scale, shift, mean, var, p.batch_norm.epsilon)
        arrays["factor"][:], arrays["offset"][:] = numbers

    def loss(self, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        self._set_truth(labels)
        self._library.loss(ctypes.byref(self._net))
        return self._losses(labels)

    def _set_truth(self, labels: dict[int, Truth]) -> None:
        for index, values in labels.items() if self._net.live else ():
            arrays = self._population_arrays[index]
            arrays["labels" if "labels" in arrays else "targets"][: values.size] = values.reshape(-1)
            self._net.whole[index].truths = values.size // self._net.live

    def _losses(self, labels: dict[int, Truth]) -> dict[int, tuple[float, int]]:
        lanes, results = self._net.live, {}
        for index in labels:
            arrays = self._population_arrays[index]
            if self._sums is not None:
                losses = self.gathered("losses", arrays["losses"][:lanes])
                results[index] = (float(losses.sum()), int(self.gathered("losses", arrays["correct"][:lanes]).sum()))
            elif lanes == 1:
                results[index] = (float(arrays["losses"][0]), int(arrays["correct"][0]))
            else:
                results[index] = (float(arrays["losses"][:lanes].sum()), int(arrays["correct"][:lanes].sum()))
        return results

    def backward(self) -> None:
        self._library.backward(ctypes.byref(self._net))
        self._sum_gradients()

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        self._net.step, self._net.gradient_scale = step, scale
        for index, optimiser_pair in optimisers.items():
            if _same(self._stepping.get(index), optimiser_pair):
                continue
            self._stepping[index] = optimiser_pair
            weights, delays = optimiser_pair
            view, rule = self._net.c[index], self.plan.connections[index].rewiring
            for optimiser, numbers in ((weights, view.weight_rule), (delays, view.delay_rule)):
                if optimiser is not None:
                    set_members(numbers, {mangled(name): value for name, value in optimiser.numbers().items()})
                    numbers.weight_decay = optimiser.weight_decay
            view.weight_rule.l1, view.weight_rule.drift = L1.of(weights, rule)
            view.noise = rule.noise(weights.alpha) if rule and weights else 0.0
        self._library.update(ctypes.byref(self._net))

    def rewire(self, step: int, drops: dict[int, int]) -> dict[int, Rewired]:
        self._net.step = step
        rewired = {}
        for index, count in drops.items():
            view, rule = self._net.c[index], self.plan.connections[index].rewiring
            assert rule is not None
            view.num_dropped, view.youngest, view.newborn = count, rule.youngest(step), 0
            dropped = int(getattr(self._library, f"drop_{index}")(ctypes.byref(self._net)))
            if dropped:
                allocate_scratch(self.plan.connections[index], view, dropped, self._scratch)
                getattr(self._library, f"rewire_{index}")(ctypes.byref(self._net))
                self._check_sums()
            rewired[index] = Rewired(dropped - view.newborn, view.newborn)
        return rewired
