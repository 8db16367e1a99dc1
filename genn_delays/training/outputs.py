"""The losses of the output populations, each in the form for its population's readout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidValueError, asked, shown
from ..learning.losses import Loss
from ..learning.readouts import as_readout
from ..network import Network, Population
from .data import by_population


def output_losses(network: Network, losses: Loss | Mapping[Any, Loss], duration: float) -> dict[int, Loss]:
    """The loss of every output, by index of the population.

    Args:
        losses: one for all outputs, or a dict by output population (or its name).
        duration: of an example in ms.

    Raises:
        InvalidValueError: an output lacks its loss, or a loss does not fit the readout.
    """
    chosen = losses if isinstance(losses, Mapping) else dict.fromkeys(network.outputs, losses)
    found = by_population(network, "losses", chosen, network.outputs)
    return {p.index: _on_readout(p, loss, duration) for p, loss in found.items()}


def _on_readout(p: Population, loss: Loss, duration: float) -> Loss:
    readout = as_readout(p.neuron.readout).registered_name
    fitted = asked(f"on() of loss {loss!r}", loss.on, readout, duration)
    if fitted is not None and not isinstance(fitted, Loss):
        raise InvalidValueError(f"on() of loss {loss!r} must give a loss or None, got {shown(fitted)}")
    if fitted is None:
        fitting = ", ".join(repr(name) for name in loss.fitting()) or "none"
        raise InvalidValueError(
            f"loss {loss!r} does not fit readout {readout!r} of population {p.name!r}; it fits readouts: {fitting}"
        )
    if type(fitted) is not type(loss):
        type(fitted).check_definition()
        fitted.numbers()
    return fitted
