"""Rewiring on the device: which synapses go, which free places are filled, and the rows in their new order.

The host launches kernels and reads nothing, so a connection's rewiring is part of a step's recorded graph: how many
synapses go and what follows from it, the device counts itself (``buffers.COUNTS``); launches are made for the most it
may be, or two blocks do it all where a connection has few synapses. Everything is the reference's definition, step by
step: the same synapses result.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from ...codegen.cuda import moved, rule_of
from ...codegen.rules import drop_numbers, help_numbers, state_read
from ...plan.exchanged import Rewired
from ...plan.plan import ConnectionPlan
from ...random import Purpose
from ...rewiring.rule import EXACT_CANDIDATES, SAMPLED_PER_DROPPED
from .buffers import COUNTS, DRAWS_EACH, DRAWS_MORE, most_draws, most_slots, most_taps
from .device import Argument, Arguments, Buffer, KernelError
from .exchange import Exchange, Summed
from .history import Row
from .sorting import prefix_sums, sort, sorted_keys
from .work import Work, all_of

ONE_BLOCK = 1024
"""Threads of the block that rewires a small connection."""
MOST_IN_BLOCK = 16_384
"""Synapses, random numbers or candidates up to which one block does all: more take it longer than launches."""


def index_by_source(work: Work, c: ConnectionPlan, moved: Buffer | None = None) -> None:
    """The start of every row, and the inverse index: each source neuron's synapses in the order of the
        arrays (by target and, within a pair, by birth).

    Args:
        moved: on the device, how many synapses to index, all or none; all where it is not given.
    """
    b, s = work.connection[c.index], work.scratch
    work.launch(
        "index_rows", max(c.size, c.num_post + 1), pre=b["pre"], post=b["post"], row_start=b["row_start"],
        key=s["key"], number=s["number"], found=moved, num_post=c.num_post, size=c.size,
    )  # fmt: skip
    keys, numbers = sort(work.module, s, c.size, max(1, (c.num_pre - 1).bit_length()), moved)
    work.launch(
        "index_sources", max(c.size, c.num_pre + 1), key=keys, number=numbers, start=b["by_pre_start"],
        slot=b["by_pre_slot"], found=moved, num_pre=c.num_pre, size=c.size,
    )  # fmt: skip


def in_one_block(c: ConnectionPlan) -> bool:
    """True if single blocks rewire a connection: it has few synapses, draws and candidates."""
    assert c.rewiring is not None
    most = max(c.size, most_slots(c), most_draws(c))
    return most <= MOST_IN_BLOCK and c.rewiring.growth_delay != "best"


def _looked_at(c: ConnectionPlan) -> dict[str, Argument]:
    """The number of free slots that are scored (all of them up to a limit, else some for every dropped synapse), and
    the
    number of random draws for them."""
    rule = c.rewiring
    assert rule is not None
    draws = {"draws_each": DRAWS_EACH, "draws_more": DRAWS_MORE}
    if rule.growth == "gradient":
        most = {"candidates": rule.candidates or 0, "exact": EXACT_CANDIDATES, "per_dropped": SAMPLED_PER_DROPPED}
    else:
        most = {"candidates": 0, "exact": -1, "per_dropped": 1}
    return {**most, **draws}


def _places(c: ConnectionPlan) -> int:
    """Slots of a connection, free ones and others."""
    return c.num_pre * c.num_post * c.capacity


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
            w.replay("note rewired", lambda: w.launch("note_rewired", size, row, rewired=self.rewired, count=size))
        w.device.settle()  # a step is over: start the deferred work now
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
        """Drop and grow synapses of a connection, `asked` of them where they go by a score.

        How many were replaced goes to ``rewired``; the training step is in the ``step`` of the work.
        """
        w = self.work
        assert c.rewiring is not None
        by_score = c.rewiring.score is not None
        if c.size == 0 or (by_score and asked == 0):
            return
        if by_score:
            w.connection[c.index]["asked"].upload(np.array([asked], np.int64), early=True)
        # launches that score are recorded with the gain of their source, which is another one while it is trained
        key = ("rewire", c.index, w.how.training)
        until, onwards = (self._drop_by_block, self._grow_by_block) if in_one_block(c) else (self._drop, self._grow)
        first = [partial(until, c)]
        if w.exchange is not None and c.rewiring.growth == "gradient":
            w.replay((*key, "scores"), partial(all_of, first))
            count = int(w.scratch["looked_at"].download()[0])
            w.exchange.add(("scores of candidates", [Summed(w.scratch["score"], count)]))
            first = [partial(self._rank, c)]
        if w.exchange is not None and c.rewiring.growth_delay == "best":  # never by one block
            w.replay((*key, "births"), partial(all_of, [*first, partial(self._fill, c)]))
            self._best_of_all(c, w.exchange)
            first, onwards = [], self._arrange
        w.replay(key, partial(all_of, [*first, partial(onwards, c)]))

    def _drop(self, c: ConnectionPlan) -> None:
        """Mark dropped synapses and find free slots; where growth is by the gradient, with their scores."""
        w, b, s = self.work, self.work.connection[c.index], self.work.scratch
        self._mark(c)
        prefix_sums(w.module, s, s["alive"], s["rank"], c.size)
        self._count(c)
        w.launch(
            "living_slots", c.size, _of(b, "pre", "post"), _of(s, "alive", "rank", "free_before", "dropped"),
            num_pre=c.num_pre, capacity=c.capacity, size=c.size,
        )  # fmt: skip
        self._find_slots(c)

    def _grow(self, c: ConnectionPlan) -> None:
        """Fill slots, and bring the rows into their new order."""
        self._fill(c)
        self._best_delays(c)
        self._arrange(c)

    def _fill(self, c: ConnectionPlan) -> None:
        """The slots that are filled, and the initial values of synapses there."""
        self._choose(c)
        self._births(c, self._filled(c), self.work.scratch["dropped"], c.size)

    def _arrange(self, c: ConnectionPlan) -> None:
        """The rows in their new order."""
        self._join(c, self._filled(c))
        index_by_source(self.work, c, self.work.scratch["moved"])

    def _of_blocks(self, c: ConnectionPlan) -> Arguments:
        """The arguments of both kernels of :meth:`_drop_by_block` and :meth:`_grow_by_block`."""
        s, rule = self.work.scratch, c.rewiring
        assert rule is not None
        sorts = _of(s, "key", "number", "key2", "number2", "counts", "offsets")
        born = _of(s, "born_pre", "born_post", "negative", "born_delay") | {"born_position": s.get("born_position")}
        return {
            **sorts, **born, **self._birth(c), **_of(s, "alive", "rank", "free_before", "slot"),
            "rewired": self.rewired, "place_bits": _places(c).bit_length(),
            "by_gradient": int(rule.growth == "gradient"), "size": c.size,
        }  # fmt: skip

    def _drop_by_block(self, c: ConnectionPlan) -> None:
        """As :meth:`_drop`, by one block."""
        w, b, s, rule = self.work, self.work.connection[c.index], self.work.scratch, c.rewiring
        assert rule is not None
        by_gradient = rule.growth == "gradient"
        purpose = Purpose.CANDIDATES if by_gradient else Purpose.GROWTH
        w.module.launch(
            f"rewire_drop_by_{rule_of(c)}", 1, ONE_BLOCK, self._of_blocks(c), self._read(c), _of(b, "pre", "post"),
            _of(s, *COUNTS), _looked_at(c), _of(s, "fresh", "chosen", "drawn"),
            {} if rule.score is None else _of(b, "asked"), purpose=int(purpose), places=_places(c),
        )  # fmt: skip
        if by_gradient:
            self._score(c)

    def _grow_by_block(self, c: ConnectionPlan) -> None:
        """As :meth:`_grow`, by one block."""
        w, b, s, rule = self.work, self.work.connection[c.index], self.work.scratch, c.rewiring
        assert rule is not None
        w.module.launch(
            "rewire_grow", 1, ONE_BLOCK, self._of_blocks(c), self._moved(c),
            _of(b, "row_start", "by_pre_start", "by_pre_slot"), _of(s, "dropped", "living", "looked_at", "moved"),
            every=rule.every, num_post=c.num_post,
        )  # fmt: skip

    def _birth(self, c: ConnectionPlan) -> dict[str, Argument]:
        """The arguments that decide the signs and delays of newborn synapses."""
        w, rule = self.work, c.rewiring
        assert rule is not None
        b = w.connection[c.index]
        return {
            "network_seed": w.plan.network_seed, "training_seed": w.plan.training_seed, "owner": c.index,
            "step": w.step, "num_pre": c.num_pre, "capacity": c.capacity, "sign_threshold": c.sign_threshold,
            "pre_sign": b.get("pre_sign"), "threshold": b["threshold"], "num_thresholds": c.delay_thresholds.size,
            "lowest": c.delay_low, "redraw": int(rule.growth_delay == "redraw"),
        }  # fmt: skip

    def _moved(self, c: ConnectionPlan) -> dict[str, Argument]:
        """The arrays that a connection keeps per synapse, and the scratch arrays into which they are moved."""
        b = self.work.connection[c.index]
        return {prefix + name: b.get(prefix + name) for name in moved(self.work.plan) for prefix in ("", "new_")}

    def _read(self, c: ConnectionPlan) -> dict[str, Argument]:
        """The arguments of the rule's criterion for dropping synapses: arrays and numbers."""
        rule, b = c.rewiring, self.work.connection[c.index]
        assert rule is not None
        return _of(b, *state_read(type(rule))) | drop_numbers(rule)

    def _mark(self, c: ConnectionPlan) -> None:
        """Mark the synapses that stay, in scratch ``alive``: each by the rule's own decision, or all but those of
        lowest score."""
        w, b, s = self.work, self.work.connection[c.index], self.work.scratch
        assert c.rewiring is not None
        if c.rewiring.score is None:
            w.launch(f"mark_by_{rule_of(c)}", c.size, self._read(c), alive=s["alive"], size=c.size)
            return
        w.launch(f"keys_by_{rule_of(c)}", c.size, self._read(c), _of(s, "key", "number"), size=c.size)
        numbers = sort(w.module, s, c.size, 32)[1]
        w.launch("mark_first", c.size, number=numbers, alive=s["alive"], asked=b["asked"], size=c.size)

    def _count(self, c: ConnectionPlan) -> None:
        """Count the dropped synapses, and derive the other counts."""
        w, s = self.work, self.work.scratch
        w.module.launch(
            "count_growth", 1, 1, _of(s, "rank", *COUNTS), _looked_at(c), slots=_places(c), size=c.size
        )  # fmt: skip

    # --- places ------------------------------------------------------------------------------------------------------

    def _find_slots(self, c: ConnectionPlan) -> None:
        """Free slots, ascending: those to be grown, or candidates with their scores."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        by_gradient, most = rule.growth == "gradient", most_slots(c)
        self._draw(c, Purpose.CANDIDATES if by_gradient else Purpose.GROWTH)
        w.each("free_slots", most, _of(s, "drawn", "different", "free_before", "living", "slot", "looked_at"))
        if by_gradient:
            self._births(c, s["slot"], s["looked_at"], most)
            self._score(c)

    def _filled(self, c: ConnectionPlan) -> Buffer:
        """The buffer in which :meth:`_choose` leaves the slots to be grown."""
        s = self.work.scratch
        assert c.rewiring is not None
        by_gradient = c.rewiring.growth == "gradient"
        return sorted_keys(s, c.size, _places(c).bit_length()) if by_gradient else s["slot"]

    def _choose(self, c: ConnectionPlan) -> None:
        """Find the slots to be grown, ascending, as many as are dropped."""
        w, s, most = self.work, self.work.scratch, most_slots(c)
        assert c.rewiring is not None
        if c.rewiring.growth != "gradient":
            return
        order = sort(w.module, s, most, 32, s["looked_at"])[1]
        w.each("gather_slots", c.size, _of(s, "slot", "key"), order=order, count=s["dropped"])
        sort(w.module, s, c.size, _places(c).bit_length(), s["dropped"])

    def _draw(self, c: ConnectionPlan, purpose: Purpose) -> None:
        """The first ``different`` different ones of random numbers below the number of free slots, ascending, into
        scratch ``drawn``: those of :func:`genn_delays.random.sample_distinct`, however many are drawn beyond them."""
        w, s, most = self.work, self.work.scratch, most_draws(c)
        if most == 0:
            return
        places, draws = _places(c), s["draws"]
        w.each(
            "draw_numbers", most, _of(s, "number", "living", "draws"), value=s["key"], seed=w.plan.training_seed,
            purpose=int(purpose), owner=c.index, step=w.step, slots=places,
        )  # fmt: skip
        keys, numbers = sort(w.module, s, most, max(1, (places - 1).bit_length()), draws)
        w.each("mark_fresh", most, _of(s, "fresh", "draws"), value=keys, number=numbers)
        prefix_sums(w.module, s, s["fresh"], s["offsets"], most, draws)
        w.each(
            "mark_chosen", most, _of(s, "fresh", "chosen", "different", "draws", "dropped", "looked_at", "moved"),
            number=numbers, rank=s["offsets"], rewired=self.rewired, owner=c.index,
        )  # fmt: skip
        prefix_sums(w.module, s, s["chosen"], s["offsets"], most, draws)
        w.each("collect", most, _of(s, "chosen", "drawn", "draws"), value=keys, rank=s["offsets"])

    # --- births ------------------------------------------------------------------------------------------------------

    def _births(self, c: ConnectionPlan, slots: Buffer, count: Buffer, most: int) -> None:
        """The initial values of newborn synapses in these slots."""
        s = self.work.scratch
        self.work.each(
            "births", most, self._birth(c), slot=slots, pre=s["born_pre"], post=s["born_post"], negative=s["negative"],
            delay=s["born_delay"], position=s.get("born_position"), count=count,
        )  # fmt: skip

    def _scored(self, c: ConnectionPlan) -> dict[str, Argument]:
        """The arguments of the kernels that score newborn synapses."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        return {
            "x": w.sent(c.source), "g": w.population[c.target]["g"], "pre": s["born_pre"], "post": s["born_post"],
            "delay": s["born_delay"], "gain": w.gain(c), "T": w.plan.time_steps, "L": w.L, **w.parts,
        }  # fmt: skip

    def _score(self, c: ConnectionPlan) -> None:
        """Score the candidates: sort keys that put the best first."""
        w, s = self.work, self.work.scratch
        kernel, taps = "", dict[str, Argument]()
        if c.kernel is not None:  # the warp that scores a candidate spreads it over lags
            kernel = f"_{c.kernel.code_name}"
            taps = {name: s[f"born_{name}"] for name in ("position", "share", "slope")}
            taps |= {"most": most_taps(c), "width": w.connection[c.index]["width"]}
            taps |= {"min_delay": c.min_delay, "max_delay": c.max_delay}
        w.each(
            f"score_{w.form(c)}{kernel}_by_{rule_of(c)}", 32 * most_slots(c), self._scored(c), taps,
            self._ranked(c) if w.exchange is None else _of(s, "score"), count=s["looked_at"],
        )  # fmt: skip

    def _ranked(self, c: ConnectionPlan) -> dict[str, Argument]:
        """The arguments of the kernels that order candidates by their scores."""
        s, rule = self.work.scratch, c.rewiring
        assert rule is not None
        return {"negative": s["negative"], "key": s["key"], "order": s["number"], **help_numbers(rule)}

    def _rank(self, c: ConnectionPlan) -> None:
        """Order candidates by the scores that all ranks have added up."""
        w, s = self.work, self.work.scratch
        most = most_slots(c)
        w.each(f"rank_by_{rule_of(c)}", most, self._ranked(c), _of(s, "score"), count=s["looked_at"])

    def _best_delays(self, c: ConnectionPlan) -> None:
        """Find the lag at which each newborn synapse helps most, if growth asks for it."""
        w, rule = self.work, c.rewiring
        assert rule is not None
        if rule.growth_delay != "best":
            return
        w.each(
            f"best_delay_{w.form(c)}_by_{rule_of(c)}", 32 * c.size, self._scored(c), help_numbers(rule),
            lowest=c.delay_low, lags=c.delay_high - c.delay_low + 1, count=w.scratch["dropped"],
            negative=w.scratch["negative"],
        )  # fmt: skip

    def _best_of_all(self, c: ConnectionPlan, exchange: Exchange) -> None:
        """The same where ranks share a batch: some synapses after the other, with their correlograms over all lanes."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        count, lags = int(s["dropped"].download()[0]), c.delay_high - c.delay_low + 1
        room = s["lag_sums"].size // lags
        scored = {name: value for name, value in self._scored(c).items() if name != "delay"}
        for begin in range(0, count, room):
            number = min(room, count - begin)
            shared: Arguments = {
                "lag_sums": s["lag_sums"], "lowest": c.delay_low, "lags": lags, "begin": begin, "number": number,
            }  # fmt: skip
            w.each(f"lag_sums_{w.form(c)}", 32 * number, scored, shared)
            exchange.add(("scores of delays", [Summed(s["lag_sums"], number * lags)]))
            w.each(
                f"best_lag_by_{rule_of(c)}", number, shared, help_numbers(rule), negative=s["negative"],
                delay=s["born_delay"],
            )  # fmt: skip

    # --- rows --------------------------------------------------------------------------------------------------------

    def _join(self, c: ConnectionPlan, slots: Buffer) -> None:
        """Merge living and newborn synapses in order of (post, pre)."""
        w, s, rule = self.work, self.work.scratch, c.rewiring
        assert rule is not None
        shared: Arguments = {
            **self._moved(c), "rewired": self.rewired, "owner": c.index, "dropped": s["dropped"], "size": c.size,
        }  # fmt: skip
        names = ("alive", "rank", "free_before", "living", "born_pre", "born_post", "negative", "born_delay")
        w.launch("join", c.size, shared, _of(s, *names), slot=slots, step=w.step, every=rule.every)
        w.launch("put_back", c.size, shared)


def _of(buffers: Mapping[str, Buffer], *names: str) -> dict[str, Argument]:
    """Buffers by the names that kernels give them."""
    return {name: buffers[name] for name in names}
