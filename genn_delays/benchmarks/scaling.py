"""``benchmark scaling``: time, memory and operations of a training step against sparsity and against size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from ..costs import Costs, costs_of
from ..errors import InvalidValueError
from ..plan.plan import Plan
from ..runs.build import plan_of
from ..training.compiled_network import CompiledNetwork
from .comparison import check_cases, compared
from .machine import machine
from .memory import of_dense, of_network
from .networks import Case
from .options import Options, at_size, at_sparsity, on_backend
from .pictures import Pictures, ideal, line, logarithmic, new_figure
from .records import Measurement, Results, of_machine, short, table
from .timing import Summary

SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.97, 0.99, 0.998)
SIZES = (128, 256, 512, 1024, 2048)
SIZES_SPARSITY = 0.99
"""At which sizes are compared, where the command line names no model."""
REPEATS = 5
AXES = ("sparsity", "size")
FLOPS = "flops_a_step"


def measure(options: Options) -> Results:
    """Measure networks of several sparsities and of several sizes, every round all of them, one after the other."""
    rival, repeats = options.rival(), options.count(REPEATS)
    axes = _points(options)
    flat = list(chain.from_iterable(axes.values()))
    check_cases(flat, rival, training=True)
    here = machine("genn" if rival == "genn" else flat[0].config.compiler.backend)
    rounds: list[list[Measurement]] = []
    for number in range(repeats):
        options.told(f"scaling: round {number + 1} of {repeats}")
        rounds.append(_round(axes, rival, options))
    times = [_merged(same) for same in zip(*rounds, strict=True)]
    found = [_with_memory(m, axes, options) for m in times]
    return Results("scaling", options.settings(), here, tuple(found))


def _points(options: Options) -> dict[str, list[Case]]:
    """The networks of each series, by the parameter that varies."""
    base = options.base()
    epoch, *more = options.epochs()
    if more:
        raise InvalidValueError(f"--epoch: scaling is measured at one, first or last, got {options.epoch!r}")
    sizes = options.widths(SIZES)
    fixed = at_sparsity(base, SIZES_SPARSITY if options.model is None else None)
    return {
        "sparsity": [Case(at_sparsity(base, s), epoch, look=_operations) for s in options.sparsities(SPARSITIES)],
        "size": [Case(at_size(fixed, size), epoch, look=_operations) for size in sizes],
    }


def _round(axes: dict[str, list[Case]], rival: str | None, options: Options) -> list[Measurement]:
    """Everything once; a dense network once for all sparsities."""
    found = []
    quiet = replace(options, told=lambda text: None)
    for axis, cases in axes.items():
        for number, case in enumerate(cases):
            other = None if rival == "torch" and axis == "sparsity" and number > 0 else rival
            for m in compared([case], other, quiet, learn=True, repeats=2):
                place = {"axis": axis, "point": number}
                found.append(replace(m, what="scaling", parameters={**place, **_without(m.parameters, "network")}))
    return found


def _merged(same: tuple[Measurement, ...]) -> Measurement:
    """The same thing of all rounds."""
    every = [m.seconds.seconds for m in same if m.seconds is not None]
    first, seconds = same[0], Summary(tuple(chain.from_iterable(every)))
    figures = {"examples_a_second": first.parameters["batch_size"] / seconds.median}
    flops = first.parameters.get(FLOPS)
    if flops is not None:
        figures |= {FLOPS: flops, "flops_a_second": flops / seconds.median}
    return replace(first, seconds=seconds, parameters=_without(first.parameters, FLOPS), figures=figures)


def _without(table: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != name}


def _with_memory(m: Measurement, axes: dict[str, list[Case]], options: Options) -> Measurement:
    """The same with the memory that a process of its own needed, and the operations of a dense network."""
    if m.who == "genn":
        return m
    p = m.parameters
    config = axes[p["axis"]][p["point"]].config
    options.told(f"scaling: memory of {'-'.join(map(str, p['populations']))} ({m.who})")
    if m.who == "torch":
        flops = dense_flops(plan_of(config))
        assert m.seconds is not None
        figures = {**m.figures, FLOPS: flops, "flops_a_second": flops / m.seconds.median}
        return replace(m, bytes=of_dense(config).bytes, figures=figures)
    if config.compiler.backend != "cpu":
        return m
    grown = of_network(on_backend(config, "cpu"))
    return replace(m, bytes=grown.bytes, figures={**m.figures, **grown.figures})


def _operations(compiled: CompiledNetwork, x: dict[Any, Any]) -> dict[str, Any]:
    """Operations of a training step, with the activity that a batch has now."""
    step = costs_of(compiled, x).step
    assert isinstance(step, Costs)
    return {FLOPS: step.of().flops}


def dense_flops(plan: Plan) -> float:
    """Operations of a training step of a convolution over all delays: forward, gradients, and back to what is no input.

    Those of neurons are not in it; they are the same as in a sparse network, and few beside these.
    """
    total = 0.0
    for c in plan.connections:
        arrive = float(np.maximum(plan.time_steps - np.arange(c.max_delay + 1), 0).sum())
        times = 3 if plan.populations[c.source].kind == "neuron" else 2
        total += 2.0 * times * plan.batch_size * c.num_pre * c.num_post * arrive
    return total


def as_text(results: Results) -> str:
    """A row a network."""
    head = ["network", "sparsity", "synapses", "step ms", "memory MB", "MFLOP a step", "GFLOP/s"]
    lines = [of_machine(results.machine)]
    for axis in AXES:
        rows = []
        for m in (m for m in results.measurements if m.parameters["axis"] == axis):
            p, f = m.parameters, m.figures
            who = "-".join(map(str, p["populations"])) + ("" if m.who == "genn_delays" else f" {m.who}")
            row = [who, f"{100 * p['sparsity']:.4g} %" if "sparsity" in p else "dense"]
            row += [f"{p['synapses']:,}" if "synapses" in p else "", short(1e3 * m.seconds.median) if m.seconds else ""]
            row += ["" if m.bytes is None else short(m.bytes / 1e6)]
            row += [short(f[FLOPS] / 1e6), short(f["flops_a_second"] / 1e9)] if FLOPS in f else ["", ""]
            rows.append(row)
        lines += ["", f"against {axis}", table(head, rows)]
    return "\n".join(lines)


QUANTITIES: dict[str, Callable[[Measurement], float]] = {
    "one training step (ms)": lambda m: 1e3 * m.seconds.median if m.seconds else 0.0,
    "memory (MB)": lambda m: (m.bytes or 0) / 1e6,
    "operations a step (MFLOP)": lambda m: float(m.figures.get(FLOPS, 0.0)) / 1e6,
}


def draw(results: Results) -> Pictures:
    """Time, memory and operations against the synapses kept, and against the synapses of larger and larger networks."""
    figure, every = new_figure(13.0, 8.0, len(QUANTITIES), len(AXES))
    for row, axis in enumerate(AXES):
        of_axis = [m for m in results.measurements if m.parameters["axis"] == axis]
        sizes = sorted({m.parameters["populations"][1] for m in of_axis}) if axis == "size" else []
        for column, (label, value) in enumerate(QUANTITIES.items()):
            axes = every[row * len(QUANTITIES) + column]
            _panel(axes, of_axis, axis, value)
            logarithmic(axes, "synapses kept (%)" if axis == "sparsity" else "neurons of a hidden layer", label, sizes)
            if axes.get_legend_handles_labels()[0]:  # a small network may not grow by a page
                axes.legend(fontsize=8)
        every[row * len(QUANTITIES) + 1].set_title(_title(of_axis, axis), fontsize=10)
    return {"scaling": figure}


def _title(measurements: list[Measurement], axis: str) -> str:
    """The network that a row of panels is about."""
    own = next(m for m in measurements if m.who == "genn_delays")
    p = own.parameters
    inner = p["populations"] if axis == "sparsity" else [p["populations"][0], *["N" for _ in p["populations"][1:-1]],
                                                         p["populations"][-1]]  # fmt: skip
    kept = "" if axis == "sparsity" else f", {100 * p['sparsity']:.3g} % sparse"
    threads = "" if own.threads is None else f", {own.threads} thread{'s'[: own.threads > 1]}"
    return f"{'-'.join(map(str, inner))}{kept}, {p['time_steps']} steps, batch {p['batch_size']}{threads}"


def _panel(axes: Any, measurements: list[Measurement], axis: str, value: Callable[[Measurement], float]) -> None:
    """Our times, the rival's, and a line in proportion to synapses; nothing if it was not measured."""

    def place(m: Measurement) -> float:
        return float(100 * (1 - m.parameters["sparsity"]) if axis == "sparsity" else m.parameters["populations"][1])

    for who in dict.fromkeys(m.who for m in measurements):
        own = [m for m in measurements if m.who == who and value(m) > 0]
        if not own:
            continue
        if who == "torch" and axis == "sparsity":  # a dense network is the same at every sparsity
            ends = [place(m) for m in measurements if m.who == "genn_delays"]
            line(axes, [min(ends), max(ends)], [value(own[0])] * 2, who, marker="", linestyle="-.")
            continue
        own.sort(key=place)
        line(axes, [place(m) for m in own], [value(m) for m in own], who)
        if who == "genn_delays":
            ideal(axes, [m.parameters["synapses"] for m in own], [value(m) for m in own], [place(m) for m in own])
