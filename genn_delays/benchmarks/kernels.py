"""``benchmark kernels``: the rate of each pass of a training step, beside the machine's limits (Williams, Waterman &
Patterson 2009, "Roofline", doi 10.1145/1498765.1498785).

Operations are those of :mod:`genn_delays.costs`, bytes those of the arrays that a pass needs, each once: a share of the
roof above 1 means that arrays were still in a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ..backends.cpu.engine import bytes_held
from ..costs import Costs, training_step
from ..costs.activity import measured
from ..costs.count import Pass as CostPass
from ..errors import InvalidValueError
from ..learning.schedules import Progress
from ..plan.exchanged import Pass
from ..plan.heard import heard
from ..plan.plan import Plan
from ..runs.build import compile_network
from ..runs.config import Config
from ..training.compiled_network import CompiledNetwork
from ..training.data import prepare_inputs, prepare_labels
from ..training.learner import HostLearner
from .machine import machine
from .networks import random_data
from .options import Options, at_sparsity, on_backend, threads_of
from .pictures import MARKS, MORE, Pictures, line, logarithmic, new_figure
from .records import Measurement, Results, of_machine, short, table
from .roofs import Roofs, roofs
from .subjects import synapses_of
from .timing import Summary, seconds_of

SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.97, 0.99, 0.999)
REPEATS = 10

PARTS: dict[str, tuple[CostPass, ...]] = {
    "forward": ("forward",),
    "loss": ("loss",),
    "backward and gradients": ("backward", "gradients"),
    "update": ("optimiser",),
}
"""Calls of an engine, and the passes of the costs that they compute."""
REWIRING = "rewiring"
"""Is timed alone: how much it computes depends on how many synapses happen to go."""

_ROWS = ("pre", "delay", "position", "weight", "row_start")
READ_ONCE: dict[str, tuple[str, ...]] = {
    "forward": (*_ROWS, "x", "var*", "current"),
    "loss": ("z",),
    "backward and gradients": (*_ROWS, "by_pre_*", "grad", "delay_grad", "x", "var*", "current", "g"),
    "update": ("weight", "position", "age", "moment*", "delay_moment*", "grad", "delay_grad"),
}
"""Arrays that a pass reads or writes; names as backend ``cpu`` has them."""
OF_THE_BATCH = ("x", "var*", "current", "g")
"""Arrays that are of the whole batch where passes are asked for one by one, as they are timed."""
WRITTEN_BACK = ("weight", "position", "age", "moment*", "delay_moment*")
"""Arrays that the update reads and writes."""


@dataclass
class Timed:
    """A pass of one network."""

    seconds: list[float]
    flops: float = 0.0
    bytes: float = 0.0


def measure(options: Options) -> Results:
    """Measure the machine's limits with one thread and with all, then the passes of every network, in turns."""
    if options.rival() is not None:
        raise InvalidValueError(f"--against {options.against}: kernels are compared with the machine, not with others")
    repeats = options.count(REPEATS)
    base = options.base()
    if base.compiler.backend != "cpu":
        raise InvalidValueError(
            f"benchmark kernels measures backend 'cpu', and model {base.model.name!r} is for {base.compiler.backend!r}"
        )
    configs = [at_sparsity(base, s) for s in options.sparsities(SPARSITIES) or (None,)]
    threads = threads_of(base) or 1
    here = machine()
    options.told("kernels: the machine's limits")
    limits = [roofs(n, repeats) for n in dict.fromkeys((1, threads))]
    found = [_of_roofs(roof) for roof in limits]
    passes: list[dict[str, Timed]] = [{} for _ in configs]
    facts: list[dict[str, Any]] = [{} for _ in configs]
    for number in range(repeats):
        options.told(f"kernels: round {number + 1} of {repeats}")
        for n, config in enumerate(configs):
            time_passes(on_backend(config, "cpu"), passes[n], facts[n])
    for timed, known in zip(passes, facts, strict=True):
        found += [_of_pass(name, part, known, limits[-1]) for name, part in timed.items()]
    return Results("kernels", options.settings(), here, tuple(found))


