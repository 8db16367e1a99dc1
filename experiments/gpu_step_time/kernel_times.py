"""Time of every kernel of a training step: the step without graphs, an event of CUDA before and after each launch."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

import benchmark

from genn_delays.backends.cuda.real import CudaModule
from genn_delays.runs.build import compile_network


def kernel_times(shape: benchmark.Shape, sparsity: float, batches: int = 8) -> dict[str, dict[str, float]]:
    """By kernel: launches a step, microseconds of a launch (median) and of a step."""
    config = benchmark.config_of(shape, sparsity, "cuda")
    x, y = benchmark.data(config, batches)
    noted: list[tuple[str, Any, Any]] = []
    with compile_network(config) as compiled:
        engine: Any = compiled.engine
        device = engine.device
        engine.work.replay = lambda key, work: work()
        launch = CudaModule._launch

        def timed(self: Any, kernel: Any, *arguments: Any) -> None:
            events = [device.do("cuEventCreate", 0)[0] for _ in range(2)]
            device.do("cuEventRecord", events[0], device.stream.handle)
            launch(self, kernel, *arguments)
            device.do("cuEventRecord", events[1], device.stream.handle)
            noted.append((kernel.name, *events))

        CudaModule._launch = timed  # type: ignore[method-assign]
        try:
            names = compiled.network.populations[0].name, compiled.network.populations[-1].name
            compiled.train({names[0]: x}, {names[1]: y}, 100, callbacks=[benchmark._OneEpoch()])
            device.synchronise()
        finally:
            CudaModule._launch = launch  # type: ignore[method-assign]
        times: dict[str, list[float]] = defaultdict(list)
        for name, begin, end in noted:
            times[name].append(1e3 * device.do("cuEventElapsedTime", begin, end)[0])
    return {
        name: {
            "launches": len(found) / batches,
            "us": statistics.median(found),
            "us_of_step": statistics.median(found) * len(found) / batches,
        }
        for name, found in sorted(times.items(), key=lambda item: -statistics.median(item[1]) * len(item[1]))
    }
