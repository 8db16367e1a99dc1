"""A whole described network as one PyTorch module, computed by a compiled network of any backend that trains."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..errors import InvalidValueError, check_count, check_switch, shown
from ..learning import SGD
from ..learning.losses import Loss
from ..learning.schedules import Progress
from ..network import Network
from ..ops import Topology
from ..ops.library import threads_of
from ..plan.exchanged import InputData, Pass
from ..plan.plan import Plan
from ..plan.protocol import TellsGradients
from ..plan.variables import by_connection
from ..rewiring import RewiringRule, as_rewiring
from ..training.compiler import Compiler
from ..training.data import inputs_of
from ..training.turns import Turns, in_turn
from .function import final
from .saved import SavedNetwork
from .wired import Passed, Wired


@dataclass(frozen=True)
class _Pulled(Loss):
    """``sum_i z_i y_i``: its derivative by z is the target y, here the gradient that comes from PyTorch."""

    registered_name: ClassVar[str] = "pulled"
    ground_truth = "example_value"
    body = """
        loss = sum(double(z) * double(target))
        dz = target
        """


class NetworkModule(SavedNetwork):
    """See :func:`as_module`.

    Attributes:
        compiled: the compiled network; it has the parameters of the last forward pass, or after :meth:`sync` today's.
        weights, delays: parameters ``[synapse]`` by connection name, in the order of ``compiled.synapses``.
        norms: parameters ``[neuron]``, ``<population>_batch_norm_scale`` and ``..._shift``.
        wired: the connections, in order of creation: ``topology`` has the ends and delays of each one's synapses.
        step: forward passes in training mode so far, for dropout's random numbers.
    """

    def __init__(self, network: Network, compiler: Compiler, *, learn_delays: bool = False, dale: bool = False) -> None:
        super().__init__()
        options = {"learn_delays": check_switch("learn_delays", learn_delays), "dale": check_switch("dale", dale)}
        self._made = network, compiler, options
        self.compiled = _compile(network, compiler, learn_delays)
        self.plan = self.compiled.plan
        self.weights, self.delays, self.norms = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        self.step, self._progress = 0, Progress(0, 1, 0, 1)
        self._current: tuple[_Run, int] | None = None
        self._kept: set[int] = set()
        for named in (self.plan.connections, self.plan.populations):
            names: dict[str, str] = {}
            for one in named:
                if names.setdefault(_key(one.name), one.name) != one.name:
                    other = names[_key(one.name)]
                    raise InvalidValueError(
                        f"{other!r} and {one.name!r} would be one parameter {_key(one.name)!r}: rename one of them"
                    )
        self._threads = threads_of(getattr(compiler.backend, "num_threads", None))
        self.wired = [self._wire(c, dale) for c in self.plan.connections]
        for p, values in zip(self.plan.populations, self.compiled.populations, strict=True):
            for name, array in values.values.items():
                tensor = torch.from_numpy(array.copy())
                if name in ("batch_norm_mean", "batch_norm_var"):
                    self.register_buffer(f"{_key(p.name)}_{name}", tensor)
                else:
                    self.norms[f"{_key(p.name)}_{name}"] = nn.Parameter(tensor)

    def _wire(self, c: Any, dale: bool) -> Wired:
        """A connection, with its parameters."""
        state, key = self.compiled.engine.state(c.index), _key(c.name)
        wired = Wired(
            c, self.compiled.network.connections[c.index], state.synapses, key,
            self.weights, self.delays, self._buffers,
            training_seed=self.plan.training_seed, threads=self._threads, dale=dale,
            tells=isinstance(self.compiled.engine, TellsGradients),
        )  # fmt: skip
        self._non_persistent_buffers_set.add(wired.mark_name)  # the state has it with the synapses
        weight = state.synapses.weight.astype(np.float32)
        if dale:
            weight = np.copysign(weight, wired.source_signs()[state.synapses.pre])
        self.weights[key] = nn.Parameter(torch.from_numpy(weight))
        if c.real_delays:
            self.delays[key] = nn.Parameter(torch.from_numpy(state.position.astype(np.float32)))
        return wired

    @property
    def _turns(self) -> Turns:
        """Those of the compiled network: threads, of which an engine serves one at a time, take them."""
        return self.compiled._turns  # type: ignore[no-any-return]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @in_turn
    def forward(self, *inputs: Any) -> Any:
        """The readouts' z.

        Args:
            inputs: float32 ``[time, batch, neuron]`` of every input population, in order of creation.

        Returns:
            ``[batch, neuron]``; a tuple of these where there are several outputs, in order of creation.

        Raises:
            InvalidValueError: an input does not fit, or asks for a gradient that the backend does not compute; or the
                network was closed.
        """
        self.compiled._check_open()
        inputs = tuple(_single(x) for x in inputs)
        data, count = self._data(inputs)
        self._check_values()
        widths = {c.index: c.kernel.width(c.max_delay, self._progress) for c in self.plan.connections if c.kernel}
        for wired in self.wired:
            wired.begin(training=self.training, width=widths.get(wired.index))
        if any(x.requires_grad for x in inputs) and torch.is_grad_enabled():
            self._keep_gradients({c.target for c in self.plan.connections if c.source in data})
        learns = self.training or (torch.is_grad_enabled() and not self._evaluates_otherwise())
        run = _Run(self, data, count, Pass(learns, self.step, widths))
        self.step += int(self.training)
        outputs = _Computed.apply(run, len(inputs), *inputs, *self._values().values())
        if self.training:
            self._average(count)
        return outputs[0] if len(outputs) == 1 else outputs

    def shrink(self, epoch: int, num_epochs: int) -> None:
        """Let delay kernels have the width of this epoch, from 0, of so many."""
        total = check_count("num_epochs", num_epochs)
        self._progress = Progress(check_count("epoch", epoch, 0, total - 1), total, 0, 1)

    def _rules(self, rewiring: Mapping[Any, Any]) -> dict[int, RewiringRule]:
        """Rewiring rules by index of the connection, of a dict as ``compiler.compile`` takes it."""
        found = {}
        for c, said in by_connection(self.compiled.network, "rewiring", rewiring).items():
            rule = as_rewiring(f"connection {c.name!r}", said[-1])
            if rule is not None:
                found[c.index] = rule
        return found

    @in_turn
    def sync(self) -> None:
        """Give the compiled network today's parameters, to evaluate, analyse or save it."""
        self.compiled._check_open()
        self._write([p.detach() for p in self._values().values()], [wired.topology for wired in self.wired])

    def close(self) -> None:
        """End the network's threads; it cannot be used any more."""
        self.compiled.__exit__(None, None, None)

    def _check_values(self) -> None:
        """Raise an error if parameters are not finite, or if the pass cannot be what it repeats."""
        for name, value in self._values().items():
            if not bool(torch.isfinite(value.detach()).all()):
                raise InvalidValueError(f"{name} of the module of a network must be finite, and has NaN or infinity")
        within_backward = torch._C._current_graph_task_id() != -1
        if within_backward and self.training and any(p.dropout for p in self.plan.populations):
            raise InvalidValueError(
                "the module of a network cannot be recomputed in the backward pass (torch.utils.checkpoint) where it "
                "has dropout, which would draw other random numbers: leave the checkpoint out"
            )

    def _values(self) -> dict[str, Any]:
        """The numbers that it computes with, by name: parameters, or what a parametrization computes of them."""
        groups = {"weights": self.weights, "delays": self.delays, "norms": self.norms}
        found = {f"{name}.{key}": group[key] for name, group in groups.items() for key in group}
        names: dict[int, str] = {}
        for name, value in found.items():
            if (other := names.setdefault(id(value), name)) != name:
                raise InvalidValueError(f"{other} and {name} are one parameter; each belongs to its own synapses")
        return found

    def _keep_gradients(self, populations: Iterable[int]) -> None:
        """Let the engine keep the gradients of these populations' input currents from the next forward pass on."""
        engine = self.compiled.engine
        assert isinstance(engine, TellsGradients)
        for index in sorted(set(populations) - self._kept):
            engine.keep_gradient(index)
            self._kept.add(index)

    def _evaluates_otherwise(self) -> bool:
        """True if evaluation computes something else than training does."""
        plan = self.plan
        return any(p.batch_norm or p.dropout for p in plan.populations) or any(c.kernel for c in plan.connections)

    def _data(self, inputs: tuple[Any, ...]) -> tuple[dict[int, InputData], int]:
        network, plan = self.compiled.network, self.plan
        if len(inputs) != len(network.inputs):
            names = ", ".join(repr(p.name) for p in network.inputs)
            raise InvalidValueError(f"the network has {len(network.inputs)} inputs ({names}), got {len(inputs)}")
        arrays = {}
        for population, x in zip(network.inputs, inputs, strict=True):
            what, shape = f"input {population.name!r}", f"[{plan.time_steps}, batch, {population.size}]"
            if not isinstance(x, torch.Tensor) or x.device.type != "cpu" or x.dtype != torch.float32:
                got = f"{x.dtype} on {x.device}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
                raise InvalidValueError(f"{what} must be a torch.float32 tensor {shape} on the CPU, got {got}")
            if x.ndim != 3 or x.shape[0] != plan.time_steps or x.shape[2] != population.size:
                raise InvalidValueError(f"{what} must have shape {shape}, got {tuple(x.shape)}")
            if not 1 <= x.shape[1] <= plan.batch_size:
                raise InvalidValueError(
                    f"{what} must have 1 to {plan.batch_size} examples, the compiler's batch_size, got {x.shape[1]}"
                )
            asks = x.requires_grad and torch.is_grad_enabled()
            if asks and not isinstance(self.compiled.engine, TellsGradients):
                raise InvalidValueError(
                    f"{what} asks for a gradient, which backend {self._made[1].backend.name!r} does not compute: call "
                    ".detach() on it, use backend 'cpu', or build what follows it out of SparseDelayed layers"
                )
            arrays[population] = np.ascontiguousarray(x.detach().transpose(0, 1).numpy())
        found, count = inputs_of(network, arrays, plan.time_steps, self.compiled.dt)
        examples = np.arange(count)
        return {index: data.part(examples) for index, data in found.items()}, count  # type: ignore[union-attr]

    def _write(self, parameters: list[Any], topologies: list[Topology]) -> None:
        """Give the engine parameters, in their order in the module, and the synapses that they belong to."""
        engine, given = self.compiled.engine, iter(p.numpy() for p in parameters)
        weights, positions = [next(given) for _ in self.weights], [next(given) for _ in self.delays]
        real = iter(positions)
        for c, own, weight in zip(self.plan.connections, topologies, weights, strict=True):
            state = engine.state(c.index)
            state.values |= {name: getattr(own, name) for name in ("pre", "post", "delay")}
            state.values["weight"] = weight
            if c.real_delays:
                state.position = np.clip(next(real), c.min_delay, c.max_delay)
                state.values["delay"] = np.rint(state.position).astype(np.uint16)
            engine.set_state(c.index, state)
        normed = dict(zip(self.norms, given, strict=True)) | {n: b.numpy() for n, b in self.named_buffers()}
        for p, state in zip(self.plan.populations, self.compiled.populations, strict=True):
            if state.values:
                state.values = {name: normed[f"{_key(p.name)}_{name}"].copy() for name in state.values}
                engine.set_values(p.index, state.values)

    def _input_gradients(self, run: _Run, needed: Sequence[bool], parameters: list[Any]) -> list[Any]:
        """Those of the inputs that need one, in order of creation, ``[time, batch, neuron]``."""
        if not any(needed):
            return [None] * len(needed)
        passed, found = run.passed(), []
        values = dict(zip(self._values(), parameters, strict=True))
        for population, wanted in zip(self.compiled.network.inputs, needed, strict=True):
            total: Any = None
            for wired in (self.wired[k] for k in self.plan.populations[population.index].outgoing) if wanted else ():
                position = values.get(f"delays.{wired.key}")
                e = wired.backgather(
                    passed.g(wired.plan.target),
                    run.topologies[wired.index],
                    values[f"weights.{wired.key}"].numpy(),
                    None if position is None else position.numpy(),
                    run.how.widths.get(wired.index),
                )
                total = e if total is None else total + e
            found.append(None if total is None else torch.from_numpy(total.astype(np.float32)).permute(1, 2, 0))
        return found

    def _gradients(self) -> list[Any]:
        """Those of all parameters, in their order in the module."""
        engine, plan = self.compiled.engine, self.plan
        found = [engine.gradient(c.index) for c in plan.connections]
        found += [engine.gradient(c.index, "delay") for c in plan.connections if c.real_delays]
        norms: dict[str, Any] = {}
        for p in plan.populations:
            if p.batch_norm is not None:
                norms |= {f"{_key(p.name)}_{name}": g for name, g in engine.population_gradients(p.index).items()}
        return [torch.from_numpy(g) for g in [*found, *(norms[name] for name in self.norms)]]

    def _average(self, lanes: int) -> None:
        """Let the batch enter batch norms' running averages, the module's buffers."""
        for p, state in zip(self.plan.populations, self.compiled.populations, strict=True):
            if p.batch_norm is not None:
                state.average(p, *self.compiled.engine.batch_statistics(p.index), lanes * self.plan.time_steps)
                for name in ("batch_norm_mean", "batch_norm_var"):
                    self.get_buffer(f"{_key(p.name)}_{name}").copy_(torch.from_numpy(state.values[name]))


