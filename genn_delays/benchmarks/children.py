"""Measurements in separate processes: growth of memory, and the costs that a process has once, when it starts."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GennDelaysError
from ..runs.config import Config, config_of

if TYPE_CHECKING:
    from .simulation_network import Point, Simulated

SMALL, FEW = 64, 8
"""Neurons and synapses of the simulated network that comes first."""
_CODE = """
import json, sys, time
start = time.perf_counter()
import genn_delays
imported = time.perf_counter()
names = [getattr(genn_delays, name) for name in genn_delays.__all__]
named = time.perf_counter()
from genn_delays.benchmarks.children import main
main(json.loads(sys.stdin.read()), imported - start, named - imported)
"""


def in_a_process(work: str, *, env: Mapping[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    """The result of one of :data:`WORK` in a new process.

    Args:
        env: variables that are set there besides those of this process.

    Raises:
        GennDelaysError: it ended with an error; the message is its last line.
    """
    package = str(Path(__file__).resolve().parents[2])
    given = dict(os.environ) | dict(env or {})
    given["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [given.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", _CODE], input=json.dumps({"work": work, **arguments}), capture_output=True,
        encoding="utf-8", errors="replace", env=given, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise GennDelaysError(f"a process that was to measure {work} ended with: {said[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: dict[str, Any], import_seconds: float, names_seconds: float) -> None:
    """In that process: do the work and print the result, with the time to import the library and its names."""
    work = WORK[arguments.pop("work")]
    if "config" in arguments:
        arguments["config"] = config_of("benchmark", arguments["config"])
    print(
        json.dumps({"import_seconds": import_seconds, "names_seconds": names_seconds, **work(**arguments)}), flush=True
    )


def nothing() -> dict[str, Any]:
    """Nothing: only the time to import the library is wanted."""
    return {}


def starting(config: Config) -> dict[str, Any]:
    """Compile a network and train it for a step, with the library imported already; the seconds of each part."""
    from ..runs.build import compile_network
    from .networks import Case
    from .subjects import training_of

    start = time.perf_counter()
    with compile_network(config) as compiled:
        ready = time.perf_counter()
        sample = training_of(compiled, Case(config, batches=1))
        begun = time.perf_counter()
        sample()
        return {
            "compile_seconds": ready - start,
            "first_step_seconds": time.perf_counter() - begun,
            "compiled": getattr(compiled.engine, "compiled", None),  # None: the backend does not say
        }


def memory(config: Config, small: dict[str, Any], who: str, threads: int) -> dict[str, Any]:
    """Growth of resident memory while a network is compiled and trained for two steps.

    Args:
        small: tables of a small network that is trained first, so that code which is loaded once does not count.
        who: ``"genn_delays"`` or ``"torch"``.
    """
    opened = _own if who == "genn_delays" else _torch
    opened(config_of("benchmark", small), threads)()
    work = opened(config, threads)
    gc.collect()
    forget_peak()
    before = resident()
    keep = work()
    found = {"growth": resident() - before, "peak_growth": max(peak() - before, 0)}
    del keep
    return found


def _own(config: Config, threads: int) -> Callable[[], Any]:
    """Describes a network and makes its data; what is returned compiles and trains it."""
    from ..runs.build import build_compiler, build_network, compile_arguments
    from .networks import random_data

    network, compiler = build_network(config), build_compiler(config)
    arguments = compile_arguments(config, network)
    x, y = random_data(network, compiler.plan(network, **arguments), 2 * config.compiler.batch_size)

    def work() -> Any:
        compiled = compiler.compile(network, **arguments)
        compiled.train(x, y, 1, callbacks=())
        return compiled

    return work


def _torch(config: Config, threads: int) -> Callable[[], Any]:
    from .dense_torch import dense

    def work() -> Any:
        opened = dense(config, threads, training=True)
        opened.__enter__()()
        return opened

    return work


def simulation(point: dict[str, Any], who: str, threads: int) -> dict[str, Any]:
    """Growth of resident memory, and seconds, while the network of ``benchmark simulation`` is drawn and built; then it
    ran for its longest delay.

    Args:
        point: its tables.
        who: ``"genn_delays"`` or ``"genn"``.
    """
    import numpy as np

    from .simulation_network import point_of, simulated_network
    from .simulation_subjects import Counted, genn, own

    def opened(point: Point, counted: Counted) -> tuple[Simulated, AbstractContextManager[Any]]:
        described = simulated_network(point)
        if who == "genn":
            return described, genn(described, point, counted)
        return described, own(described, point, "cpu", threads, counted)

    asked = point_of(point)
    counted = Counted(np.zeros(asked.size, np.int64))
    with opened(replace(asked, size=SMALL, synapses=FEW, steps=1), counted)[1]:
        pass  # code is loaded and compiled once: that does not count
    gc.collect()
    forget_peak()
    before = resident()
    described, running = opened(asked, counted)
    with running:
        described.forget()
        gc.collect()
        growth = {"growth": resident() - before, "peak_growth": max(peak() - before, 0)}
        return {**growth, "build_seconds": counted.build_seconds}


def brian2(**arguments: Any) -> dict[str, Any]:
    """See :func:`.simulation_brian_program.build_brian2`."""
    from .simulation_brian_program import build_brian2

    return build_brian2(**arguments)


def resident() -> int:
    """Bytes of memory that this process has in use.

    Raises:
        GennDelaysError: the system does not say.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError) as error:
        raise GennDelaysError("memory in use is read from /proc/self/statm, which this system does not have") from error
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most that this process has had in use, since it began or its peak was forgotten."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, ValueError, StopIteration):
        return 0


def forget_peak() -> None:
    """From now on :func:`peak` is the most since now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # the peak then has that of the small network in it
        return


WORK: dict[str, Callable[..., dict[str, Any]]] = {
    "nothing": nothing,
    "starting": starting,
    "memory": memory,
    "simulation": simulation,
    "brian2": brian2,
}
