"""``benchmark memory``: bytes a synapse and of activity, as foreseen from the plan and as a process grows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.cpu.buffers import REWIRING
from ..backends.cpu.engine import bytes_held
from ..errors import InvalidValueError
from ..plan.plan import Plan
from ..runs.build import plan_of, validate
from ..runs.config import Config
from ..runs.overrides import Overrides
from .children import in_a_process
from .machine import machine
from .networks import DESIGN, WIDE, built_in
from .options import Options, at_sparsity, check_rival, on_backend, threads_of
from .pictures import Pictures, line, logarithmic, new_figure
from .records import Measurement, Results, of_machine, short, table
from .subjects import synapses_of

SPARSITIES = (0.9, 0.97, 0.99, 0.997, 0.999)
REPEATS = 1
SMALL = 32
"""Neurons of the hidden layers of the network that is trained first, so that code loaded once does not count."""


def measure(options: Options) -> Results:
    """Compile and train networks of several sparsities in separate processes, and read how these grow."""
    rival, repeats = options.rival(), options.count(REPEATS)
    if rival == "genn":
        raise InvalidValueError("--against genn: the memory of GeNN is not measured; choose torch, or leave it out")
    base = on_backend(options.base(WIDE), "cpu")
    usual = SPARSITIES if options.model is None else ()
    configs = [at_sparsity(base, s) for s in options.sparsities(usual) or (None,)]
    for config in configs:
        check_rival(rival, config, training=True)
    here = machine()
    found = []
    for number, config in enumerate(configs):
        options.told(f"memory: network {number + 1} of {len(configs)}")
        found.append(of_network(config, repeats))
    found += [of_dense(configs[0], repeats)] if rival == "torch" else []
    return Results("memory", options.settings(), here, tuple(found))


def of_network(config: Config, repeats: int = 1) -> Measurement:
    """A network's memory; of several processes the one that grew least."""
    plan, threads = plan_of(config), threads_of(config) or 1
    synapses, pairs = synapses_of(plan)
    grown = _grown(config, "genn_delays", threads, repeats)
    kept, scratch, activity = foreseen(plan, threads)
    parameters = {
        "model": config.model.name,
        "populations": [p.size for p in plan.populations],
        "synapses": synapses,
        "sparsity": 1.0 - synapses / pairs if pairs else 0.0,
        "time_steps": plan.time_steps,
        "batch_size": plan.batch_size,
        "rewiring": config.rewiring.label,
    }
    figures = {
        "foreseen_bytes": kept + scratch + activity,
        "foreseen_synapse_bytes": kept,
        "foreseen_rewiring_bytes": scratch,
        "foreseen_activity_bytes": activity,
        "foreseen_bytes_a_synapse": kept / synapses if synapses else 0.0,
        "peak_growth_bytes": grown["peak_growth"],
    }
    return Measurement("memory", "genn_delays", parameters, "cpu", threads, bytes=grown["growth"], figures=figures)


def of_dense(config: Config, repeats: int = 1) -> Measurement:
    """The dense network's."""
    threads = threads_of(config) or 1
    grown = _grown(config, "torch", threads, repeats)
    parameters = {
        "model": config.model.name,
        "populations": [p.size for p in config.populations],
        "time_steps": config.compiler.example_timesteps,
        "batch_size": config.compiler.batch_size,
    }
    figures = {"peak_growth_bytes": grown["peak_growth"]}
    return Measurement("memory", "torch", parameters, "cpu", threads, bytes=grown["growth"], figures=figures)


def _grown(config: Config, who: str, threads: int, repeats: int) -> dict[str, Any]:
    tables, few = config.tables(), small(config).tables()
    every = [in_a_process("memory", config=tables, small=few, who=who, threads=threads) for _ in range(repeats)]
    return min(every, key=lambda grown: grown["growth"])


