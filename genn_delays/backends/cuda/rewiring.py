"""Rewiring on the device: which synapses go, which free places are filled, and the rows in their new order.

The host launches kernels and reads two numbers: how many synapses were dropped, and whether enough different random
numbers were drawn. Everything is the reference's definition, step by step: the same synapses result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...compilers.plan import ConnectionPlan
from ...random import Purpose
from .buffers import drawing_room, most_taps, state_shapes
from .device import Buffer
from .sorting import blocks, prefix_sums, sort

if TYPE_CHECKING:
    from .engine import CUDAEngine


def index_by_source(engine: CUDAEngine, c: ConnectionPlan) -> None:
    """Where rows begin, and the index by source neuron: a source's synapses in order of (post, delay)."""
    b, scratch, module = engine.connection[c.index], engine.scratch, engine.module
    module.launch("find_starts", blocks(c.num_post + 1), 256, b["post"], b["row_start"], c.size, c.num_post)
    engine.launch("source_keys", c.size, b["pre"], scratch["key"], scratch["number"], c.size)
    keys, numbers = sort(module, scratch, c.size, max(1, (c.num_pre - 1).bit_length()))
    engine.launch("low_words", c.size, keys, scratch["sorted"], c.size)
    module.launch("find_starts", blocks(c.num_pre + 1), 256, scratch["sorted"], b["by_pre_start"], c.size, c.num_pre)
    engine.launch("copy_words", c.size, numbers, b["by_pre_slot"], c.size)


