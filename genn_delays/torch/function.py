"""Sparse delayed synapses as an operation that PyTorch differentiates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch.amp import custom_bwd, custom_fwd

from ..delays import DelayKernel
from ..errors import InvalidValueError
from ..ops import Topology
from ..ops.arguments import Gradients
from .places import Lags, Place


class Recent(NamedTuple):
    """The activity of a backward pass, from which synapses that do not exist are scored.

    Attributes:
        x: of the sources, as the passes take it.
        g: the gradient of the input current, as the passes take it.
    """

    x: Any
    g: Any


@dataclass(frozen=True)
class Call:
    """The operation's arguments besides its tensors.

    Attributes:
        place: to compute on.
        topology: the synapses.
        kernel, width: the delay kernel, None where there is none or while evaluating.
        recent: gets the activity of the backward pass; None where nobody asks for it.
    """

    place: Place
    topology: Topology
    kernel: DelayKernel | None
    width: float | None
    recent: list[Recent] | None

    def lags(self, position: Any) -> Lags:
        """The arguments of the passes that concern lags."""
        return Lags(position, self.kernel, self.width)

    def correlate(self, x: Any, g: Any, weight: Any, position: Any) -> Gradients:
        """The gradients of synapses, as tensors."""
        return self.place.correlate(self.topology, x, g, weight, self.lags(position))


def _forward(ctx: Any, x: Any, weight: Any, position: Any, call: Call) -> Any:
    ctx.call = call
    ctx.source, own = call.place.source(x.permute(2, 0, 1))
    # what was copied cannot be changed any more; for the rest PyTorch keeps watch
    ctx.save_for_backward(x if own else None, weight, position)
    return _steps_first(call.place.gather(call.topology, ctx.source, weight, call.lags(position)))


def _backward(ctx: Any, gradient: Any) -> Any:
    _, weight, position = ctx.saved_tensors
    call, source, needs = ctx.call, ctx.source, ctx.needs_input_grad
    g = call.place.felt(gradient.permute(2, 0, 1))
    of_x = of_weight = of_position = None
    if needs[0]:
        of_x = call.place.backgather(call.topology, g, weight, call.lags(position)).permute(1, 2, 0)
    if needs[1] or needs[2]:
        of_weight, of_position = call.correlate(source, g, weight, position)
    if call.recent is not None:
        call.recent.append(Recent(source, g))
    return of_x, of_weight, of_position, None


def _steps_first(rows: Any) -> Any:
    """``[neuron, time, batch]`` as ``[time, batch, neuron]`` in the same memory, which is no view to PyTorch: views
    that a function returns cannot be changed in place."""
    view = rows.permute(1, 2, 0)
    own = torch.empty(0, dtype=rows.dtype, device=rows.device)
    return own.set_(rows.untyped_storage(), rows.storage_offset(), view.shape, view.stride())


class _Final(torch.autograd.Function):  # type: ignore[misc]
    """See :func:`final`."""

    @staticmethod
    def forward(ctx: Any, depends: Any, what: str, *gradients: Any) -> Any:
        ctx.what = what
        return tuple(g if g is None else g.view_as(g) for g in gradients)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise InvalidValueError(
            f"{ctx.what} has no gradients of gradients: leave the gradient penalty out, or compute it without its "
            "gradients"
        )


def final(what: str, device: Any, *gradients: Any) -> Any:
    """Gradients that depend on other tensors in a way that is not known here, so that theirs is an error.

    PyTorch's own ``once_differentiable`` lets them pass for constants where the gradient that came is one.
    """
    return _Final.apply(torch.empty(0, requires_grad=True, device=device), what, *gradients)


def _differentiable_once(ctx: Any, gradient: Any) -> Any:
    """The gradients, whose own gradients are an error where they have any."""
    with torch.no_grad():
        found = _backward(ctx, gradient)
    needs = ctx.needs_input_grad
    # each is linear in the gradient that came, and in the other inputs, though not in its own
    if torch.is_grad_enabled() and (gradient.requires_grad or needs[2] or (needs[0] and needs[1])):
        return *final("SparseDelayed", gradient.device, *found[:3]), None
    return found


@cache
def delayed(device_type: str) -> Any:
    """The operation on a type of device, whose autocast it leaves: ``[time, batch, in] -> [time, batch, out]``; the
    result lies in memory as ``[out, time, batch]``."""

    class Delayed(torch.autograd.Function):  # type: ignore[misc]
        """Under autocast in single precision."""

        forward = staticmethod(custom_fwd(_forward, device_type=device_type, cast_inputs=torch.float32))
        backward = staticmethod(custom_bwd(_differentiable_once, device_type=device_type))

    return Delayed
