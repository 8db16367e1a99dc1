"""Timed parts of this library: training steps and evaluated batches of a compiled network, on any backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..callbacks import Callback
from ..metrics import Metrics
from ..plan.plan import Plan
from ..runs.build import compile_network
from ..training.compiled_network import CompiledNetwork
from .networks import Case, random_data
from .options import threads_of
from .timing import Clock, Sample, clock

AHEAD = 16
"""Batches of a sample of an engine that runs ahead: its host waits for them once."""


class Watch(Callback):
    """A callback that times an epoch or an evaluation until all of it has been computed, and ends training after the
    epoch."""

    def __init__(self, clock: Clock = clock) -> None:
        self._clock, self._start, self.seconds = clock, 0.0, 0.0

    def on_epoch_begin(self, epoch: int) -> None:
        self._start = self._clock()

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        self.seconds = self._clock() - self._start
        self.compiled_network.stop_training = True

    def on_test_begin(self) -> None:
        self._start = self._clock()

    def on_test_end(self, metrics: Metrics) -> None:
        self.seconds = self._clock() - self._start


def training_of(compiled: CompiledNetwork, case: Case) -> Sample:
    """Whole training steps: a sample is an epoch of a few batches of random data, and gives each step's seconds."""
    ahead = compiled.engine.runs_ahead
    batches = max(case.batches, AHEAD) if ahead else case.batches
    x, y = random_data(compiled.network, compiled.plan, batches * compiled.plan.batch_size)
    total, watch = case.config.training.num_epochs, Watch()

    def sample() -> list[float]:
        compiled.epoch = 0 if case.epoch == "first" else total - 1  # the same learning rates and kernels every time
        metrics, _ = compiled.train(x, y, total, callbacks=[watch])
        return [watch.seconds / batches] if ahead else list(metrics.step_seconds)

    return sample


@contextmanager
def training(case: Case, facts: dict[str, Any] | None = None) -> Iterator[Sample]:
    """See :func:`training_of`.

    Args:
        facts: a dict, to which facts about the network are added after the last sample.
    """
    with compile_network(case.config) as compiled:
        case.ready(compiled)
        yield training_of(compiled, case)
        if facts is not None:
            facts |= facts_of(case, compiled.plan) | {"epoch": case.epoch, "spikes_per_neuron_step": rates(compiled)}
            x, _ = random_data(compiled.network, compiled.plan, compiled.plan.batch_size)
            facts |= case.look(compiled, x)


@contextmanager
def evaluation(case: Case, facts: dict[str, Any] | None = None) -> Iterator[Sample]:
    """Evaluated batches; a sample gives the mean seconds of one."""
    with compile_network(case.config) as compiled:
        case.ready(compiled)
        plan = compiled.plan
        batches = max(case.batches, AHEAD) if compiled.engine.runs_ahead else case.batches
        x, y = random_data(compiled.network, plan, batches * plan.batch_size)
        watch = Watch()

        def sample() -> list[float]:
            compiled.evaluate(x, y, callbacks=[watch])
            return [watch.seconds / batches]

        yield sample
        if facts is not None:
            facts |= facts_of(case, plan) | {"spikes_per_neuron_step": rates(compiled)}


def rates(compiled: CompiledNetwork) -> dict[str, float]:
    """Spikes per neuron, step and example of the last batch, by hidden population."""
    plan = compiled.plan
    lanes = plan.batch_size  # all batches are whole
    return {
        p.name: compiled.engine.spike_count(p.index) / (p.size * plan.time_steps * lanes)
        for p in plan.populations
        if p.kind == "neuron" and p.spiking
    }


def facts_of(case: Case, plan: Plan) -> dict[str, Any]:
    """Facts about a network for its record."""
    synapses, pairs = synapses_of(plan)
    return {
        "model": case.config.model.name,
        "populations": [p.size for p in plan.populations],
        "synapses": synapses,
        "sparsity": 1.0 - synapses / pairs if pairs else 0.0,
        "time_steps": plan.time_steps,
        "batch_size": plan.batch_size,
        "compiler": case.config.compiler.kind,
        "rewiring": case.config.rewiring.label,
        "threads": threads_of(case.config),
    }


def synapses_of(plan: Plan) -> tuple[int, int]:
    """The number of synapses, and of pairs of neurons."""
    return sum(c.size for c in plan.connections), sum(c.num_pre * c.num_post * c.capacity for c in plan.connections)
