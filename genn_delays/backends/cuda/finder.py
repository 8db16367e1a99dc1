"""Searching the device's arrays for infinity and NaN. The answer is a row of the history, so the host need not wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...plan.schema import noun
from .buffers import state_shapes
from .device import Buffer
from .history import Row
from .work import Work


class Finder:
    """See :class:`~genn_delays.plan.protocol.Finder`.

    Args:
        populations: whether the device learns what populations do.

    Attributes:
        found: by population whether a state variable was not finite at the end of an example; after them the same of
            all arrays that the device learns.
    """

    def __init__(self, work: Work, *, populations: bool) -> None:
        self.work, plan = work, work.plan
        self._arrays: list[tuple[str, Buffer, int]] = []
        for c in plan.connections:
            for name, (_, dtype) in state_shapes(c).items():
                if c.learned and dtype == np.float32:
                    whose = f"{noun(name)} of connection {c.name!r}"
                    self._arrays.append((whose, work.connection[c.index][name], c.size))
        for p in plan.populations if populations else ():
            for name in work.population[p.index]:
                if name.startswith("batch_norm_") and not name.endswith(".grad"):
                    whose = f"{noun(name)} of population {p.name!r}"
                    self._arrays.append((whose, work.population[p.index][name], p.size))
        self.states = len(plan.populations)
        self.found = work.device.allocate("what is no number", (self.states + len(self._arrays),), np.int32)
        self.found.clear()

    def begin(self, *, learned: bool) -> Callable[[], tuple[str, str]]:
        w = self.work
        result = w.history.later("finite", {0: partial(_column, 0), 1: partial(_column, 1)})
        w.replay(("finite", learned), partial(self._look, learned))
        return lambda: (self._learned(result[1]), self._state(result[0]))

    def _look(self, learned: bool) -> None:
        w, end = self.work, self.states + len(self._arrays)
        for place, (_, buffer, size) in enumerate(self._arrays if learned else (), self.states):
            w.each("find_not_finite", size, values=buffer, found=self.found, place=place, N=size)
        row = w.history.row("finite")
        w.launch("note_not_finite", 1, row, found=self.found, column=0, begin=0, end=self.states)
        w.launch("note_not_finite", 1, row, found=self.found, column=1, begin=self.states, end=end)

    def _learned(self, first: int) -> str:
        return "" if first < 0 else self._arrays[first - self.states][0]

    def _state(self, first: int) -> str:
        return "" if first < 0 else f"a state variable of population {self.work.plan.populations[first].name!r}"


def _column(column: int, row: Row) -> int:
    return int(row[column])
