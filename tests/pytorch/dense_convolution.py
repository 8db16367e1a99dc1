"""The same synapses as PyTorch's own dense convolution over delays, in double precision."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import conv1d, pad


def dense_convolution(layer: Any, x: Any, weight: Any, position: Any) -> Any:
    """``[time, batch, in] -> [time, batch, out]`` by a kernel ``[out, in, lag]``.

    Args:
        weight, position: float64 ``[synapse]``, of which the kernel is made; a position is a lag where the layer has no
            delay kernel or evaluates, and is spread over lags by the delay kernel's formula otherwise, a Gaussian over
            those within five widths.
    """
    lags = torch.arange(layer.max_delay + 1, dtype=torch.float64)
    away = lags - position[:, None]
    if layer.delay_kernel is None or not layer.training:
        share = (away.detach().abs() <= 0.5).double()
    elif layer.delay_kernel.registered_name == "gaussian":
        share = torch.exp(-0.5 * (away / layer.width) ** 2) * (away.detach().abs() <= 5 * layer.width)
    else:
        share = torch.relu(layer.width - away.abs())
    share = share / share.sum(1, keepdim=True)
    pre, post = (torch.tensor(a, dtype=torch.int64) for a in (layer.topology.pre, layer.topology.post))
    kernel = torch.zeros(layer.out_features, layer.in_features, lags.numel(), dtype=torch.float64)
    kernel = kernel.index_put((post, pre), weight[:, None] * share, accumulate=True)
    padded = pad(x.permute(1, 2, 0), (layer.max_delay, 0))
    return conv1d(padded, kernel.flip(2)).permute(2, 0, 1)
