"""Rewiring of layers after an optimiser's step: the rules of this library on PyTorch's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..errors import GennDelaysWarning, InvalidValueError, asked, check_count, shown
from ..learning.schedules import Progress
from ..random import Purpose, normal_quantile, philox
from ..rewiring import RewiringRule
from .chosen import Rewirable, chosen
from .growth import grown, slots_of
from .layer import on_host
from .newborn import BIRTH, Holder, bear, correct, prepare


def rewire(
    module: Any, rule: RewiringRule | str | Mapping[Any, Any], optimizer: Any, *, total_steps: int | None = None
) -> int:  # fmt: skip
    """Drop synapses by a rule and grow as many elsewhere. Call it after every ``optimizer.step()``.

    Weights, delays and everything that the optimiser keeps of each synapse go with their synapse; a newborn one begins
    with a weight of 1e-12 and an optimiser's state of zero. PyTorch's Adam, AdamW and Adamax count steps once for all
    synapses, newborn ones included, whose steps would be too long: after each step they get that of an optimiser as
    young as they are, by the learning rate that the optimiser has now (so let schedulers step after it). NAdam and
    RAdam are left as they are.

    Rules that keep signs (DEEP R) do so here: a weight whose sign the step has changed is set to zero. Their `l1` is
    added to the gradient in the optimiser's step that follows (``layer.l1``), or acts here, if ``decoupled_l1``.

    Args:
        module: a :class:`SparseDelayed` layer, the module of a network (:func:`as_module`), or a module with such ones.
        rule: a rule or its name: ``DeepR(l1=1e-4)``, ``"rigl"``, ``SET(interval=10)``. For the module of a network also
            a dict of them by connection, as ``compiler.compile(..., rewiring=...)`` takes it.
        optimizer: that holds the layers' parameters, or a list of those that do together.
        total_steps: of the whole training, for rules that replace fewer and fewer synapses, as RigL does.

    Returns:
        The number of synapses that were replaced.

    Raises:
        InvalidValueError: the optimiser does not hold the parameters, or the rule does not fit.
    """
    layers, rules = chosen(module, rule)
    optimizers = list(optimizer) if isinstance(optimizer, Sequence) else [optimizer]
    for o in optimizers:
        if not isinstance(o, torch.optim.Optimizer):
            raise InvalidValueError(f"rewire needs the optimizer that was stepped, got {shown(o)}")
    held = [_held(layer, optimizers) for layer in layers]
    total = None if total_steps is None else check_count("total_steps", total_steps)
    for layer, own in zip(layers, rules, strict=True):
        _check(layer, own, total)
    with torch.no_grad():
        each = zip(layers, rules, held, strict=True)
        return sum(_rewire(layer, own, found, total) for layer, own, found in each)


Held = dict[Any, Holder]
"""By parameter its optimiser."""


def _held(layer: Rewirable, optimizers: list[Any]) -> Held:
    """The optimisers of a layer's parameters, with a state that can go with synapses."""
    found: Held = {}
    for name, parameter in (("weight", layer.weight), ("delay", layer.delay)):
        if parameter is None or (name == "delay" and not parameter.requires_grad):
            continue
        if not isinstance(parameter, torch.nn.Parameter):
            raise InvalidValueError(
                f"rewire: the {name} of {layer.named} is computed from other parameters (by weight_norm, pruning "
                "or the like), which cannot go with synapses that move; end that first"
            )
        if not parameter.requires_grad:
            raise InvalidValueError(f"rewire: the weights of {layer.named} are frozen (requires_grad is False)")
        for o in optimizers:
            for group in o.param_groups:
                if any(p is parameter for p in group["params"]):
                    found[parameter] = Holder(o, group)
        if parameter not in found:
            kinds = ", ".join(type(o).__name__ for o in optimizers)
            raise InvalidValueError(
                f"rewire: the optimizer ({kinds}) does not hold the {name} of {layer.named}; give the one that was "
                "made with module.parameters()"
            )
        _state(found[parameter].optimizer, parameter)
    return found


def _state(optimizer: Any, parameter: Any) -> dict[str, Any]:
    """The tensors that an optimiser keeps of a parameter, one number a synapse each, by name."""
    if isinstance(optimizer, torch.optim.LBFGS):  # what it keeps is there after its first step only
        raise InvalidValueError("rewire: LBFGS keeps gradients that cannot go with synapses; use SGD, Adam or AdamW")
    found = {}
    for name, value in optimizer.state.get(parameter, {}).items():
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
            found[name] = value
        elif not (value is None or isinstance(value, (int, float)) or getattr(value, "numel", int)() == 1):
            raise InvalidValueError(
                f"rewire: {type(optimizer).__name__} keeps {name!r}, which is not one number a synapse and cannot go "
                "with synapses that move; use an optimiser such as SGD, Adam or AdamW"
            )
    return found


