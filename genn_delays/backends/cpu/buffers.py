"""Memory of a plan on this machine's processor: every array that the kernels read or write, and the structures with
pointers to them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ...codegen.bodies import mangled
from ...codegen.emit import SLOT_PIECE, SPAN
from ...codegen.few import NEURONS, block_floats, block_width, few_forward, lists_only, padding, scatters, skipping
from ...codegen.losses import output_numbers
from ...codegen.parts import kept
from ...errors import asked, check_count
from ...learning.schedules import Progress
from ...plan import schema
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.schema import synapse_fields
from ...random import dropout_threshold
from .structs import Arrays, Foreseen, address, set_members

A = TypeVar("A", bound=Arrays)

SLOT = np.dtype([("post", "i4"), ("pre", "i4"), ("ordinal", "i4"), ("help", "f4"), ("delay", "i4"), ("negative", "i4")])
"""``struct Slot``."""
PART = 16_384
"""Synapses that are searched at once for those to be dropped."""
DIGITS = 2048
"""Counters of each thread where the smallest scores are selected."""
SMOOTHED_ROOM = 1 << 24
"""Numbers of smoothed rows kept at most: where growth goes by the gradient under a delay kernel, of spiking sources."""
SPANS_ROOM = 50 * SPAN
"""Numbers of spans of smoothed rows that stay in a first-level cache."""
LAG_ROOM = 1 << 18
"""Numbers of correlograms kept at once where delays are chosen."""


REWIRING = "the rewiring"
"""The owner of scratch memory for synapses that are dropped and grown."""
_OF_LEARNING = ("g", "h", "lambda", "grad", "delay_grad", "grad_parts", "delay_parts")
"""Arrays that only gradients need."""


def leaves_of_tile(net: Any) -> int:
    """Partial sums of a tile at most."""
    return max(int(net.tile) // int(net.leaf), 1)


def foreseen(plan: Plan, net: Any, threads: int) -> dict[tuple[str, str], int]:
    """Bytes by owner and array of all that a plan needs, with nothing allocated; `net` is a structure to spoil.

    Memory that is only partly or rarely used is left out: rows of busy neurons, gradients where nothing is learned, and
    what depends on numbers that are not known in advance: spikes, and synapses of which each is dropped by itself.
    """
    every = [allocate_network(plan, net, threads, Foreseen)]
    every += [allocate_population(plan, p, net.whole[p.index], net, Foreseen) for p in plan.populations]
    every += [allocate_connection(plan, c, net.c[c.index], net.levels, Foreseen) for c in plan.connections]
    scratch = Foreseen(REWIRING)
    for c in plan.connections:
        if c.rewiring is not None:
            allocate_scratch(c, net.c[c.index], most_dropped(c), scratch)
    every.append(scratch)
    learns = plan.learns
    return {
        (arrays.owner, name): n
        for arrays in every
        for name, n in arrays.sizes.items()
        if (learns or name not in _OF_LEARNING) and not (name == "x" and "event_start" in arrays)
    }


def allocate_population(plan: Plan, p: PopulationPlan, view: Any, net: Any, kind: type[A]) -> A:
    """The arrays of a population, with `view`, its structure for the whole batch, pointing to them."""
    arrays, T, B, n = kind(f"population {p.name!r}"), plan.time_steps, plan.batch_size, p.size
    tile = net.tile
    view.size = n
    view.busy = -1 if p.cyclic else 1  # a row that grows block by block is never spread
    view.dropout = dropout_threshold(p.dropout)
    whole = kept(plan, p)
    view.width, view.pad = block_width(plan, p), padding(plan, p)
    view.lists_only = int(p.spiking and lists_only(plan, p))
    if p.kind == "real_input" or p.spiking:
        view.keeps_x = int(whole.x)
        view.x = arrays.new("x", n * T * (B if whole.x else tile), np.float32)
    if p.spiking:
        count = -(-B // tile)
        view.event_start = arrays.new("event_start", (count, n, T + 1), np.int32, zero=True)
        view.event_row = arrays.new("event_row", (count, n), np.uintp, zero=True)
        view.event_room = arrays.new("event_room", (count, n), np.int32, zero=True)
    if p.kind == "neuron":
        _allocate_neurons(plan, p, view, tile, arrays)
    if p.bias is not None:
        view.bias = arrays.new("bias", n, np.float32)
        arrays["bias"][:] = p.bias
    if p.regularised:
        view.total = arrays.new("total", n, np.int64, zero=True)
        view.drive = arrays.new("drive", n, np.float32, zero=True)
    if p.keeps_current:
        view.keeps_current = int(whole.current)
        view.current = arrays.new("current", n * T * (B if whole.current else tile), np.float32)
    if p.slopes:
        view.slope = arrays.new("slope", (len(p.slopes), n), np.float64, zero=True)
        view.slope_leaf = arrays.new("slope_leaf", (leaves_of_tile(net), len(p.slopes), n), np.float64)
        if net.levels:
            view.slope_parts = arrays.new("slope_parts", (net.levels, len(p.slopes), n), np.float64)
    if p.batch_norm:
        view.epsilon = p.batch_norm.epsilon
        _allocate_norm(n, net.levels, view, arrays)
    for index, (name, values) in enumerate(p.parameters.items()):
        view.par[index] = arrays.new(f"par.{name}", n, np.float32)
        arrays[f"par.{name}"][:] = values
    if p.readout:
        view.z = arrays.new("z", n * B, np.float32)
        _allocate_truth(plan, p, view, arrays)
        view.losses = arrays.new("losses", B, np.float64)
        view.correct = arrays.new("correct", B, np.int32)
    return arrays


def _allocate_neurons(plan: Plan, p: PopulationPlan, view: Any, tile: int, arrays: Arrays) -> None:
    """Variables, their gradients and values at spikes, which inputs do not have."""
    T, B, n, whole = plan.time_steps, plan.batch_size, p.size, kept(plan, p)
    if p.spiking:
        view.value_row = arrays.new("value_row", (-(-B // tile), n), np.uintp, zero=True)
        view.num_kept = len(p.kept_values)
        if any(p.index == h.population for h in skipping(plan)):
            view.heard = arrays.new("heard", n, np.uint8, zero=True)
        if plan.max_spikes is not None:
            view.most = arrays.new("most", n, np.int32, zero=True)
    if p.keeps_tape:
        allocate_tape(plan, p, view, arrays, B if whole.var else tile)
    if p.keeps_gradient:
        view.keeps_g = int(whole.g)
        view.g = arrays.new("g", n * T * (B if whole.g else tile), np.float32)
    if p.keeps_time_gradient:
        view.h = arrays.new("h", n * T * tile, np.float32)
    if p.cyclic and p.model:
        view.carry = arrays.new("carry", (n, len(p.model.states) + 1, tile), np.float32)
        set_members(view, {"lambda": arrays.new("lambda", (n, p.num_lambdas, tile), np.float32)})


def _allocate_norm(size: int, levels: int, view: Any, arrays: Arrays) -> None:
    """Batch norm's numbers of so many neurons."""
    for name in ("scale", "shift", "factor", "offset"):
        setattr(view, name, arrays.new(name, size, np.float32, zero=True))
    for name, shape in (("mean", size), ("inverse", size), ("sums", (size, 2)), ("g_sums", (size, 2))):
        setattr(view, name, arrays.new(name, shape, np.float64, zero=True))
    for name in ("sums_parts", "g_sums_parts") if levels else ():
        setattr(view, name, arrays.new(name, (levels, size, 2), np.float64))


