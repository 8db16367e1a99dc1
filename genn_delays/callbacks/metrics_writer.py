"""Metrics of every epoch as JSON lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValueError, RunFolderError, check_path, shown
from ..paths import atomic_write
from .callback import Callback

if TYPE_CHECKING:
    from ..metrics import Metrics


class MetricsWriter(Callback):
    """Writes one JSON object an epoch to a file, whole lines only.

    Lines of epochs that are about to be trained again (after an interruption) are replaced; a torn last line goes. What
    is not a number, such as the accuracy of outputs with real targets, is null.

    Args:
        path: the file, for example ``metrics.jsonl``.
        extra: called with the epoch and its metrics for more figures to write, if given.
    """

    def __init__(self, path: str | Path, extra: Any = None) -> None:
        if extra is not None and not callable(extra):
            raise InvalidValueError(
                f"MetricsWriter extra must be a function of the epoch and its metrics, got {shown(extra)}"
            )
        self.path, self.extra = check_path("MetricsWriter path", path), extra
        self._lines: list[dict[str, Any]] = []

    def on_train_begin(self) -> None:
        lines = read_metrics(self.path)
        self._write(lines)  # a file that cannot be written must be known before anything is computed
        self._lines = [line for line in lines if line["epoch"] < self.compiled_network.epoch]

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        line: dict[str, Any] = {
            "epoch": epoch,
            "train_loss": metrics.loss,
            "train_accuracy": metrics.accuracy,
            "step_ms": round(metrics.step_ms, 4),
            "rewirings": metrics.rewirings,
            "newborn_rewirings": metrics.newborn_rewirings,
        }
        if metrics.validation is not None:
            line |= {"validation_loss": metrics.validation.loss, "validation_accuracy": metrics.validation.accuracy}
        if self.extra is not None:
            line |= self.extra(epoch, metrics)
        line = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in line.items()}
        self._lines.append(line)
        self._write(self._lines)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file, oldest first; none where there is no file.

    Raises:
        RunFolderError: there is one that cannot be read.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error
    lines = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(entry, dict) or type(entry.get("epoch")) is not int:
            break
        lines.append(entry)
    return lines
