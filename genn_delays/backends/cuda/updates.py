"""Learning on the device after the backward pass: clipping, and one step of every optimiser."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...codegen.bodies import mangled
from ...codegen.cuda import optimiser_numbers
from ...errors import unknown
from ...learning.optimisers import L1, Optimiser, Optimisers
from ...plan.plan import ConnectionPlan, Plan
from .buffers import SQUARES
from .device import Argument, Buffer
from .sorting import BLOCK
from .work import Work


class Value(NamedTuple):
    """Something that is learned with one number a neuron."""

    population: int
    name: str


def learned_values(plan: Plan) -> list[Value]:
    """The populations' values that the device learns: batch norms. The host learns time constants."""
    return [Value(p.index, name) for p in plan.populations for name in p.learned_norm]


class Updates:
    """Steps of optimisers.

    Attributes:
        rules: the optimisers as they are now: two rows a connection (weight, delay), then one a value of a population.
        scale: what all gradients are multiplied by.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.values = learned_values(work.plan)
        rows = 2 * len(work.plan.connections) + len(self.values)
        self.numbers = optimiser_numbers(work.plan)
        self.rules = work.device.allocate("optimisers", (max(rows, 1), len(self.numbers)), np.float64)
        self.scale = work.device.allocate("scale of gradients", (1,), np.float64)
        self._scale: float | None = 0.0  # as the host knows it
        self._rules = np.zeros(self.rules.shape)

    # --- clipping ----------------------------------------------------------------------------------------------------

    def scale_by(self, scale: float) -> None:
        """Let all gradients be multiplied by this."""
        if scale != self._scale:
            self.scale.upload(np.array([scale]), early=True)
            self._scale = scale

    def clip(self) -> None:
        """Let gradients be scaled so that their norm is at most ``clip_norm``."""
        self.work.replay("clip", self._clip)
        self._scale = None

    def _clip(self) -> None:
        w, squares, first = self.work, self.work.scratch["squares"], 0
        for gradient, size in self._gradients():
            parts = min(-(-size // (16 * BLOCK)), SQUARES)  # by size alone: one order of the sum
            w.module.launch("square_sums", parts, BLOCK, x=gradient, squares=squares, first=first, size=size)
            first += parts
        most = float(w.plan.clip_norm or 0.0)
        w.module.launch("clip_scale", 1, BLOCK, squares=squares, scale=self.scale, most=most, count=first)

    def _gradients(self) -> list[tuple[Buffer, int]]:
        """The gradients of all that is learned."""
        w, found = self.work, []
        for c in w.plan.connections:
            for name, optimiser in (("grad", c.optimiser), ("delay_grad", c.delay_optimiser)):
                if optimiser is not None and c.size:
                    found.append((w.connection[c.index][name], c.size))
        for population, name in self.values:
            found.append((w.population[population][f"{name}.grad"], w.plan.populations[population].size))
        return found

    # --- steps -------------------------------------------------------------------------------------------------------

    def run(self, optimisers: dict[int, Optimisers], values: dict[Value, tuple[Optimiser, int]]) -> None:
        """A step of optimisers as they are now: of connections, and of populations' values with how often each was."""
        rules = np.zeros(self.rules.shape)
        for index, learned in optimisers.items():
            c = self.work.plan.connections[index]
            l1, noise = L1.of(learned.weight, c.rewiring), 0.0
            if c.rewiring is not None and learned.weight is not None:
                noise = c.rewiring.noise(learned.weight.alpha)
            if learned.weight is not None:
                rules[2 * index] = self._row_of(learned.weight, l1=l1.gradient, drift=l1.drift, noise=noise)
            if learned.delay is not None:
                rules[2 * index + 1] = self._row_of(learned.delay)
        for value, (optimiser, age) in values.items():
            rules[self._row(value)] = self._row_of(optimiser, age=age)
        if not np.array_equal(rules, self._rules):
            self.rules.upload(rules, early=True)
            self._rules = rules
        key = ("update", *optimisers, *values)
        self.work.replay(key, lambda: self._steps([*optimisers], [(v, o) for v, (o, _) in values.items()]))
        for index in optimisers:
            if self.work.plan.connections[index].delay_optimiser is not None and index in self.work.delays:
                self.work.device.settle()  # deferred work has to run with the blocks of the old delays
                del self.work.delays[index]

    def _steps(self, connections: list[int], values: list[tuple[Value, Optimiser]]) -> None:
        for index in connections:
            self._connection(self.work.plan.connections[index])
        learned = dict(values)
        for population in dict.fromkeys(value.population for value in learned):
            b, size = self.work.population[population], self.work.plan.populations[population].size
            arguments: dict[str, Argument] = {}
            for value in [Value(population, name) for name in ("batch_norm_scale", "batch_norm_shift")]:
                short, kind = value.name.removeprefix("batch_norm_"), learned[value]
                arguments |= {short: b[value.name], f"{short}_grad": b[f"{value.name}.grad"]}
                arguments |= {f"{short}_m{m}": b[f"{value.name}.moment{m}"] for m in range(kind.num_moments)}
                arguments[f"{short}_row"] = self._row(value)
            name = kind.registered_name  # one optimiser learns both
            self.work.launch(f"learn_{name}", 2 * size, arguments, rules=self.rules, gradient_scale=self.scale, N=size)

    def _row_of(self, optimiser: Optimiser, **others: float) -> list[float]:
        """The members of ``struct Optimiser``; those that are not given are 0."""
        given = {mangled(name): value for name, value in optimiser.numbers().items()}
        given |= {"weight_decay": optimiser.weight_decay, **others}
        if strange := given.keys() - set(self.numbers):
            raise unknown("member of struct Optimiser", sorted(strange)[0], self.numbers)
        return [given.get(name, 0.0) for name in self.numbers]

    def _row(self, value: Value) -> int:
        return 2 * len(self.work.plan.connections) + self.values.index(value)

    def _connection(self, c: ConnectionPlan) -> None:
        """One step of a connection's optimisers, whose numbers are there."""
        b, rule = self.work.connection[c.index], c.rewiring
        kind = "_".join(o.registered_name if o else "none" for o in (c.optimiser, c.delay_optimiser))
        moments = {f"m{m}": b[f"moment{m}"] for m in range(c.num_moments)}
        moments |= {f"d{m}": b[f"delay_moment{m}"] for m in range(c.num_delay_moments)}
        always = {name: b[name] for name in ("weight", "delay", "grad", "age", "pre", "post")}
        self.work.launch(
            f"update_{kind}", c.size, always, moments, position=b.get("position"), delay_grad=b.get("delay_grad"),
            rules=self.rules, row=2 * c.index, gradient_scale=self.scale, seed=self.work.plan.training_seed,
            owner=c.index, step=self.work.step, keeps_signs=int(rule is not None and rule.signed),
            min_delay_=c.min_delay, max_delay_=c.max_delay, size=c.size,
        )  # fmt: skip
