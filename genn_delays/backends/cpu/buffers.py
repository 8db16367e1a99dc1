"""Memory of a plan on this machine's processor: every array that the kernels read or write, and the structures with
pointers to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from ...codegen.bodies import mangled
from ...codegen.few import NEURONS, block_floats, block_width, few_forward, lists_only, padding, scatters
from ...codegen.losses import output_numbers
from ...plan import schema
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.schema import synapse_fields
from ...random import dropout_threshold
from ...rewiring.rule import EXACT_CANDIDATES, SAMPLED_PER_DROPPED
from .structs import Arrays, Foreseen, address, set_members

A = TypeVar("A", bound=Arrays)

SLOT = np.dtype([("rank", "i8"), ("post", "i4"), ("pre", "i4"), ("ordinal", "i4"), ("help", "f4")])
"""``struct Slot``."""
SLOT_PIECE = 16_384
"""Free slots scored at once."""
SMOOTHED_ROOM = 1 << 24
"""Numbers of smoothed rows kept at most: where growth goes by the gradient under a delay kernel."""
LAG_ROOM = 1 << 18
"""Numbers of correlograms kept at once where delays are chosen."""


_OF_LEARNING = ("g", "h", "lambda", "grad", "delay_grad")
"""Arrays that only gradients need."""


def tiles(lanes: int, tile: int) -> Iterator[tuple[int, int]]:
    """First lane and number of lanes of every tile."""
    for first in range(0, lanes, tile):
        yield first, min(tile, lanes - first)


def foreseen(plan: Plan, net: Any, threads: int) -> dict[tuple[str, str], int]:
    """Bytes by owner and array of all that a plan needs, with nothing allocated; `net` is a structure to spoil.

    Memory that is only partly or rarely used is left out: rows of busy neurons, gradients where nothing is learned, and
    spikes, whose number is not known in advance.
    """
    every = [allocate_network(plan, net, threads, Foreseen)]
    every += [allocate_population(plan, p, net.whole[p.index], net.tile, Foreseen) for p in plan.populations]
    every += [allocate_connection(plan, c, net.c[c.index], Foreseen) for c in plan.connections]
    learns = plan.learns
    return {
        (arrays.owner, name): n
        for arrays in every
        for name, n in arrays.sizes.items()
        if (learns or name not in _OF_LEARNING) and not (name == "x" and "event_start" in arrays)
    }


def allocate_population(plan: Plan, p: PopulationPlan, view: Any, tile: int, kind: type[A]) -> A:
    """The arrays of a population, with `view`, its structure for the whole batch, pointing to them."""
    arrays, T, B, n = kind(f"population {p.name!r}"), plan.time_steps, plan.batch_size, p.size
    view.size = n
    view.busy = -1 if p.cyclic else 0  # a row that grows block by block is never spread
    view.dropout = dropout_threshold(p.dropout)
    view.width, view.pad = block_width(plan, p), padding(plan, p)
    view.lists_only = int(p.spiking and lists_only(plan, p))
    if p.kind == "real_input" or p.spiking:
        view.x = arrays.new("x", n * T * B, np.float32)
    if p.spiking:
        count = len(list(tiles(B, tile)))
        view.event_start = arrays.new("event_start", (count, n, T + 1), np.int32, zero=True)
        view.event_row = arrays.new("event_row", (count, n), np.uintp, zero=True)
        view.event_room = arrays.new("event_room", (count, n), np.int32, zero=True)
    if p.kind == "neuron":
        if p.spiking:
            view.value_row = arrays.new("value_row", (count, n), np.uintp, zero=True)
            view.num_kept = len(p.kept_values)
            if plan.max_spikes is not None:
                view.most = arrays.new("most", n, np.int32, zero=True)
        if p.keeps_tape:
            allocate_tape(plan, p, view, arrays)
        if p.keeps_gradient:
            view.keeps_g = int(p.keeps_whole_gradient)
            view.g = arrays.new("g", n * T * (B if p.keeps_whole_gradient else tile), np.float32)
        if p.keeps_time_gradient:
            view.h = arrays.new("h", n * T * tile, np.float32)
        if p.cyclic and p.model:
            view.carry = arrays.new("carry", (n, len(p.model.states) + 1, tile), np.float32)
            set_members(view, {"lambda": arrays.new("lambda", (n, p.num_lambdas, tile), np.float32)})
    if p.bias is not None:
        view.bias = arrays.new("bias", n, np.float32)
        arrays["bias"][:] = p.bias
    if p.regularised:
        view.total = arrays.new("total", n, np.int64, zero=True)
        view.drive = arrays.new("drive", n, np.float32, zero=True)
    if p.keeps_current:
        view.current = arrays.new("current", n * T * B, np.float32)
    if p.slopes:
        view.slope = arrays.new("slope", (len(p.slopes), n), np.float64, zero=True)
    if p.batch_norm:
        view.epsilon = p.batch_norm.epsilon
        for name in ("scale", "shift", "factor", "offset"):
            setattr(view, name, arrays.new(name, n, np.float32, zero=True))
        for name, shape in (("mean", n), ("inverse", n), ("sums", (n, 2)), ("g_sums", (n, 2))):
            setattr(view, name, arrays.new(name, shape, np.float64, zero=True))
    for index, (name, values) in enumerate(p.parameters.items()):
        view.par[index] = arrays.new(f"par.{name}", n, np.float32)
        arrays[f"par.{name}"][:] = values
    if p.readout:
        view.z = arrays.new("z", n * B, np.float32)
        _allocate_truth(plan, p, view, arrays)
        view.losses = arrays.new("losses", B, np.float64)
        view.correct = arrays.new("correct", B, np.int32)
    return arrays


def allocate_tape(plan: Plan, p: PopulationPlan, view: Any, arrays: Arrays) -> None:
    """Room for a population's variables at every step of a batch."""
    assert p.model is not None
    for index in range(len(p.model.states)):
        view.var[index] = arrays.new(f"var{index}", p.size * plan.time_steps * plan.batch_size, np.float32)


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


