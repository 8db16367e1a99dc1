"""Learning on the device: nothing of it waits for the host, or makes the host wait."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ...learning.schedules import Progress
from ...plan.populations import PopulationState
from ...plan.protocol import Rewired
from .history import Row
from .sorting import BLOCK
from .updates import Value

if TYPE_CHECKING:
    from .engine import CUDAEngine


class CUDALearner:
    """See :class:`~genn_delays.plan.protocol.Learner`; for networks whose time constants are not learned."""

    def __init__(self, engine: CUDAEngine) -> None:
        self.engine = engine
        self._states = [PopulationState.new(p) for p in engine.plan.populations]
        self._ahead: set[int] = set()  # populations that the device has learned further

    @property
    def populations(self) -> list[PopulationState]:
        self.fetch()
        return self._states

    def fetch(self) -> None:
        """Bring what the device has learned to the host."""
        for index in sorted(self._ahead):
            b, state = self.engine.population[index], self._states[index]
            state.values = {name: b[name].download() for name in state.values}
            state.moments = {
                name: [b[f"{name}.moment{m}"].download() for m in range(len(moments))]
                for name, moments in state.moments.items()
            }
        self._ahead.clear()

    def set_population(self, index: int, state: PopulationState) -> None:
        self._states[index] = state
        self._ahead.discard(index)
        self.engine.set_values(index, state.values)
        for name, moments in state.moments.items():
            for m, values in enumerate(moments):
                self.engine.population[index][f"{name}.moment{m}"].upload(values)

    def regularise(self, lanes: int) -> Mapping[int, float]:
        e = self.engine
        hidden = [p.index for p in e.plan.populations if p.regularised]
        if e.plan.regularisation is None or not hidden:
            return {}
        numbers = [float(number) for number in e.plan.regularisation]
        penalties = e.history.later("penalties", {index: partial(_number, k) for k, index in enumerate(hidden)})
        row = e.history.row("penalties")

        def work() -> None:
            for k, index in enumerate(hidden):
                b, size = e.population[index], e.plan.populations[index].size
                e.module.launch("regularise", 1, BLOCK, b["totals"], b["drive"], *row, k, *numbers, size, lanes)

        e.replay(("regularise", lanes), work)
        return penalties

    def step(self, step: int, now: Progress, lanes: int) -> Mapping[int, Rewired]:
        e = self.engine
        if e.plan.clip_norm is None:
            e.updates.scale_by(1.0)
        else:
            e.updates.clip()
        e.set_step(step)
        values = {}
        for p, state in zip(e.plan.populations, self._states, strict=True):
            if p.batch_norm:
                self._ahead.add(p.index)
                e.replay(("average", p.index, lanes), partial(self._average, p.index, lanes))
            if p.learned:
                state.age += 1
                for name, optimiser in p.learned.items():
                    values[Value(p.index, name)] = optimiser.at(now), min(state.age, 65_535)
        e.updates.run(e.plan.optimisers(now), values)
        return e.rewire(step, e.plan.drops(step, now))

    def _average(self, index: int, lanes: int) -> None:
        """Let the batch enter a batch norm's running averages."""
        e, p, b = self.engine, self.engine.plan.populations[index], self.engine.population[index]
        assert p.batch_norm is not None
        count, new = lanes * e.plan.time_steps, float(p.batch_norm.momentum)
        e.launch(
            "norm_average", p.size, b["mean"], b["var"], b["batch_norm_mean"], b["batch_norm_var"], new, 1.0 - new,
            count / max(count - 1, 1), p.size,
        )  # fmt: skip


def _number(column: int, row: Row) -> float:
    return float(row[column])
