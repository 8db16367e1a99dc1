"""The dense PyTorch implementation of a network, as the published ones are: a convolution over all delays, a loop over
time, autograd, Adam.

Every pair has a weight a lag; where the network has a Gaussian delay kernel a pair has a weight and a real-valued delay
(DCLS), of which the weights over the lags are made in every pass. Source of the scheme: Hammouamri, Khalfaoui-Hassani &
Masquelier 2023 (arXiv 2306.17670). Nothing is rewired, and nothing is sparse: the cost is that of all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ..connectivity import Synapses
from ..delays import GaussianKernel
from ..errors import BackendUnavailableError, InvalidValueError
from ..learning.losses import SparseCategoricalCrossentropy
from ..learning.schedules import Progress
from ..learning.surrogates import ArcTan
from ..network import Population
from ..neurons import LeakyIntegrate, LeakyIntegrateFire
from ..plan.plan import ConnectionPlan, Plan
from ..runs.build import build_compiler, build_network, compile_arguments
from ..runs.config import Config
from .networks import random_data
from .timing import Sample, clock

READOUTS = ("sum_var", "sum_softmax")


def check_installed() -> None:
    """Raise an error if PyTorch is not installed."""
    if find_spec("torch") is None:
        raise BackendUnavailableError(
            "--against torch: PyTorch is not installed; pip install torch (its build for CPUs is enough)"
        )


def check_network(config: Config) -> None:
    """Raise an error if the dense implementation does not support a network.

    Raises:
        InvalidValueError: it names the unsupported feature.
    """
    found = next(_missing(config), None)
    if found is not None:
        raise InvalidValueError(
            f"--against torch: the dense implementation has chains of leaky_integrate_fire and a leaky_integrate whose "
            f"readout is {' or '.join(READOUTS)}, trained with the arctan surrogate and cross-entropy; model "
            f"{config.model.name!r} has {found}"
        )


def _missing(config: Config) -> Iterator[str]:
    """The first feature of a model that the dense implementation lacks."""
    network, compiler = build_network(config), build_compiler(config)
    if config.compiler.kind != "surrogate":
        yield f"compiler kind {config.compiler.kind!r}"
    chain = [(c.source, c.target) for c in network.connections]
    if chain != list(zip(network.populations[:-1], network.populations[1:], strict=True)):
        yield "populations that are not a chain, in order"
    for p in network.populations[1:]:
        yield from _missing_of(p, last=p is network.populations[-1])
    for c in network.connections:
        if config.connections[c.index].synapse["kind"] != "delta":
            yield f"synapses of kind {config.connections[c.index].synapse['kind']!r}"
        if c.delay_kernel is not None and type(c.delay_kernel) is not GaussianKernel:
            yield f"the delay kernel {type(c.delay_kernel).__name__}"
    for loss in compiler.output_losses(network).values():
        if type(loss) is not SparseCategoricalCrossentropy:
            yield f"the loss {type(loss).__name__}"
    plan = compiler.plan(network, **compile_arguments(config, network))
    yield from (f"population {p.name!r} with a bias" for p in plan.populations if p.bias is not None)
    surrogate = getattr(compiler, "surrogate", None)
    if type(surrogate) is not ArcTan:
        yield f"the surrogate {type(surrogate).__name__}"


def _missing_of(p: Population, *, last: bool) -> Iterator[str]:
    neuron: Any = p.neuron
    if type(neuron) is not (LeakyIntegrate if last else LeakyIntegrateFire):
        yield f"population {p.name!r} of {type(neuron).__name__}"
        return
    usual = vars(type(neuron)(tau_mem=neuron.tau_mem, readout=neuron.readout))
    free = ("tau_mem", "v_thresh", "readout")
    others = [key for key, value in vars(neuron).items() if key not in free and value != usual[key]]
    if others:
        yield f"population {p.name!r} with {others[0]} = {getattr(neuron, others[0])!r}"
    if last and neuron.readout not in READOUTS:
        yield f"population {p.name!r} with the readout {neuron.readout!r}"


def _spike_function(torch: Any, alpha: float) -> Callable[[Any], Any]:
    """The step function, whose derivative is the arctan surrogate's."""

    class Spike(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, u: Any) -> Any:
            ctx.save_for_backward(u)
            return (u >= 0).float()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (u,) = ctx.saved_tensors
            return grad * (alpha / 2) / (1 + (math.pi * alpha / 2 * u) ** 2)

    made: Callable[[Any], Any] = Spike.apply
    return made


class Layer:
    """A connection's dense weights: one a pair and lag, or a weight and a delay a pair from which those follow."""

    def __init__(self, torch: Any, c: ConnectionPlan, width: float | None) -> None:
        self.torch, self.last, self.width = torch, c.max_delay, width
        bound = 1.0 / math.sqrt(c.num_pre)
        pairs = (c.num_post, c.num_pre, *(() if width is None else (c.capacity,)))
        shape = (*pairs, self.last + 1) if width is None else pairs
        self.weight = (bound * (2 * torch.rand(shape) - 1)).requires_grad_()
        self.delay = None if width is None else (self.last * torch.rand(pairs)).requires_grad_()

    @property
    def parameters(self) -> list[Any]:
        """The learned tensors."""
        return [self.weight] if self.delay is None else [self.weight, self.delay]

    def take(self, synapses: Synapses) -> None:
        """The weights of synapses, and 0 where there are none; without a delay kernel only."""
        with self.torch.no_grad():
            self.weight.zero_()
            for pre, post, delay, weight in zip(*synapses, strict=True):
                self.weight[int(post), int(pre), self.last - int(delay)] += float(weight)

    def current(self, x: Any) -> Any:
        """The input current ``[example, neuron, time]`` of a target."""
        late = self.torch.nn.functional.pad(x, (self.last, 0))
        return self.torch.nn.functional.conv1d(late, self._over_lags())

    def _over_lags(self) -> Any:
        """``[post, pre, lag]``, the longest lag first, as a convolution wants them."""
        if self.delay is None:
            return self.weight
        lags = self.torch.arange(self.last, -1.0, -1.0)
        share = self.torch.exp(-(((lags - self.delay[..., None]) / self.width) ** 2) / 2)
        return (self.weight[..., None] * share / share.sum(-1, keepdim=True)).sum(2)

    def clamp(self) -> None:
        """Delays stay within the lags."""
        if self.delay is not None:
            with self.torch.no_grad():
                self.delay.clamp_(0, self.last)


