"""The forward pass: which kernels run over which blocks of steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...plan.limits import check_most
from ...plan.plan import PopulationPlan
from ...random import dropout_threshold
from .device import Argument, Arguments, Buffer
from .exchange import Summed
from .history import Row
from .launches import gather_steps
from .sorting import BLOCK
from .work import Work, all_of


class Forward:
    """The forward pass of a plan.

    Args:
        found: where to note the populations with a state variable that is not finite.
    """

    def __init__(self, work: Work, found: Buffer) -> None:
        self.work, self._found = work, found

    def run(self) -> None:
        """All populations in the order of the plan, and the readouts; where ranks share a batch, with their sums."""
        w = self.work
        blocks = tuple(tuple(w.blocks_of(group)) for group in w.plan.groups)
        key = ("forward", w.how.training, w.lanes, w.total, blocks)
        piece: list[Callable[[], None]] = [self._begin]
        for group in w.plan.groups:
            members = [w.plan.populations[i] for i in group]
            # a batch norm is alone in its group, which is one block
            normed = members[0] if members[0].batch_norm and w.how.training else None
            if w.exchange is None or normed is None:
                piece.append(partial(self._group, members))
                continue
            piece.append(partial(self._until_norm, normed))
            w.replay((*key, normed.index), partial(all_of, piece))
            w.exchange.add(("batch norm", [Summed(b := w.population[normed.index]["norm_sums"], b.size)]))
            piece = [partial(self._from_norm, normed)]
        w.replay(key, partial(all_of, [*piece, *(partial(self._readout, p) for p in w.plan.outputs)]))
        if w.exchange is not None and w.how.training:
            regularised = [p for p in w.plan.populations if p.regularised]
            totals = [Summed(w.population[p.index]["totals"], p.size) for p in regularised]
            w.exchange.add(("spike counts", totals))

    def _begin(self) -> None:
        w = self.work
        for c in w.plan.connections:
            if c.kernel is not None and w.how.training:
                w.find_taps(c, c.kernel.code_name)

    def _group(self, members: list[PopulationPlan]) -> None:
        """The populations of a group, block after block."""
        w = self.work
        for p in members:
            self._clear(p)
        for t0, t1 in w.blocks_of(tuple(p.index for p in members)):
            for p in members:
                self._gather(p, t0, t1)
                if p.batch_norm:
                    self._normalise(p)
                self._membrane(p, t0, t1)

    def _until_norm(self, p: PopulationPlan) -> None:
        """Up to the sums of this rank's lanes out of which a batch is normalised."""
        w, b = self.work, self.work.population[p.index]
        self._clear(p)
        self._gather(p, 0, w.plan.time_steps)
        w.module.launch(
            "norm_sums", p.size, w.row_threads(p.size), w.row_parts(p.size), current=b["current"], bias=b.get("bias"),
            sums=b["norm_sums"], T=w.plan.time_steps, L=w.L, live=w.lanes,
        )  # fmt: skip

    def _from_norm(self, p: PopulationPlan) -> None:
        """From the sums of all ranks on."""
        w, b = self.work, self.work.population[p.index]
        w.launch(
            "norm_statistics", p.size, self._norm_numbers(p), sums=b["norm_sums"], mean=b["mean"], var=b["var"],
            inverse=b["inverse"], N=p.size, T=w.plan.time_steps, total=w.total,
        )  # fmt: skip
        self._membrane(p, 0, w.plan.time_steps)

    def _clear(self, p: PopulationPlan) -> None:
        if p.spiking:
            self.work.population[p.index]["totals"].clear()

    def prepare(self) -> None:
        """Upload the numbers of this step."""
        w = self.work
        w.set_step(w.how.step)
        for c in w.plan.connections:
            if c.kernel is not None and w.how.training:
                w.connection[c.index]["width"].upload(np.array([w.how.widths[c.index]], np.float32))

    def check(self) -> None:
        """Raise an error, when the host next reads anything, if a neuron spiked more often than is allowed."""
        w = self.work
        if w.plan.max_spikes is None:
            return
        hidden = [p for p in w.plan.populations if p.kind == "neuron" and p.spiking]
        w.history.later("spikes", {}, partial(_check_spikes, hidden, w.plan.max_spikes))

        def note() -> None:
            for k, p in enumerate(hidden):
                row = w.history.row("spikes")
                totals = w.population[p.index]["totals"]
                w.module.launch("note_most", 1, BLOCK, row, totals=totals, column=2 * k, N=p.size)

        w.replay("most spikes", note)

    def _gather(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """The input current of a block of steps."""
        w, T, L = self.work, self.work.plan.time_steps, self.work.L
        current, begins = w.population[p.index]["current"], 1
        for c in (w.plan.connections[k] for k in p.incoming):
            if c.size == 0:
                continue
            s, spread = w.connection[c.index], c.kernel is not None and w.how.training
            steps = gather_steps(w.form(c), spread, p.size, t1 - t0, L)
            w.rows(
                f"gather_{w.form(c)}{'_taps' if spread else ''}_{steps}", p.size, steps, t1 - t0,
                w.taps(c) if spread else {}, Isyn=current, x=w.sent(c.source), row_start=s["row_start"], pre=s["pre"],
                delay=s["delay"], weight=s["weight"], gain=w.gain(c), T=T, L=L, t0=t0, t1=t1, begins=begins,
            )  # fmt: skip
            begins = 0
        if begins:
            current.clear()

    def _normalise(self, p: PopulationPlan) -> None:
        """Batch norm's factor and offset, out of the batch or of the running averages."""
        w, b, shared = self.work, self.work.population[p.index], self._norm_numbers(p)
        if not w.how.training:
            averages: Arguments = {"running_mean": b["batch_norm_mean"], "running_var": b["batch_norm_var"]}
            w.launch("norm_running", p.size, shared, averages, N=p.size)
            return
        w.module.launch(
            "norm_statistics", p.size, w.row_threads(p.size), shared, w.row_parts(p.size), current=b["current"],
            bias=b.get("bias"), mean=b["mean"], var=b["var"], inverse=b["inverse"], T=w.plan.time_steps, L=w.L,
            live=w.lanes,
        )  # fmt: skip

    def _norm_numbers(self, p: PopulationPlan) -> Arguments:
        """The arguments of kernels that find a batch norm's factor and offset."""
        assert p.batch_norm is not None
        b = self.work.population[p.index]
        return {
            "scale": b["batch_norm_scale"], "shift": b["batch_norm_shift"], "factor": b["factor"],
            "offset": b["offset"], "epsilon": float(p.batch_norm.epsilon),
        }  # fmt: skip

    def _membrane(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """Through the neurons of a population."""
        w, b = self.work, self.work.population[p.index]
        names = ["current", "par", "tape", "carry", *(["bits", "totals"] if p.spiking else [])]
        names += [name for name in ("bias", "factor", "offset", "resets") if name in b]
        arguments: dict[str, Argument] = {name: b[name] for name in names}
        if p.dropout:
            arguments |= {"dropout": dropout_threshold(p.dropout), "training": int(w.how.training)}
            arguments |= {"training_step": w.step, "before": w.sharing.before}
        w.launch(f"membrane_{p.index}", p.size * w.L, arguments, w.sizes(p, t0, t1), no_number=self._found)

    def _readout(self, p: PopulationPlan) -> None:
        """The readout's z of an output; a softmax over neurons is kept in g for the backward pass."""
        w, b = self.work, self.work.population[p.index]
        arguments = w.readout_arguments(p, b["z"])
        if p.reading.reads == "softmax":
            w.launch(f"softmax_{p.index}", w.plan.time_steps * w.L, arguments)
        w.launch(f"readout_{p.index}", p.size * w.L, arguments)


def _check_spikes(hidden: list[PopulationPlan], limit: int, row: Row) -> None:
    """Raise an error if a row of the history says that a neuron spiked too often."""
    for k, p in enumerate(hidden):
        check_most(p, int(row[2 * k]), int(row[2 * k + 1]), limit)