def _of_roofs(roof: Roofs) -> Measurement:
    figures = {
        "flops_a_second": roof.flops,
        "bytes_a_second": roof.bandwidth,
        "cache_bytes_a_second": roof.cache_bandwidth,
    }
    return Measurement("limits", "machine", {}, "cpu", roof.threads, figures=figures)


def _of_pass(name: str, part: Timed, facts: dict[str, Any], roof: Roofs) -> Measurement:
    seconds = Summary(tuple(part.seconds))
    if name == REWIRING:
        return Measurement(name, "genn_delays", facts, "cpu", roof.threads, seconds)
    intensity = part.flops / part.bytes
    achieved = part.flops / seconds.median
    figures = {
        "flops": part.flops,
        "least_bytes": part.bytes,
        "flops_a_second": achieved,
        "bytes_a_second": part.bytes / seconds.median,
        "flops_a_byte": intensity,
        "share_of_flops": achieved / roof.flops,
        "share_of_roof": achieved / roof.attainable(intensity),
    }
    return Measurement(name, "genn_delays", facts, "cpu", roof.threads, seconds, figures=figures)


def time_passes(config: Config, passes: dict[str, Timed], facts: dict[str, Any], steps: int = 3) -> None:
    """Compile a network and time the calls of its engine in a few training steps, the first of which does not count."""
    with compile_network(config) as compiled:
        plan, engine = compiled.plan, compiled.engine
        x, y = random_data(compiled.network, plan, plan.batch_size)
        inputs, _ = prepare_inputs(compiled.network, x, plan.time_steps, compiled.dt)
        losses = {p.index: p.loss for p in plan.outputs if p.loss}
        labels = prepare_labels(compiled.network, y, plan.batch_size, losses, plan.time_steps)
        examples = np.arange(plan.batch_size)
        learner = HostLearner(plan, engine)
        now = Progress(0, config.training.num_epochs, 0, 1)
        widths = {c.index: c.kernel.width(c.max_delay, now) for c in plan.connections if c.kernel is not None}
        for step in range(steps):
            engine.load(inputs, examples)
            seconds = {"forward": seconds_of(lambda step=step: engine.forward(Pass(True, step, widths)))}  # type: ignore[misc]
            seconds["loss"] = seconds_of(lambda: engine.loss(labels))
            learner.regularise(examples.size)
            seconds["backward and gradients"] = seconds_of(engine.backward)
            activity = measured(plan, engine, inputs, examples)
            optimisers = plan.optimisers(now)
            seconds["update"] = seconds_of(lambda step=step, o=optimisers: engine.update(step, o))  # type: ignore[misc]
            drops = plan.drops(step, now)
            if drops:
                seconds[REWIRING] = seconds_of(lambda step=step, d=drops: engine.rewire(step, d))  # type: ignore[misc]
            if step > 0:
                for name, value in seconds.items():
                    passes.setdefault(name, Timed([])).seconds.append(value)
        synapses = {c.index: engine.state(c.index).synapses for c in plan.connections}
        shares = {index: float(who.mean()) for index, who in heard(plan, synapses).items()}
        _count(passes, plan, training_step(plan, synapses, activity, now), _spikes(compiled), shares)
        count, pairs = synapses_of(plan)
        facts |= {"model": config.model.name, "populations": [p.size for p in plan.populations], "synapses": count}
        facts |= {"sparsity": 1.0 - count / pairs, "time_steps": plan.time_steps, "batch_size": plan.batch_size}


def _spikes(compiled: CompiledNetwork) -> int:
    """Spikes of the last batch, each as often as it is read or written in a pass."""
    plan, engine = compiled.plan, compiled.engine
    hidden = [p for p in plan.populations if p.kind == "neuron" and p.spiking]
    return sum(engine.spike_count(p.index) * (1 + len(p.outgoing)) for p in hidden)


def _count(passes: dict[str, Timed], plan: Plan, costs: Costs, spikes: int, shares: Mapping[int, float]) -> None:
    """Put operations and bytes of every pass to its times."""
    for name in PARTS:
        part = passes[name]
        part.flops = sum(costs.of(step).flops for step in PARTS[name])
        part.bytes = least_bytes(plan, name, shares) + (
            4 * spikes if name in ("forward", "backward and gradients") else 0
        )