class DenseNetwork:
    """The network of a plan that :func:`check_network` lets pass, dense.

    Args:
        now: where training stands, for the width of delay kernels.
    """

    def __init__(self, plan: Plan, now: Progress, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch, self.plan, self.threads = torch, plan, threads
        kernels = [(c, c.kernel) for c in plan.connections]
        self.layers = [Layer(torch, c, None if k is None else k.width(c.max_delay, now)) for c, k in kernels]
        self.norms = [
            None if p.batch_norm is None else torch.nn.BatchNorm1d(p.size, p.batch_norm.epsilon, p.batch_norm.momentum)
            for p in plan.populations
        ]
        self.spike = _spike_function(torch, float(getattr(plan.surrogate, "alpha", 0.0)))
        dt = plan.outputs[0].dt
        self.dt = dt
        self.decay = [self._per_neuron(1.0 - dt / p.values["tau_mem"]) if p.model else None for p in plan.populations]
        norms = [parameter for norm in self.norms if norm is not None for parameter in norm.parameters()]
        self.optimiser = torch.optim.Adam([*(p for layer in self.layers for p in layer.parameters), *norms], 1e-3)

    def _per_neuron(self, values: Any) -> Any:
        return self.torch.tensor(values, dtype=self.torch.float32)

    def forward(self, x: Any, *, training: bool) -> Any:
        """The readout's z ``[example, neuron]`` for inputs ``[example, neuron, time]``."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            p, norm = self.plan.populations[index + 1], self.norms[index + 1]
            current = layer.current(x)
            if norm is not None:
                current = norm.train(training)(current)
            if self.dt != 1.0:
                current = self.dt * current
            if index == last:
                return self._read(current, index + 1)
            x = self._hidden(current, index + 1)
            if p.dropout and training:  # one mask an example
                x = x * self.torch.nn.functional.dropout(self.torch.ones(*x.shape[:2], 1), p.dropout)
        raise AssertionError

    def _hidden(self, current: Any, index: int) -> Any:
        threshold = self._per_neuron(self.plan.populations[index].values["v_thresh"])
        u = s = self.torch.zeros(current.shape[:2])
        spikes = []
        for t in range(current.shape[2]):
            u = self.decay[index] * u * (1 - (s.detach() if self.plan.detach_reset else s)) + current[:, :, t]
            s = self.spike(u - threshold)
            spikes.append(s)
        return self.torch.stack(spikes, 2)

    def _read(self, current: Any, index: int) -> Any:
        u = z = self.torch.zeros(current.shape[:2])
        softmax = self.plan.populations[index].readout == "sum_softmax"
        for t in range(current.shape[2]):
            u = self.decay[index] * u + current[:, :, t]
            z = z + (u.softmax(1) if softmax else u)
        return z

    def loss(self, x: Any, y: Any, *, training: bool = True) -> Any:
        """The mean cross-entropy."""
        smoothing = float(getattr(self.plan.outputs[0].loss, "label_smoothing", 0.0))
        z = self.forward(x, training=training)
        return self.torch.nn.functional.cross_entropy(z, y, label_smoothing=smoothing)

    def step(self, x: Any, y: Any) -> None:
        """A whole training step."""
        loss = self.loss(x, y)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        for layer in self.layers:
            layer.clamp()

    def evaluate(self, x: Any, y: Any) -> None:
        """A batch, and its loss."""
        with self.torch.no_grad():
            self.loss(x, y, training=False)


def plan_and_data(config: Config, batches: int) -> tuple[Plan, Any, Any]:
    """The plan, inputs ``[example, time, neuron]`` and labels of so many batches."""
    network = build_network(config)
    plan = build_compiler(config).plan(network, **compile_arguments(config, network))
    x, y = random_data(network, plan, batches * plan.batch_size)
    return plan, x[network.inputs[0]], y[network.outputs[0]]


@contextmanager
def dense(
    config: Config, threads: int, *, training: bool, epoch: str = "first", batches: int = 2, facts: Any = None
) -> Iterator[Sample]:
    """Whole training steps, or evaluated batches; a sample gives the seconds of each.

    Args:
        epoch: ``"first"`` or ``"last"`` of training, for the width of delay kernels.
        facts: a dict, to which facts about the network are added.
    """
    import torch

    plan, x_all, y_all = plan_and_data(config, batches)
    total = config.training.num_epochs
    net = DenseNetwork(plan, Progress(0 if epoch == "first" else total - 1, total, 0, 1), threads)
    inputs = torch.from_numpy(x_all).permute(0, 2, 1).contiguous()
    labels = torch.from_numpy(y_all)

    def sample() -> list[float]:
        torch.set_num_threads(threads)
        seconds = []
        for number in range(batches):
            start = clock()
            part = slice(number * plan.batch_size, (number + 1) * plan.batch_size)
            (net.step if training else net.evaluate)(inputs[part], labels[part])
            seconds.append(clock() - start)
        return seconds

    yield sample
    if facts is not None:
        facts["torch"] = str(torch.__version__)
