"""The forward pass: which kernels run over which blocks of steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...codegen.cuda import MANY_STEPS, STEPS, WORD
from ...plan.plan import PopulationPlan
from ...plan.protocol import check_most
from ...random import dropout_threshold
from .history import Row
from .sorting import BLOCK

if TYPE_CHECKING:
    from .engine import CUDAEngine


class Forward:
    """The forward pass of an engine."""

    def __init__(self, engine: CUDAEngine) -> None:
        self.engine = engine

    def run(self) -> None:
        """All populations in the order of the plan, and the readouts."""
        e = self.engine
        for c in e.plan.connections:
            if c.kernel is not None and e.how.training:
                e.find_taps(c, c.kernel.template)
        for group in e.plan.groups:
            members = [e.plan.populations[i] for i in group]
            for p in members:
                if p.spiking:
                    e.population[p.index]["totals"].clear()
            for t0, t1 in e.blocks_of(group):
                for p in members:
                    self._gather(p, t0, t1)
                    if p.batch_norm:
                        self._normalise(p)
                    self._membrane(p, t0, t1)
        for p in e.plan.outputs:
            self._readout(p)

    def prepare(self) -> None:
        """What the host has to say before: numbers of this step."""
        e = self.engine
        e.set_step(e.how.step)
        for c in e.plan.connections:
            if c.kernel is not None and e.how.training:
                e.connection[c.index]["width"].upload(np.array([e.how.widths[c.index]], np.float32))

    def check(self) -> None:
        """Let the host find an error, when it looks at anything, where neurons spiked more often than is allowed."""
        e = self.engine
        if e.plan.max_spikes is None:
            return
        hidden = [p for p in e.plan.populations if p.kind == "neuron" and p.spiking]
        e.history.later("spikes", {}, partial(_check_spikes, hidden, e.plan.max_spikes))

        def work() -> None:
            for k, p in enumerate(hidden):
                row = e.history.row("spikes")
                e.module.launch("note_most", 1, BLOCK, e.population[p.index]["totals"], *row, 2 * k, p.size)

        e.replay("most spikes", work)

    def _gather(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """The input current of a block of steps."""
        e, T, L = self.engine, self.engine.plan.time_steps, self.engine.L
        current, begins = e.population[p.index]["current"], 1
        for c in (e.plan.connections[k] for k in p.incoming):
            if c.size == 0:
                continue
            s, spread = e.connection[c.index], c.kernel is not None and e.how.training
            more = WORD if e.form(c) == "spikes" else MANY_STEPS if spread else STEPS
            enough = t1 - t0 > more // 2 and not e.few(p.size * -(-(t1 - t0) // more) * L)
            steps = more if enough else STEPS
            e.rows(
                f"gather_{e.form(c)}{'_taps' if spread else ''}_{steps}", p.size, steps, t1 - t0, current,
                e.sent(c.source), s["row_start"], s["pre"], s["delay"], s["weight"], *(e.taps(c) if spread else ()),
                e.gain(c), T, L, t0, t1, begins,
            )  # fmt: skip
            begins = 0
        if begins:
            current.clear()

    def _normalise(self, p: PopulationPlan) -> None:
        """Batch norm's factor and offset, out of the batch or of the running averages."""
        assert p.batch_norm is not None
        e, b, epsilon = self.engine, self.engine.population[p.index], float(p.batch_norm.epsilon)
        learned = b["batch_norm_scale"], b["batch_norm_shift"]
        if not e.how.training:
            averages = b["batch_norm_mean"], b["batch_norm_var"]
            e.launch("norm_running", p.size, *learned, *averages, b["factor"], b["offset"], epsilon, p.size)
            return
        e.module.launch(
            "norm_statistics", p.size, e.row_threads(p.size), b["current"], b.get("bias"), *learned, b["mean"],
            b["var"], b["inverse"], b["factor"], b["offset"], epsilon, e.plan.time_steps, e.L, e.lanes,
        )  # fmt: skip

    def _membrane(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """Through the neurons of a population."""
        e, b = self.engine, self.engine.population[p.index]
        arguments: list[Any] = [b["current"], b["par"], b["tape"], b["carry"], e.finder.found]
        if p.spiking:
            arguments += [b["bits"], *([b["resets"]] if p.dropout else []), b["totals"]]
        arguments += [b[name] for name in ("bias", "factor", "offset") if name in b]
        if p.dropout:
            arguments += [dropout_threshold(p.dropout), e.step, int(e.how.training)]
        sizes = [p.size, e.plan.time_steps, e.L, e.lanes, t0, t1]
        e.launch(f"membrane_{p.index}", p.size * e.L, *arguments, *sizes)

    def _readout(self, p: PopulationPlan) -> None:
        """What an output's readout gives; a softmax over neurons is kept in g for the way back."""
        e, b = self.engine, self.engine.population[p.index]
        if p.readout == "sum_softmax":
            e.launch(f"softmax_{p.index}", e.plan.time_steps * e.L, b["tape"], b["g"], p.size, e.plan.time_steps, e.L)
        e.launch(f"readout_{p.index}", p.size * e.L, *e.readout_arguments(p, b["z"]))


def _check_spikes(hidden: list[PopulationPlan], limit: int, row: Row) -> None:
    """An error where a row of the history says that a neuron spiked too often."""
    for k, p in enumerate(hidden):
        check_most(p, int(row[2 * k]), int(row[2 * k + 1]), limit)
