"""The results of a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Result:
    """The results of a run. Epochs count from 1, as in ``metrics.jsonl``; accuracies are shares, 0 to 1.

    Attributes:
        synapses: of all connections together.
        sparsity: share of the pairs of neurons without a synapse.
        train_accuracy, validation_accuracy, test_accuracy: of the last epoch's model. The training accuracy is that
            of the batches while they were learned; the validation accuracy is None without a validation set. All
            accuracies are None where outputs have real targets.
        selected_epoch, selected_by: the epoch of the ``best`` checkpoint, and on which set it was chosen: on the test
            set only where there is no validation set.
        selected_test_accuracy: test accuracy of that epoch's model.
        best_test_accuracy, best_test_epoch: the highest test accuracy of any epoch. It is chosen on the test set, as
            `best_test_chosen_on` says, and so is no estimate for new data. With real targets it is the epoch of the
            lowest test loss.
        rewirings: synapses dropped and grown.
        step_ms: median of a whole training step.
        train_loss, validation_loss, test_loss, selected_test_loss, best_test_loss: as the accuracies; None where a loss
            was no number.
        seconds: training with compilation and the evaluation after every epoch; a resumed run adds up its parts.
    """

    model: str
    dataset: str
    backend: str
    seed: int
    synapses: int
    sparsity: float
    epochs: int
    train_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    selected_epoch: int
    selected_by: str
    selected_test_accuracy: float | None
    best_test_accuracy: float | None
    best_test_epoch: int
    best_test_chosen_on: str
    rewiring: str
    rewirings: int
    step_ms: float
    seconds: float
    out: str
    train_loss: float | None = None
    validation_loss: float | None = None
    test_loss: float | None = None
    selected_test_loss: float | None = None
    best_test_loss: float | None = None

    def json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))
