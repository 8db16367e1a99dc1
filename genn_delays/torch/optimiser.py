"""Adam with a count of steps for every number of a parameter, for synapses that are born at different times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..errors import InvalidValueError, check_real


class Adam(torch.optim.Optimizer):  # type: ignore[misc]
    """Adam (Kingma & Ba 2015, arXiv 1412.6980) whose bias correction knows how old each synapse is.

    PyTorch's own counts steps once for a whole tensor: a synapse that :func:`~genn_delays.torch.rewire` has grown, with
    moments of zero, is then taken for an old one. With the usual betas its first steps would be a quarter too short
    early in training and in the end ``(1 - beta1) / sqrt(1 - beta2)`` = 3.2 times too long; `rewire` puts them right
    afterwards. Here the count is a state of each synapse, zero at birth, as in this library's own training, and nothing
    has to be put right. Both take 4 more bytes a synapse and compute the same, to rounding.

    Args:
        params: as every PyTorch optimiser takes them, groups included.
        lr: learning rate, at least 0.
        betas: decay of the two moments, each in [0, 1).
        eps: added to the root of the second moment.

    Raises:
        InvalidValueError: a number is out of its range.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise InvalidValueError(f"Adam betas must be two numbers in [0, 1), got {betas!r}")
        found = tuple(check_real("Adam betas", b, 0.0, 1.0, open_high=True) for b in betas)
        super().__init__(
            params, {"lr": check_real("Adam lr", lr, 0.0), "betas": found, "eps": check_real("Adam eps", eps, 0.0)}
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> Any:
        """One step; returns the loss of `closure` if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                s = self.state[p]
                if not s:
                    s |= {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq", "steps")}
                s["steps"] += 1
                s["exp_avg"].lerp_(p.grad, 1 - beta1)
                s["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                root = (s["exp_avg_sq"] / (1 - beta2 ** s["steps"])).sqrt_().add_(eps)
                p.addcdiv_(s["exp_avg"] / (1 - beta1 ** s["steps"]), root, value=-lr)
        return loss
