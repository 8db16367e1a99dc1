"""Every buffer that a plan needs on a device, by name, known before anything is allocated."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...codegen.cuda import WORD, keeps_half
from ...errors import OutOfMemoryError
from ...memory import check
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.schema import neuron_fields, synapse_fields
from ...rewiring.rule import EXACT_CANDIDATES, SAMPLED_PER_DROPPED
from .device import Buffer, Device

Shapes = dict[str, tuple[tuple[int, ...], Any]]
"""Shape and dtype by name."""

TILE = 1024
"""Numbers of a tile of the prefix sums and of the sort."""

SQUARES = 1024
"""Blocks that add up the squares of a gradient at most."""
COUNTS = ("dropped", "living", "looked_at", "different", "draws", "moved")
"""Counts that the device makes while a connection is rewired: dropped and kept synapses, free slots that are scored,
distinct random numbers that select these, random numbers drawn to have them, and synapses to be indexed again (all or
none)."""
DRAWS_EACH, DRAWS_MORE = 2, 1024
"""Random numbers that are drawn for each different one that is wanted, and besides."""


LAG_SUMS = 1 << 20
"""Numbers of correlograms that ranks exchange at once at most."""


def tiles(count: int) -> int:
    """Tiles of so many numbers."""
    return -(-count // TILE)


def lanes_of(plan: Plan) -> int:
    """Lanes of all rows: the batch size, rounded up to whole warps."""
    return -(-plan.batch_size // 32) * 32


def population_shapes(plan: Plan, p: PopulationPlan, half_tape: bool = False, shared: bool = False) -> Shapes:
    """Shapes of a population's buffers: activity, parameters and, for outputs, the loss."""
    n, T, L = p.size, plan.time_steps, lanes_of(plan)
    f32, f64, i32, u32 = np.float32, np.float64, np.int32, np.uint32
    words = -(-T // WORD)
    if p.model is None:
        return {"x": ((n, T, L), f32)} if p.kind == "real_input" else {"bits": ((n, words, L), u32)}
    states, tape = len(p.model.states), np.uint16 if half_tape and keeps_half(p) else f32
    found: Shapes = {
        "current": ((n, T, L), f32), "tape": ((states, n, T, L), tape), "carry": ((states, n, L), f32),
        "lambda": ((states, n, L), f32), "par": ((max(len(p.parameters), 1), n), f32),
    }  # fmt: skip
    if p.batch_norm or p.slopes:  # the backward pass reads the current again; otherwise g may overwrite it
        found["g"] = ((n, T, L), f32)
    if p.event_prop:
        found["h"] = ((n, T, L), f32)
    if p.spiking:
        found |= {"bits": ((n, words, L), u32), "totals": ((2, n), i32)}
        found |= {"resets": ((n, words, L), u32)} if p.dropout else {}
    if p.bias is not None:
        found["bias"] = ((n,), f32)
    if p.regularised:
        found["drive"] = ((n,), f32)
    if p.slopes:
        found |= {"slopes": ((len(p.slopes), n, L), f64), "slope_sums": ((len(p.slopes), n), f64)}
    if p.batch_norm:
        normalising = {name: field for name, field in neuron_fields(p).items() if name.startswith("batch_norm_")}
        moments = [name for value, field in normalising.items() for name in field.moment_names(value)]
        gradients = ("batch_norm_scale.grad", "batch_norm_shift.grad")
        found |= dict.fromkeys((*normalising, *moments, *gradients, "factor", "offset"), ((n,), f32))
        found |= dict.fromkeys(("mean", "var", "inverse"), ((n,), f64))
        found |= {"norm_sums": ((n, 2), f64)} if shared else {}
    if p.loss is not None:
        truths = L * (T if p.loss.stepwise else 1)
        found |= {"z": ((n, L), f32), "dz": ((n, L), f32), "losses": ((L,), f64), "correct": ((L,), i32)}
        found |= {"step_losses": ((T, L), f64), "step_correct": ((T, L), i32)} if p.loss.stepwise else {}
        kept = 0 if p.loss.stepwise else len(p.reading.scan().kept)
        found |= {"carried": ((kept, n, L), f64)} if kept else {}
        found |= {"labels": ((truths,), i32)} if p.loss.labelled else {"targets": ((truths * n,), f32)}
    return found


def state_shapes(c: ConnectionPlan) -> Shapes:
    """Shapes of the arrays that a connection keeps per synapse, by the names of its state's arrays."""
    return {name: ((c.size,), field.dtype) for name, field in synapse_fields(c).items()}


def most_taps(c: ConnectionPlan) -> int:
    """Lags that a synapse of a connection is spread over at most."""
    return c.max_delay - c.min_delay + 1 if c.kernel is not None else 3


def connection_shapes(plan: Plan, c: ConnectionPlan) -> Shapes:
    """Shapes of a connection's buffers: state, rows, gradients, and the state twice where it is rewired."""
    size = (c.size,)
    found = state_shapes(c)
    found |= {"row_start": ((c.num_post + 1,), np.int64), "by_pre_start": ((c.num_pre + 1,), np.int64)}
    found |= {"by_pre_slot": (size, np.int32), "grad": (size, np.float32), "width": ((1,), np.float32)}
    if c.real_delays:
        found["delay_grad"] = (size, np.float32)
    if c.gradient_taps:
        taps = (c.size * most_taps(c),)
        found |= {"first": (size, np.int32), "number": (size, np.int32)}
        found |= {"share": (taps, np.float32), "slope": (taps, np.float32)}
    if c.rewiring is not None:
        found |= {f"new_{name}": value for name, value in state_shapes(c).items()} | {"asked": ((1,), np.int64)}
        found["threshold"] = ((c.delay_thresholds.size + 1,), np.uint32)
        if c.pre_sign is not None:
            found["pre_sign"] = ((c.num_pre,), np.int8)
    return found


def most_slots(c: ConnectionPlan) -> int:
    """Free places of a connection that are looked at in one rewiring at most, whatever number of synapses it drops."""
    if c.rewiring is None:
        return 0
    places = c.num_pre * c.num_post * c.capacity
    if c.rewiring.growth != "gradient":
        return c.size
    if c.rewiring.candidates is not None:
        return max(c.size, min(c.rewiring.candidates, places))
    exact = min(places, EXACT_CANDIDATES) if places - c.size <= EXACT_CANDIDATES else 0
    sampled = min(SAMPLED_PER_DROPPED * c.size, places) if places > EXACT_CANDIDATES else 0
    return max(c.size, exact, sampled)


def most_draws(c: ConnectionPlan) -> int:
    """Random numbers that are drawn in one rewiring of a connection at most."""
    places = c.num_pre * c.num_post * c.capacity
    rule = c.rewiring
    if rule is None or (rule.growth == "gradient" and rule.candidates is None and places <= EXACT_CANDIDATES):
        return 0
    different = min(most_slots(c), places // 2)  # where more than half are wanted, those left out are drawn
    return drawing_room(different) if different else 0


def drawing_room(different: int) -> int:
    """Room for random draws that contain so many distinct numbers. At most half of the range is drawn, which takes 1.4
    times as many draws on average."""
    return DRAWS_EACH * different + DRAWS_MORE


def scratch_shapes(plan: Plan, shared: bool = False) -> Shapes:
    """Memory that connections share while they are indexed or rewired; linear in synapses and in places looked at."""
    size = max((c.size for c in plan.connections), default=0)
    rewired = [c for c in plan.connections if c.rewiring is not None]
    slots = max((most_slots(c) for c in rewired), default=0)
    draws = max((most_draws(c) for c in rewired), default=0)
    keys = max(size, slots, draws)
    i64, i32, u64 = np.int64, np.int32, np.uint64
    summed = max(256 * tiles(keys), keys)
    found: Shapes = {
        "key": ((keys,), u64), "key2": ((keys,), u64), "number": ((keys,), i32), "number2": ((keys,), i32),
        "counts": ((256 * tiles(keys),), i32), "offsets": ((summed + 1,), i64), "tile_sums": ((tiles(summed),), i64),
    }  # fmt: skip
    if plan.clip_norm is not None:
        arrays = 2 * len(plan.connections) + sum(len(p.learned) for p in plan.populations)
        found["squares"] = ((SQUARES * arrays,), np.float64)
    if rewired:
        found |= dict.fromkeys(COUNTS, ((1,), i64))
        found |= {"alive": ((size,), i32), "rank": ((size + 1,), i64), "free_before": ((size,), i64)}
        found |= {"fresh": ((draws,), i32), "chosen": ((draws,), i32), "drawn": ((draws,), i64)}
        found |= {"slot": ((slots,), u64)}
        found |= {"score": ((slots,), np.float32)} if shared else {}
        best = [
            (c.size, c.delay_high - c.delay_low + 1)
            for c in rewired
            if c.rewiring and c.rewiring.growth_delay == "best"
        ]
        if shared and best:
            found["lag_sums"] = ((max(max(lags, min(count * lags, LAG_SUMS)) for count, lags in best),), np.float32)
        found |= {"born_pre": ((slots,), i32), "born_post": ((slots,), i32), "negative": ((slots,), i32)}
        found |= {"born_delay": ((slots,), np.uint16)}
        spread = max((most_taps(c) for c in rewired if c.kernel), default=0)
        if spread:
            found |= {"born_position": ((slots,), np.float32)}
            found |= dict.fromkeys(("born_share", "born_slope"), ((slots * spread,), np.float32))
    return found


def allocate_population(
    device: Device, plan: Plan, p: PopulationPlan, half_tape: bool, shared: bool = False
) -> dict[str, Buffer]:
    """Buffers of a population; ``g``, dL/d(input current), may share the memory of the input current."""
    found = allocate(device, f"population {p.name!r}", population_shapes(plan, p, half_tape, shared))
    return found if p.model is None else {"g": found["current"], **found}


def allocate(device: Device, owner: str, shapes: Shapes) -> dict[str, Buffer]:
    """Buffers of these shapes, each named after its owner; none is empty, so that each has an address."""
    return {
        name: device.allocate(f"{owner} {name}", shape if prod(shape) else (1,), dtype)
        for name, (shape, dtype) in shapes.items()
    }


def nbytes(shapes: Shapes) -> dict[str, int]:
    """Bytes by name."""
    return {name: prod(shape) * np.dtype(dtype).itemsize for name, (shape, dtype) in shapes.items()}


def check_memory(plan: Plan, device: Device, half_tape: bool = False, shared: bool = False) -> None:
    """One clear error, before anything is allocated, where a plan wants more memory than the device has.

    Raises:
        OutOfMemoryError: it names the largest buffers and their bytes.
    """
    needs = {("the network", name): n for name, n in nbytes(scratch_shapes(plan, shared)).items()}
    for p in plan.populations:
        bytes_of = nbytes(population_shapes(plan, p, half_tape, shared))
        needs |= {(f"population {p.name!r}", name): n for name, n in bytes_of.items()}
    for c in plan.connections:
        needs |= {(f"connection {c.name!r}", name): n for name, n in nbytes(connection_shapes(plan, c)).items()}
    keys = scratch_shapes(plan)["key"][0][0]
    if keys >= 2**31:
        raise OutOfMemoryError(
            f"rewiring may look at {keys:,} random numbers or places at once, at most 2^31 are possible; give the rule "
            "candidates="
        )
    check(needs, device.memory().free, f"on {device.name}, which has")