class _Run:
    """A forward pass, which the backward pass may have to repeat: an engine keeps the activity of the last one only."""

    def __init__(self, module: NetworkModule, data: dict[int, InputData], count: int, how: Pass) -> None:
        self.module, self.data, self.how = module, data, how
        self._turns = module._turns
        self.topologies = [wired.topology for wired in module.wired]
        self.examples = np.arange(count, dtype=np.int64)

    def forward(self, parameters: list[Any]) -> tuple[Any, ...]:
        module = self.module
        module._write(parameters, self.topologies)
        engine = module.compiled.engine
        engine.load(self.data, self.examples)
        engine.forward(self.how)
        module._current = self, module.compiled.num_loaded
        return tuple(torch.from_numpy(engine.output(p.index)) for p in module.plan.outputs)

    def passed(self, again: Callable[[], None] | None = None) -> Passed:
        """The activity of this pass, after :meth:`backward` and until the next pass."""
        engine = self.module.compiled.engine
        assert isinstance(engine, TellsGradients)
        return Passed(engine, self.module.plan, self.data, self.module._threads, self._there(), again)

    def _there(self) -> Callable[[], bool]:
        """True from it as long as the compiled network has computed nothing of its own."""
        compiled, number = self.module.compiled, self.module.compiled.num_loaded
        return lambda: compiled.num_loaded == number

    @in_turn
    def backward(self, gradients: tuple[Any, ...], parameters: list[Any], inputs: Sequence[bool]) -> list[Any]:
        """Gradients of the inputs that need one, and of all parameters."""
        module = self.module
        module.compiled._check_open()
        if not self.how.training:
            raise InvalidValueError(
                "this forward pass was in evaluation mode, where batch norm's averages, dropout and delay kernels are "
                "others, and has no gradients: call module.train() before it, or torch.no_grad() around it"
            )
        if module._current != (self, module.compiled.num_loaded):  # another pass was computed since, here or by predict
            self.forward(parameters)
        self._back(gradients)
        if module.training and isinstance(module.compiled.engine, TellsGradients):
            self._remember(gradients, parameters)
        return [*module._input_gradients(self, inputs, parameters), *module._gradients()]

    def _back(self, gradients: tuple[Any, ...]) -> None:
        """The backward pass of the engine, which spoils what it reads."""
        module = self.module
        module._current = None
        outputs = zip(module.plan.outputs, gradients, strict=True)
        module.compiled.engine.loss({p.index: np.ascontiguousarray(g.numpy()) for p, g in outputs})
        module.compiled.engine.backward()

    def _remember(self, gradients: tuple[Any, ...], parameters: list[Any]) -> None:
        """Let connections know of this pass, by which synapses may grow. Gradients of input currents are kept from the
        first time on that one does; that time the passes are repeated, with the parameters that they had."""
        module, again = self.module, None
        every = {p.index for p in module.plan.populations if p.model is not None}
        if every - module._kept:
            then = [p.clone() for p in parameters]

            def again() -> None:
                module._keep_gradients(every)
                self.forward(then)
                self._back(gradients)

        passed = self.passed(again)
        for wired in module.wired:
            wired.finish(passed)


