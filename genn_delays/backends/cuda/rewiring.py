"""Rewiring on the device: which synapses go, which free places are filled, and the rows in their new order.

The host launches kernels and reads nothing, so a connection's rewiring is part of a step's recorded graph: how many
synapses go and what follows from it, the device counts itself (``buffers.COUNTS``); launches are made for the most it
may be, or two blocks do it all where a connection has few synapses. Everything is the reference's definition, step by
step: the same synapses result.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ...codegen.cuda import moved
from ...plan.plan import ConnectionPlan
from ...plan.protocol import Rewired
from ...random import Purpose
from ...rewiring.rule import EXACT_CANDIDATES, SAMPLED_PER_DROPPED
from .buffers import COUNTS, DRAWS_EACH, DRAWS_MORE, most_draws, most_slots, most_taps
from .device import Buffer, KernelError
from .history import Row
from .sorting import prefix_sums, sort
from .work import Work

ONE_BLOCK = 1024
"""Threads of the block that rewires a small connection."""
MOST_IN_BLOCK = 16_384
"""Synapses, random numbers or candidates up to which one block does all: more take it longer than launches."""


def index_by_source(work: Work, c: ConnectionPlan, moved: Buffer | None = None) -> None:
    """Where rows begin, and the index by source neuron: a source's synapses in order of (post, delay).

    Args:
        moved: on the device, how many synapses to index, all or none; all where it is not given.
    """
    b, s = work.connection[c.index], work.scratch
    work.launch(
        "index_rows", max(c.size, c.num_post + 1), b["pre"], b["post"], b["row_start"], s["key"], s["number"], moved,
        c.num_post, c.size,
    )  # fmt: skip
    keys, numbers = sort(work.module, s, c.size, max(1, (c.num_pre - 1).bit_length()), moved)
    work.launch(
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
    """Rewires connections.

    Attributes:
        rewired: by connection, synapses replaced by the last rewiring, whether that failed, and how many were newborn.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.rewired = work.device.allocate("rewired", (len(work.plan.connections), 3), np.int64)

    def act(self, step: int, drops: dict[int, int]) -> Mapping[int, Rewired]:
        """See :meth:`~genn_delays.plan.protocol.Engine.rewire`."""
        w = self.work
        counts: Mapping[int, Rewired] = {}
        if drops:
            w.set_step(step)
            for index, asked in drops.items():
                self.run(w.plan.connections[index], asked)
            counts = w.history.later("rewired", {index: partial(self._rewired_of, index) for index in drops})
            size, row = self.rewired.size, w.history.row("rewired")
            w.replay("note rewired", lambda: w.launch("note_rewired", size, self.rewired, *row, size))
        w.device.settle()  # a step is over: the device has something to do
        return counts

    def _rewired_of(self, connection: int, row: Row) -> Rewired:
        """Synapses of a connection that were replaced, out of a row of the history."""
        dropped, failed, newborn = (int(number) for number in row[3 * connection : 3 * connection + 3])
        if failed:
            name = self.work.plan.connections[connection].name
            raise KernelError(
                f"rewiring connection {name!r}: too few different random numbers "
                "were drawn, which should not happen; the connection was left as it was"
            )
        return Rewired(dropped - newborn, newborn)

    def run(self, c: ConnectionPlan, asked: int) -> None:
        """Drop and grow synapses of a connection, `asked` of them where they go by magnitude.

        How many were replaced goes to ``rewired``; the training step is in the ``step`` of the work.
        """
        w = self.work
        assert c.rewiring is not None
        by_magnitude = c.rewiring.template != "drop_zero"
        if c.size == 0 or (by_magnitude and asked == 0):
            return
        if by_magnitude:
            w.connection[c.index]["asked"].upload(np.array([asked], np.int64), early=True)
        # launches that score are recorded with the gain of their source, which is another one while it is trained
        w.replay(("rewire", c.index, w.how.training), lambda: self._launch(c))

    def _launch(self, c: ConnectionPlan) -> None:
        """All launches of a connection's rewiring."""
        w, b, s = self.work, self.work.connection[c.index], self.work.scratch
        if in_one_block(c):
            self._launch_blocks(c)
            return
        self._mark(c)
        prefix_sums(w.module, s, s["alive"], s["rank"], c.size)
        self._count(c)
        w.launch(
            "living_slots", c.size, b["pre"], b["post"], s["alive"], s["rank"], s["free_before"], s["dropped"],
            c.num_pre, c.capacity, c.size,
        )  # fmt: skip
        slots = self._choose(c)
        self._births(c, slots, s["dropped"], c.size)
        self._best_delays(c)
        self._join(c, slots)
        index_by_source(w, c, s["moved"])

    def _launch_blocks(self, c: ConnectionPlan) -> None:
        """The same by two blocks, with the candidates' scores between them where growth is by the gradient."""
        w, b, s, rule = self.work, self.work.connection[c.index], self.work.scratch, c.rewiring
        assert rule is not None
        by_gradient, places = rule.growth == "gradient", c.num_pre * c.num_post * c.capacity
        asked = None if rule.template == "drop_zero" else b["asked"]
        sorts = [s[name] for name in ("key", "number", "key2", "number2", "counts", "offsets")]
        born = [s[name] for name in ("born_pre", "born_post", "negative", "born_delay")] + [s.get("born_position")]
        counts = [s[name] for name in COUNTS]
        birth = [
            c.capacity, c.sign_threshold, b.get("pre_sign"), b["threshold"], c.delay_thresholds.size, c.delay_low,
            int(rule.growth_delay == "redraw"), int(by_gradient), c.size,
        ]  # fmt: skip
        purpose = Purpose.CANDIDATES if by_gradient else Purpose.GROWTH
        w.module.launch(
            "rewire_drop", 1, ONE_BLOCK, b["pre"], b["post"], b["weight"], asked, s["alive"], s["rank"],
            s["free_before"], *sorts, *counts, s["fresh"], s["chosen"], s["drawn"], s["slot"], *born, self.rewired,
            w.plan.network_seed, w.plan.training_seed, int(purpose), c.index, w.step, *_looked_at(c), DRAWS_EACH,
            DRAWS_MORE, places, places.bit_length(), c.num_pre, *birth,
        )  # fmt: skip
        if by_gradient:
            self._score(c)
        arrays = [b.get(prefix + name) for name in moved(w.plan) for prefix in ("", "new_")]
        rows = [b[name] for name in ("row_start", "by_pre_start", "by_pre_slot")]
        w.module.launch(
            "rewire_grow", 1, ONE_BLOCK, *arrays, *rows, s["alive"], s["rank"], s["free_before"], *sorts, s["dropped"],
            s["living"], s["looked_at"], s["moved"], s["slot"], *born, self.rewired, w.plan.network_seed,
            w.plan.training_seed, c.index, w.step, rule.every, places.bit_length(), c.num_pre, c.num_post, *birth,
        )  # fmt: skip

    def _mark(self, c: ConnectionPlan) -> None:
        """Which synapses stay, in scratch ``alive``: by their weight being 0, or all but the smallest."""
        w, b, s = self.work, self.work.connection[c.index], self.work.scratch
        assert c.rewiring is not None
        if c.rewiring.template == "drop_zero":
            w.launch("mark_zero", c.size, b["weight"], s["alive"], c.size)
            return
        w.launch("magnitude_keys", c.size, b["weight"], s["key"], s["number"], c.size)
        numbers = sort(w.module, s, c.size, 32)[1]
        w.launch("mark_first", c.size, numbers, s["alive"], b["asked"], c.size)

    def _count(self, c: ConnectionPlan) -> None:
        """How many synapses go, and what follows from that."""
        w, s = self.work, self.work.scratch
        w.module.launch(
            "count_growth", 1, 1, s["rank"], *(s[name] for name in COUNTS), *_looked_at(c), DRAWS_EACH, DRAWS_MORE,
            c.num_pre * c.num_post * c.capacity, c.size,
        )  # fmt: skip

    # --- places ------------------------------------------------------------------------------------------------------

    def _choose(self, c: ConnectionPlan) -> Buffer:
        """The slots to be grown, ascending, as many as are dropped."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        by_gradient, most = rule.growth == "gradient", most_slots(c)
        self._draw(c, Purpose.CANDIDATES if by_gradient else Purpose.GROWTH)
        w.each("free_slots", most, s["drawn"], s["different"], s["free_before"], s["living"], s["slot"], s["looked_at"])
        if not by_gradient:
            return s["slot"]
        self._births(c, s["slot"], s["looked_at"], most)
        self._score(c)
        order = sort(w.module, s, most, 32, s["looked_at"])[1]
        w.each("gather_slots", c.size, s["slot"], order, s["key"], s["dropped"])
        places = c.num_pre * c.num_post * c.capacity
        return sort(w.module, s, c.size, places.bit_length(), s["dropped"])[0]

    def _draw(self, c: ConnectionPlan, purpose: Purpose) -> None:
        """The first ``different`` different ones of random numbers below the number of free slots, ascending, into
        scratch ``drawn``: those of :func:`genn_delays.random.sample_distinct`, however many are drawn beyond them."""
        w, s, most = self.work, self.work.scratch, most_draws(c)
        if most == 0:
            return
        places, draws = c.num_pre * c.num_post * c.capacity, s["draws"]
        w.each(
            "draw_numbers", most, s["key"], s["number"], w.plan.training_seed, int(purpose), c.index, w.step,
            s["living"], places, draws,
        )  # fmt: skip
        keys, numbers = sort(w.module, s, most, max(1, (places - 1).bit_length()), draws)
        w.each("mark_fresh", most, keys, numbers, s["fresh"], draws)
        prefix_sums(w.module, s, s["fresh"], s["offsets"], most, draws)
        w.each(
            "mark_chosen", most, numbers, s["fresh"], s["offsets"], s["chosen"], s["different"], draws, s["dropped"],
            s["looked_at"], s["moved"], self.rewired, c.index,
        )  # fmt: skip
        prefix_sums(w.module, s, s["chosen"], s["offsets"], most, draws)
        w.each("collect", most, keys, s["chosen"], s["offsets"], s["drawn"], draws)

    # --- births ------------------------------------------------------------------------------------------------------

    def _births(self, c: ConnectionPlan, slots: Buffer, count: Buffer, most: int) -> None:
        """What synapses in these slots are born with."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        b = w.connection[c.index]
        w.each(
            "births", most, slots, s["born_pre"], s["born_post"], s["negative"], s["born_delay"],
            s.get("born_position"), w.plan.network_seed, w.plan.training_seed, c.index, w.step, c.num_pre, c.capacity,
            c.sign_threshold, b.get("pre_sign"), b["threshold"], c.delay_thresholds.size, c.delay_low,
            int(rule.growth_delay == "redraw"), count,
        )  # fmt: skip

    def _score(self, c: ConnectionPlan) -> None:
        """How much the candidates would help: keys that order their numbers, the best first."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        count, most = s["looked_at"], most_slots(c)
        kernel, taps = "", list[Any]()
        if c.kernel is not None:  # the warp that scores a candidate spreads it over lags
            kernel, width = f"_{c.kernel.template}", w.connection[c.index]["width"]
            taps = [s["born_position"], s["born_share"], s["born_slope"], most_taps(c), width, c.min_delay, c.max_delay]
        w.each(
            f"score_{w.form(c)}{kernel}", 32 * most, w.sent(c.source), w.population[c.target]["g"], s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], *taps, s["key"], s["number"], w.gain(c), int(rule.signed),
            count, w.plan.time_steps, w.L,
        )  # fmt: skip

    def _best_delays(self, c: ConnectionPlan) -> None:
        """Where growth asks for it, the lag at which each newborn synapse helps most."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        if rule.growth_delay != "best":
            return
        w.each(
            f"best_delay_{w.form(c)}", 32 * c.size, w.sent(c.source), w.population[c.target]["g"], s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], w.gain(c), int(rule.signed), c.delay_low,
            c.delay_high - c.delay_low + 1, s["dropped"], w.plan.time_steps, w.L,
        )  # fmt: skip

    # --- rows --------------------------------------------------------------------------------------------------------

    def _join(self, c: ConnectionPlan, slots: Buffer) -> None:
        """The living and the newborn in order of (post, pre)."""
        w, b, s, rule = self.work, self.work.connection[c.index], self.work.scratch, c.rewiring
        assert rule is not None
        arrays = [b.get(prefix + name) for name in moved(w.plan) for prefix in ("", "new_")]
        w.launch(
            "join", c.size, *arrays, s["alive"], s["rank"], s["free_before"], s["living"], slots, s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], s["dropped"], self.rewired, c.index, w.step, rule.every,
            c.size,
        )  # fmt: skip
        w.launch("put_back", c.size, *arrays, self.rewired, c.index, s["dropped"], c.size)
