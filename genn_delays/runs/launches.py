"""Numbers of launches on a GPU in a model's training step and evaluated batch, counted without a GPU."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..backends.cuda.counting import CountingDevice, least_bytes
from ..backends.cuda.engine import CUDAEngine
from ..learning.schedules import Progress
from ..network import Network
from ..neurons import SpikeInput
from ..plan.exchanged import Pass
from ..plan.plan import Plan
from ..training.data import prepare_inputs, prepare_labels
from ..training.learner import HostLearner
from .build import build_compiler, build_network, compile_arguments, validate
from .config import Config


class Launched(NamedTuple):
    """The launches of one batch.

    Attributes:
        calls: launches of the host; a graph is one, whatever is in it.
        kernels: number of kernels that run and buffers that are cleared.
        times: how often each of them.
    """

    calls: int
    kernels: int
    times: Counter[str]


class Launches(NamedTuple):
    """Launches and least bytes moved of a plan for a whole batch, in a training step and in evaluation."""

    training: Launched
    evaluation: Launched
    training_bytes: int
    evaluation_bytes: int


def count_launches(config: Config) -> Launches:
    """The launches of a model with its own batch size; the training step is one that rewires."""
    validate(config)
    network, compiler = build_network(config), build_compiler(config)
    plan = compiler.plan(network, **compile_arguments(config, network))
    T, examples = plan.time_steps, np.arange(plan.batch_size)
    with CountingDevice() as device:
        engine = CUDAEngine(plan, device)
        inputs, _ = prepare_inputs(network, _empty(network, plan), T, compiler.dt)
        losses = {p.index: p.loss for p in plan.outputs if p.loss}
        labels = prepare_labels(network, {p: _truth(plan, p.index) for p in network.outputs}, examples.size, losses, T)
        learner = engine.learner or HostLearner(plan, engine)

        def batch(step: int, *, training: bool) -> Launched:
            """Run a batch as a compiled network does."""
            device.times.clear()
            calls, kernels = device.calls, device.kernels
            now = Progress(0, 1, step, step + 1)
            widths = {c.index: c.kernel.width(c.max_delay, now) for c in plan.connections if c.kernel is not None}
            engine.load(inputs, examples)
            engine.forward(Pass(training, step, widths))
            engine.loss(labels)
            if training:
                learner.regularise(examples.size)
                engine.backward()
                learner.step(step, now, examples.size)
            device.settle()
            return Launched(device.calls - calls, device.kernels - kernels, Counter(device.times))

        rules = [c.rewiring for c in plan.connections if c.rewiring is not None]
        steps = [batch(step, training=True) for step in range(max((rule.every for rule in rules), default=1))]
        training = max(steps, key=lambda step: step.kernels)
        evaluation = batch(0, training=False)
    return Launches(training, evaluation, least_bytes(plan), least_bytes(plan, training=False))


def _empty(network: Network, plan: Plan) -> dict[Any, Any]:
    """Examples without spikes or of zeros, as many as a batch has."""
    B = plan.batch_size
    return {
        p: [(np.empty(0), np.empty(0, dtype=np.int64))] * B
        if isinstance(p.neuron, SpikeInput)
        else np.zeros((B, plan.time_steps, p.size), np.float32)
        for p in network.inputs
    }


def _truth(plan: Plan, index: int) -> npt.NDArray[Any]:
    """Labels or targets for them."""
    loss, size = plan.populations[index].loss, plan.populations[index].size
    assert loss is not None
    if loss.labelled:
        return np.zeros(plan.batch_size, dtype=np.int64)
    return np.zeros((plan.batch_size, *((plan.time_steps,) if loss.stepwise else ()), size))


def table(config: Config) -> str:
    """Launches, kernels and bytes of a model, and how often each kernel runs: lines for people."""
    found = count_launches(config)
    kernels = [*found.training.times, *(name for name in found.evaluation.times if name not in found.training.times)]
    rows: list[tuple[str, str, str]] = [
        (f"{config.model.name}, batch of {config.compiler.batch_size}", "training step", "evaluated batch"),
        ("launches (a graph is one)", str(found.training.calls), str(found.evaluation.calls)),
        ("kernels", str(found.training.kernels), str(found.evaluation.kernels)),
        ("bytes moved at least", f"{found.training_bytes:,}", f"{found.evaluation_bytes:,}"),
        ("", "", ""),
    ]
    rows += [
        (name, str(found.training.times[name] or "-"), str(found.evaluation.times[name] or "-")) for name in kernels
    ]
    width = max(len(row[0]) for row in rows)
    return "".join(f"{a:<{width}}  {b:>15}  {c:>15}".rstrip() + "\n" for a, b, c in rows)