def small(config: Config) -> Config:
    """A small network of the same kind, or of the design's where there is none."""
    layers = max(len(config.populations) - 2, 1)
    try:
        found = Overrides(hidden=[SMALL] * layers, sparsity=0.5).apply(config)
        validate(found)
    except InvalidValueError:  # no chain, or nothing that could be sparse
        found = Overrides(hidden=[SMALL]).apply(built_in(DESIGN))
    compiler = replace(found.compiler, batch_size=2, backend=config.compiler.backend, threads=config.compiler.threads)
    return replace(found, compiler=compiler)


def foreseen(plan: Plan, threads: int) -> tuple[int, int, int]:
    """Bytes of synapses, of rewiring's scratch memory (as far as it is known how many synapses are dropped), and of
    everything else."""
    held = bytes_held(plan, threads)
    kept = sum(size for (owner, _), size in held.items() if owner.startswith("connection "))
    scratch = sum(size for (owner, _), size in held.items() if owner == REWIRING)
    return kept, scratch, sum(held.values()) - kept - scratch


def slope(measurements: list[Measurement]) -> float | None:
    """Bytes that a synapse adds, measured: the slope of the straight line through all networks; None for one alone."""
    own = [m for m in measurements if m.who == "genn_delays"]
    synapses = np.array([m.parameters["synapses"] for m in own], dtype=np.float64)
    if np.unique(synapses).size < 2:
        return None
    return float(np.polynomial.Polynomial.fit(synapses, [m.bytes or 0 for m in own], 1).convert().coef[1])


def as_text(results: Results) -> str:
    """A row a network."""
    head = ["network", "sparsity", "synapses", "grown MB", "peak MB", "foreseen MB", "synapses", "rewiring", "activity",
            "bytes a synapse"]  # fmt: skip
    rows = []
    for m in results.measurements:
        p, f = m.parameters, m.figures
        sizes = "-".join(map(str, p["populations"]))
        row = [sizes if m.who == "genn_delays" else f"{sizes} {m.who}"]
        row += [f"{100 * p['sparsity']:.4g} %", f"{p['synapses']:,}"] if "synapses" in p else ["dense", ""]
        row += [_mb(m.bytes), _mb(f["peak_growth_bytes"])]
        names = ("bytes", "synapse_bytes", "rewiring_bytes", "activity_bytes")
        row += [_mb(f.get(f"foreseen_{name}")) for name in names]
        row.append(short(f["foreseen_bytes_a_synapse"]) if "foreseen_bytes_a_synapse" in f else "")
        rows.append(row)
    found = slope(list(results.measurements))
    with_it = "with rewiring's scratch and the spikes, of which there are more where there are more synapses"
    told = [] if found is None else ["", f"a synapse adds {short(found)} bytes, measured ({with_it})"]
    return "\n".join([of_machine(results.machine), "", table(head, rows), *told])


def _mb(size: int | None) -> str:
    return "" if size is None else short(size / 1e6)


def draw(results: Results) -> Pictures:
    """Bytes against synapses, where there are several networks."""
    own = sorted(results.of("genn_delays"), key=lambda m: m.parameters["synapses"])
    if len(own) < 2:
        return {}
    figure, (axes,) = new_figure(5.4, 4.0)
    synapses = [m.parameters["synapses"] for m in own]
    line(axes, synapses, [(m.bytes or 0) / 1e6 for m in own], "genn_delays", "genn_delays, growth of the process")
    total = [m.figures["foreseen_bytes"] / 1e6 for m in own]
    line(axes, synapses, total, "genn_delays", "foreseen", linestyle=":", marker="")
    activity = own[0].figures["foreseen_activity_bytes"] / 1e6
    line(
        axes,
        [synapses[0], synapses[-1]],
        [activity] * 2,
        "ideal",
        "foreseen, activity alone",
        linestyle="--",
        marker="",
    )
    for m in results.of("torch"):
        line(axes, [synapses[0], synapses[-1]], [(m.bytes or 0) / 1e6] * 2, "torch", marker="", linestyle="-.")
    logarithmic(axes, "synapses", "memory (MB)")
    axes.legend(fontsize=8)
    return {"memory": figure}