def allocate_tape(plan: Plan, p: PopulationPlan, view: Any, arrays: Arrays, lanes: int) -> None:
    """Room for a population's variables at every step of a batch, or of a tile of so many lanes."""
    assert p.model is not None
    view.keeps_var = int(lanes == plan.batch_size)
    for index in range(len(p.model.states)):
        view.var[index] = arrays.new(f"var{index}", p.size * plan.time_steps * lanes, np.float32)


def widen(plan: Plan, p: PopulationPlan, view: Any, arrays: Arrays) -> None:
    """Keep of all tiles whatever a population keeps of one, for passes that are asked for one by one."""
    size = p.size * plan.time_steps * plan.batch_size
    for name in ("x", "current", "g"):
        needed = name in arrays and (name != "g" or p.keeps_whole_gradient)
        if needed and not getattr(view, f"keeps_{name}"):
            setattr(view, name, arrays.new(name, size, np.float32))
            setattr(view, f"keeps_{name}", 1)
    if "var0" in arrays and not view.keeps_var:
        allocate_tape(plan, p, view, arrays, plan.batch_size)


def _allocate_truth(plan: Plan, p: PopulationPlan, view: Any, arrays: Arrays) -> None:
    """The labels or targets of an output's loss, and the loss's numbers."""
    assert p.loss is not None
    set_members(view, output_numbers(plan)[p.index])
    view.num_carried = 0 if p.loss.stepwise else len(p.reading.scan().kept)
    if view.num_carried:
        view.carried = arrays.new("carried", view.num_carried * p.size * plan.batch_size, np.float64)
    size = plan.batch_size * (plan.time_steps if p.loss.stepwise else 1)
    if p.loss.labelled:
        view.labels = arrays.new("labels", size, np.int32, zero=True)
    else:
        view.targets = arrays.new("targets", size * p.size, np.float32, zero=True)


