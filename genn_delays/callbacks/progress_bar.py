"""A progress bar over the batches of each epoch."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from ..plan.summary import what_learns
from ..streams import Tolerant, say
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


INTERVAL = 0.1
"""Seconds between two looks at the figures, for which a backend that runs ahead has to be waited for."""


class BatchProgressBar(Callback):
    """One line an epoch on standard error: batches done, loss and accuracy so far, the validation's at the end.

    The first line of a training says which variables are learned by which optimiser, and which are not. In a terminal
    or a notebook
    the line of an epoch grows while it lasts; elsewhere, in a file for example, it is written once, when the epoch is
    over. Where it cannot be written nothing is said, and training goes on.
    """

    writes = True

    def __init__(self) -> None:
        self._bar: _Bar | _Line | None = None
        self._epoch: int | None = None

    def on_train_begin(self) -> None:
        say(what_learns(self.compiled_network.plan))

    def on_epoch_begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._open(f"epoch {epoch + 1:>{len(str(self.num_epochs))}}/{self.num_epochs}")

    def on_test_begin(self) -> None:
        if self._bar is None:
            self._open("evaluate")

    def _open(self, label: str) -> None:
        stream = Tolerant(sys.stderr)
        live = stream.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
        self._bar = (_Bar if live else _Line)(stream, label, self.num_batches)

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        if self._bar is not None:
            self._bar.update(metrics)

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        self._close(metrics)

    def on_test_end(self, metrics: Metrics) -> None:
        if self._epoch is None:
            self._close(metrics)

    def on_train_end(self, metrics: Metrics) -> None:
        self._epoch = None

    def _close(self, metrics: Metrics) -> None:
        if self._bar is not None:
            self._bar.close(metrics.summary())
        self._bar = None


class _Bar:
    """A line that is overwritten as it changes."""

    def __init__(self, stream: Tolerant, label: str, total: int) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(total=total, desc=label, unit="batch", dynamic_ncols=True, file=stream)
        self._looked = 0.0

    def update(self, metrics: Metrics) -> None:
        now = time.monotonic()
        if now - self._looked >= INTERVAL:
            self._bar.set_postfix_str(metrics.summary(), refresh=False)
            self._looked = now
        self._bar.update()

    def close(self, summary: str) -> None:
        self._bar.set_postfix_str(summary)
        self._bar.close()


class _Line:
    """A line that is written once."""

    def __init__(self, stream: Tolerant, label: str, total: int) -> None:
        self._stream, self._label, self._total = stream, label, total
        self._start, self._done = time.monotonic(), 0

    def update(self, metrics: Metrics) -> None:
        self._done += 1  # figures are not read here: that would wait for a backend that runs ahead

    def close(self, summary: str) -> None:
        batches = f"{self._done}/{self._total} batches in {time.monotonic() - self._start:.1f} s"
        self._stream.write(f"{self._label}: {', '.join(filter(None, (batches, summary)))}\n")
