"""Checks that a network's learned values and state variables are finite.

A weight of NaN has no effect while its source is silent, and a membrane of NaN never reaches its threshold: losses may
then look like those of guessing. So learned values are checked, not losses alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import TrainingError
from .schema import noun

if TYPE_CHECKING:
    from .plan import Plan
    from .protocol import Engine, Learner

PIECE = 1 << 20
"""Numbers checked at once, to keep temporary memory small."""


def not_finite(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """In words the first of a state's arrays, by name, that holds infinity or NaN; else None."""
    return next((noun(name) for name, array in arrays.items() if not _finite(array)), None)


def _finite(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind != "f":
        return True
    flat = array.reshape(-1)
    return all(bool(np.isfinite(flat[first : first + PIECE]).all()) for first in range(0, flat.size, PIECE))


class Faults:
    """Search of a compiled network for values that are not finite: learned values and state variables.

    An engine that runs ahead begins the search when it is told to, and is asked for the result after losses have been
    waited for; for other engines the host searches their states.
    """

    def __init__(self, plan: Plan, engine: Engine, learner: Learner) -> None:
        self.plan, self.engine, self.learner = plan, engine, learner
        self._learned = False
        self._begun: Callable[[], tuple[str, str]] | None = None

    def look(self, *, learned: bool = False) -> None:
        """Begin to search state variables, and with `learned` also learned values."""
        self._learned = learned
        if self.engine.finder is not None:
            self._begun = self.engine.finder.begin(learned=learned)

    def refuse(self, when: str) -> None:
        """Raise a TrainingError if anything was found since :meth:`look`."""
        begun, self._begun = self._begun, None
        if begun is None:
            refuse(when, self._of_connections() or self._of_populations() if self._learned else "", self._of_states())
            return
        learned, state = begun()
        if self._learned and self.engine.learner is None:  # then the host learns populations' values
            learned = learned or self._of_populations()
        refuse(when, learned, state)

    def named(self) -> tuple[str, str]:
        """The names of values that are not finite, after it is known that there are some; this may wait for the
        engine."""
        begun, self._begun = self._begun, None
        state = begun()[1] if begun else self._of_states()
        return self._of_connections() or self._of_populations(), state

    def _of_connections(self) -> str:
        for c in self.plan.connections:
            if c.learned and (what := not_finite(self.engine.state(c.index).arrays())):
                return f"{what} of connection {c.name!r}"
        return ""

    def _of_populations(self) -> str:
        for p, state in zip(self.plan.populations, self.learner.populations, strict=True):
            if what := not_finite(state.tensors()):
                return f"{what} of population {p.name!r}"
        return ""

    def _of_states(self) -> str:
        found = self.engine.not_finite()
        return f"a state variable of population {self.plan.populations[found[0]].name!r}" if found else ""


def refuse(when: str, *faults: str) -> None:
    """Raise a TrainingError that names the faults; none for none."""
    named = " and ".join(filter(None, faults))
    if named:
        are = "are not finite" if len(list(filter(None, faults))) > 1 else "is not finite"
        raise TrainingError(
            f"{named} {are} {when}: weights, gradients or inputs are too large; a lower learning rate, clip_norm or "
            "smaller initial weights may help"
        )