class Rewiring:
    """Rewires connections of an engine."""

    def __init__(self, engine: CUDAEngine) -> None:
        self.engine = engine

    def run(self, c: ConnectionPlan, step: int, count: int) -> int:
        """Drop and grow synapses of a connection; how many of each were. `count`: that go by magnitude."""
        s = self.engine.scratch
        self._mark(c, count)
        prefix_sums(self.engine.module, s, s["alive"], s["rank"], c.size)
        living = int(s["rank"].download(c.size, 1)[0])
        dropped = c.size - living
        if dropped == 0:
            return 0
        b = self.engine.connection[c.index]
        self.engine.launch(
            "living_slots",
            c.size,
            b["pre"],
            b["post"],
            s["alive"],
            s["rank"],
            s["free_before"],
            c.num_pre,
            c.capacity,
            c.size,
        )
        slots = self._choose(c, step, dropped, living)
        self._births(c, slots, step, dropped)
        self._best_delays(c, dropped)
        self._rebuild(c, slots, dropped, living)
        return dropped

    def _mark(self, c: ConnectionPlan, count: int) -> None:
        """Which synapses stay, in scratch ``alive``: by their weight being 0, or all but the smallest."""
        e, b, s = self.engine, self.engine.connection[c.index], self.engine.scratch
        assert c.rewiring is not None
        if c.rewiring.template == "drop_zero":
            e.launch("mark_zero", c.size, b["weight"], s["alive"], c.size)
            return
        e.launch("magnitude_keys", c.size, b["weight"], s["key"], s["number"], c.size)
        numbers = sort(e.module, s, c.size, 32)[1]
        e.launch("mark_first", c.size, numbers, s["alive"], count, c.size)

    # --- places ------------------------------------------------------------------------------------------------------

    def _choose(self, c: ConnectionPlan, step: int, dropped: int, living: int) -> Buffer:
        """The slots to be grown, ascending."""
        s, rule = self.engine.scratch, c.rewiring
        assert rule is not None
        free = c.num_pre * c.num_post * c.capacity - living
        if rule.growth == "random":
            self._sample(c, Purpose.GROWTH, step, dropped, free)
            return self._slots(dropped, living)
        wanted = rule.num_candidates(free, dropped)
        if wanted < free:
            self._sample(c, Purpose.CANDIDATES, step, wanted, free)
        else:
            self.engine.launch("count_up", free, s["drawn"], free)
        slots = self._slots(wanted, living)
        self._births(c, slots, step, wanted)
        order = self._score(c, wanted)
        self.engine.launch("gather_slots", dropped, slots, order, s["key"], dropped)
        most = c.num_pre * c.num_post * c.capacity
        keys = sort(self.engine.module, s, dropped, most.bit_length())[0]
        self.engine.launch("slots_of_keys", dropped, keys, s["slot2"], dropped)
        return s["slot2"]

    def _slots(self, count: int, living: int) -> Buffer:
        """From ranks among free slots, in scratch ``drawn``, to slots."""
        s = self.engine.scratch
        self.engine.launch("free_slots", count, s["drawn"], s["free_before"], s["slot"], living, count)
        return s["slot"]

    def _sample(self, c: ConnectionPlan, purpose: Purpose, step: int, count: int, total: int) -> None:
        """``sample_distinct(count, total)`` into scratch ``drawn``: see :func:`genn_delays.random.sample_distinct`."""
        e, s = self.engine, self.engine.scratch
        wanted = total - count if 2 * count > total else count
        if not self._draw(c, purpose, step, wanted, total, wanted + wanted // 2 + 64):
            assert self._draw(c, purpose, step, wanted, total, drawing_room(wanted))  # fails once in a universe
        if wanted == count:
            return
        e.module.launch("fill_numbers", blocks(total), 256, s["chosen"], 1, total)
        e.launch("leave_out", wanted, s["drawn"], s["chosen"], wanted)
        prefix_sums(e.module, s, s["chosen"], s["offsets"], total)
        e.launch("collect_places", total, s["chosen"], s["offsets"], s["drawn"], total)

    def _draw(self, c: ConnectionPlan, purpose: Purpose, step: int, wanted: int, total: int, draws: int) -> bool:
        """The first `wanted` different ones of so many random numbers, ascending; False where there are not so many."""
        e, s = self.engine, self.engine.scratch
        if wanted == 0:
            return True
        e.launch(
            "draw_numbers", draws, s["key"], s["number"], e.plan.training_seed, int(purpose), c.index, step % (1 << 32),
            total, draws,
        )  # fmt: skip
        keys, numbers = sort(e.module, s, draws, max(1, (total - 1).bit_length()))
        e.launch("mark_fresh", draws, keys, numbers, s["fresh"], draws)
        prefix_sums(e.module, s, s["fresh"], s["offsets"], draws)
        if int(s["offsets"].download(draws, 1)[0]) < wanted:
            return False
        e.launch("mark_chosen", draws, numbers, s["fresh"], s["offsets"], s["chosen"], wanted, draws)
        prefix_sums(e.module, s, s["chosen"], s["offsets"], draws)
        e.launch("collect", draws, keys, s["chosen"], s["offsets"], s["drawn"], draws)
        return True

    # --- births ------------------------------------------------------------------------------------------------------

    def _births(self, c: ConnectionPlan, slots: Buffer, step: int, count: int) -> None:
        """What synapses in these slots are born with."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        b, delays = e.connection[c.index], c.connection.connectivity.delay_initializer
        e.launch(
            "births", count, slots, s["born_pre"], s["born_post"], s["negative"], s["born_delay"], e.plan.network_seed,
            e.plan.training_seed, c.index, step % (1 << 32), c.num_pre, c.capacity, c.sign_threshold, b.get("pre_sign"),
            b["threshold"], delays.thresholds.size, delays.low, int(rule.growth_delay == "redraw"), count,
        )  # fmt: skip

    def _score(self, c: ConnectionPlan, count: int) -> Buffer:
        """How much the candidates would help; the order of their numbers from the best on."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        spread, taps = c.kernel is not None, list[Any]()
        if c.kernel is not None:
            e.launch("as_positions", count, s["born_delay"], s["born_position"], count)
            taps = [s["born_first"], s["born_number"], s["born_share"], most_taps(c)]
            e.launch(
                f"taps_{c.kernel.template}", count, s["born_position"], *taps[:3], s["born_slope"], taps[3],
                e.connection[c.index]["width"], c.min_delay, c.max_delay, count,
            )  # fmt: skip
        e.launch(
            f"score_{e.form(c)}{'_taps' if spread else ''}", 32 * count, e.sent(c.source), e.population[c.target]["g"],
            s["born_pre"], s["born_post"], s["negative"], s["born_delay"], *taps, s["key"], s["number"], e.gain(c),
            int(rule.signed), count, e.plan.time_steps, e.L,
        )  # fmt: skip
        return sort(e.module, s, count, 32)[1]

    def _best_delays(self, c: ConnectionPlan, count: int) -> None:
        """Where growth asks for it, the lag at which each newborn synapse helps most."""
        e, s, rule = self.engine, self.engine.scratch, c.rewiring
        assert rule is not None
        if rule.growth_delay != "best":
            return
        delays = c.connection.connectivity.delay_initializer
        e.launch(
            f"best_delay_{e.form(c)}", 32 * count, e.sent(c.source), e.population[c.target]["g"], s["born_pre"],
            s["born_post"], s["negative"], s["born_delay"], e.gain(c), int(rule.signed), delays.low,
            delays.high - delays.low + 1, count, e.plan.time_steps, e.L,
        )  # fmt: skip

    # --- rows --------------------------------------------------------------------------------------------------------

    def _rebuild(self, c: ConnectionPlan, slots: Buffer, dropped: int, living: int) -> None:
        """The living and the newborn in order of (post, pre), and the indices."""
        e, b, s = self.engine, self.engine.connection[c.index], self.engine.scratch
        e.launch(
            "places_of_living", c.size, s["alive"], s["rank"], s["free_before"], slots, s["place"], dropped, c.size
        )
        for name, (_, dtype) in state_shapes(c).items():
            b[f"new_{name}"].clear()  # what is born begins with 0
            kernel = "move_halves" if np.dtype(dtype).itemsize == 2 else "move_words"
            e.launch(kernel, c.size, b[name], b[f"new_{name}"], s["place"], c.size)
        e.launch("places_of_newborn", dropped, slots, s["free_before"], s["drawn"], living, dropped)
        e.launch(
            "put_newborn", dropped, s["drawn"], s["born_pre"], s["born_post"], s["negative"], s["born_delay"],
            b["new_pre"], b["new_post"], b["new_delay"], b["new_weight"], b.get("new_position"), dropped,
        )  # fmt: skip
        for name, (_, dtype) in state_shapes(c).items():  # back to where graphs of launches expect it
            kernel = "copy_halves" if np.dtype(dtype).itemsize == 2 else "copy_words"
            e.launch(kernel, c.size, b[f"new_{name}"], b[name], c.size)
        index_by_source(e, c)