def _check(layer: Rewirable, rule: RewiringRule, total: int | None) -> None:
    """Raise an error if the rule does not fit a layer."""
    if rule.signed and rule.dale != layer.dale:
        raise InvalidValueError(
            f"rewire: the {layer.kind} has dale={layer.dale}, {type(rule).__name__} has dale={rule.dale}; they must "
            f"agree: {type(rule).__name__}(dale={layer.dale}), or {layer.maker}(..., dale={rule.dale})"
        )
    pairs = layer.in_features * layer.out_features * layer.connectivity.synapses_per_pair()
    if layer.topology.size >= pairs:
        raise InvalidValueError(f"rewire: all {pairs} pairs have a synapse; make {layer.named} with a sparsity above 0")
    if "age" in rule.drop_body().reads():
        raise InvalidValueError(f"rewire: {rule} reads the age of synapses, which {layer.maker} does not keep")
    ends = [rule.num_dropped(layer.topology.size, Progress(0, 1, batch, 1000)) for batch in (0, 999)]
    if total is None and ends[0] != ends[1]:
        raise InvalidValueError(
            f"rewire: {type(rule).__name__} replaces fewer synapses the longer it trains; give total_steps=, the steps "
            f"of the whole training: rewire(module, {type(rule).__name__}(), optimizer, total_steps=...)"
        )
    if total is not None and layer.steps >= total:
        raise InvalidValueError(
            f"rewire was called {layer.steps} times already, as often as total_steps = {total}: give the steps of the "
            "longer training, or do not call it any more"
        )
    if rule.uses_gradient and not layer._recent:
        raise InvalidValueError(
            f"rewire: {type(rule).__name__} grows by the gradient of the last backward pass, and there was none in "
            "training mode; call it after loss.backward() and optimizer.step()"
        )
    if rule.signed:  # it acts after every step, and waits for a GPU anyway
        layer.check_passes()


def _rewire(layer: Rewirable, rule: RewiringRule, held: Held, total: int | None) -> int:
    _warn_of_order(layer)
    step, layer.steps = layer.steps, layer.steps + 1
    for parameter, holder in held.items():
        correct(parameter, holder)
    layer.l1 = rule.l1 if rule.signed and not rule.decoupled_l1 else 0.0
    if rule.signed:
        _keep_signs(layer, rule, held, step)  # on the host, as is all that follows
    progress = Progress(0, 1, 0, 1) if total is None else Progress(0, 1, step, total)
    if not asked(f"due of {rule}", rule.due, step, progress):
        return 0
    layer.check_passes()
    what = f"num_dropped of {rule}"
    size = layer.topology.size
    count = check_count(what, asked(what, rule.num_dropped, size, progress), 0, size)
    moments: list[Any] = []
    if rule.num_moments():
        kept = _state(held[layer.weight].optimizer, layer.weight)
        moments = [on_host(tensor) for name, tensor in kept.items() if name != BIRTH]
        if len(moments) < rule.num_moments():
            raise InvalidValueError(f"rewire: {rule} reads {rule.num_moments()} moments, the optimizer has fewer")
    living = ~rule.dropped(on_host(layer.weight), count, None, moments)
    dropped = size - int(living.sum())
    if dropped:
        _replace(layer, living, rule, held, step)
    return dropped


def _warn_of_order(layer: Rewirable) -> None:
    """Say so if no optimiser has moved the weights since the last forward pass in training mode."""
    before, layer._before_step = layer._before_step, None
    if before is None or layer.weight._version != before[0]:
        return
    if torch.equal(layer.weight.detach()[: before[1].numel()], before[1]):  # some optimisers count no versions
        warnings.warn(
            "rewire was called before optimizer.step(): the weights are those of the last forward pass. Call it after "
            "the step, else signs are not kept (a step that a GradScaler left out does no harm)",
            GennDelaysWarning,
            stacklevel=4,
        )


def _keep_signs(layer: Rewirable, rule: RewiringRule, held: Held, step: int) -> None:
    """``weight = sign max(theta, 0)`` with the signs that weights had before the step, L1 and noise of the rule."""
    weight = on_host(layer.weight)
    sign = np.where(on_host(layer._negative), -1.0, 1.0).astype(weight.dtype)
    rate = held[layer.weight].rate
    theta = weight * sign
    if rule.l1 and rule.decoupled_l1:
        theta -= rate * rule.l1
    if noise := rule.noise(rate):
        words = philox(layer.training_seed, Purpose.NOISE, layer.index, layer.topology.pre, layer.topology.post, step)
        own = words[layer.topology.delay & 3, np.arange(theta.size)]
        theta += (noise * normal_quantile(own)).astype(theta.dtype)
    np.copysign(np.maximum(theta, 0), sign, out=weight)
    if layer.weight.device.type != "cpu":  # what is there was a copy
        layer.weight.copy_(torch.from_numpy(weight))


def _replace(layer: Rewirable, living: Any, rule: RewiringRule, held: Held, step: int) -> None:
    """Put grown synapses in the place of dropped ones, everywhere at once."""
    topology = layer.topology
    slots = slots_of(layer, living)
    born = grown(layer, slots, rule, step, maximize=held[layer.weight].group.get("maximize", False))
    origin, place = slots.merged(living, born)
    ends = []
    for old, new in ((topology.pre, born.pre), (topology.post, born.post), (topology.delay, born.delay)):
        array = old[origin]
        array[place] = new
        ends.append(array)
    moved, where = torch.from_numpy(origin), torch.from_numpy(place)
    for parameter, value in ((layer.weight, born.weight), (layer.delay, born.delay.astype(np.float32))):
        if parameter is None:
            continue
        _move(parameter, moved, where, torch.from_numpy(value).to(parameter))
        kept = [] if parameter.grad is None else [parameter.grad]
        if parameter in held:
            prepare(parameter, held[parameter])
            kept += _state(held[parameter].optimizer, parameter).values()
        for tensor in kept:
            _move(tensor, moved, where, tensor.new_zeros(()))
        if parameter in held:
            bear(parameter, held[parameter], where)
    layer._set(*ends)
    layer._negative = torch.signbit(layer.weight.detach())


def _move(tensor: Any, origin: Any, born: Any, value: Any) -> None:
    """Numbers of synapses to their new places, and a value for newborn ones."""
    tensor.copy_(tensor[origin.to(tensor.device)])
    tensor[born.to(tensor.device)] = value
