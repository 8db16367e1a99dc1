"""What training and evaluation report."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from .errors import unknown
from .network import Population


@dataclass
class OutputMetric:
    """Figures of one output population over the examples seen so far.

    Attributes:
        correct, total: right answers and examples.
        summed_loss: sum of the examples' losses.
    """

    correct: int = 0
    total: int = 0
    summed_loss: float = 0.0

    def add(self, loss: float, correct: int, total: int) -> None:
        """Count a batch."""
        self.summed_loss += loss
        self.correct += correct
        self.total += total

    @property
    def result(self) -> float:
        """Accuracy, the share of right answers (mlGeNN's sparse categorical accuracy)."""
        return self.correct / self.total if self.total else float("nan")

    @property
    def loss(self) -> float:
        """Mean loss of an example."""
        return self.summed_loss / self.total if self.total else float("nan")


@dataclass
class Metrics:
    """Figures of one pass over the data; ``metrics[population].result`` is the accuracy of an output.

    Attributes:
        outputs: by output population.
        rewirings: synapses dropped and grown, by connection name.
        step_seconds: duration of every training step of the epoch.
        validation: those of the validation data, after an epoch.
    """

    outputs: dict[Population, OutputMetric]
    rewirings: dict[str, int] = field(default_factory=dict)
    step_seconds: list[float] = field(default_factory=list)
    validation: Metrics | None = None

    def __getitem__(self, population: Population | str) -> OutputMetric:
        """The figures of an output population, given itself or by name."""
        for output, metric in self.outputs.items():
            if population is output or population == output.name:
                return metric
        raise unknown("output", getattr(population, "name", population), [p.name for p in self.outputs])

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the outputs."""
        return sum(m.result for m in self.outputs.values()) / len(self.outputs)

    @property
    def loss(self) -> float:
        """Sum of the outputs' mean losses."""
        return sum(m.loss for m in self.outputs.values())

    @property
    def step_ms(self) -> float:
        """Median duration of a whole training step in ms."""
        return 1e3 * median(self.step_seconds) if self.step_seconds else float("nan")

    def summary(self) -> str:
        """One line for people, empty where there were no labels."""
        if not any(m.total for m in self.outputs.values()):
            return ""
        text = f"loss {self.loss:.4f}, accuracy {100 * self.accuracy:.2f} %"
        if self.validation is not None:
            text += f", validation {100 * self.validation.accuracy:.2f} %"
        if self.rewirings:
            text += f", rewired {sum(self.rewirings.values())}"
        return text
