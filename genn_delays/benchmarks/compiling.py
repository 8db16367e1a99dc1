"""``benchmark compile``: start-up time with kernels to be compiled, and with compiled kernels in the cache."""

from __future__ import annotations

import tempfile
from typing import Any

from ..paths import CACHE_VARIABLE
from ..runs.build import plan_of
from ..runs.config import Config
from .children import in_a_process
from .comparison import check_cases
from .machine import machine
from .networks import Case
from .options import Options, at_sparsity, threads_of
from .pictures import Pictures
from .records import Measurement, Results, milliseconds, of_machine, table
from .timing import Summary

REPEATS = 3
FIGURES = {
    "import genn_delays": "import_seconds",
    "its names, all of them": "names_seconds",
    "cold compile": "compile_seconds",
    "second start": "compile_seconds",
    "first training step": "first_step_seconds",
}
"""The rows of the table, and their names in a process's result."""


def measure(options: Options) -> Results:
    """Let new processes, each pair with an empty cache folder of its own, compile a network and start with it again."""
    repeats = options.count(REPEATS)
    config = at_sparsity(options.base(), None)
    check_cases([Case(config)], None, training=True)
    here = machine(config.compiler.backend)
    cold, second = [], []
    for number in range(repeats):
        options.told(f"compile: round {number + 1} of {repeats}")
        with tempfile.TemporaryDirectory(prefix="genn-delays-") as folder:
            env = {CACHE_VARIABLE: folder}
            cold.append(in_a_process("starting", env=env, config=config.tables()))
            second.append(in_a_process("starting", env=env, config=config.tables()))
    return Results("compile", options.settings(), here, tuple(_measurements(config, cold, second)))


def _measurements(config: Config, cold: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[Measurement]:
    plan = plan_of(config)
    parameters = {"model": config.model.name, "populations": [p.size for p in plan.populations]}
    parts = {
        "import genn_delays": cold + second,
        "its names, all of them": cold + second,
        "cold compile": cold,
        "second start": second,
        "first training step": cold + second,
    }
    found = []
    for what, runs in parts.items():
        seconds = Summary(tuple(float(run[FIGURES[what]]) for run in runs))
        said = {run["compiled"] for run in runs}
        figures = {"kernels_compiled": said.pop()} if len(said) == 1 and None not in said else {}
        backend, threads = config.compiler.backend, threads_of(config)
        found.append(Measurement(what, "genn_delays", parameters, backend, threads, seconds, figures=figures))
    return found


def as_text(results: Results) -> str:
    """A row for each of what happens once."""
    rows = [[m.what, *milliseconds(m.seconds)] for m in results.measurements]
    name = results.measurements[0].parameters["model"]
    return f"{of_machine(results.machine)}\n\n{table([name, 'median ms', 'quartiles ms'], rows)}"


def draw(results: Results) -> Pictures:
    """None: these are three numbers."""
    return {}
