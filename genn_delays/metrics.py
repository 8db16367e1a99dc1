"""Metrics that training and evaluation report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from statistics import median
from typing import TYPE_CHECKING

from .errors import unknown
from .network import Population
from .porting import missing_from


@dataclass
class OutputMetric:
    """Figures of one output population over the examples seen so far.

    Attributes:
        correct, total: right answers and examples; where every time step has its label, a step is a part of an answer.
        summed_loss: sum of the examples' losses.
        labelled: whether there are class labels; without them there is no accuracy.
    """

    correct: float = 0
    total: int = 0
    summed_loss: float = 0.0
    labelled: bool = True

    def add(self, loss: float, correct: float, total: int) -> None:
        """Count a batch."""
        self.summed_loss += loss
        self.correct += correct
        self.total += total

    @property
    def accuracy(self) -> float:
        """Share of right answers (mlGeNN's sparse categorical accuracy); not a number without class labels."""
        return self.correct / self.total if self.labelled and self.total else float("nan")

    @property
    def result(self) -> float:
        """The accuracy; without class labels the mean loss, that is the mean square error."""
        return self.accuracy if self.labelled else self.loss

    @property
    def loss(self) -> float:
        """Mean loss of an example."""
        return self.summed_loss / self.total if self.total else float("nan")


Entry = Callable[[dict[Population, OutputMetric], dict[str, int]], None]


class Metrics:
    """Figures of one pass over the data; ``metrics[population].result`` is the accuracy of an output.

    An output whose targets are real values has no accuracy; its result is the mean square error. A backend may still be
    computing when a batch ends: reading a figure waits for it.

    Attributes:
        step_seconds: duration of every training step of the epoch, as the host sees it: where a backend runs ahead,
            until another step may be launched; the first few are too short then.
        validation: those of the validation data, after an epoch.
        history: figures of all epochs that the compiled network has trained, by name lists of one number an epoch, as
            ``pandas.DataFrame(metrics.history)`` takes them: ``epoch`` (from 1), ``train_loss``, ``train_accuracy``,
            ``step_ms``, ``validation_loss`` and ``validation_accuracy`` where there are validation data, ``rewirings``
            and ``rewirings_<connection>`` where there is rewiring; of several outputs ``train_loss_<output>`` and so
            on. NaN where an epoch has no such figure. Empty after ``evaluate``.
    """

    def __init__(
        self,
        outputs: dict[Population, OutputMetric],
        rewirings: dict[str, int] | None = None,
        step_seconds: list[float] | None = None,
        validation: Metrics | None = None,
    ) -> None:
        self._outputs = outputs
        self._rewirings: dict[str, int] = {} if rewirings is None else rewirings
        self._newborn = dict.fromkeys(self._rewirings, 0)
        self.step_seconds: list[float] = [] if step_seconds is None else step_seconds
        self.validation = validation
        self._rows: list[dict[str, float]] = []
        self._awaited: deque[Entry] = deque()

    def __repr__(self) -> str:
        return f"Metrics({self.summary()})"

    def expect(self, entry: Entry) -> None:
        """Defer counting until figures are read; `entry` adds to outputs and rewirings, and may raise an error."""
        self._awaited.append(entry)

    def settle(self) -> None:
        """Count all that was deferred, in order."""
        while self._awaited:
            self._awaited.popleft()(self._outputs, self._rewirings)

    @property
    def outputs(self) -> dict[Population, OutputMetric]:
        """Figures by output population."""
        self.settle()
        return self._outputs

    @property
    def rewirings(self) -> dict[str, int]:
        """Synapses dropped and grown, by connection name."""
        self.settle()
        return self._rewirings

    @property
    def newborn_rewirings(self) -> dict[str, int]:
        """Of :attr:`rewirings` those that died in the step after their birth, by connection name.

        They are DEEP R's search for a place; all others are established synapses that died, which is change. Under RigL
        and SET a newborn synapse is one that is dropped at the first rewiring after its birth.
        """
        self.settle()
        return self._newborn

    def count_rewired(self, connection: str, established: int, newborn: int) -> None:
        """Count synapses of a connection that were dropped, and as many grown."""
        self._rewirings[connection] += established + newborn
        self._newborn[connection] = self._newborn.get(connection, 0) + newborn

    def __getitem__(self, population: Population | str) -> OutputMetric:
        """The figures of an output population, given itself or by name."""
        for output, metric in self.outputs.items():
            if population is output or (isinstance(population, str) and population == output.name):
                return metric
        raise unknown("output", getattr(population, "name", population), [p.name for p in self.outputs])

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the outputs with class labels; not a number where there are none."""
        found = [m.accuracy for m in self.outputs.values() if m.labelled]
        return sum(found) / len(found) if found else float("nan")

    @property
    def score(self) -> float:
        """The figure for early stopping and checkpoints, the higher the better: the accuracy where every output has
        one.

        Otherwise it is minus the loss.
        """
        return self.accuracy if all(m.labelled for m in self.outputs.values()) else -self.loss

    @property
    def loss(self) -> float:
        """Sum of the outputs' mean losses."""
        return sum(m.loss for m in self.outputs.values())

    @property
    def step_ms(self) -> float:
        """Median duration of a whole training step in ms."""
        return 1e3 * median(self.step_seconds) if self.step_seconds else float("nan")

    @property
    def history(self) -> dict[str, list[float]]:
        """Figures of all epochs by name, see the class."""
        names = dict.fromkeys(name for row in self._rows for name in row)
        return {name: [row.get(name, nan) for row in self._rows] for name in names}

    def remember(self, rows: list[dict[str, float]], epoch: int) -> None:
        """Add the figures of an epoch, counted from 0, to those of earlier ones, and have them all as history."""
        rows.append(self.figures(epoch))
        self._rows = list(rows)

    def figures(self, epoch: int) -> dict[str, float]:
        """The figures of an epoch, counted from 0, flat: one number by name."""
        row: dict[str, float] = {"epoch": epoch + 1, "train_loss": self.loss, "train_accuracy": self.accuracy}
        row["step_ms"] = round(self.step_ms, 4)
        for name, counts in (("rewirings", self.rewirings), ("newborn_rewirings", self.newborn_rewirings)):
            row[name] = sum(counts.values())
            row |= {f"{name}_{connection}": count for connection, count in counts.items()}
        for what, found in (("train", self), ("validation", self.validation)):
            if found is not None:
                row |= {f"{what}_loss": found.loss, f"{what}_accuracy": found.accuracy}
                for population, metric in found.outputs.items() if len(found.outputs) > 1 else ():
                    row[f"{what}_loss_{population.name}"] = metric.loss
                    row[f"{what}_accuracy_{population.name}"] = metric.accuracy
        return row

    def summary(self) -> str:
        """One line for people, empty where there were no labels."""
        if not any(m.total for m in self.outputs.values()):
            return ""
        labelled = any(m.labelled for m in self.outputs.values())
        text = f"loss {self.loss:.4f}" + (f", accuracy {100 * self.accuracy:.2f} %" if labelled else "")
        if self.validation is not None:
            found = self.validation
            text += f", validation {100 * found.accuracy:.2f} %" if labelled else f", validation loss {found.loss:.4f}"
        if self.rewirings:
            newborn = sum(self.newborn_rewirings.values())
            text += f", rewired {sum(self.rewirings.values())}" + (f" ({newborn} newborn)" if newborn else "")
        return text


if not TYPE_CHECKING:  # for type checkers, names that are not here are errors
    __getattr__ = missing_from(__name__)
