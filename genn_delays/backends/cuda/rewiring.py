"""Rewiring on the device: which synapses go, which free places are filled, and the rows in their new order.

The host launches kernels and reads nothing, so a connection's rewiring is part of a step's recorded graph: how many
synapses go and what follows from it, the device counts itself (``buffers.COUNTS``); launches are made for the most it
may be, or two blocks do it all where a connection has few synapses. Everything is the reference's definition, step by
step: the same synapses result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...codegen.cuda import STATE
from ...plan.plan import ConnectionPlan
from ...random import Purpose
from ...rewiring.rule import EXACT_CANDIDATES, SAMPLED_PER_DROPPED
from .buffers import COUNTS, DRAWS_EACH, DRAWS_MORE, most_draws, most_slots, most_taps
from .device import Buffer
from .sorting import prefix_sums, sort

if TYPE_CHECKING:
    from .engine import CUDAEngine

ONE_BLOCK = 1024
"""Threads of the block that rewires a small connection."""
MOST_IN_BLOCK = 16_384
"""Synapses, random numbers or candidates up to which one block does all: more take it longer than launches."""


def index_by_source(engine: CUDAEngine, c: ConnectionPlan, moved: Buffer | None = None) -> None:
    """Where rows begin, and the index by source neuron: a source's synapses in order of (post, delay).

    Args:
        moved: on the device, how many synapses to index, all or none; all where it is not given.
    """
    b, s = engine.connection[c.index], engine.scratch
    engine.launch(
        "index_rows", max(c.size, c.num_post + 1), b["pre"], b["post"], b["row_start"], s["key"], s["number"], moved,
        c.num_post, c.size,
    )  # fmt: skip
    keys, numbers = sort(engine.module, s, c.size, max(1, (c.num_pre - 1).bit_length()), moved)
    engine.launch(
        "index_sources", max(c.size, c.num_pre + 1), keys, numbers, b["by_pre_start"], b["by_pre_slot"], moved,
        c.num_pre, c.size,
    )  # fmt: skip


def in_one_block(c: ConnectionPlan) -> bool:
    """Whether a connection's rewiring is done by single blocks: it has few synapses, draws and candidates."""
    assert c.rewiring is not None
    most = max(c.size, most_slots(c), most_draws(c))
    return most <= MOST_IN_BLOCK and c.rewiring.growth_delay != "best"


def _looked_at(c: ConnectionPlan) -> tuple[int, int, int]:
    """How many free places are looked at: so many, or all up to a number of them, else so many a dropped synapse."""
    rule = c.rewiring
    assert rule is not None
    if rule.growth == "gradient":
        return rule.candidates or 0, EXACT_CANDIDATES, SAMPLED_PER_DROPPED
    return 0, -1, 1


