"""The backward pass: from the loss through neurons and synapses to the gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...codegen.cuda import STEPS
from ...plan.plan import ConnectionPlan, PopulationPlan
from ...random import dropout_threshold
from .device import Argument, Arguments
from .exchange import Summed
from .launches import correlate_warps
from .work import Work, all_of


class Backward:
    """The backward pass of a plan."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def run(self) -> None:
        """All populations in the reverse order of the plan, then all synapses; where ranks share a batch, with their
        sums."""
        w = self.work
        blocks = tuple(tuple(w.blocks_of(group)) for group in w.plan.groups)
        key = ("backward", w.how.training, w.lanes, w.total, blocks)
        piece: list[Callable[[], None]] = [partial(self._readout, p) for p in w.plan.outputs]
        for group in reversed(w.plan.groups):
            members = [w.plan.populations[i] for i in group]
            piece.append(partial(self._group, members))
            for p in members:
                if p.batch_norm and w.exchange is not None:
                    w.replay((*key, p.index), partial(all_of, [*piece, partial(self._norm_sums, p)]))
                    w.exchange.add(("batch norm", [Summed(b := w.population[p.index]["norm_sums"], b.size)]))
                    piece = []
                if p.batch_norm:
                    piece.append(partial(self._through_norm, p))
                if p.slopes:
                    piece.append(partial(self._slopes, p))
        w.replay(key, partial(all_of, [*piece, *(partial(self._correlate, c) for c in w.plan.connections)]))

    def sums(self) -> list[tuple[str, list[Summed]]]:
        """Numbers that ranks have to add up after a pass, by kind of number."""
        w, names = self.work, ("grad", "delay_grad")
        connections = [(c, w.connection[c.index]) for c in w.plan.connections]
        synapses = [Summed(b[name], c.size) for c, b in connections for name in names if name in b]
        slopes = [Summed(b := w.population[p.index]["slope_sums"], b.size) for p in w.plan.populations if p.slopes]
        return [("gradients", synapses), ("gradients", slopes)]

    def _group(self, members: list[PopulationPlan]) -> None:
        """The populations of a group, block after block."""
        for t0, t1 in reversed(self.work.blocks_of(tuple(p.index for p in members))):
            for p in members:
                self._felt(p, t0, t1)
                self._adjoint(p, t0, t1)

    def _slopes(self, p: PopulationPlan) -> None:
        """Gradients of the coefficients out of which time constants are learned."""
        w, b, rows = self.work, self.work.population[p.index], len(p.slopes) * p.size
        w.launch(
            "sum_lanes", 32 * rows, w.parts, x=b["slopes"], sums=b["slope_sums"], rows=rows, L=w.L, live=w.lanes
        )  # fmt: skip

    def _norm_sums(self, p: PopulationPlan) -> None:
        """The sums of this rank's lanes that gradients go through a batch norm by."""
        w, b = self.work, self.work.population[p.index]
        w.module.launch(
            "norm_gradient_sums", p.size, w.row_threads(p.size), w.row_parts(p.size), g=b["g"], current=b["current"],
            bias=b.get("bias"), mean=b["mean"], sums=b["norm_sums"], T=w.plan.time_steps, L=w.L, live=w.lanes,
        )  # fmt: skip

    def _readout(self, p: PopulationPlan) -> None:
        """From dL/dz to the readout's derivative at every step, in g; a per-timestep loss has filled g already."""
        w, b = self.work, self.work.population[p.index]
        assert p.loss is not None
        if p.loss.stepwise:
            return
        arguments = w.readout_arguments(p, b["dz"])
        if p.reading.reads == "softmax":
            w.launch(f"softmax_back_{p.index}", w.plan.time_steps * w.L, arguments)
        else:
            w.launch(f"readout_back_{p.index}", p.size * w.L, arguments)
        if p.has_phantoms:
            given = {name: value for name, value in arguments.items() if name not in ("v", "bits", "dv")}
            buffers = {name: b[name] for name in ("par", "lambda")}
            w.launch(f"phantom_{p.index}", p.size * w.L, buffers, given)

    def _felt(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """dL/dspike of a population through its outgoing synapses, added to the readout's derivative."""
        w, T, L = self.work, self.work.plan.time_steps, self.work.L
        begins = int(p.readout is None)
        for c in (w.plan.connections[k] for k in p.outgoing):
            if c.size == 0:
                continue
            s, target = w.connection[c.index], w.population[c.target]
            rows, spikes = (target["h"], w.sent(p.index)) if p.event_prop else (target["g"], None)
            spread = c.kernel is not None and w.how.training
            names = ("by_pre_start", "by_pre_slot", "post", "delay", "weight")
            w.rows(
                f"backgather{'_taps' if spread else ''}", p.size, STEPS, t1 - t0, {name: s[name] for name in names},
                w.taps(c) if spread else {"spikes": spikes}, e=w.population[p.index]["g"], g=rows, gain=w.gain(c), T=T,
                L=L, t0=t0, t1=t1, begins=begins,
            )  # fmt: skip
            begins = 0
        if begins and t1 == T:  # only once: later blocks have added the gradients of this block's targets
            w.population[p.index]["g"].clear()

    def _adjoint(self, p: PopulationPlan, t0: int, t1: int) -> None:
        """Through the neurons of a population, backwards in time."""
        w, b = self.work, self.work.population[p.index]
        names = ["par", "tape", "lambda", *(["drive"] if p.regularised else [])]
        if p.slopes:
            names += ["slopes", "current", *(["bias"] if p.bias is not None else [])]
            names += ["factor", "offset"] if p.batch_norm else []
        arguments: dict[str, Argument] = {"grad": b["g"], **{name: b[name] for name in names}}
        rounded = b["tape"].dtype == np.uint16  # its threshold crossings are not those of the step itself
        if rounded and p.spiking:
            arguments["spiked_at"] = b.get("resets", b.get("bits"))
        if p.event_prop:
            assert w.plan.event_prop is not None
            arguments["time_grad"] = b["h"]
            arguments |= {"step_ms": np.float32(p.dt), "grad_limit": np.float32(w.plan.event_prop.grad_limit)}
        elif p.dropout:
            arguments |= {"dropout": dropout_threshold(p.dropout) if w.how.training else 0, "training_step": w.step}
            arguments["before"] = w.sharing.before
        w.launch(f"adjoint_{p.index}", p.size * w.L, arguments, w.sizes(p, t0, t1))

    def _through_norm(self, p: PopulationPlan) -> None:
        w, b = self.work, self.work.population[p.index]
        shared: Arguments = w.row_parts(p.size)
        if w.exchange is not None:
            shared = {"sums": b["norm_sums"], "total": w.total}
        w.module.launch(
            "norm_backward", p.size, w.row_threads(p.size), shared, g=b["g"], current=b["current"], bias=b.get("bias"),
            mean=b["mean"], inverse=b["inverse"], factor=b["factor"], scale_grad=b["batch_norm_scale.grad"],
            shift_grad=b["batch_norm_shift.grad"], T=w.plan.time_steps, L=w.L, live=w.lanes,
        )  # fmt: skip

    def _correlate(self, c: ConnectionPlan) -> None:
        """Gradients of a connection's synapses, as many warps each as there are strips of lanes where these are few."""
        w, s, form = self.work, self.work.connection[c.index], self.work.form(c)
        target, L = w.population[c.target], w.L
        warps = correlate_warps(c.size, w.sharing.parts)
        shared: Arguments = {
            **w.parts,
            "x": w.sent(c.source), "g": target["g"], **{name: s[name] for name in ("pre", "post", "weight", "grad")},
            "gain": w.gain(c), "warps": warps, "size": c.size, "T": w.plan.time_steps, "L": L,
        }  # fmt: skip
        if c.gradient_taps is not None:
            if c.kernel is None:
                w.find_taps(c, c.gradient_taps)
            w.launch(
                f"correlate_{form}_taps", 32 * warps * c.size, shared, w.taps(c), slope=s["slope"],
                delay_grad=s["delay_grad"],
            )  # fmt: skip
            return
        exact = c.gradient_form == "arrival"
        w.launch(
            f"correlate_{form}", 32 * warps * c.size, shared, h=target["h"] if exact else None, delay=s["delay"],
            delay_grad=s["delay_grad"] if exact else None, step_ms=np.float32(w.plan.populations[c.target].dt),
        )  # fmt: skip
