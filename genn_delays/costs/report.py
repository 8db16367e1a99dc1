"""A report of a compiled network's costs, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..learning.schedules import Progress
from ..metrics import Metrics
from ..plan.exchanged import InputData
from ..plan.plan import Plan
from ..training.compiled_network import CompiledNetwork
from ..training.data import prepare_inputs
from .activity import Activity, measured
from .count import Costs, inference, training_step
from .dense import Dense, dense_forward
from .energy import picojoules
from .neurobench import NeuroBench, neurobench
from .operations import Operations
from .training import METHODS, QUOTED, SPARSITIES, training_share


class _Watch(Callback):
    """Adds up the activity of all batches, in the order in which examples come."""

    def __init__(self, plan: Plan, inputs: Mapping[int, InputData], count: int) -> None:
        self._plan, self._inputs, self._count, self._first = plan, inputs, count, 0
        self.activity: Activity | None = None

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        last = min(self._first + self._plan.batch_size, self._count)
        found = measured(self._plan, self.compiled_network.engine, self._inputs, np.arange(self._first, last))
        self.activity = found if self.activity is None else self.activity + found
        self._first = last


@dataclass(frozen=True)
class Report:
    """The costs of a network.

    Attributes:
        name: of the network, for the heading.
        batch_size, time_steps: of the compiled network.
        examples: from how many the activity was measured.
        rates: by spiking population the share of neuron-steps with a spike.
        inference: of those examples.
        step: of a training step of a whole batch; None where nothing is learned.
        synapses, pairs: number of synapses, and of pairs of neurons.
        dense: multiply-accumulates of one example in a dense network.
        neurobench: its metrics.
        held: bytes by owner and buffer on backend ``cpu`` with one thread.
    """

    name: str
    batch_size: int
    time_steps: int
    examples: int
    rates: Mapping[str, float]
    inference: Costs
    step: Costs | None
    synapses: int
    pairs: int
    dense: Dense
    neurobench: NeuroBench
    held: Mapping[tuple[str, str], int]

    @property
    def sparsity(self) -> float:
        """Share of the pairs without a synapse."""
        return 1.0 - self.synapses / self.pairs if self.pairs else 0.0

    def tables(self) -> dict[str, Any]:
        """As JSON can hold it."""
        each = 1.0 / self.examples
        found: dict[str, Any] = {
            "name": self.name,
            "batch_size": self.batch_size,
            "time_steps": self.time_steps,
            "examples": self.examples,
            "synapses": self.synapses,
            "sparsity": self.sparsity,
            "spikes_per_neuron_step": dict(self.rates),
            "inference": _tables(self.inference, each),
            "synaptic_operations": self.neurobench.effective_acs + self.neurobench.effective_macs,
            "dense_macs": self.dense._asdict(),
            "neurobench": asdict(self.neurobench),
            "picojoules_an_inference": picojoules(self.inference.of()) * each,
            "picojoules_dense": _dense_energy(self.dense),
            "bytes": {owner: _buffers(self.held, owner) for owner in dict.fromkeys(o for o, _ in self.held)},
            "training_share": {m: {str(s): training_share(m, s) for s in SPARSITIES} for m in METHODS},
        }
        if self.step is not None:
            found["training_step"] = _tables(self.step, 1.0)
        return found

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.synapses:,} synapses ({100 * self.sparsity:.4g} % sparse), {self.time_steps} steps, "
            f"batch {self.batch_size}; activity measured on {self.examples:,} examples",
            "",
            *_passes(self),
            "",
            *self._per_inference(),
            "",
            *self._memory(),
            "",
            *_training_table(),
        ]
        return "\n".join(lines)

    def _per_inference(self) -> list[str]:
        n, each = self.neurobench, self.inference.of() / self.examples
        dense = _dense_energy(self.dense)
        rates = ", ".join(f"{name} {rate:.4g} spikes a step" for name, rate in self.rates.items())
        rows = [
            ("synaptic operations", f"{_short(n.effective_acs + n.effective_macs)}  "
             f"({_short(n.effective_acs)} accumulates, {_short(n.effective_macs)} multiply-accumulates)"),
            ("dense, one delay a pair", f"{_short(self.dense.one_delay)} multiply-accumulates"),
            ("dense over all delays", f"{_short(self.dense.convolution)} multiply-accumulates"),
            ("energy of synapses", f"{_joules(picojoules(each))}, dense {_joules(dense['one_delay'])}, over all delays "
             f"{_joules(dense['convolution'])} (45 nm, 32-bit arithmetic alone)"),
            ("connection sparsity", f"{n.connection_sparsity:.4f}"),
            ("activation sparsity", f"{n.activation_sparsity:.4f}  ({rates or 'no spikes'})"),
            ("footprint", f"{n.footprint:,} bytes"),
        ]  # fmt: skip
        return ["An inference (one example)", *(f"  {name:<24}{text}" for name, text in rows)]

    def _memory(self) -> list[str]:
        owners = dict.fromkeys(owner for owner, _ in self.held)
        total = sum(self.held.values())
        lines = [f"Bytes held on backend cpu: {total:,}"]
        for owner in owners:
            own = _buffers(self.held, owner)
            largest = sorted(own.items(), key=lambda item: -item[1])[:4]
            listed = ", ".join(f"{name} {size:,}" for name, size in largest if size)
            lines.append(f"  {owner:<30}{sum(own.values()):>14,}  {listed}")
        return lines


def costs_of(compiled: CompiledNetwork, x: Mapping[Any, Any], name: str = "network") -> Report:
    """The costs of a compiled network, with activity measured on examples.

    Args:
        compiled: the network, on any backend.
        x: examples, as for ``compiled.evaluate``; they are evaluated once.
        name: for the heading.
    """
    plan, network = compiled.plan, compiled.network
    inputs, count = prepare_inputs(network, x, plan.time_steps, compiled.dt)
    watch = _Watch(plan, inputs, count)
    compiled.predict(x, callbacks=[watch])
    assert watch.activity is not None
    synapses = {c.index: compiled.engine.state(c.index).synapses for c in plan.connections}
    batch = watch.activity.scaled(plan.batch_size)
    now = Progress(compiled.epoch, max(compiled.epoch, 1), 0, 1)
    return Report(
        name=name,
        batch_size=plan.batch_size,
        time_steps=plan.time_steps,
        examples=count,
        rates={p.name: watch.activity.rate(p.index) for p in plan.populations if p.spiking},
        inference=inference(plan, synapses, watch.activity),
        step=training_step(plan, synapses, batch, now) if plan.learns else None,
        synapses=sum(c.size for c in plan.connections),
        pairs=sum(c.num_pre * c.num_post * c.capacity for c in plan.connections),
        dense=dense_forward(plan),
        neurobench=neurobench(plan, synapses, watch.activity),
        held=held(plan),
    )


def _buffers(held: Mapping[tuple[str, str], int], owner: str) -> dict[str, int]:
    return {name: size for (own, name), size in held.items() if own == owner}


def _tables(costs: Costs, factor: float) -> dict[str, Any]:
    def row(operations: Operations) -> dict[str, float]:
        scaled = operations * factor
        return {**asdict(scaled), "flops": scaled.flops}

    parts = [{"pass": p.step, "owner": p.owner, **row(p.operations)} for p in costs.parts]
    return {"total": row(costs.of()), "passes": {s: row(costs.of(s)) for s in costs.passes}, "parts": parts}


def _dense_energy(dense: Dense) -> dict[str, float]:
    return {name: picojoules(Operations(macs=macs)) for name, macs in dense._asdict().items()}


def _joules(picojoules: float) -> str:
    """An energy to four digits."""
    for unit, size in (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)):
        if picojoules >= size:
            return f"{picojoules / size:.4g} {unit}"
    return f"{picojoules:.4g} pJ"


def _short(value: float) -> str:
    """A number to four digits, with thousands as k, M, G."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


