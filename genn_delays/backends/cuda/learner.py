"""Learning on the device: nothing of it waits for the host, or makes the host wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from ...learning.schedules import Progress
from ...plan.exchanged import Rewired
from ...plan.populations import PopulationState
from .history import Row
from .rewiring import Rewiring
from .sorting import BLOCK
from .updates import Updates, Value
from .work import Work

SetValues = Callable[[int, dict[str, npt.NDArray[np.float32]]], None]


class CUDALearner:
    """See :class:`~genn_delays.plan.protocol.Learner`; for networks whose time constants are not learned."""

    def __init__(self, work: Work, updates: Updates, rewiring: Rewiring, set_values: SetValues) -> None:
        self.work, self.updates, self.rewiring, self._set_values = work, updates, rewiring, set_values
        self._states = [PopulationState.new(p) for p in work.plan.populations]
        self._ahead: set[int] = set()  # populations that the device has learned further

    @property
    def populations(self) -> list[PopulationState]:
        self.fetch()
        return self._states

    def fetch(self) -> None:
        """Bring what the device has learned to the host."""
        for index in sorted(self._ahead):
            b, state = self.work.population[index], self._states[index]
            state.values = {name: b[name].download() for name in state.values}
            state.moments = {
                name: [b[f"{name}.moment{m}"].download() for m in range(len(moments))]
                for name, moments in state.moments.items()
            }
        self._ahead.clear()

    def set_population(self, index: int, state: PopulationState) -> None:
        self._states[index] = state
        self._ahead.discard(index)
        self._set_values(index, state.values)
        for name, moments in state.moments.items():
            for m, values in enumerate(moments):
                self.work.population[index][f"{name}.moment{m}"].upload(values)

    def regularise(self, lanes: int) -> Mapping[int, float]:
        w = self.work
        hidden = [p.index for p in w.plan.populations if p.regularised]
        if w.plan.regularisation is None or not hidden:
            return {}
        numbers = {name: float(number) for name, number in w.plan.regularisation._asdict().items()}
        penalties = w.history.later("penalties", {index: partial(_number, k) for k, index in enumerate(hidden)})
        row = w.history.row("penalties")

        def drive() -> None:
            for k, index in enumerate(hidden):
                b, size = w.population[index], w.plan.populations[index].size
                w.module.launch(
                    "regularise", 1, BLOCK, row, numbers, totals=b["totals"], drive=b["drive"], column=k, N=size,
                    live=lanes,
                )  # fmt: skip

        w.replay(("regularise", lanes), drive)
        return penalties

    def step(self, step: int, now: Progress, lanes: int) -> Mapping[int, Rewired]:
        w = self.work
        if w.plan.clip_norm is None:
            self.updates.scale_by(1.0)
        else:
            self.updates.clip()
        w.set_step(step)
        values = {}
        for p, state in zip(w.plan.populations, self._states, strict=True):
            if p.batch_norm:
                self._ahead.add(p.index)
                w.replay(("average", p.index, lanes), partial(self._average, p.index, lanes))
            if p.learned:
                state.age += 1
                for name, optimiser in w.plan.optimisers_of(p, now).items():
                    values[Value(p.index, name)] = optimiser, min(state.age, 65_535)
        self.updates.run(w.plan.optimisers(now), values)
        return self.rewiring.act(step, w.plan.drops(step, now))

    def _average(self, index: int, lanes: int) -> None:
        """Let the batch enter a batch norm's running averages."""
        w, p, b = self.work, self.work.plan.populations[index], self.work.population[index]
        assert p.batch_norm is not None
        count, new = lanes * w.plan.time_steps, float(p.batch_norm.momentum)
        w.launch(
            "norm_average", p.size, mean=b["mean"], var=b["var"], running_mean=b["batch_norm_mean"],
            running_var=b["batch_norm_var"], newer=new, older=1.0 - new, unbiased=count / max(count - 1, 1), N=p.size,
        )  # fmt: skip


def _number(column: int, row: Row) -> float:
    return float(row[column])
