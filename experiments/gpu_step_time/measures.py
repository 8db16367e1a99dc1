"""Parts of first light that measure: steps, kernels, copies."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import proofs
from part import HERE, PartError, Where, command, run

if TYPE_CHECKING:
    from benchmark import Shape


def _measured(where: Where, network: str, what: str, measure: Callable[[], dict[str, float]]) -> bool:
    """Keep a figure, or why there is none, and whether there is one: on a GPU the others are measured all the same."""
    try:
        found: dict[str, Any] = dict(measure())
    except Exception as error:
        if where.backend == "cpu":  # it needs nothing that may be missing
            raise
        found = {"error": f"{type(error).__name__}: {error}"}
    where.keep(network=network, what=what, **found)
    return "error" not in found


def _all(measured: list[bool]) -> None:
    """Raise an error if a figure is missing."""
    if not all(measured):
        raise PartError(f"{measured.count(False)} of {len(measured)} figures could not be measured")


def narrow(shape: Shape) -> Shape:
    """The same with few hidden neurons: its code is the same, as that does not depend on sizes."""
    return shape._replace(hidden=shape.hidden and ",".join("64" for _ in shape.hidden.split(",")))


def ahead(where: Where) -> None:
    """Compile what the other parts train, all of it at once: they find it in the cache of this run."""
    import benchmark
    import long_delays

    from genn_delays.backends import as_backend
    from genn_delays.runs.build import plan_of

    gpu = where.backend == "cuda"
    shapes, sparsities = benchmark.SHAPES[: None if gpu else 3], benchmark.SPARSITIES[0 if gpu else -1 :]
    start = time.perf_counter()
    plans = [plan_of(benchmark.config_of(s, x, where.backend)) for s in map(narrow, shapes) for x in sparsities]
    for method in long_delays.METHODS:
        compiler, network, learned = long_delays.SMALL.described(method, where.backend)
        plans.append(compiler.plan(network, **learned))
    as_backend(where.backend).compile_ahead(plans)  # type: ignore[attr-defined]
    where.keep(plans=len(plans), seconds=time.perf_counter() - start)


def steps(number: int) -> Callable[[Where], None]:
    """Time and memory of training steps of a network beside PyTorch on the same device."""

    def part(where: Where) -> None:
        import benchmark

        shape, gpu = benchmark.SHAPES[number], where.backend == "cuda"
        steps = 1 if not gpu else 4 if number == 4 else 20
        measured = []
        for sparsity in benchmark.SPARSITIES[::-1] if gpu else (benchmark.SPARSITIES[-1],):
            measure = partial(benchmark.ours, shape, sparsity, where.backend, steps)
            measured.append(_measured(where, str(shape), f"{100 * sparsity:g} % sparse", measure))
        if gpu and not shape.whole:
            _measured(where, str(shape), "PyTorch, dense", partial(benchmark.dense, shape, "cuda", steps))
        _all(measured)

    part.__doc__ = steps.__doc__
    return part


def long_steps(where: Where) -> None:
    """Steps of the published shapes with long delays, by EventProp and by the surrogate gradient."""
    import long_delays

    shapes, steps = (long_delays.PUBLISHED, 4) if where.backend == "cuda" else ((long_delays.SMALL,), 1)
    measured = []
    for method in long_delays.METHODS:
        for shape in shapes:
            measure = partial(long_delays.step, shape, method, where.backend, steps)
            measured.append(_measured(where, str(shape), method, measure))
    _all(measured)


def genn_steps(where: Where) -> None:
    """The same by EventProp on GeNN's CUDA kernels, ours beside on the same GPU."""
    import long_delays

    backends = {"genn": proofs.genn_on_cuda(), where.backend: where.backend}
    measured = []
    for shape in long_delays.PUBLISHED:
        for name, backend in backends.items():
            measure = partial(long_delays.step, shape, "EventProp", backend, 4)
            measured.append(_measured(where, str(shape), f"EventProp, {name}", measure))
    _all(measured)


