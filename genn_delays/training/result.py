"""The results of a batch, read later: a backend may still be computing them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import TrainingError
from ..metrics import OutputMetric
from ..network import Population


@dataclass(frozen=True)
class BatchResult:
    """Losses of a batch.

    Attributes:
        losses: by output population its summed loss and number of right answers.
        penalties: of hidden neurons' spike counts, by population.
        parts: answers an example has, by output: with a label a step, a step is a part of an answer.
        size: examples.
        step, epoch: training steps and epochs before it.
    """

    losses: Mapping[int, tuple[float, int]]
    penalties: Mapping[int, float]
    parts: Mapping[int, int]
    size: int
    step: int
    epoch: int

    def mean(self) -> float:
        """The mean loss of an example, summed over outputs, with what regularisation adds."""
        return sum(loss / self.size for loss, _ in self.losses.values()) + sum(self.penalties.values())

    def count(
        self,
        populations: list[Population],
        outputs: dict[Population, OutputMetric],
        faults: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        """Add it to an epoch's metrics; if the loss is not finite, `faults` names the values of the network that are
        not.

        Raises:
            TrainingError: the loss is not a finite number.
        """
        for index, (loss, correct) in self.losses.items():
            outputs[populations[index]].add(loss, correct / self.parts[index], self.size)
        total = self.mean()
        if not math.isfinite(total):
            named = " and ".join(filter(None, faults()))
            raise TrainingError(
                f"the loss is {total} after {self.step} training steps ({self.epoch} whole epochs)"
                + (f", where {named} is not finite" if named else "")
                + ": weights or inputs are too large; a lower learning rate or smaller initial weights may help"
            )
