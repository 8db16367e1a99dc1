"""A few training steps of one of the networks at 87.5 %, for a profiler: `few_steps.py NUMBER [BACKEND]`."""

from __future__ import annotations

import sys

import benchmark

from genn_delays.runs.build import compile_network


def main() -> None:
    """Four steps."""
    shape, backend = benchmark.SHAPES[int(sys.argv[1])], sys.argv[2] if sys.argv[2:] else "cuda"
    config = benchmark.config_of(shape, 0.875, backend)
    x, y = benchmark.data(config, 4)
    with compile_network(config) as compiled:
        names = compiled.network.populations[0].name, compiled.network.populations[-1].name
        compiled.train({names[0]: x}, {names[1]: y}, 100, callbacks=[benchmark._OneEpoch()])


if __name__ == "__main__":
    main()