class _Computed(torch.autograd.Function):  # type: ignore[misc]
    """From the inputs and all parameters of a module to the readouts' z."""

    @staticmethod
    def forward(ctx: Any, run: _Run, num_inputs: int, *tensors: Any) -> Any:
        ctx.run, ctx.num_inputs = run, num_inputs
        parameters = tensors[num_inputs:]  # inputs were copied
        ctx.save_for_backward(*parameters)
        return run.forward([p.detach() for p in parameters])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inputs = ctx.needs_input_grad[2 : 2 + ctx.num_inputs]
        with torch.no_grad():
            given = [g.detach() for g in gradients]
            found = ctx.run.backward(given, [p.detach() for p in ctx.saved_tensors], inputs)
        if torch.is_grad_enabled():
            found = final("the module of a network", "cpu", *found)
        return None, None, *found


def as_module(network: Network, compiler: Compiler, *, learn_delays: bool = False, dale: bool = False) -> NetworkModule:
    """A whole network as one PyTorch module: its synapses' weights and delays and its batch norms are parameters.

    It runs on the compiler's backend; gradients are those of its backward pass, by a surrogate or by EventProp. On
    backends ``cpu`` and ``reference`` they go on to the input: ``dL/dx[j, t] = sum_k w_k g[post_k, t + d_k]`` over the
    synapses k of input neuron j, with g that of the input current; a spike of a ``SpikeInput`` counts as the number 1.
    The loss is PyTorch's, so the compiler's own `losses` are not used. :func:`~genn_delays.torch.rewire` moves
    synapses, and ``state_dict`` has them with the parameters.

    Args:
        network: with a readout.
        compiler: such as ``SurrogateCompiler(example_timesteps=80, batch_size=256)``.
        learn_delays: let delays be parameters of all connections; else of those with a delay kernel.
        dale: Dale's law: weights have the sign of their source neuron, for rewiring rules with ``dale=True``.

    Raises:
        InvalidValueError: the network or the compiler does not fit.
    """
    return NetworkModule(network, compiler, learn_delays=learn_delays, dale=dale)


