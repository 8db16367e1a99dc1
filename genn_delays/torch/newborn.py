"""PyTorch's optimisers that count steps once for a whole tensor, put right for synapses that were born later.

Their moments are divided by ``1 - beta^t`` because they began at zero t steps ago. Those of a synapse that was grown
after step b began t - b steps ago. The step that was taken follows from the optimiser's state, and so does the right
one; :func:`correct` adds the difference. For that the optimiser's state keeps b of every synapse, so it is saved,
loaded and moved with the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

BIRTH = "synapse_birth"
"""In an optimiser's state: after how many of its steps each synapse was grown, 0 for those that it began with."""
CORRECTED = "synapse_corrected"
"""The step after which synapses were corrected last."""
_COUNTING = (torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax)


class Holder(NamedTuple):
    """The optimiser that holds a parameter, and the group of its parameters that has it.

    Attributes:
        optimizer: as it was stepped.
        group: its learning rate and other numbers.
    """

    optimizer: Any
    group: dict[str, Any]

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.group["lr"])


def correct(parameter: Any, holder: Holder) -> None:
    """Make the last step of grown synapses that of an optimiser of their own age; once after every step.

    Nothing happens to numbers of optimisers that keep no births.
    """
    state = holder.optimizer.state.get(parameter, {})
    if BIRTH not in state or state[CORRECTED] == _steps(state):
        return
    steps, birth = _steps(state), state[BIRTH]
    state[CORRECTED] = steps
    young = torch.nonzero(birth).flatten()
    own = _direction(state, holder.group, young, steps - birth[young].double())
    excess = _direction(state, holder.group, young, torch.tensor(steps, dtype=torch.float64)) - own
    parameter[young] += (holder.rate * excess).to(parameter.dtype)


def bear(parameter: Any, holder: Holder, where: Any) -> None:
    """Note which synapses are newborn, after all that is kept of every synapse was moved; see :func:`prepare`."""
    state = holder.optimizer.state.get(parameter, {})
    if BIRTH in state:
        state[BIRTH][where] = float(_steps(state))


def prepare(parameter: Any, holder: Holder) -> None:
    """Begin to keep births, where the optimiser is one of those that need them and has been stepped."""
    state = holder.optimizer.state.get(parameter, {})
    if type(holder.optimizer) in _COUNTING and state and BIRTH not in state:
        state[BIRTH] = torch.zeros_like(parameter)
        state[CORRECTED] = _steps(state)


def _steps(state: dict[str, Any]) -> int:
    return int(state["step"])


def _direction(state: dict[str, Any], group: dict[str, Any], which: Any, steps: Any) -> Any:
    """A step against the gradient for a learning rate of 1, of numbers that have had so many, by PyTorch."""
    beta1, beta2 = (float(beta) for beta in group["betas"])
    mean = state["exp_avg"][which].double() / (1 - beta1**steps)
    if "exp_inf" in state:  # Adamax
        return mean / state["exp_inf"][which].double()
    square = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"][which].double()
    return mean / ((square / (1 - beta2**steps)).sqrt() + float(group["eps"]))