def allocate_connection(plan: Plan, c: ConnectionPlan, view: Any, kind: type[A]) -> A:
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
    if scatters(plan, c):
        blocks = -(-c.num_post // block_width(plan, plan.populations[c.target]))
        view.block_start = arrays.new("block_start", blocks * c.num_pre + 1, np.int32)
        view.block_slot = view.by_pre_slot if blocks == 1 else arrays.new("block_slot", size, np.int32)
        view.block_place = arrays.new("block_place", size, np.uint32)
    if c.real_delays:
        view.delay_grad = arrays.new("delay_grad", size, np.float32, zero=True)
    if c.rewiring is not None:
        _allocate_rewiring(c, view, arrays, size)
    return arrays


def _point(c: ConnectionPlan, view: Any, arrays: Arrays, prefix: str = "") -> None:
    """Let a connection's structure point to the arrays per synapse; pointers to moments are in the optimisers'
    structures."""
    for field in schema.SYNAPSE_FIELDS:
        addresses = [arrays.address(prefix + name) for name in field.names(field.count(c))]
        if field.several:
            place = getattr(view, prefix + field.name) if prefix else getattr(view, f"{field.rule}_rule").moment
            place[: len(addresses)] = addresses
        elif addresses:
            setattr(view, prefix + field.name, addresses[0])


def _allocate_rewiring(c: ConnectionPlan, view: Any, arrays: Arrays, size: int) -> None:
    rule = c.rewiring
    assert rule is not None
    for name, field in synapse_fields(c).items():
        arrays.new(f"new_{name}", size, field.dtype)
    _point(c, view, arrays, "new_")
    free = c.num_pre * c.num_post * c.capacity
    sampled = rule.candidates or (SAMPLED_PER_DROPPED * size if free > EXACT_CANDIDATES else 0)
    drawn = max(size, min(sampled, free) if rule.growth == "gradient" else 0)
    view.dead = arrays.new("dead", size, np.uint8)
    view.rank = arrays.new("rank", drawn, np.int64)
    view.hash = arrays.new("hash", 1 << max(4, (2 * drawn).bit_length()), np.uint64)
    view.slot_room = size + (SLOT_PIECE if rule.growth == "gradient" else 0)
    view.slot = arrays.new("slot", view.slot_room, SLOT)
    view.candidates = -1 if rule.candidates is None else rule.candidates
    if rule.growth_delay == "best":
        view.best_delay = arrays.new("best_delay", size, np.uint16)
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


def _smoothed(plan: Plan, c: ConnectionPlan) -> int:
    """Rows that are smoothed where a connection's free slots are scored: of its sources, or of its targets where those
    spike, one for every delay that a synapse may be born with."""
    if c.kernel is None or c.rewiring is None or c.rewiring.growth != "gradient":
        return 0
    owners = c.num_post if plan.populations[c.source].spiking else c.num_pre
    return owners * (c.delay_thresholds.size + 1)


def allocate_network(plan: Plan, net: Any, threads: int, kind: type[A]) -> A:
    """The arrays of the network as a whole: scratch memory of every thread, and the seeds."""
    arrays, T, B = kind("the network"), plan.time_steps, plan.batch_size
    row = T * net.tile
    variables = max((len(p.model.states) for p in plan.populations if p.model), default=1)
    lambdas = max(p.num_lambdas for p in plan.populations)
    net.row_capacity, net.flags_stride = row, row + net.tile
    net.scratch_stride = row + max(variables + 1, lambdas, 4) * net.tile
    net.dt, net.gradient_scale = plan.outputs[0].dt, 1.0
    if plan.event_prop is not None:  # variables and the rise of a row; the backward pass takes two of them
        net.grad_limit, net.rows_stride = plan.event_prop.grad_limit, (max(variables, 2) + 1) * row
        net.rows = arrays.new("rows", (threads, net.rows_stride), np.float32)
    net.network_seed, net.training_seed = plan.network_seed, plan.training_seed
    net.scratch = arrays.new("scratch", (threads, net.scratch_stride), np.float32)
    _allocate_blocks(plan, net, threads, arrays)
    lags = max((c.max_delay + 1 for c in plan.connections if c.gradient_taps), default=0)
    net.taps_stride = 3 * max(lags, 3)
    net.taps = arrays.new("taps", (threads, net.taps_stride), np.float32)
    net.flags = arrays.new("flags", (threads, net.flags_stride), np.uint8)
    net.active = arrays.new("active", (threads, row + T + 1), np.int32)
    net.examples = arrays.new("examples", B, np.int64)
    net.block = arrays.new("block", len(plan.groups), np.int64)
    best = [c for c in plan.connections if c.rewiring is not None and c.rewiring.growth_delay == "best"]
    if best:
        widest = max(c.delay_thresholds.size + 1 for c in best)
        net.lag_room = max(LAG_ROOM, widest)
        net.lag_sums = arrays.new("lag_sums", net.lag_room, np.float32)
    needed = [_smoothed(plan, c) * T * net.tile for c in plan.connections]
    net.smoothed_room = max((size for size in needed if size <= SMOOTHED_ROOM), default=0)
    if net.smoothed_room:
        net.smoothed = arrays.new("smoothed", net.smoothed_room, np.float32)
    return arrays
