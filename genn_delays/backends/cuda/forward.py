"""The forward pass: which kernels run over which blocks of steps."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...codegen.cuda import MANY_STEPS, STEPS, WORD
from ...plan.plan import PopulationPlan
from ...plan.protocol import check_most
from ...random import dropout_threshold
from .device import Buffer
from .history import Row
from .sorting import BLOCK
from .work import Work


class Forward:
    """The forward pass of a plan.

    Args:
        found: where it is noted which populations have a state variable that is no number.
    """

    def __init__(self, work: Work, found: Buffer) -> None:
        self.work, self._found = work, found

    def run(self) -> None:
        """All populations in the order of the plan, and the readouts."""
        w = self.work
        for c in w.plan.connections:
            if c.kernel is not None and w.how.training:
                w.find_taps(c, c.kernel.code_name)
        for group in w.plan.groups:
            members = [w.plan.populations[i] for i in group]
            for p in members:
                if p.spiking:
                    w.population[p.index]["totals"].clear()
            for t0, t1 in w.blocks_of(group):
                for p in members:
                    self._gather(p, t0, t1)
                    if p.batch_norm:
                        self._normalise(p)
                    self._membrane(p, t0, t1)
        for p in w.plan.outputs:
            self._readout(p)

    def prepare(self) -> None:
        """What the host has to say before: numbers of this step."""
        w = self.work
        w.set_step(w.how.step)
        for c in w.plan.connections:
            if c.kernel is not None and w.how.training:
                w.connection[c.index]["width"].upload(np.array([w.how.widths[c.index]], np.float32))

    def check(self) -> None:
        """Let the host find an error, when it looks at anything, where neurons spiked more often than is allowed."""
        w = self.work
        if w.plan.max_spikes is None:
            return
        hidden = [p for p in w.plan.populations if p.kind == "neuron" and p.spiking]
        w.history.later("spikes", {}, partial(_check_spikes, hidden, w.plan.max_spikes))

        def note() -> None:
            for k, p in enumerate(hidden):
                row = w.history.row("spikes")
                w.module.launch("note_most", 1, BLOCK, w.population[p.index]["totals"], *row, 2 * k, p.size)

        w.replay("most spikes", note)

    def _gather(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """The input current of a block of steps."""
        w, T, L = self.work, self.work.plan.time_steps, self.work.L
        current, begins = w.population[p.index]["current"], 1
        for c in (w.plan.connections[k] for k in p.incoming):
            if c.size == 0:
                continue
            s, spread = w.connection[c.index], c.kernel is not None and w.how.training
            more = WORD if w.form(c) == "spikes" else MANY_STEPS if spread else STEPS
            enough = t1 - t0 > more // 2 and not w.few(p.size * -(-(t1 - t0) // more) * L)
            steps = more if enough else STEPS
            w.rows(
                f"gather_{w.form(c)}{'_taps' if spread else ''}_{steps}", p.size, steps, t1 - t0, current,
                w.sent(c.source), s["row_start"], s["pre"], s["delay"], s["weight"], *(w.taps(c) if spread else ()),
                w.gain(c), T, L, t0, t1, begins,
            )  # fmt: skip
            begins = 0
        if begins:
            current.clear()

    def _normalise(self, p: PopulationPlan) -> None:
        """Batch norm's factor and offset, out of the batch or of the running averages."""
        assert p.batch_norm is not None
        w, b, epsilon = self.work, self.work.population[p.index], float(p.batch_norm.epsilon)
        learned = b["batch_norm_scale"], b["batch_norm_shift"]
        if not w.how.training:
            averages = b["batch_norm_mean"], b["batch_norm_var"]
            w.launch("norm_running", p.size, *learned, *averages, b["factor"], b["offset"], epsilon, p.size)
            return
        w.module.launch(
            "norm_statistics", p.size, w.row_threads(p.size), b["current"], b.get("bias"), *learned, b["mean"],
            b["var"], b["inverse"], b["factor"], b["offset"], epsilon, w.plan.time_steps, w.L, w.lanes,
        )  # fmt: skip

    def _membrane(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """Through the neurons of a population."""
        w, b = self.work, self.work.population[p.index]
        arguments: list[Any] = [b["current"], b["par"], b["tape"], b["carry"], self._found]
        if p.spiking:
            arguments += [b["bits"], *([b["resets"]] if p.dropout else []), b["totals"]]
        arguments += [b[name] for name in ("bias", "factor", "offset") if name in b]
        if p.dropout:
            arguments += [dropout_threshold(p.dropout), w.step, int(w.how.training)]
        sizes = [p.size, w.plan.time_steps, w.L, w.lanes, t0, t1]
        w.launch(f"membrane_{p.index}", p.size * w.L, *arguments, *sizes)

    def _readout(self, p: PopulationPlan) -> None:
        """What an output's readout gives; a softmax over neurons is kept in g for the way back."""
        w, b = self.work, self.work.population[p.index]
        arguments = w.readout_arguments(p, b["z"])
        if p.reading.reads == "softmax":
            w.launch(f"softmax_{p.index}", w.plan.time_steps * w.L, *arguments)
        w.launch(f"readout_{p.index}", p.size * w.L, *arguments)


def _check_spikes(hidden: list[PopulationPlan], limit: int, row: Row) -> None:
    """An error where a row of the history says that a neuron spiked too often."""
    for k, p in enumerate(hidden):
        check_most(p, int(row[2 * k]), int(row[2 * k + 1]), limit)
