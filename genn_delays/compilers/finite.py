"""Whether what a network carries from step to step still consists of numbers.

A weight that is no number sends nothing once its source is silent, and a membrane that is none never reaches its
threshold: losses may then look like those of guessing. So it is looked at what is learned, not at losses alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import TrainingError

if TYPE_CHECKING:
    from ..backends.protocol import Engine
    from .plan import Plan
    from .populations import PopulationState

PIECE = 1 << 20
"""Numbers looked at at once: memory beside an array stays small."""


def not_finite(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """In words the first of a state's arrays, by name, that holds infinity or what is not a number; else None."""
    return next((words(name) for name, array in arrays.items() if not _finite(array)), None)


def _finite(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind != "f":
        return True
    flat = array.reshape(-1)
    return all(bool(np.isfinite(flat[first : first + PIECE]).all()) for first in range(0, flat.size, PIECE))


_WORDS = {"weight": "a weight", "position": "a delay", "": "a weight", "delay": "a delay"}


def words(name: str) -> str:
    """``weight`` is a weight, ``moment0`` an optimiser's moment of a weight, ``delay_moment1`` one of a delay."""
    owner, moment, _ = name.partition("moment")
    if moment:
        owner = owner.rstrip("_.")
        return f"an optimiser's moment of {_WORDS.get(owner, owner)}"
    return _WORDS.get(name, name)


def learned_fault(plan: Plan, engine: Engine, populations: list[PopulationState]) -> str:
    """The first of what is learned, or averaged by batch norm, that is no finite number: what it is, and whose."""
    for c in plan.connections:
        if c.learned and (what := not_finite(engine.state(c.index).arrays())):
            return f"{what} of connection {c.name!r}"
    return population_fault(plan, populations)


def population_fault(plan: Plan, populations: list[PopulationState]) -> str:
    """The same of populations alone."""
    for p, state in zip(plan.populations, populations, strict=True):
        if what := not_finite(state.tensors()):
            return f"{what} of population {p.name!r}"
    return ""


def state_fault(plan: Plan, engine: Engine) -> str:
    """The first population of which a state variable was no finite number since an engine was last asked."""
    found = engine.not_finite()
    return f"a state variable of population {plan.populations[found[0]].name!r}" if found else ""


def refuse(when: str, *faults: str) -> None:
    """Raise a TrainingError that names the faults; none for none."""
    named = " and ".join(filter(None, faults))
    if named:
        are = "are no finite numbers" if len(list(filter(None, faults))) > 1 else "is no finite number"
        raise TrainingError(
            f"{named} {are} {when}: weights, gradients or inputs are too large; a lower learning rate, clip_norm or "
            "smaller initial weights may help"
        )