def allocate_connection(plan: Plan, c: ConnectionPlan, view: Any, levels: int, kind: type[A]) -> A:
    """The arrays of a connection, with `view`, its structure, pointing to them."""
    arrays, size = kind(f"connection {c.name!r}"), c.size
    view.num_pre, view.num_post, view.size = c.num_pre, c.num_post, size
    view.owner, view.source, view.target, view.capacity = c.index, c.source, c.target, c.capacity
    view.min_delay, view.max_delay, view.gain = c.min_delay, c.max_delay, 1.0
    for name, field in synapse_fields(c).items():
        arrays.new(name, size, field.dtype, zero=True)
    _point(c, view, arrays)
    view.row_start = arrays.new("row_start", c.num_post + 1, np.int64)
    view.by_pre_start = arrays.new("by_pre_start", c.num_pre + 1, np.int64)
    view.by_pre_slot = arrays.new("by_pre_slot", size, np.int32)
    view.grad = arrays.new("grad", size, np.float32, zero=True)
    if levels:
        view.grad_parts = arrays.new("grad_parts", (levels, size), np.float32)
    if scatters(plan, c):
        blocks = -(-c.num_post // block_width(plan, plan.populations[c.target]))
        view.block_start = arrays.new("block_start", blocks * c.num_pre + 1, np.int32)
        view.block_slot = view.by_pre_slot if blocks == 1 else arrays.new("block_slot", size, np.int32)
        view.block_place = arrays.new("block_place", size, np.uint32)
    if c.real_delays:
        view.delay_grad = arrays.new("delay_grad", size, np.float32, zero=True)
        if levels:
            view.delay_parts = arrays.new("delay_parts", (levels, size), np.float32)
    if c.rewiring is not None:
        _allocate_rewiring(c, view, arrays)
    return arrays


def _point(c: ConnectionPlan, view: Any, arrays: Arrays) -> None:
    """Let a connection's structure point to the arrays per synapse; pointers to moments are in the optimisers'
    structures."""
    for field in schema.SYNAPSE_FIELDS:
        addresses = [arrays.address(name) for name in field.names(field.count(c))]
        if field.several:
            getattr(view, f"{field.rule}_rule").moment[: len(addresses)] = addresses
        elif addresses:
            setattr(view, field.name, addresses[0])


def _allocate_rewiring(c: ConnectionPlan, view: Any, arrays: Arrays) -> None:
    rule = c.rewiring
    assert rule is not None
    view.part = arrays.new("part", (2, -(-c.size // PART) + 1), np.int64)
    view.candidates = -1 if rule.candidates is None else rule.candidates
    arrays["delay_threshold"] = c.delay_thresholds
    view.delay_threshold, view.num_delay_thresholds = address(c.delay_thresholds), c.delay_thresholds.size
    view.delay_low = c.delay_low
    view.sign_threshold, view.signed_weights = c.sign_threshold, int(rule.signed)
    if c.pre_sign is not None:
        view.pre_sign = address(c.pre_sign)
    view.redraw = int(rule.growth_delay == "redraw")
    set_members(view, {mangled(name): value for name, value in rule.numbers().items()})


def _allocate_blocks(plan: Plan, net: Any, threads: int, arrays: Arrays) -> None:
    """Every thread's memory for blocks of neurons, where lanes are few."""
    few = [p for p in plan.populations if few_forward(plan, p)]
    if not few:
        return
    row = plan.time_steps * net.tile
    net.blocks_stride = max(block_floats(plan, p) for p in few)
    net.blocks = arrays.new("blocks", (threads, net.blocks_stride), np.float32, zero=True)
    net.block_flags = arrays.new("block_flags", (threads, row * NEURONS), np.uint8)
    net.block_found = arrays.new("block_found", (threads, row * NEURONS), np.int32)
    net.block_spikes = arrays.new("block_spikes", (threads, 3 * row * NEURONS), np.int32)
    net.block_at = arrays.new("block_at", (threads, row), np.int64)


def _scores_under_kernel(c: ConnectionPlan) -> bool:
    """True if free slots of a connection are scored under a delay kernel."""
    return c.kernel is not None and c.rewiring is not None and c.rewiring.growth == "gradient"


def _allocate_scores(plan: Plan, net: Any, threads: int, arrays: Arrays) -> None:
    """Memory for scores of free slots and, under a delay kernel, for the kernel at every delay that a synapse may be
    born with, and smoothed rows, of sources in parts or, where those spike, of targets."""
    grown = [c for c in plan.connections if c.rewiring is not None and c.rewiring.growth == "gradient"]
    if grown:
        net.score_room = max(min(c.num_pre * c.num_post * c.capacity, SLOT_PIECE) for c in grown)
        net.score = arrays.new("score", net.score_room, np.float32)
        if net.levels:
            net.score_parts = arrays.new("score_parts", (net.levels, net.score_room), np.float32)
    scored = [c for c in plan.connections if _scores_under_kernel(c)]
    if not scored:
        return
    delays = max(c.delay_thresholds.size + 1 for c in scored)
    net.shares_stride = max(c.max_delay + 1 for c in scored)
    net.shares = arrays.new("shares", (delays, net.shares_stride), np.float32)
    net.lag_range = arrays.new("lag_range", (delays, 2), np.int64)
    spiking = [c for c in scored if plan.populations[c.source].spiking]
    needed = [c.num_post * (c.delay_thresholds.size + 1) * plan.time_steps * net.tile for c in spiking]
    net.smoothed_room = max((size for size in needed if size <= SMOOTHED_ROOM), default=0)
    if net.smoothed_room:
        net.smoothed = arrays.new("smoothed", net.smoothed_room, np.float32)
    real = [c for c in scored if not plan.populations[c.source].spiking]
    if real:
        net.spans_stride = max(SPANS_ROOM, delays * SPAN)
        net.spans = arrays.new("spans", (threads, net.spans_stride), np.float32)
        net.packed = arrays.new("packed", (max(c.num_post for c in real), SPAN), np.float32)
        slots = max(min(c.num_pre * c.num_post * c.capacity, SLOT_PIECE) for c in real)
        net.partial = arrays.new("partial", (slots, leaves_of_tile(net), 16), np.float32)
        net.visit = arrays.new("visit", (slots, 3), np.int32)
        net.group_start = arrays.new("group_start", max(c.num_pre for c in real) + 1, np.int32)


def most_dropped(c: ConnectionPlan) -> int:
    """Synapses that a connection's rule drops at the beginning of training; 0 where it does not say how many."""
    rule = c.rewiring
    if rule is None:
        return 0
    what = f"num_dropped of {rule} for connection {c.name!r}"
    return check_count(what, asked(what, rule.num_dropped, c.size, Progress(0, 1, 0, 1)), 0, c.size)


def allocate_scratch(c: ConnectionPlan, view: Any, dropped: int, arrays: Arrays) -> None:
    """Room for the synapses that are dropped and grown at once, which connections share one after the other.

    Arrays that are too small are replaced by larger ones.
    """
    rule = c.rewiring
    assert rule is not None
    free = c.num_pre * c.num_post * c.capacity - c.size + dropped
    drawn, slots = dropped, dropped
    if rule.growth == "gradient":
        scored = rule.num_candidates(free, dropped)
        drawn, slots = scored if scored < free else 0, dropped + SLOT_PIECE
    if 2 * drawn > free:  # those that are left out stand behind
        drawn = free
    needed: dict[str, tuple[int, Any]] = {
        "gone": (dropped + 1, np.int32), "before": (dropped + 1, np.int32), "rank": (drawn, np.int64),
        "slot": (slots, SLOT),
    }  # fmt: skip
    if rule.growth_delay == "best":
        needed["best_delay"] = (dropped, np.uint16)
    for name, (count, dtype) in needed.items():
        if name not in arrays or arrays[name].size < count:
            arrays.pop(name, None)
            arrays.new(name, count, dtype)
        setattr(view, name, arrays.address(name))
    view.slot_room = slots


def allocate_network(plan: Plan, net: Any, threads: int, kind: type[A]) -> A:
    """The arrays of the network as a whole: scratch memory of every thread, and the seeds."""
    arrays, T, B = kind("the network"), plan.time_steps, plan.batch_size
    row = T * net.tile
    variables = max((len(p.model.states) for p in plan.populations if p.model), default=1)
    lambdas = max(p.num_lambdas for p in plan.populations)
    net.row_capacity, net.spiked_stride, net.active_stride = row, T * -(-net.tile // 64), row + max(T + 1, 4)
    net.scratch_stride = row + max(variables + 1, lambdas, 4) * net.tile
    net.dt, net.gradient_scale = plan.outputs[0].dt, 1.0
    net.rows_stride = variables * row  # those of neurons whose adjoint is not computed
    if plan.event_prop is not None:  # variables and the rise of a row; the backward pass takes two of them
        net.grad_limit, net.rows_stride = plan.event_prop.grad_limit, (max(variables, 2) + 1) * row
    if plan.event_prop is not None or skipping(plan):
        net.rows = arrays.new("rows", (threads, net.rows_stride), np.float32)
    net.network_seed, net.training_seed = plan.network_seed, plan.training_seed
    net.scratch = arrays.new("scratch", (threads, net.scratch_stride), np.float32)
    _allocate_blocks(plan, net, threads, arrays)
    lags = max((c.max_delay + 1 for c in plan.connections if c.gradient_taps), default=0)
    net.lag_stride = max(lags, 3)
    net.taps_stride = (2 + leaves_of_tile(net)) * net.lag_stride
    net.taps = arrays.new("taps", (threads, net.taps_stride), np.float32)
    net.place = arrays.new("place", net.tile, np.uint8)
    lane = np.arange(net.tile)
    arrays["place"][:] = lane // net.leaf * 16 + lane % 16 if leaves_of_tile(net) > 1 else 0
    tiles = -(-B // net.tile)
    net.tile_first, net.tile_leaf = (arrays.new(name, tiles + 1, np.int64) for name in ("tile_first", "tile_leaf"))
    net.mask = arrays.new("mask", (threads, net.tile), np.uint8)
    net.spiked = arrays.new("spiked", (threads, net.spiked_stride), np.uint64)
    net.active = arrays.new("active", (threads, net.active_stride), np.int32)
    net.examples = arrays.new("examples", B, np.int64)
    net.block = arrays.new("block", len(plan.groups), np.int64)
    counts = [min(threads, 1 + c.size // c.num_pre) * c.num_pre for c in plan.connections]
    selects = any(c.rewiring is not None for c in plan.connections)
    net.counts = arrays.new("counts", max(counts + [threads * DIGITS] * selects), np.int32)
    best = [c for c in plan.connections if c.rewiring is not None and c.rewiring.growth_delay == "best"]
    if best:
        widest = max(c.delay_thresholds.size + 1 for c in best)
        net.lag_room = max(LAG_ROOM, widest)
        net.lag_sums = arrays.new("lag_sums", net.lag_room, np.float32)
        if net.levels:
            net.lag_parts = arrays.new("lag_parts", (net.levels, net.lag_room), np.float32)
    _allocate_scores(plan, net, threads, arrays)
    return arrays
