"""Checkpoints while training: the last epoch's and the best one's."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments import refuses
from ..errors import InvalidValueError, check_count, check_path, shown
from ..paths import atomic_write
from ..serialisers import Numpy
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


@refuses(serialiser="write folder=Numpy(folder), or the folder itself")
class Checkpoint(Callback):
    """Writes ``last.safetensors`` after every epoch and ``best.safetensors`` whenever the monitored figure rises.

    With `epoch_interval` n it also keeps every n-th epoch, as ``epoch-5.safetensors``, ``epoch-10.safetensors``, and
    so on for n = 5, after 5 epochs, after 10, ...

    The figure is the validation accuracy where there are validation data, else the training accuracy. Where an output
    has real targets in place of class labels, it is minus the loss.

    Args:
        folder: where to write: a path, or mlGeNN's :class:`~genn_delays.serialisers.Numpy` with one.
        monitor: called with the epoch's metrics for another figure, the higher the better.
        epoch_interval: keep the checkpoints of every so many epochs, at least 1; none of them where not given.
    """

    runs_last = writes = True

    def __init__(
        self,
        folder: str | Path | Numpy,
        monitor: Callable[[Metrics], float] | None = None,
        *,
        epoch_interval: int | None = None,
    ) -> None:
        if isinstance(monitor, int):
            raise InvalidValueError(
                f"the second argument of Checkpoint is monitor, in mlGeNN it is epoch_interval; write "
                f"epoch_interval={shown(monitor)}"
            )
        if monitor is not None and not callable(monitor):
            raise InvalidValueError(f"Checkpoint monitor must be a function of the metrics, got {shown(monitor)}")
        folder = folder.path if isinstance(folder, Numpy) else folder
        self.folder, self.monitor = check_path("Checkpoint folder", folder), monitor
        given = epoch_interval is not None
        self.epoch_interval = check_count("Checkpoint epoch_interval", epoch_interval) if given else None
        self.best: float | None = None
        self.best_epoch: int | None = None

    def on_train_begin(self) -> None:
        probe = self.folder / ".probe"  # a folder that cannot be written is an error before anything is computed
        atomic_write(probe, b"")
        probe.unlink()

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        value = self.monitor(metrics) if self.monitor else (metrics.validation or metrics).score
        # NaN is the best only while there is nothing else; the first finite figure replaces it
        improved = self.best is None or value > self.best or (math.isnan(self.best) and not math.isnan(value))
        if improved:
            self.best, self.best_epoch = value, epoch
        # the best first: a run that is killed in between writes the same best again when it resumes
        if improved:
            self.compiled_network.save(self.folder / "best.safetensors")
        if self.epoch_interval is not None and (epoch + 1) % self.epoch_interval == 0:
            self.compiled_network.save(self.folder / f"epoch-{epoch + 1}.safetensors")
        self.compiled_network.save(self.folder / "last.safetensors")

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        best, epoch = state["best"], state["best_epoch"]
        last = self.compiled_network.epoch - 1
        self.best_epoch = None if best is None and epoch is None else check_count("best_epoch", epoch, 0, max(last, 0))
        if best is not None and (isinstance(best, bool) or not isinstance(best, int | float)):
            raise TypeError(f"best must be a number, got {best!r:.80}")
        self.best = best
