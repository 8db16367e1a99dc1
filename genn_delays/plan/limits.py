"""The most spikes that a user allows a neuron in an example."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..errors import TrainingError
from .plan import PopulationPlan


def check_spikes(p: PopulationPlan, most: npt.NDArray[Any], limit: int) -> None:
    """Raise a TrainingError where a neuron spikes more often in an example than the user allows.

    Args:
        most: by neuron the most spikes in an example of the batch, ``[neuron]``.
    """
    if most.size:
        check_most(p, int(most.argmax()), int(most.max()), limit)


def check_most(p: PopulationPlan, neuron: int, count: int, limit: int) -> None:
    """The same, given the neuron that spikes most often, and how often it does."""
    if count > limit:
        raise TrainingError(
            f"population {p.name!r}: neuron {neuron} spikes {count} times in an example, max_spikes allows {limit}; "
            "weights or inputs are too large, or the limit is too low"
        )
