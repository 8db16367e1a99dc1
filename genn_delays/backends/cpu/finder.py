"""The search for values that are not finite, among the numbers where they are: a state is a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...plan.finite import not_finite
from ...plan.plan import Plan
from ...plan.schema import synapse_fields
from .structs import Arrays


class Finder:
    """See :class:`~genn_delays.plan.protocol.Finder`.

    Args:
        net: the engine's structure, which notes populations with state variables that are not finite.
        connections: the arrays of every connection.
    """

    def __init__(self, plan: Plan, net: Any, connections: Sequence[Arrays]) -> None:
        self._plan, self._net, self._connections = plan, net, connections

    def begin(self, *, learned: bool) -> Callable[[], tuple[str, str]]:
        """Nothing is computed before the answer is asked for."""
        return lambda: (self._learned() if learned else "", self._state())

    def _learned(self) -> str:
        for c in self._plan.connections:
            arrays = {name: self._connections[c.index][name] for name in synapse_fields(c)}
            if c.learned and (what := not_finite(arrays)):
                return f"{what} of connection {c.name!r}"
        return ""

    def _state(self) -> str:
        first, self._net.no_number = self._net.no_number, 0
        return f"a state variable of population {self._plan.populations[first - 1].name!r}" if first else ""
