"""A progress bar over the batches of each epoch."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from ..compilers.summary import what_learns
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


INTERVAL = 0.1
"""Seconds between two looks at the figures, for which a backend that runs ahead has to be waited for."""


class BatchProgressBar(Callback):
    """One line an epoch on standard error: batches done, loss and accuracy so far, the validation's at the end.

    The first line of a training says what is learned, by which optimiser, and what is not.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._epoch: int | None = None
        self._looked = 0.0

    def on_train_begin(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a standard error that is closed hears nothing
            print(what_learns(self.compiled_network.plan), file=sys.stderr, flush=True)

    def on_epoch_begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._open(f"epoch {epoch + 1:>{len(str(self.num_epochs))}}/{self.num_epochs}")

    def on_test_begin(self) -> None:
        if self._bar is None:
            self._open("evaluate")

    def _open(self, label: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=self.num_batches, desc=label, unit="batch", dynamic_ncols=True)

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        now = time.monotonic()
        if now - self._looked >= INTERVAL:
            self._bar.set_postfix_str(metrics.summary(), refresh=False)
            self._looked = now
        self._bar.update()

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        self._close(metrics)

    def on_test_end(self, metrics: Metrics) -> None:
        if self._epoch is None:
            self._close(metrics)

    def on_train_end(self, metrics: Metrics) -> None:
        self._epoch = None

    def _close(self, metrics: Metrics) -> None:
        self._bar.set_postfix_str(metrics.summary())
        self._bar.close()
        self._bar = None