def _compile(network: Network, compiler: Compiler, learn_delays: bool) -> Any:
    """The network, compiled with a loss that hands PyTorch's gradient through."""
    if not isinstance(network, Network) or not isinstance(compiler, Compiler):
        raise InvalidValueError(
            f"as_module needs a Network and a compiler such as SurrogateCompiler(...), got {shown(network)} and "
            f"{shown(compiler)}"
        )
    for name, value in (
        ("reg_strength_upper or _lower", compiler.regularisation),
        ("clip_norm", compiler.clip_norm),
        ("communicator", getattr(compiler, "communicator", None)),
    ):
        if value is not None:
            raise InvalidValueError(f"as_module: {name} of the compiler acts in its own training; leave it to PyTorch")
    for p in network.outputs:
        if p.neuron.readout == "first_spike_time":
            raise InvalidValueError(f"as_module: readout 'first_spike_time' of population {p.name!r} is not supported")
    own = copy.copy(compiler)
    own.output_losses = lambda network: {p.index: _Pulled() for p in network.outputs}  # type: ignore[method-assign]
    planned = own.plan
    own.plan = lambda network, **given: _telling(planned(network, **given))  # type: ignore[method-assign]
    learned = {"weight": SGD(0.1)} | ({"delay": SGD(0.1)} if learn_delays else {})
    return own.compile(
        network, optimisers={"all_connections": learned, "all_populations": {"batch_norm": SGD(0.1)}}
    )  # fmt: skip


def _single(x: Any) -> Any:
    """Under autocast a real-valued input in single precision, as it is computed."""
    cast = isinstance(x, torch.Tensor) and torch.is_autocast_enabled("cpu") and x.is_floating_point()
    return x.float() if cast and x.dtype != torch.float64 else x


def _telling(plan: Plan) -> Plan:
    """A plan that tells the gradients of input currents, by which synapses grow and which go on to the input."""
    return replace(plan, populations=tuple(replace(p, tells_gradient=p.model is not None) for p in plan.populations))


def _key(name: str) -> str:
    """A name that PyTorch takes for a parameter."""
    return name.replace(".", "_")
