"""Figures of every epoch as a TensorBoard log."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackendUnavailableError, GennDelaysError, check_path, install_extra
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


class TensorBoard(Callback):
    """Writes the figures of every epoch for ``tensorboard --logdir FOLDER``.

    Tags are the names of ``metrics.history``, of training and validation side by side: ``loss/train`` and
    ``loss/validation``, ``accuracy/train``, ``rewirings/<connection>``, ``learning_rate/<owner>.<variable>``,
    ``step_ms``. A figure that is not finite is left out. Every call of ``train`` writes a file of its own, whose steps
    go on with the network's epochs.

    Args:
        folder: where to write.

    Raises:
        BackendUnavailableError: ``tensorboard`` is not installed (extra ``tensorboard``).
    """

    writes = True

    def __init__(self, folder: str | Path) -> None:
        self.folder = check_path("TensorBoard folder", folder)
        _tensorboard()
        self._writer: Any = None

    def on_train_begin(self) -> None:
        writer = _tensorboard()
        try:  # a folder that cannot be written is an error before anything is computed
            self.folder.mkdir(parents=True, exist_ok=True)
            self._writer = writer(str(self.folder))
        except OSError as error:
            raise GennDelaysError(f"cannot write {self.folder}: {error.strerror or error}") from error

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        rates = {
            f"learning_rate/{owner}.{variable}": alpha
            for (owner, variable), alpha in self.compiled_network.learning_rates().items()
        }
        found = {tag_of(name): value for name, value in metrics.figures(epoch).items() if name != "epoch"} | rates
        values = [Summary.Value(tag=tag, simple_value=v) for tag, v in found.items() if math.isfinite(v)]
        self._writer.add_event(Event(step=epoch + 1, wall_time=_now(), summary=Summary(value=values)))
        self._writer.flush()

    def on_train_end(self, metrics: Metrics) -> None:
        self._writer.close()


def tag_of(name: str) -> str:
    """The tag of a figure: its kind first, so that those of training and validation are one group."""
    for what in ("train", "validation"):
        if name.startswith(f"{what}_"):
            kind, _, rest = name.removeprefix(f"{what}_").partition("_")
            return f"{kind}/{what}" + (f"_{rest}" if rest else "")
    for kind in ("newborn_rewirings", "rewirings"):
        if name.startswith(f"{kind}_"):
            return f"{kind}/{name.removeprefix(f'{kind}_')}"
    return name


def _now() -> float:
    import time

    return time.time()


def _tensorboard() -> Any:
    """TensorBoard's writer of files, or an error that says what to install."""
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise BackendUnavailableError(f"TensorBoard needs tensorboard: {install_extra('tensorboard')}") from error
    return EventFileWriter