def least_bytes(plan: Plan, name: str, heard: Mapping[int, float] | None = None) -> float:
    """Bytes that a pass moves at least: every array that it reads or writes once, and those of the update that it
    writes back twice. What stays in a cache from one pass to the next makes it fewer; what does not fit, more.

    Args:
        heard: by population the share of neurons whose variables are kept and whose adjoint is computed; default: all.
    """
    total = 0.0
    owners = {f"population {p.name!r}": p for p in plan.populations}
    for (owner, array), held in bytes_held(plan).items():
        size: float = held
        if any(fnmatchcase(array, pattern) for pattern in READ_ONCE[name]):
            if any(fnmatchcase(array, pattern) for pattern in OF_THE_BATCH):
                p = owners[owner]
                size = 4 * p.size * plan.time_steps * plan.batch_size
                size *= 1.0 if heard is None or array == "x" else heard[p.index]
            twice = name == "update" and any(fnmatchcase(array, pattern) for pattern in WRITTEN_BACK)
            total += size * (2 if twice else 1)
    return max(total, 1.0)


def as_text(results: Results) -> str:
    """The machine's limits, and a row a pass."""
    limits = [
        [str(m.threads), *(short(m.figures[f"{name}_a_second"] / 1e9) for name in ("flops", "bytes", "cache_bytes"))]
        for m in results.of("machine")
    ]
    rows = []
    for m in results.of("genn_delays"):
        f, p = m.figures, m.parameters
        row = [f"{100 * p['sparsity']:.4g} %", m.what, short(1e3 * m.seconds.median) if m.seconds else ""]
        if f:
            row += [short(f["flops_a_second"] / 1e9), short(f["bytes_a_second"] / 1e9), short(f["flops_a_byte"])]
            row += [short(100 * f["share_of_flops"]), short(100 * f["share_of_roof"])]
        rows.append(row + [""] * (8 - len(row)))
    head = ["sparsity", "pass", "median ms", "GFLOP/s", "GB/s", "FLOP/byte", "% of arithmetic", "% of roof"]
    machine_head = ["threads", "GFLOP/s, multiply and add", "GB/s, memory", "GB/s, first-level cache"]
    return "\n\n".join([of_machine(results.machine), table(machine_head, limits), table(head, rows)])


def draw(results: Results) -> Pictures:
    """The rooflines of one thread and of all, and every pass below them."""
    figure, (axes,) = new_figure(7.2, 5.0)
    own = [m for m in results.of("genn_delays") if m.figures]
    places = [m.figures["flops_a_byte"] for m in own]
    spread = np.geomspace(min([*places, 0.05]) / 2, max([*places, 50.0]) * 2, 200)
    for m, style in zip(results.of("machine"), ("-", "--"), strict=False):
        roof = Roofs(m.threads or 1, *(m.figures[f"{n}_a_second"] for n in ("flops", "bytes", "cache_bytes")))
        height = [roof.attainable(float(i)) / 1e9 for i in spread]
        label = f"limit, {m.threads} thread{'s'[: m.threads != 1]}"
        line(axes, list(spread), height, "ideal", label, marker="", linestyle=style)
    for number, name in enumerate(dict.fromkeys(m.what for m in own)):
        points = [m for m in own if m.what == name]
        x = [m.figures["flops_a_byte"] for m in points]
        y = [m.figures["flops_a_second"] / 1e9 for m in points]
        colour = MORE[number % len(MORE)]
        line(axes, x, y, name, name, color=colour, marker=MARKS[number % len(MARKS)], markersize=6, linewidth=0.7)
        for m, i, height in {n: (points[n], x[n], y[n]) for n in (0, -1)}.values():  # those at the ends are named
            axes.annotate(f"{100 * m.parameters['sparsity']:.3g} %", (i, height), (3, 3),
                          textcoords="offset points", fontsize=6, color=colour)  # fmt: skip
    logarithmic(axes, "operations per byte that a pass moves at least (FLOP/byte)", "GFLOP/s")
    sizes = "-".join(map(str, own[0].parameters["populations"]))
    axes.set_title(f"{sizes}, batch {own[0].parameters['batch_size']}, points: sparsity", fontsize=10)
    axes.legend(fontsize=8)
    return {"roofline": figure}
