"""Those that simulate the network of ``benchmark simulation``: this library and GeNN; Brian2 is in another file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..backends import BACKENDS
from ..backends.cpu import CPU
from ..backends.genn import build, packages
from ..simulation import SimulationCompiler
from .simulation_network import NAME, Point, Simulated, settling_steps
from .timing import Sample, seconds_of

Count = npt.NDArray[np.int64]
"""Spikes by neuron."""


class Counted:
    """Spikes and synaptic events of every sample, in order.

    Attributes:
        build_seconds: from the description to a network that runs; synapses that were drawn before are not drawn again.
    """

    def __init__(self, out_degree: npt.NDArray[np.int64]) -> None:
        self._out_degree = out_degree
        self.spikes: list[int] = []
        self.events: list[int] = []
        self.build_seconds = 0.0

    def add(self, spikes: Count) -> None:
        """Spikes of one sample."""
        self.spikes.append(int(spikes.sum()))
        self.events.append(int(spikes @ self._out_degree))


def out_degree(simulated: Simulated) -> npt.NDArray[np.int64]:
    """Synapses that lead away from each neuron."""
    return np.bincount(simulated.synapses().pre, minlength=simulated.population.size).astype(np.int64)


@contextmanager
def own(simulated: Simulated, point: Point, backend: str, threads: int | None, counted: Counted) -> Iterator[Sample]:
    """This library; a sample runs for the model time of `point` and records all spikes."""
    start = time.perf_counter()
    chosen = CPU(threads=threads) if backend == "cpu" else BACKENDS[backend]()
    compiler = SimulationCompiler(dt=point.dt, backend=chosen)
    with compiler.compile(simulated.network, record={NAME: "spikes"}) as simulation:
        counted.build_seconds = time.perf_counter() - start
        simulation.run(settling_steps(point) * point.dt, progress=False)
        seen = simulation.spikes(NAME)[1].size

        def sample() -> list[float]:
            nonlocal seen
            seconds = seconds_of(lambda: simulation.run(point.steps * point.dt, progress=False))
            neurons = simulation.spikes(NAME)[1]
            counted.add(np.bincount(neurons[seen:], minlength=point.size))
            seen = neurons.size
            return [seconds]

        yield sample


@contextmanager
def genn(simulated: Simulated, point: Point, counted: Counted) -> Iterator[Sample]:
    """GeNN's single-threaded CPU backend, compiled with the flags of backend ``genn``; likewise."""
    start = time.perf_counter()
    model, group, folder = genn_model(simulated, point)
    try:
        counted.build_seconds = time.perf_counter() - start
        steps = range(point.steps)

        def run() -> None:
            for _ in steps:
                model.step_time()
            model.pull_recording_buffers_from_device()

        for _ in range(-(-settling_steps(point) // point.steps)):
            run()

        def sample() -> list[float]:
            seconds = seconds_of(run)
            (_, neurons), *_ = group.spike_recording_data
            counted.add(np.bincount(neurons, minlength=point.size))
            return [seconds]

        yield sample
    finally:
        model.unload()
        build.release(folder)


def genn_model(simulated: Simulated, point: Point) -> tuple[Any, Any, Any]:
    """The network in GeNN, built and loaded; its neurons; the folder of its code.

    A spike is delivered in the step after the one in which it was sent, so GeNN's dendritic delay is ours less 1.
    """
    pygenn = packages.load("pygenn")
    genn = pygenn.GeNNModel("float", "model", backend="single_threaded_cpu")
    genn.dt = point.dt
    neuron = pygenn.create_neuron_model(
        "neuron", sim_code="V = leak * V + dt * (Isyn + I);", threshold_condition_code="V >= 1.0f", reset_code="V = 0;",
        params=["leak"], vars=[("V", "scalar"), ("I", "scalar", pygenn.VarAccess.READ_ONLY)],
    )  # fmt: skip
    values = {"V": simulated.v, "I": simulated.current}
    group = genn.add_neuron_population(
        NAME, point.size, neuron, {"leak": 1.0 - point.dt / simulated.tau_mem}, values
    )  # fmt: skip
    group.spike_recording_enabled = True
    kind = "uint8_t" if point.delay[1] <= 256 else "uint16_t"
    weight_update = pygenn.create_weight_update_model(
        "synapse", vars=[("g", "scalar", pygenn.VarAccess.READ_ONLY), ("d", kind, pygenn.VarAccess.READ_ONLY)],
        pre_spike_syn_code="addToPostDelay(g, d);",
    )  # fmt: skip
    s = simulated.synapses()
    order = np.argsort(s.pre, kind="stable")  # rows by source, targets ascending within
    variables = {"g": s.weight[order], "d": (s.delay[order] - 1).astype(kind.removesuffix("_t"))}
    synapses = genn.add_synapse_population(
        "synapses", "SPARSE", group, group, pygenn.init_weight_update(weight_update, {}, variables),
        pygenn.init_postsynaptic("DeltaCurr"),
    )  # fmt: skip
    synapses.set_sparse_connections(s.pre[order], s.post[order])
    synapses.max_dendritic_delay_timesteps = point.delay[1]
    words = ("benchmark simulation", pygenn.__version__, *build.CPU_FLAGS, repr(point), str(point.steps))
    folder = build.folder_for("\0".join(words))
    try:
        build.build(genn, folder)
        genn.load(num_recording_timesteps=point.steps)
    except BaseException:
        build.release(folder)
        raise
    return genn, group, folder