class Rewiring:
    """Rewires connections of an engine."""

    def __init__(self, engine: CUDAEngine) -> None:
        self.engine = engine

    def run(self, c: ConnectionPlan, asked: int) -> None:
        """Drop and grow synapses of a connection, `asked` of them where they go by magnitude.

        How many were replaced goes to the engine's ``rewired``; the training step is in its ``step``.
        """
        e = self.engine
        assert c.rewiring is not None
        by_magnitude = c.rewiring.template != "drop_zero"
        if c.size == 0 or (by_magnitude and asked == 0):
            return
        if by_magnitude:
            e.connection[c.index]["asked"].upload(np.array([asked], np.int64), early=True)
        # launches that score are recorded with the gain of their source, which is another one while it is trained
        e.replay(("rewire", c.index, e.how.training), lambda: self._launch(c))

    def _launch(self, c: ConnectionPlan) -> None:
        """All launches of a connection's rewiring."""
        e, b, s = self.engine, self.engine.connection[c.index], self.engine.scratch
        if in_one_block(c):
            self._launch_blocks(c)
            return
        self._mark(c)
        prefix_sums(e.module, s, s["alive"], s["rank"], c.size)
        self._count(c)
        e.launch(
            "living_slots", c.size, b["pre"], b["post"], s["alive"], s["rank"], s["free_before"], s["dropped"],
            c.num_pre, c.capacity, c.size,
        )  # fmt: skip
        slots = self._choose(c)
        self._births(c, slots, s["dropped"], c.size)
        self._best_delays(c)
        self._join(c, slots)
        index_by_source(e, c, s["moved"])

    def _launch_blocks(self, c: ConnectionPlan) -> None:
        """The same by two blocks, with the candidates' scores between them where growth is by the gradient."""
        e, b, s, rule = self.engine, self.engine.connection[c.index], self.engine.scratch, c.rewiring
        assert rule is not None
        by_gradient, places = rule.growth == "gradient", c.num_pre * c.num_post * c.capacity
        asked = None if rule.template == "drop_zero" else b["asked"]
        sorts = [s[name] for name in ("key", "number", "key2", "number2", "counts", "offsets")]
        born = [s[name] for name in ("born_pre", "born_post", "negative", "born_delay")] + [s.get("born_position")]
        counts = [s[name] for name in COUNTS]
        delays = c.connection.connectivity.delay_initializer
        birth = [
            c.capacity, c.sign_threshold, b.get("pre_sign"), b["threshold"], delays.thresholds.size, delays.low,
            int(rule.growth_delay == "redraw"), int(by_gradient), c.size,
        ]  # fmt: skip
        purpose = Purpose.CANDIDATES if by_gradient else Purpose.GROWTH
        e.module.launch(
            "rewire_drop", 1, ONE_BLOCK, b["pre"], b["post"], b["weight"], asked, s["alive"], s["rank"],
            s["free_before"], *sorts, *counts, s["fresh"], s["chosen"], s["drawn"], s["slot"], *born, e.rewired,
            e.plan.network_seed, e.plan.training_seed, int(purpose), c.index, e.step, *_looked_at(c), DRAWS_EACH,
            DRAWS_MORE, places, places.bit_length(), c.num_pre, *birth,
        )  # fmt: skip
        if by_gradient:
            self._score(c)
        arrays = [b.get(prefix + name) for name in STATE for prefix in ("", "new_")]
        rows = [b[name] for name in ("row_start", "by_pre_start", "by_pre_slot")]
        e.module.launch(
            "rewire_grow", 1, ONE_BLOCK, *arrays, *rows, s["alive"], s["rank"], s["free_before"], *sorts, s["dropped"],
            s["living"], s["looked_at"], s["moved"], s["slot"], *born, e.rewired, e.plan.network_seed,
            e.plan.training_seed, c.index, e.step, rule.every, places.bit_length(), c.num_pre, c.num_post, *birth,
        )  # fmt: skip

    def _mark(self, c: ConnectionPlan) -> None:
        """Which synapses stay, in scratch ``alive``: by their weight being 0, or all but the smallest."""
        e, b, s = self.engine, self.engine.connection[c.index], self.engine.scratch
        assert c.rewiring is not None
        if c.rewiring.template == "drop_zero":
            e.launch("mark_zero", c.size, b["weight"], s["alive"], c.size)
            return
        e.launch("magnitude_keys", c.size, b["weight"], s["key"], s["number"], c.size)
        numbers = sort(e.module, s, c.size, 32)[1]
        e.launch("mark_first", c.size, numbers, s["alive"], b["asked"], c.size)

    def _count(self, c: ConnectionPlan) -> None:
        """How many synapses go, and what follows from that."""
        e, s = self.engine, self.engine.scratch
        e.module.launch(
            "count_growth", 1, 1, s["rank"], *(s[name] for name in COUNTS), *_looked_at(c), DRAWS_EACH, DRAWS_MORE,
            c.num_pre * c.num_post * c.capacity, c.size,
        )  # fmt: skip

    # --- places ------------------------------------------------------------------------------------------------------

    def _choose(self, c: ConnectionPlan) -> Buffer:
        """The slots to be grown, ascending, as many as are dropped."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        by_gradient, most = rule.growth == "gradient", most_slots(c)
        self._draw(c, Purpose.CANDIDATES if by_gradient else Purpose.GROWTH)
        e.each("free_slots", most, s["drawn"], s["different"], s["free_before"], s["living"], s["slot"], s["looked_at"])
        if not by_gradient:
            return s["slot"]
        self._births(c, s["slot"], s["looked_at"], most)
        self._score(c)
        order = sort(e.module, s, most, 32, s["looked_at"])[1]
        e.each("gather_slots", c.size, s["slot"], order, s["key"], s["dropped"])
        places = c.num_pre * c.num_post * c.capacity
        return sort(e.module, s, c.size, places.bit_length(), s["dropped"])[0]

    def _draw(self, c: ConnectionPlan, purpose: Purpose) -> None:
        """The first ``different`` different ones of random numbers below the number of free slots, ascending, into
        scratch ``drawn``: those of :func:`genn_delays.random.sample_distinct`, however many are drawn beyond them."""
        e, s, most = self.engine, self.engine.scratch, most_draws(c)
        if most == 0:
            return
        places, draws = c.num_pre * c.num_post * c.capacity, s["draws"]
        e.each(
            "draw_numbers", most, s["key"], s["number"], e.plan.training_seed, int(purpose), c.index, e.step,
            s["living"], places, draws,
        )  # fmt: skip
        keys, numbers = sort(e.module, s, most, max(1, (places - 1).bit_length()), draws)
        e.each("mark_fresh", most, keys, numbers, s["fresh"], draws)
        prefix_sums(e.module, s, s["fresh"], s["offsets"], most, draws)
        e.each(
            "mark_chosen", most, numbers, s["fresh"], s["offsets"], s["chosen"], s["different"], draws, s["dropped"],
            s["looked_at"], s["moved"], e.rewired, c.index,
        )  # fmt: skip
        prefix_sums(e.module, s, s["chosen"], s["offsets"], most, draws)
        e.each("collect", most, keys, s["chosen"], s["offsets"], s["drawn"], draws)

    # --- births ------------------------------------------------------------------------------------------------------

    def _births(self, c: ConnectionPlan, slots: Buffer, count: Buffer, most: int) -> None:
        """What synapses in these slots are born with."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        b, delays = e.connection[c.index], c.connection.connectivity.delay_initializer
        e.each(
            "births", most, slots, s["born_pre"], s["born_post"], s["negative"], s["born_delay"],
            s.get("born_position"), e.plan.network_seed, e.plan.training_seed, c.index, e.step, c.num_pre, c.capacity,
            c.sign_threshold, b.get("pre_sign"), b["threshold"], delays.thresholds.size, delays.low,
            int(rule.growth_delay == "redraw"), count,
        )  # fmt: skip

    def _score(self, c: ConnectionPlan) -> None:
        """How much the candidates would help: keys that order their numbers, the best first."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        count, most = s["looked_at"], most_slots(c)
        kernel, taps = "", list[Any]()
        if c.kernel is not None:  # the warp that scores a candidate spreads it over lags
            kernel, width = f"_{c.kernel.template}", e.connection[c.index]["width"]
            taps = [s["born_position"], s["born_share"], s["born_slope"], most_taps(c), width, c.min_delay, c.max_delay]
        e.each(
            f"score_{e.form(c)}{kernel}", 32 * most, e.sent(c.source), e.population[c.target]["g"], s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], *taps, s["key"], s["number"], e.gain(c), int(rule.signed),
            count, e.plan.time_steps, e.L,
        )  # fmt: skip

    def _best_delays(self, c: ConnectionPlan) -> None:
        """Where growth asks for it, the lag at which each newborn synapse helps most."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        if rule.growth_delay != "best":
            return
        delays = c.connection.connectivity.delay_initializer
        e.each(
            f"best_delay_{e.form(c)}", 32 * c.size, e.sent(c.source), e.population[c.target]["g"], s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], e.gain(c), int(rule.signed), delays.low,
            delays.high - delays.low + 1, s["dropped"], e.plan.time_steps, e.L,
        )  # fmt: skip

    # --- rows --------------------------------------------------------------------------------------------------------

    def _join(self, c: ConnectionPlan, slots: Buffer) -> None:
        """The living and the newborn in order of (post, pre)."""
        e, b, s, rule = self.engine, self.engine.connection[c.index], self.engine.scratch, c.rewiring
        assert rule is not None
        arrays = [b.get(prefix + name) for name in STATE for prefix in ("", "new_")]
        e.launch(
            "join", c.size, *arrays, s["alive"], s["rank"], s["free_before"], s["living"], slots, s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], s["dropped"], e.rewired, c.index, e.step, rule.every,
            c.size,
        )  # fmt: skip
        e.launch("put_back", c.size, *arrays, e.rewired, c.index, s["dropped"], c.size)
