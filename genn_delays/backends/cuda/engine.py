"""A plan on a GPU: buffers, and launches of generated kernels in the order of the plan."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.bodies import mangled
from ...communicators import Communicator
from ...learning.losses import Truth
from ...learning.optimisers import Optimisers
from ...plan.exchanged import ConnectionState, DenseData, InputData, Pass, Rewired
from ...plan.foresight import foresee
from ...plan.plan import ConnectionPlan, Plan, PopulationPlan
from ...plan.populations import PopulationState
from ...plan.schema import absent
from ...plan.trainable import check_trainable
from .backward import Backward
from .buffers import state_shapes
from .contents import Contents
from .data import DataOnDevice
from .device import Arguments, Device, Mark
from .exchange import SharedLosses, Summed
from .finder import Finder
from .forward import Forward
from .history import Row
from .launches import planes
from .learner import CUDALearner
from .rewiring import Rewiring, index_by_source
from .sorting import BLOCK
from .updates import Updates
from .work import Work

Array = npt.NDArray[Any]
AHEAD = 4
"""Batches that may be launched before the oldest of them is done: enough to hide the host, few enough to stop soon."""


class CUDAEngine(Contents):
    """See :class:`~genn_delays.plan.protocol.Engine`.

    Attributes:
        device: where it runs; closed with the engine.
        work: its buffers and kernels.
        population, connection, scratch, module, history, L: those of `work`.
        updates: steps of the optimisers.
        finder: see :class:`~genn_delays.plan.protocol.Finder`.
        values: the values of populations that the host learns.
    """

    runs_ahead = True
    survives_fork = False
    one_pass = None

    def __init__(
        self, plan: Plan, device: Device, tape: str = "float32", communicator: Communicator | None = None
    ) -> None:
        self.device = device
        foresee(plan, {})
        self.work = Work(plan, device, tape == "float16", communicator)
        self.plan = plan = self.work.plan  # of a rank's lanes
        self._unsettled: SharedLosses | None = None
        self.population, self.connection, self.scratch = self.work.population, self.work.connection, self.work.scratch
        self.module, self.history, self.L = self.work.module, self.work.history, self.work.L
        self._examples = device.allocate("examples", (self.L,), np.int64)
        self._data = DataOnDevice(device)
        self._launched: deque[Mark] = deque()
        self.updates, self._rewiring = Updates(self.work), Rewiring(self.work)
        self.values: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
        self._closed_states: list[ConnectionState] | None = None
        learns = not any(p.slopes for p in plan.populations)
        self.learner = CUDALearner(self.work, self.updates, self._rewiring, self.set_values) if learns else None
        self.finder = Finder(self.work, populations=learns)
        self._forward, self._backward = Forward(self.work, self.finder.found), Backward(self.work)
        for p in plan.populations:
            self._upload_numbers(p)
            self.set_values(p.index, PopulationState.new(p).values)
        for c in plan.connections:
            self._upload_rule(c)
            self.set_state(c.index, ConnectionState.new(c.initial_synapses(), c))

    def _upload_numbers(self, p: PopulationPlan) -> None:
        if p.model is None:
            return
        if p.parameters:
            self.population[p.index]["par"].upload(np.stack(list(p.parameters.values())).astype(np.float32))
        if p.bias is not None:
            self.population[p.index]["bias"].upload(p.bias.astype(np.float32))

    def _upload_rule(self, c: ConnectionPlan) -> None:
        buffers = self.connection[c.index]
        if c.rewiring is not None:
            buffers["threshold"].upload(np.append(c.delay_thresholds, np.uint32(0)))
            if c.pre_sign is not None:
                buffers["pre_sign"].upload(c.pre_sign)

    def close(self) -> None:
        if self._closed_states is not None:
            return
        try:
            states = [self.state(c.index) for c in self.plan.connections]
            self.history.fetch()
            if self.learner is not None:
                self.learner.fetch()
            self._closed_states = states
        finally:
            self.device.close()

    def after_fork(self) -> None:
        """Never called."""

    def check_learning(self, *, training: bool) -> None:
        check_trainable(self.plan)

    # --- the passes --------------------------------------------------------------------------------------------------

    def load(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64]) -> None:
        self.load_share(inputs, examples, len(examples))

    def share(self, lanes: int) -> tuple[int, int]:
        """See :class:`~genn_delays.plan.protocol.SharedEngine`."""
        return self.work.sharing.of(lanes)

    def gathered(self, what: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See :class:`~genn_delays.plan.protocol.SharedEngine`."""
        if self.work.exchange is None:
            return values
        return self.work.exchange.communicator.gather(what, values, self.work.sharing.sizes(self.work.total))

    def load_share(self, inputs: dict[int, InputData], examples: npt.NDArray[np.int64], lanes: int) -> None:
        """See :class:`~genn_delays.plan.protocol.SharedEngine`."""
        self.work.lanes, self.work.total = len(examples), lanes
        if not inputs:  # of a share without examples nothing of the batch before may be left
            for p in self.plan.populations:
                if p.model is None:
                    self.work.sent(p.index).clear()
        T, L = self.plan.time_steps, self.L
        self._launched.append(self.device.mark())
        if len(self._launched) > AHEAD:
            self._launched.popleft().wait()
        for index, data in inputs.items():
            b, size = self.population[index], self.plan.populations[index].size
            with self._data.placed(index, data, examples) as (buffers, numbers):
                self._examples.upload(np.ascontiguousarray(numbers), start=0)
                if isinstance(data, DenseData):
                    grid = (-(-size // 32) * (L // 32), *planes(T))
                    self.module.launch(
                        "load_dense", grid, BLOCK, x=b["x"], data=buffers[0], examples=self._examples, N=size, T=T, L=L,
                        live=self.lanes,
                    )  # fmt: skip
                else:
                    b["bits"].clear()
                    events = dict(zip(("start", "neuron", "step"), buffers, strict=True))
                    self.module.launch(
                        "load_events", self.lanes, BLOCK, events, bits=b["bits"], examples=self._examples, T=T, L=L
                    )

    def forward(self, how: Pass) -> None:
        self.device.settle()  # deferred launches belong to another pass
        self.work.how = how
        self._forward.prepare()
        self._forward.run()
        self._forward.check()

    def not_finite(self) -> tuple[int, ...]:
        if self._closed_states is not None:
            return ()
        states = self.finder.found.download()[: self.finder.states]
        if states.any():
            self.finder.found.clear()
        return tuple(np.flatnonzero(states).tolist())

    def loss(self, labels: dict[int, Truth]) -> Mapping[int, tuple[float, int]]:
        for p in self.plan.outputs:
            assert p.loss is not None
            truth = np.ascontiguousarray(labels[p.index]).reshape(-1)
            self.population[p.index]["labels" if p.loss.labelled else "targets"].upload(truth, start=0, early=True)
        truths = [labels[p.index].size // max(self.lanes, 1) for p in self.plan.outputs]  # one's where there is none
        results: Mapping[int, tuple[float, int]]
        if self.work.exchange is None:
            read = {p.index: partial(_loss_of, 2 * k) for k, p in enumerate(self.plan.outputs)}
            results = self.history.later("losses", read)
        else:
            results = self._unsettled = SharedLosses([p.index for p in self.plan.outputs])
        self.work.replay(("loss", self.lanes, self.work.total, *truths), lambda: self._loss(truths))
        if self.work.exchange is not None and not self.work.how.training:
            self._add_up([])
        if not self.work.how.training:
            self.device.settle()  # nothing follows: start the deferred work now
        return results

    def _add_up(self, groups: list[tuple[str, list[Summed]]]) -> None:
        """Add up these of all ranks, and losses."""
        exchange = self.work.exchange
        if exchange is None:
            return
        losses = [] if self._unsettled is None else [("losses", [Summed(exchange.losses, exchange.losses.size)])]
        found = exchange.add(*losses, *groups)
        if self._unsettled is not None:
            self._unsettled.settle(found)
            self._unsettled = None

    def _loss(self, truths: list[int]) -> None:
        """Losses and right answers of a batch, and dL/dz; the labels are there, so many an example."""
        for k, (p, count) in enumerate(zip(self.plan.outputs, truths, strict=True)):
            assert p.loss is not None
            b, numbers = self.population[p.index], {mangled(n): value for n, value in p.loss.numbers().items()}
            stepwise, found = p.loss.stepwise, {"losses": b["losses"], "correct": b["correct"]}
            sizes = {"truths": count, "N": p.size, "T": self.plan.time_steps, "L": self.L, "live": self.lanes}
            total = {"total": self.work.total}
            of_steps = {name: b[f"step_{name}"] for name in found} if stepwise else found
            arguments: Arguments = {
                "given": b["z"], "dz": b["dz"], "v": b["tape"], "dv": b["g"], "labels": b.get("labels"),
                "targets": b.get("targets"), **of_steps, **numbers, **sizes,
            }  # fmt: skip
            exchange = self.work.exchange
            row: Arguments = self.history.row("losses") if exchange is None else exchange.row
            row = {**row, **self.work.parts, "column": 2 * k}
            if not stepwise and self.L <= BLOCK:  # of more lanes a thread of the sum has several
                self.module.launch(f"summed_loss_{p.index}", 1, self.L, arguments, total, row)
                continue
            self.work.launch(f"loss_{p.index}", self.L * (self.plan.time_steps if stepwise else 1), arguments, total)
            if stepwise:
                steps = {f"step_{name}": buffer for name, buffer in of_steps.items()}
                self.work.launch(
                    f"loss_over_time_{p.index}", self.L, steps, found, sizes, z=b["z"], labels=b.get("labels")
                )
            self.module.launch("sum_losses", 1, BLOCK, found, row, live=self.lanes)

    def backward(self) -> None:
        self._backward.run()
        self._add_up(self._backward.sums())

    def update(self, step: int, optimisers: dict[int, Optimisers], scale: float = 1.0) -> None:
        self.work.set_step(step)
        self.updates.scale_by(scale)
        self.updates.run(optimisers, {})

    def rewire(self, step: int, drops: dict[int, int]) -> Mapping[int, Rewired]:
        return self._rewiring.act(step, drops)

    # --- synapses ----------------------------------------------------------------------------------------------------

    def state(self, connection: int) -> ConnectionState:
        if self._closed_states is not None:
            return self._closed_states[connection].copy()
        c, b = self.plan.connections[connection], self.connection[connection]
        return ConnectionState.from_arrays(absent() | {n: b[n].download()[: c.size] for n in state_shapes(c)})

    def set_state(self, connection: int, state: ConnectionState) -> None:
        c, b, arrays = self.plan.connections[connection], self.connection[connection], state.arrays()
        for name in state_shapes(c):
            if c.size:
                b[name].upload(np.ascontiguousarray(arrays[name]))
        self.work.delays.pop(connection, None)
        index_by_source(self.work, c)


def _loss_of(column: int, row: Row) -> tuple[float, int]:
    """Summed loss and right answers of an output, out of a row of the history."""
    return float(row[column]), int(row[column + 1])
