"""How much of a pass is left when gradients are complete, by the number of examples of a rank; see README.md.

    python experiments/distributed/remaining.py

needs no MPI: one process computes what a rank would, and generated code tells it when gradients are complete.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np
from measure import CASES, TIME_STEPS, network

import genn_delays as gd

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64)
PASSES = 24


class Watched:
    """A library of generated code whose passes are timed, and what is left of them after every group."""

    def __init__(self, engine: Any) -> None:
        self._library, self._marks = engine._library, []
        self._told = CALLBACK(lambda group: self._marks.append(time.perf_counter()))
        self.found: list[list[float]] = []
        engine._net.completed = ctypes.cast(self._told, ctypes.c_void_p)
        engine._library = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def one_pass(self, net: Any) -> None:
        """A whole training pass."""
        self._marks.clear()
        start = time.perf_counter()
        self._library.one_pass(net)
        end = time.perf_counter()
        self.found.append([end - start, *(end - mark for mark in self._marks)])


def main() -> None:
    """Print one row of a Markdown table for every network and number of examples."""
    print("| network | examples of a rank | ms a pass | left after each group of connections, from the outputs |")
    print("|---|---|---|---|")
    for case, layers in CASES.items():
        for examples in (32, 64, 128, 256):
            compiler = gd.SurrogateCompiler(TIME_STEPS, examples, backend=gd.CPU(threads=1))
            draws = np.random.default_rng(0)
            x = draws.random((examples, TIME_STEPS, 40)).astype(np.float32)
            with compiler.compile(network(*layers)) as compiled:
                watched = Watched(compiled.engine)
                compiled.train({"mel": x}, {"digit": draws.integers(0, 10, examples)}, PASSES, callbacks=[])
            whole, *left = np.median(watched.found[PASSES // 4 :], axis=0)
            shares = ", ".join(f"{100 * part / whole:.0f} %" for part in left)
            print(f"| {case} | {examples} | {1e3 * whole:.1f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
