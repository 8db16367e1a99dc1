"""The backward pass: from the loss through neurons and synapses to the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...codegen.cuda import STEPS
from ...plan.plan import ConnectionPlan, PopulationPlan
from ...random import dropout_threshold
from .sorting import BLOCK
from .work import Work


class Backward:
    """The backward pass of a plan."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def run(self) -> None:
        """All populations in the reverse order of the plan, then all synapses."""
        w = self.work
        for p in w.plan.outputs:
            self._readout(p)
        for group in reversed(w.plan.groups):
            members = [w.plan.populations[i] for i in group]
            for t0, t1 in reversed(w.blocks_of(group)):
                for p in members:
                    self._felt(p, t0, t1)
                    self._adjoint(p, t0, t1)
            for p in members:
                if p.batch_norm:
                    self._through_norm(p)
                if p.slopes:
                    b, rows = w.population[p.index], len(p.slopes) * p.size
                    w.launch("sum_lanes", 32 * rows, b["slopes"], b["slope_sums"], rows, w.L, w.lanes)
        for c in w.plan.connections:
            self._correlate(c)

    def _readout(self, p: PopulationPlan) -> None:
        """From dL/dz to what the readout makes of it at every step, in g; a loss of a time step is there already."""
        w, b = self.work, self.work.population[p.index]
        assert p.loss is not None
        if p.loss.stepwise:
            return
        arguments = w.readout_arguments(p, b["dz"])
        if p.reading.reads == "softmax":
            w.launch(f"softmax_back_{p.index}", w.plan.time_steps * w.L, *arguments)
        else:
            w.launch(f"readout_back_{p.index}", p.size * w.L, *arguments)
        if p.has_phantoms:
            given = b.get("carried"), b["dz"], b["par"], b["lambda"]
            w.launch(f"phantom_{p.index}", p.size * w.L, *given, *arguments[5:])

    def _felt(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """What a population's spikes do to the loss over its synapses, added to what a readout makes of them."""
        w, T, L = self.work, self.work.plan.time_steps, self.work.L
        begins = int(p.readout is None)
        for c in (w.plan.connections[k] for k in p.outgoing):
            if c.size == 0:
                continue
            s, target = w.connection[c.index], w.population[c.target]
            rows, spikes = (target["h"], w.sent(p.index)) if p.event_prop else (target["g"], None)
            spread = c.kernel is not None and w.how.training
            asked = [] if spread else [spikes]
            w.rows(
                f"backgather{'_taps' if spread else ''}", p.size, STEPS, t1 - t0, w.population[p.index]["g"], rows,
                *asked, s["by_pre_start"], s["by_pre_slot"], s["post"], s["delay"], s["weight"],
                *(w.taps(c) if spread else ()), w.gain(c), T, L, t0, t1, begins,
            )  # fmt: skip
            begins = 0
        if begins and t1 == T:  # once: what later blocks have put there is the gradient of this one's targets
            w.population[p.index]["g"].clear()

    def _adjoint(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """Through the neurons of a population, backwards in time."""
        w, b = self.work, self.work.population[p.index]
        drive = [b["drive"]] if p.regularised else []
        rounded = b["tape"].dtype == np.uint16  # its threshold crossings are not those that were
        spiked = [b.get("resets", b.get("bits"))] if rounded and p.spiking else []
        sizes = [p.size, w.plan.time_steps, w.L, w.lanes, t0, t1]
        arguments: list[Any]
        if p.event_prop:
            assert w.plan.event_prop is not None
            limits = [np.float32(p.dt), np.float32(w.plan.event_prop.grad_limit)]
            arguments = [b["g"], b["h"], b["par"], b["tape"], b["lambda"], *spiked, *drive, *limits]
            w.launch(f"adjoint_{p.index}", p.size * w.L, *arguments, *sizes)
            return
        arguments = [b["g"], b["par"], b["tape"], b["lambda"], *spiked]
        if p.dropout:
            arguments += [dropout_threshold(p.dropout) if w.how.training else 0, w.step]
        arguments += drive
        if p.slopes:
            arguments += [b["slopes"], b["current"], *([b["bias"]] if p.bias is not None else [])]
            arguments += [b["factor"], b["offset"]] if p.batch_norm else []
        w.launch(f"adjoint_{p.index}", p.size * w.L, *arguments, *sizes)

    def _through_norm(self, p: PopulationPlan) -> None:
        w, b = self.work, self.work.population[p.index]
        w.module.launch(
            "norm_backward", p.size, w.row_threads(p.size), b["g"], b["current"], b.get("bias"), b["mean"],
            b["inverse"], b["factor"], b["batch_norm_scale.grad"], b["batch_norm_shift.grad"], w.plan.time_steps, w.L,
            w.lanes,
        )  # fmt: skip

    def _correlate(self, c: ConnectionPlan) -> None:
        """Gradients of a connection's synapses, as many warps each as there are strips of lanes where these are few."""
        w, s, form = self.work, self.work.connection[c.index], self.work.form(c)
        x, target, T, L = w.sent(c.source), w.population[c.target], w.plan.time_steps, w.L
        warps = 1
        while 64 * warps <= min(L, BLOCK) and w.few(64 * warps * c.size):
            warps *= 2
        if c.gradient_taps is not None:
            if c.kernel is None:
                w.find_taps(c, c.gradient_taps)
            taps: list[Any] = [s["first"], s["number"], s["share"], s["slope"], w.taps(c)[-1]]
            w.launch(
                f"correlate_{form}_taps", 32 * warps * c.size, x, target["g"], s["pre"], s["post"], s["weight"], *taps,
                s["grad"], s["delay_grad"], w.gain(c), warps, c.size, T, L,
            )  # fmt: skip
            return
        exact = c.gradient_form == "arrival"
        w.launch(
            f"correlate_{form}", 32 * warps * c.size, x, target["g"], target["h"] if exact else None, s["pre"],
            s["post"], s["delay"], s["weight"], s["grad"], s["delay_grad"] if exact else None, w.gain(c),
            np.float32(w.plan.populations[c.target].dt), warps, c.size, T, L,
        )  # fmt: skip
