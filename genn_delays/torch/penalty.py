"""The L1 penalty of rewiring rules as a part of the optimiser's next step.

One hook, of all optimisers: a layer that was loaded or copied is stepped by an optimiser that no call has seen before.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ..errors import check_real

SAMPLE = 64
"""Weights that are looked at to tell whether an optimiser has moved them."""

_WAITING: WeakSet[Any] = WeakSet()
"""Layers that were given a penalty."""
_hooks: list[Any] = []  # one at most


class Penalised:
    """An owner of a parameter ``weight``, to whose gradient an optimiser's next step adds ``l1 sign(w)``, once."""

    _l1 = 0.0
    _before_step: tuple[int, Any] | None = None
    """At the last forward pass in training mode, the version of the weights and some of them."""

    def _remember(self) -> None:
        """Before a step: what the weights are, by which a missing step is noticed."""
        weight: Any = getattr(self, "weight")  # noqa: B009 - a parameter of a layer, a property of a connection
        self._before_step = weight._version, weight.detach()[:SAMPLE].clone()

    @property
    def l1(self) -> float:
        """The L1 penalty of the optimiser's next step, 0 after it."""
        return self._l1

    @l1.setter
    def l1(self, value: float) -> None:
        self._l1 = check_real("l1", value, 0.0)
        if self._l1:
            _WAITING.add(self)
            if not _hooks:
                _hooks.append(register_optimizer_step_pre_hook(_before_step))


def _before_step(optimizer: Any, args: Any, kwargs: Any) -> Any:
    due = [layer for layer in list(_WAITING) if layer.l1 and _holds(optimizer, layer.weight)]
    if not due:
        return None
    strengths = [layer.l1 for layer in due]
    for layer in due:
        layer.l1 = 0.0
        _WAITING.discard(layer)

    def add() -> None:
        with torch.no_grad():
            for layer, strength in zip(due, strengths, strict=True):
                if layer.weight.grad is not None:
                    strength *= _scale(optimizer, layer.weight)
                    layer.weight.grad.add_(layer.weight.detach().sign(), alpha=strength)

    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if closure is None:
        add()
        return None

    def penalised() -> Any:
        """A closure computes the gradient anew within the step."""
        loss = closure()
        add()
        return loss

    return ((args[0], penalised, *args[2:]), kwargs) if len(args) > 1 else (args, {**kwargs, "closure": penalised})


def _scale(optimizer: Any, parameter: Any) -> float:
    """The number by which gradients were multiplied: a GradScaler's, where the optimiser itself divides by it (fused
    ones do), and -1 where it goes up the gradient."""
    scale = getattr(optimizer, "grad_scale", None)
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    return (1.0 if scale is None else float(scale)) * (-1.0 if group.get("maximize", False) else 1.0)


def _holds(optimizer: Any, parameter: Any) -> bool:
    return any(p is parameter for group in optimizer.param_groups for p in group["params"])
