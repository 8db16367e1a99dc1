"""Sparse delayed synapses as an operation that PyTorch differentiates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.amp import custom_bwd, custom_fwd

from ..delays import DelayKernel
from ..errors import InvalidValueError
from ..ops import Activity, Topology, backgather, correlate, gather, reference
from ..ops.arguments import Gradients


class Recent(NamedTuple):
    """The activity of a backward pass, from which synapses that do not exist are scored.

    Attributes:
        x: of the sources, as the passes take it.
        g: the gradient of the input current, ``[out, time, batch]``.
    """

    x: Any
    g: Any


@dataclass(frozen=True)
class Call:
    """The operation's arguments besides its tensors.

    Attributes:
        topology: the synapses.
        kernel, width: the delay kernel, None where there is none or while evaluating.
        threads: to compute on.
        recent: gets the activity of the backward pass; None where nobody asks for it.
    """

    topology: Topology
    kernel: DelayKernel | None
    width: float | None
    threads: int
    recent: list[Recent] | None

    def spread(self, position: Any) -> dict[str, Any]:
        """The arguments of the passes that concern lags."""
        return {"position": position, "kernel": self.kernel, "width": self.width}

    def source(self, x: Any) -> Any:
        """Activity ``[in, time, batch]`` as the passes take it: in double precision they are the definition's."""
        return x if x.dtype == np.float64 else Activity(x, threads=self.threads)

    def gather(self, x: Any, weight: Any, position: Any) -> Any:
        if weight.dtype == np.float64:
            return reference.gather(self.topology, x, weight, **self.spread(position))
        return gather(self.topology, x, weight, threads=self.threads, **self.spread(position))

    def backgather(self, g: Any, weight: Any, position: Any) -> Any:
        if weight.dtype == np.float64:
            return reference.backgather(self.topology, g, weight, **self.spread(position))
        return backgather(self.topology, g, weight, threads=self.threads, **self.spread(position))

    def correlate(self, x: Any, g: Any, weight: Any, position: Any) -> Gradients:
        if weight.dtype == np.float64:
            return reference.correlate(self.topology, x, g, weight, **self.spread(position))
        return correlate(self.topology, x, g, weight, threads=self.threads, **self.spread(position))


def _rows(tensor: Any) -> Any:
    """``[time, batch, neuron]`` as ``[neuron, time, batch]``: the same memory where it lies so, else a copy."""
    return tensor.detach().permute(2, 0, 1).contiguous()


def _array(tensor: Any) -> Any:
    return None if tensor is None else tensor.detach().numpy()


def _steps_first(array: Any) -> Any:
    """``[neuron, time, batch]`` as a tensor ``[time, batch, neuron]`` in the same memory, which is no view to PyTorch:
    views that a function returns cannot be changed in place."""
    rows = torch.from_numpy(array)
    view = rows.permute(1, 2, 0)
    return torch.empty(0, dtype=rows.dtype, device="cpu").set_(rows.untyped_storage(), 0, view.shape, view.stride())


class _Final(torch.autograd.Function):  # type: ignore[misc]
    """Gradients that depend on other tensors in a way that is not known here, so that theirs is an error."""

    @staticmethod
    def forward(ctx: Any, depends: Any, *gradients: Any) -> Any:
        return tuple(g if g is None else g.view_as(g) for g in gradients)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise InvalidValueError(
            "SparseDelayed has no gradients of gradients: leave the gradient penalty out, or compute it without this "
            "layer's gradients"
        )


class Delayed(torch.autograd.Function):  # type: ignore[misc]
    """``[time, batch, in] -> [time, batch, out]``; the result lies in memory as ``[out, time, batch]``."""

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, x: Any, weight: Any, position: Any, call: Call) -> Any:
        rows = _rows(x)
        ctx.call, ctx.source = call, call.source(rows.numpy())
        # what was copied cannot be changed any more; for the rest PyTorch keeps watch
        ctx.save_for_backward(x if rows.data_ptr() == x.data_ptr() else None, weight, position)
        return _steps_first(call.gather(ctx.source, _array(weight), _array(position)))

    @staticmethod
    @custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Any) -> Any:
        with torch.no_grad():
            found = Delayed._gradients(ctx, gradient)
        needs = ctx.needs_input_grad
        # each is linear in the gradient that came, and in the other inputs, though not in its own
        if torch.is_grad_enabled() and (gradient.requires_grad or needs[2] or (needs[0] and needs[1])):
            found = _Final.apply(torch.empty(0, requires_grad=True), *found)
        return (*found, None)

    @staticmethod
    def _gradients(ctx: Any, gradient: Any) -> tuple[Any, Any, Any]:
        """Those of input, weights and positions, where they are asked for."""
        _, weight, position = ctx.saved_tensors
        call, source, needs = ctx.call, ctx.source, ctx.needs_input_grad
        g, weight, position = _rows(gradient).numpy(), _array(weight), _array(position)
        of_x = of_weight = of_position = None
        if needs[0]:
            of_x = torch.from_numpy(call.backgather(g, weight, position)).permute(1, 2, 0)
        if needs[1] or needs[2]:
            found = call.correlate(source, g, weight, position)
            of_weight = torch.from_numpy(found.weight)
            of_position = None if found.position is None else torch.from_numpy(found.position)
        if call.recent is not None:
            call.recent.append(Recent(source, g))
        return of_x, of_weight, of_position