def _passes(report: Report) -> list[str]:
    """A row a pass: of a training step of a batch, and of one example that is evaluated."""
    step = report.step
    each = {s: report.inference.of(s) / report.examples for s in report.inference.passes}
    names = list(dict.fromkeys([*(step.passes if step else ()), *each]))
    head = f"{'operations':<14}{'training step':>16}{'per example':>16}{'an inference':>16}"
    lines = [head]
    for name in (*names, "all"):
        now = None if step is None else step.of(None if name == "all" else name)
        alone = report.inference.of() / report.examples if name == "all" else each.get(name)
        cells = [
            "-" if now is None else _short(now.flops),
            "-" if now is None else _short(now.flops / report.batch_size),
            "-" if alone is None else _short(alone.flops),
        ]
        lines.append(f"{name:<14}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _training_table() -> list[str]:
    head = f"{'training, share of dense':<28}" + "".join(f"{100 * s:>9.4g} %" for s in SPARSITIES)
    lines = [head]
    for method in METHODS:
        cells = "".join(f"{training_share(method, s):>11.3f}" for s in SPARSITIES)
        lines.append(f"  {method:<26}{cells}")
    for method, (sparsity, share, condition) in QUOTED.items():
        lines.append(f"  quoted for {method} at {100 * sparsity:g} %: {share:.2f} ({condition})")
    return lines


def held(plan: Plan) -> dict[tuple[str, str], int]:
    """Bytes by owner and buffer that backend ``cpu`` allocates for a plan."""
    from ..backends.cpu.engine import bytes_held

    return bytes_held(plan)