def microcircuit(where: Where) -> None:
    """The real-time factor of Potjans and Diesmann's circuit, at full scale on a GPU; events a second of a network of
    10,000 neurons with 1,000 synapses each."""
    gpu, out = where.backend == "cuda", where.folder / "run"
    circuit = ["--duration", "10000"] if gpu else ["--scale", "0.01", "--duration", "20", *_WHOLE]
    printed = run(*command(
        "simulate", "potjans_diesmann", *circuit, "--backend", where.backend, "--quiet", "--json", "--out", str(out)
    ))  # fmt: skip
    where.keep(network="potjans_diesmann", result=_object(printed))
    sizes = [] if gpu else ["--sizes", "100", "--synapses", "10", "--repeats", "1", "--duration", "20"]
    printed = run(*command(
        "benchmark", "simulation", "--backend", where.backend, "--rate", "5,50" if gpu else "50", *sizes, "--json"
    ))  # fmt: skip
    where.keep(network="10,000 x 1,000" if gpu else "100 x 10", result=_object(printed))


_WHOLE = ["--set", "simulation.transient=0"]
"""For a run too short for a transient."""


def _object(printed: str) -> Any:
    """The line of JSON in what a command printed."""
    return json.loads(next(line for line in printed.splitlines() if line.startswith("{")))


def torch_layer(where: Where) -> None:
    """The PyTorch layer beside the one on the CPU, and its step beside the dense convolution on the same GPU."""
    import torch_layer as layers

    layers.needs_gpu(where.backend)
    for kind in layers.KINDS:
        found = layers.difference(kind, "cuda")
        where.keep(layer=str(kind), **found)
        layers.check(found, kind)
    measured = []
    for size in ((40, 256), (256, 256), (1024, 1024)):
        for kernel in (None, "gaussian"):
            measure = partial(layers.step_times, size, kernel, "cuda", 20)
            measured.append(_measured(where, f"{size[0]} to {size[1]}", f"layer, {kernel or 'fixed'} delays", measure))
    _all(measured)


def profile(where: Where) -> None:
    """Time and traffic of every kernel of a small network's step, inside its graph, by Nsight Compute."""
    tool = shutil.which("ncu") or "/usr/local/cuda/bin/ncu"
    if not Path(tool).exists():
        raise PartError("Nsight Compute (ncu) is not installed here")
    metrics = ["gpu__time_duration.sum", "dram__bytes.sum", "lts__t_bytes.sum"]
    for number in (0, 1):
        printed = run(
            tool, "--clock-control", "none", "--graph-profiling", "node", "--metrics", ",".join(metrics), "--csv",
            "--kernel-name-base", "function", sys.executable, str(HERE / "few_steps.py"), str(number),
        )  # fmt: skip
        for name, found in _of_kernels(printed, metrics).items():
            where.keep(shape=number, kernel=name, **found)


def _of_kernels(printed: str, metrics: list[str]) -> dict[str, dict[str, float]]:
    """By kernel, how often it ran and the medians of metrics, out of what Nsight Compute prints."""
    lines = printed.splitlines()
    begin = next((k for k, line in enumerate(lines) if line.startswith('"ID"')), len(lines))
    values: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(lines[begin:]):
        if row.get("Metric Name") in metrics:
            found = values.setdefault(row["Kernel Name"], {})
            found.setdefault(row["Metric Name"], []).append(float(row["Metric Value"].replace(",", "")))
    return {
        name: {"times": len(next(iter(found.values()))), **{m: statistics.median(v) for m, v in found.items()}}
        for name, found in values.items()
    }


def kernels(where: Where) -> None:
    """Time of every kernel of a training step, by CUDA's events around each launch (no graphs)."""
    import benchmark
    from kernel_times import kernel_times

    for shape, sparsity in ((benchmark.SHAPES[3], 0.99), (benchmark.SHAPES[4], 0.99)):
        for name, found in kernel_times(shape, sparsity).items():
            where.keep(network=str(shape), what=f"{100 * sparsity:g} % sparse", kernel=name, **found)


def bandwidth(where: Where) -> None:
    """The bandwidth of a copy on the device."""
    import benchmark

    from genn_delays.runs.build import compile_network

    with compile_network(benchmark.config_of(benchmark.SHAPES[1], 0.875, "cuda")) as compiled:
        rates = [benchmark.copy_bandwidth(compiled.engine.module) for _ in range(3)]  # type: ignore[attr-defined]
    where.keep(gb_per_s=statistics.median(rates))
