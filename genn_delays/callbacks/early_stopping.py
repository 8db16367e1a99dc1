"""Stops training when a figure no longer improves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import check_count, check_real
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


class EarlyStopping(Callback):
    """Stops after `patience` epochs in which the monitored accuracy did not rise by more than `min_delta`.

    The validation accuracy is monitored where there are validation data, else the training accuracy. Where an output
    has real targets in place of class labels, it is the loss, which has to fall.

    Args:
        patience: epochs without improvement that are accepted, at least 1.
        min_delta: a smaller rise does not count.
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0) -> None:
        self.patience = check_count("EarlyStopping patience", patience)
        self.min_delta = check_real("EarlyStopping min_delta", min_delta, 0.0)
        self.best: float | None = None
        self.waited = 0

    def on_train_begin(self) -> None:
        self._decide()  # a resumed run may already be at its end

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        value = (metrics.validation or metrics).score
        if self.best is None or value > self.best + self.min_delta:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        self._decide()

    def _decide(self) -> None:
        if self.waited >= self.patience:
            self.compiled_network.stop_training = True

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def set_state(self, state: dict[str, Any]) -> None:
        best = state["best"]
        self.waited = check_count("waited", state["waited"], 0)
        self.best = best if best is None else check_real("EarlyStopping best", best)
